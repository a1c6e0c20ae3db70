"""Dreams teach what no episode is left of, are checked by what was really lived, and never harm."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_nights import ADAM, BODY, MIND, same, stretch

from dellm_jax.architecture import Assembly
from dellm_jax.errors import ExperienceError, ScheduleError
from dellm_jax.imagine import imagine
from dellm_jax.learning import cross_entropy
from dellm_jax.mind import awake, create, respond, respond_to
from dellm_jax.rest import consolidate, dream, rest
from dellm_jax.rest.judge import judge
from dellm_jax.rest.scenario import checked, prepared, scenario
from dellm_jax.senses import Text
from dellm_jax.trees import copy
from dellm_jax.types import Experience

# Pictures of 4x4 are nothing when they are shifted: here no invariance is known.
STILL = replace(BODY.senses[0], shift=0.0, turn=0.0, scale=0.0)
PICTURED = replace(BODY, senses=(STILL,), imagery=("image",))
ALONE = MIND._replace(rehearse=0, loss=cross_entropy)


@pytest.fixture(scope="module")
def evening():
    """A life that has lived a day, remembers episodes, and has solved its semantic memory."""
    state, _ = awake(MIND, create(MIND, PICTURED, jax.random.key(0)), stretch(0, 100))
    return consolidate()(MIND, state, jax.random.key(1))[0]


@pytest.fixture(scope="module")
def forgetful():
    """A life that lived concepts 0 and 1, then concept 2 alone, and remembers no episode of any of them."""
    state = create(ALONE, replace(PICTURED, episodic_bytes=0), jax.random.key(0))
    for seed, concepts in enumerate([(0, 1), (2,)]):
        state, _ = awake(ALONE, state, stretch(seed, 60, concepts))
    return consolidate()(ALONE, state, jax.random.key(1))[0]


def known(mind, state):
    """Share of 160 noisy pictures that the cortex names."""
    day = stretch(9, 40)
    asked = Experience({"image": day.senses["image"].reshape(-1, 4, 4, 1)}, day.target.ravel(), day.weight.ravel())
    return float((respond(mind, state, asked).by["cortex"].argmax(1) == asked.target).mean())


def test_dreams_bring_back_what_was_forgotten(forgetful):
    """Concepts 0 and 1 were overwritten by 2 and no episode of them is left; dreams alone teach all three again."""
    woken, report = dream(optax.adam(1e-2), steps=180, batch=16, rank=4)(ALONE, forgetful, jax.random.key(2))
    assert known(ALONE, forgetful) < 0.5 < 0.9 < known(ALONE, woken)
    assert report["updates"] == 200 and "kept_step" not in report, "four chunks; nothing is held out to judge them"
    assert report["coherence"] > 0.9 and 0.1 < report["diversity"] < 1.1


def test_a_life_without_imagery_does_not_dream(evening):
    """The state as it was, and nothing to report."""
    blind = evening.replace(memory=evening.memory.replace(imagery={}))
    woken, report = dream(ADAM, steps=20)(MIND, blind, jax.random.key(0))
    assert woken is blind and report == {}


def test_a_dream_that_harms_is_not_kept(evening):
    """Held-out episodes judge every chunk, so that a rule that destroys changes nothing."""
    woken, report = dream(optax.sgd(1e3), steps=20, batch=8, chunk=10)(MIND, evening, jax.random.key(1))
    assert report["kept_step"] == 0 and report["updates"] == 20 and same(woken, evening)
    woken, report = dream(ADAM, steps=20, batch=8, chunk=10)(MIND, evening, jax.random.key(1))
    assert float(judge(MIND, woken).loss) <= float(judge(MIND, evening).loss) + 1e-6


def test_a_night_with_dreams_is_the_same_for_the_same_key(evening):
    stages = [("dream", dream(ADAM, steps=20, batch=8, rank=4, blends=0.3))]
    one, other, third = (rest(MIND, stages, evening, jax.random.key(seed))[0] for seed in (0, 0, 1))
    assert same(one, other) and not same(one, third)


def test_hypotheses_count_only_where_semantic_memory_agrees(evening):
    """Blends are named by the evening's self; those of which semantic memory is not sure weigh nothing."""
    likely = prepared(evening, 4)
    percepts, _, blended, named, counts, *_ = checked(MIND, evening, likely, 400, 0.5, 0.99, jax.random.key(3))
    response = respond_to(MIND, evening, percepts)
    sure = np.exp(np.take_along_axis(response.by["image"], np.asarray(named)[:, None], axis=1)[:, 0])
    blended, counts = np.asarray(blended), np.asarray(counts)
    assert 120 < blended.sum() < 280, "about half are blends"
    np.testing.assert_array_equal(named[blended], response.concept[blended])
    np.testing.assert_array_equal(counts[blended], sure[blended] > 0.99)
    assert 0 < counts[blended].mean() < 1, "some were accepted, some were not"
    np.testing.assert_array_equal(counts[~blended], response.by["image"].argmax(1)[~blended] == named[~blended])


