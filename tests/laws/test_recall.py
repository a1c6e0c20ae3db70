"""What something would read like, and what goes with it, from another sense."""

import jax
import numpy as np
import optax
import pytest

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import ExperienceError
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import awake, create
from dellm_jax.recall import recall, retrieve
from dellm_jax.rest import consolidate, rest
from dellm_jax.senses import Image, Text
from dellm_jax.types import Experience, Mind

SEEN, READ = Image(4, 4, code_side=4, code_bits=8, filters=4, kernel=3, stride=1, cells=2), Text(width=8, buckets=64)
BODY = Architecture(
    (SEEN, READ), (Assembly("both", ("image", "text"), 16),), 4, 16, episodic_bytes=25 * 80, semantic_chunk=8
)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.adam(3e-3), rehearse=4)
WORDS = ("cat", "dog", "cow")
PATTERNS = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1))


def moments(target, seed, senses=("image", "text")):
    """Noisy pictures and their words, [..., ...] as `target`."""
    random = np.random.default_rng(seed)
    words = np.array([list(word.encode().ljust(8, b"\0")) for word in WORDS], np.uint8)
    noisy = PATTERNS[target] + random.normal(0, 30, (*target.shape, 4, 4, 1))
    raw = {"image": np.clip(noisy, 0, 255).astype(np.uint8), "text": words[target]}
    return Experience({s: raw[s] for s in senses}, target.astype(np.int32), np.ones(target.shape, np.float32))


@pytest.fixture(scope="module")
def life():
    """A life that saw three things beside their names."""
    target = np.random.default_rng(1).integers(0, 3, (60, 4))
    state, _ = awake(MIND, create(MIND, BODY, jax.random.key(0)), moments(target, 2))
    return rest(MIND, (("consolidate", consolidate()),), state, jax.random.key(1))[0]


def test_a_picture_recalls_its_word_and_a_word_its_picture(life):
    """Letter by letter; and nearest to the pattern that the word was seen beside."""
    target = np.array([0, 1, 2, 1])
    read = recall(MIND, life, moments(target, 3, ("image",)), "text")
    assert [bytes(code).rstrip(b"\0").decode() for code in read.codes] == [WORDS[c] for c in target]
    seen = recall(MIND, life, moments(target, 3, ("text",)), "image")
    distance = np.abs(np.asarray(seen.percepts)[:, None] - PATTERNS.reshape(3, -1)[None] / 255).sum(2)
    assert distance.argmin(1).tolist() == target.tolist() and seen.found.all() and (seen.sure > 0.5).all()


def test_the_sense_that_is_asked_for_is_not_looked_at(life):
    """A picture beside the wrong word recalls the word of the picture."""
    shown = moments(np.array([0, 1]), 3)
    wrong = shown.replace(senses=shown.senses | {"text": shown.senses["text"][::-1]})
    read = recall(MIND, life, wrong, "text")
    assert [bytes(code).rstrip(b"\0").decode() for code in read.codes] == ["cat", "dog"]


def test_what_was_never_lived_is_not_recalled():
    """A newborn has nothing in mind."""
    read = recall(MIND, create(MIND, BODY, jax.random.key(0)), moments(np.array([0]), 3, ("image",)), "text")
    assert not read.found.any() and not np.asarray(read.codes).any()


def test_across_senses_the_same_thing_is_found(life):
    """Words asked for among pictures: the first found is of the word."""
    things = np.array([2, 0, 1, 1])
    order = retrieve(MIND, life, moments(np.array([0, 1, 2]), 4, ("text",)), moments(things, 5, ("image",)))
    assert things[order[:, 0]].tolist() == [0, 1, 2] and sorted(order[0].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("senses", "sense", "said"), [(("image",), "touch", "touch"), (("text",), "text", "other than")]
)
def test_what_cannot_be_asked_is_refused(life, senses, sense, said):
    """A typed error that names what there is."""
    with pytest.raises(ExperienceError, match=said):
        recall(MIND, life, moments(np.array([0]), 3, senses), sense)
