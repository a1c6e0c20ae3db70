"""Episodic memory in order: duplicates merged, room where it is needed, nothing lost and nothing to judge by moved."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy, cross_entropy
from dellm_jax.memory import episodic
from dellm_jax.mind import awake, create
from dellm_jax.rest import reorganise
from dellm_jax.rest.reorganise import duplicates, fair_runs
from dellm_jax.senses import Image
from dellm_jax.types import Experience, Mind

CODE = 16
BODY = Architecture(
    senses=(Image(4, 4, code_side=4, code_bits=8, filters=2, kernel=3, stride=1, cells=2),),
    assemblies=(Assembly("vision", ("image",), 4),),
    concepts=4,
    quantum=4,
    episodic_bytes=120 * CODE,
    semantic=False,
    feedback=False,
)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.sgd(0.1), rehearse=0)


def day(counts, seed=0, alike=None):
    """Random pictures [T, 4, ...], so many of each concept, in random order; all those of concept `alike` are one."""
    random = np.random.default_rng(seed)
    target = random.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int32).reshape(-1, 4)
    pictures = random.integers(0, 256, (*target.shape, 4, 4, 1), np.uint8)
    pictures[target == alike] = 77
    return Experience({"image": pictures}, target, np.ones(target.shape, np.float32))


def lived(*days):
    """A life that lived these days without a night."""
    state = create(MIND, BODY, jax.random.key(0))
    for today in days:
        state, _ = awake(MIND, state, today)
    return state


def night(state):
    """Memory put in order, and the report."""
    after, report = reorganise()(MIND, state, jax.random.key(1))
    return after, report


def contents(memory, concept):
    """The codes kept of a concept, in order."""
    first = int(memory.start[concept])
    return [bytes(code) for code in np.asarray(memory.codes["image"])[first : first + int(memory.kept[concept])]]


@pytest.fixture(scope="module")
def unbalanced():
    """Two hundred of concept 0, sixteen of concept 1, eight of concept 2, in runs of forty."""
    return lived(day([200, 16, 8]))


def test_rooms_are_communicating_vessels(unbalanced):
    """Wanted 120, 32 and 16 of 120 slots: the rare get what they want, the one that had to choose gets the rest."""
    memory = unbalanced.memory.episodic
    assert memory.room.tolist() == [40, 40, 40, 0] and memory.kept.tolist() == [40, 16, 8, 0]
    start, room = fair_runs(memory)
    assert room.tolist() == [72, 32, 16, 0]
    born = np.argsort(np.asarray(start)[:3])
    assert start[3] == -1 and np.asarray(start)[born].tolist() == [0, *np.cumsum(np.asarray(room)[born])[:2].tolist()]


def test_room_that_was_gained_is_filled_and_nothing_is_lost(unbalanced):
    """All that was kept is still there; after another day 72 instead of 40 are kept of the frequent concept."""
    after, report = night(unbalanced)
    for concept in range(3):
        assert contents(after.memory.episodic, concept) == contents(unbalanced.memory.episodic, concept)
    assert report == {"merged": 0, "moved": 32, "episodes": 64}
    tomorrow, _ = awake(MIND, jax.tree.map(jnp.copy, after), day([200, 16, 8], seed=1))
    assert tomorrow.memory.episodic.kept.tolist() == [72, 32, 16, 0]
    assert episodic.capacity(tomorrow.memory.episodic) == 120, "the bytes are bounded as before"


def test_who_is_in_order_stays_as_it_is(unbalanced):
    """A second night changes no byte."""
    once, _ = night(unbalanced)
    twice, report = night(once)
    assert report["merged"] == report["moved"] == 0
    jax.tree.map(np.testing.assert_array_equal, twice.memory, once.memory)


def test_duplicates_are_merged_and_only_they():
    """Of what is always the same one episode is left beside those that judge; the rest loses nothing."""
    state = lived(day([30, 0, 30], alike=2))
    memory = state.memory.episodic
    assert int(duplicates(memory).sum()) == 26, "of 30 alike three judge and one is the first"
    after, report = night(state)
    assert report["merged"] == 26 and len(contents(after.memory.episodic, 2)) == 4
    assert contents(after.memory.episodic, 0) == contents(memory, 0) and len(set(contents(memory, 0))) == 30
    assert after.memory.episodic.seen.tolist() == memory.seen.tolist()


def test_the_same_code_of_two_concepts_is_two_episodes():
    """What is alike but is called otherwise is not a duplicate."""
    today = day([20, 20], alike=0)
    today.senses["image"][:] = 5
    memory = lived(today).memory.episodic
    assert int(duplicates(memory).sum()) == 2 * (18 - 1)


def test_what_judges_stays_in_its_place(unbalanced):
    """The held-out episodes are the same, in the same order, in the evening and in the morning."""
    before = episodic.held_out(unbalanced.memory.episodic, 64)
    after = episodic.held_out(night(unbalanced)[0].memory.episodic, 64)
    there = np.asarray(before.weight) > 0
    assert there.sum() == 4 + 1
    np.testing.assert_array_equal(before.weight, after.weight)
    np.testing.assert_array_equal(np.asarray(before.codes["image"])[there], np.asarray(after.codes["image"])[there])


def test_what_is_set_apart_is_remembered_but_not_learned():
    """The tenth experience of a concept moves no weight; those around it do."""
    mind = MIND._replace(loss=cross_entropy)
    state, _ = awake(mind, create(mind, BODY, jax.random.key(0)), day([8, 8]))
    moved = []
    for turn in range(4):
        moment = Experience({"image": np.full((1, 1, 4, 4, 1), 60 * turn, np.uint8)}, np.int32([[0]]), np.ones((1, 1)))
        after, _ = awake(mind, jax.tree.map(jnp.copy, state), moment)
        moved.append(not np.array_equal(after.params["concepts"]["bias"], state.params["concepts"]["bias"]))
        state = after
    assert moved == [True, False, True, True] and int(state.memory.episodic.kept[0]) == 12