def test_only_what_is_born_is_dreamt_of(evening):
    """Concept 3 was never met."""
    dreams = checked(MIND, evening, prepared(evening, 4), 400, 0.0, 0.9, jax.random.key(0))
    assert set(np.asarray(dreams.concept).tolist()) == {0, 1, 2}


def test_a_blend_lies_between_its_concepts_and_unpictured_senses_are_absent():
    """Without spread x = lambda mean_a + (1 - lambda) mean_b; a sense without imagery is zero, with presence 0."""
    senses = (PICTURED.senses[0], Text(width=4, buckets=16))
    assemblies = (PICTURED.assemblies[0], Assembly("association", ("vision", "text"), 6, 8, 12))
    state = create(ALONE, replace(PICTURED, senses=senses, assemblies=assemblies), jax.random.key(0))
    day = stretch(0, 30)
    words = np.broadcast_to(np.frombuffer(b"word", np.uint8), (30, 4, 4))
    state, _ = awake(ALONE, state, day.replace(senses=day.senses | {"text": words}))
    likely = prepared(state, 0)
    one, two, share = jnp.asarray([0, 1]), jnp.asarray([2, 2]), jnp.asarray([0.25, 1.0])
    percepts = scenario(state, likely, one, two, share, jax.random.key(0))
    mean = likely["image"].mean
    np.testing.assert_allclose(percepts.values["image"][0], 0.25 * mean[0] + 0.75 * mean[2], atol=1e-6)
    np.testing.assert_allclose(percepts.values["image"][1], mean[1], atol=1e-6)
    assert percepts.presence["image"].tolist() == [1, 1] and percepts.presence["text"].tolist() == [0, 0]
    assert not np.asarray(percepts.values["text"]).any()


def test_what_is_imagined_is_lived_by_another_self(evening):
    """A scenario of a concept it never met: the copy would know it, is the life that really lives it, bit for bit, and
    the life itself is as it was."""
    before, scenario = copy(evening), stretch(5, 40, (3,))
    other, report = imagine(MIND, evening, scenario)
    assert same(evening, before)
    assert report["known_before"] == 0 and report["known_after"] > 0.9
    assert 0 < report["confidence_before"] <= 1 and report["held_out_before"] > 0.9
    lived, _ = awake(MIND, before, scenario)
    assert same(other, lived)
    with pytest.raises(ExperienceError, match="image"):
        imagine(MIND, evening, scenario.replace(senses={"image": scenario.senses["image"][..., :2, :]}))


def test_experiences_that_weigh_nothing_are_not_counted_in_what_is_known(evening):
    """And a life that holds nothing out reports nothing of it."""
    scenario = stretch(5, 4, (0, 1))
    scenario = scenario.replace(target=np.where(np.arange(4) < 2, scenario.target, 2).astype(np.int32))
    blind = scenario.replace(weight=np.broadcast_to(np.float32([1, 1, 0, 0]), (4, 4)).copy())
    assert imagine(MIND, evening, blind)[1]["known_before"] > 0.9 > imagine(MIND, evening, scenario)[1]["known_before"]
    state = create(ALONE, replace(PICTURED, episodic_bytes=0), jax.random.key(0))
    assert not any(what.startswith("held_out") for what in imagine(ALONE, state, scenario)[1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": 0}, "dream has steps=0, batch=64, chunk=50; expected 1 or more"),
        ({"steps": 1, "blends": 1.5}, "dream has blends=1.5; expected a share from 0 to 1"),
        ({"steps": 1, "agreement": -1.0}, "dream has agreement=-1.0; expected a share"),
    ],
)
def test_what_cannot_be_dreamt_is_refused(settings, said):
    with pytest.raises(ScheduleError, match=said):
        dream(ADAM, **settings)
