"""What was never lived: a word pictured, a word once read beside a picture that is new, and a way down from the top."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_nights import BODY, MIND, PATTERNS

from dellm_jax import experience as experiences
from dellm_jax.architecture import Assembly
from dellm_jax.errors import ExperienceError, ScheduleError
from dellm_jax.learning import by_pathway, predictive_coding
from dellm_jax.mind import awake, create
from dellm_jax.rest import consolidate, dream, topdown
from dellm_jax.rest.scenario import associated, checked, partly_lived, prepared, recombined
from dellm_jax.senses import Text
from dellm_jax.types import Experience

MIND = MIND._replace(rule=by_pathway(optax.adam(3e-3), predictive_coding(0.1)))
READER = replace(
    BODY,
    senses=(replace(BODY.senses[0], shift=0.0, turn=0.0, scale=0.0), Text(width=3, buckets=16)),
    assemblies=(
        Assembly("vision", ("image",), 12),
        Assembly("reading", ("text",), 6),
        Assembly("association", ("vision", "reading"), 12),
    ),
    episodic_bytes=12 * 400,
    imagery=("image",),
    feedback=True,
)
WORDS = np.frombuffer(b"onetwosixten", np.uint8).reshape(4, 3)
KEY = jax.random.key(3)


def words(target):
    """Percepts of written words alone."""
    raw = Experience({"text": WORDS[target]}, np.int32(target), np.ones(len(target), np.float32))
    return experiences.perceive(READER, raw)


@pytest.fixture(scope="module")
def reader():
    """A life that saw noisy pictures of three patterns beside their names."""
    random = np.random.default_rng(0)
    target = random.integers(0, 3, (250, 4)).astype(np.int32)
    noisy = np.clip(PATTERNS[target] + random.normal(0, 40, (250, 4, 4, 4, 1)), 0, 255).astype(np.uint8)
    day = Experience({"image": noisy, "text": WORDS[target]}, target, np.ones(target.shape, np.float32))
    state, _ = awake(MIND, create(MIND, READER, jax.random.key(0)), day)
    return consolidate()(MIND, state, jax.random.key(1))[0]


def test_a_word_that_is_read_is_pictured(reader):
    """What the life pictures of a word is, to semantic memory, which saw real pictures alone, what the word means."""
    target = np.repeat(np.arange(3), 40)
    made = associated(MIND, reader, prepared(reader, 4), words(target), "image", KEY)
    seen = np.asarray(topdown.meant(MIND, reader, {"image": made.percepts}))
    assert (np.asarray(made.concept) == target).mean() > 0.95 < (seen == target).mean()
    assert float(made.sure.mean()) > 0.8 and made.percepts.shape == (120, 16)
    assert np.unique(np.asarray(made.percepts), axis=0).shape[0] == 120, "another picture every time"


@pytest.mark.parametrize(
    ("sense", "given", "named"),
    [("text", "image", "imagery=\\[text\\]"), ("image", "image", "expected a sense other than 'image'")],
)
def test_what_cannot_be_pictured_is_refused(reader, sense, given, named):
    """A sense without imagery, or nothing but that sense to begin from."""
    perceived = experiences.Percepts({given: jnp.zeros((1, 16))}, {})
    with pytest.raises(ExperienceError, match=named):
        associated(MIND, reader, prepared(reader, 4), perceived, sense, KEY)


def test_what_is_kept_of_an_episode_stays_as_it_was_lived(reader):
    """Where an episode is recombined, the word is that of the episode bit for bit, and the picture is none that was."""
    likely = prepared(reader, 4)
    lived = partly_lived(reader, likely, 64, KEY)
    dreams = checked(MIND, reader, likely, 64, 0.0, 0.9, jax.random.key(4))
    mixed = recombined(dreams.percepts, lived, lived.fit)
    fit = np.asarray(lived.fit)
    assert fit.any() and (np.asarray(lived.kept["text"]) | ~fit).all(), "the picture is what can be dreamt"
    np.testing.assert_array_equal(np.asarray(mixed.values["text"])[fit], np.asarray(lived.values["text"])[fit])
    assert (np.asarray(mixed.values["image"]) != np.asarray(lived.values["image"]))[fit].any(1).all()
    np.testing.assert_array_equal(np.asarray(mixed.values["image"]), np.asarray(dreams.percepts.values["image"]))


def test_recombined_dreams_are_checked_and_teach(reader):
    """All of a night's dreams may be recombined; most are accepted, and the held-out episodes are known no worse."""
    _, report = dream(optax.adam(1e-3), steps=20, batch=16, chunk=10, rank=4, recombined=1.0)(MIND, reader, KEY)
    assert report["recombined"] > 0.8 and report["updates"] == 20
    assert report["held_out_loss_after"] <= report["held_out_loss_before"]
    with pytest.raises(ScheduleError, match=r"recombined=2\.0; expected a share"):
        dream(optax.adam(1e-3), steps=20, recombined=2.0)


def test_the_way_down_leads_to_the_senses(reader):
    """Activity that a concept evokes, run down the feedback weights, is mostly a picture of that concept."""
    concept = jnp.repeat(jnp.arange(3), 30)
    evoked = topdown.likely_activity(topdown.evoked(MIND, reader, KEY), concept, KEY)
    imagined = topdown.imagined(MIND, reader, evoked)
    assert imagined["image"].shape == (90, 16) and set(imagined) == {"image", "text"}
    seen = np.asarray(topdown.meant(MIND, reader, {"image": imagined["image"]}))
    assert (seen == np.asarray(concept)).mean() > 0.6, "chance is a third"


def test_a_body_without_feedback_imagines_nothing_from_above():
    """And says so by giving no sense."""
    body = replace(READER, feedback=False)
    state = create(MIND, body, jax.random.key(0))
    assert topdown.imagined(MIND, state, {"association": jnp.ones((2, 12))}) == {}


def test_refused_blends_tell_of_novelty(reader):
    """Blends that semantic memory refuses are the unknown: the whole is less confident of them than of real life."""
    _, report = dream(optax.adam(1e-3), steps=10, batch=16, chunk=10, rank=4)(MIND, reader, KEY)
    assert report["novelty_auroc"] > 0.5 and 0 < report["novelty_threshold"] <= 1
    assert 0 <= report["feedback_coherence"] <= 1 and report["acceptance"] < 1
