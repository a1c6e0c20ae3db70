"""Laws of episodic memory: bytes are bounded, concepts share them evenly, each keeps a uniform sample of its past."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from dellm_jax import experience as experiences
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.errors import ArchitectureError
from dellm_jax.memory import episodic
from dellm_jax.senses import Image, Text
from dellm_jax.types import Experience

UNLIKELY = 1e-4  # a fair memory fails a chi-square test this rarely; keys are fixed, so that it never flickers
SEEDS, TURNS, BATCH, SLOTS, CONCEPTS = 2000, 24, 12, 12, 6  # one shape for all, because compiling is what takes time


def remember(memory, codes, present, target, valid, key, answers=None):
    """Find places for a batch, and keep it there."""
    memory, places = episodic.place(memory, target, valid, key)
    return episodic.write(memory, places, codes, present, target, valid, answers)


write = jax.jit(remember)
place = jax.jit(episodic.place)
recall = jax.jit(episodic.recall, static_argnums=(2, 3))
held_out = jax.jit(episodic.held_out, static_argnums=1)


def memory_of(slots: int, concepts: int) -> episodic.Episodic:
    """Room for `slots` episodes of three bytes: the concept, and the number of the episode in two."""
    return episodic.empty({"image": 3}, 3 * slots, concepts)


def code_of(concept: jax.Array, item: jax.Array) -> dict[str, jax.Array]:
    """What is written of episode `item` of `concept`, so that it can be known again."""
    return {"image": jnp.stack([concept, item // 256, item % 256], -1).astype(jnp.uint8)}


def item_of(codes: jax.Array) -> np.ndarray:
    """The number of the episode in a code."""
    codes = np.asarray(codes, int)
    return 256 * codes[..., 1] + codes[..., 2]


@jax.jit
def live(memory: episodic.Episodic, concepts: jax.Array, items: jax.Array, valid: jax.Array, key: jax.Array):
    """Memory after each of the batches [T, B] of episodes; every leaf [T, ...]."""

    def step(memory, turn):
        concept, item, is_valid, key = turn
        present = jnp.zeros_like(concept, jnp.uint8)
        memory = remember(memory, code_of(concept, item), present, concept, is_valid, key)
        return memory, memory

    return jax.lax.scan(step, memory, (concepts, items, valid, jax.random.split(key, len(concepts))))[1]


@jax.jit
def lives(concepts: jax.Array, items: jax.Array, valid: jax.Array) -> episodic.Episodic:
    """`live` with SEEDS keys: every leaf [SEEDS, T, ...]."""
    keys = jax.random.split(jax.random.key(7), SEEDS)
    return jax.vmap(live, (None, None, None, None, 0))(memory_of(SLOTS, CONCEPTS), concepts, items, valid, keys)


def days(stream: list[int], batch: int, turns: int = TURNS, room: int = BATCH) -> tuple[np.ndarray, ...]:
    """Concepts, items (their place in the stream) and validity [turns, room]: `batch` rows of each turn are valid."""
    concepts, items = np.zeros((2, turns, room), np.int32)
    valid = np.zeros((turns, room), bool)
    for place, concept in enumerate(stream):
        at = place // batch, place % batch
        concepts[at], items[at], valid[at] = concept, place, True
    return concepts, items, valid


def last(memories: episodic.Episodic, seed: int = 0) -> episodic.Episodic:
    """The memory that one life ends with."""
    return jax.tree.map(lambda leaf: leaf[seed, -1], memories)


def kept(memory: episodic.Episodic, concept: int) -> list[int]:
    """Items of a concept, in the order of the slots that it owns."""
    first = int(memory.start[concept])
    codes = memory.codes["image"][first : first + int(memory.kept[concept])]
    assert (np.asarray(codes)[:, 0] == concept).all()
    return item_of(codes).tolist()


STREAM = np.random.default_rng(0).permutation([4] * 200 + [1] * 100 + [3] * 5)


@pytest.fixture(scope="module")
def lived() -> episodic.Episodic:
    """Sixty slots after 200 episodes of concept 4, 100 of concept 1 and 5 of concept 3; two concepts never came."""
    memories = live(memory_of(60, 5), *days(STREAM.tolist(), 31, 10, 31), jax.random.key(1))
    return jax.tree.map(lambda leaf: leaf[-1], memories)


@pytest.mark.parametrize("budget", [999, 1000, 1003])
@pytest.mark.parametrize("code_bytes", [{"image": 7}, {"image": 7, "text": 3}])
def test_an_episode_costs_its_code_and_the_budget_holds(budget, code_bytes):
    """nbytes(codes) + nbytes(present) = capacity (sum of code bytes, + 1 with several senses) <= budget < one more."""
    memory = episodic.empty(code_bytes, budget, 4)
    each = sum(code_bytes.values()) + (len(code_bytes) > 1)
    held = sum(codes.nbytes for codes in memory.codes.values()) + memory.present.nbytes
    assert held == episodic.capacity(memory) * each <= budget < held + each
    assert all(codes.dtype == jnp.uint8 for codes in memory.codes.values()) and memory.present.dtype == jnp.uint8


def test_fewer_slots_than_concepts_are_refused():
    """A memory that cannot hold one episode of each concept cannot exist, and the error names the bytes to give."""
    episodic.empty({"image": 7}, 28, 4)
    with pytest.raises(ArchitectureError, match=r"episodic_bytes=27 holds 3 .* give at least 28"):
        episodic.empty({"image": 7}, 27, 4)


def test_every_concept_owns_an_equal_run():
    """After every batch kept(c) = min(seen(c), capacity // born), and each run holds so many episodes of its own."""
    generator = np.random.default_rng(3)
    # concept k does not come before turn 3 k, so that runs shrink while they are part full and full
    concepts = np.stack([generator.integers(0, min(CONCEPTS, 1 + turn // 3), BATCH) for turn in range(TURNS)])
    items, valid = np.arange(concepts.size).reshape(concepts.shape), generator.random(concepts.shape) < 0.25
    memories, seen = jax.device_get(lives(concepts, items, valid)), np.zeros(CONCEPTS, int)
    for turn in range(TURNS):
        np.add.at(seen, concepts[turn][valid[turn]], 1)
        memory = jax.tree.map(lambda leaf: leaf[turn % 5, turn], memories)  # noqa: B023
        born = np.count_nonzero(seen)
        room = SLOTS // max(born, 1)
        assert int(episodic.born(memory)) == born
        np.testing.assert_array_equal(memory.room, np.where(seen > 0, room, 0))
        np.testing.assert_array_equal(memory.seen, seen)
        np.testing.assert_array_equal(memory.kept, np.minimum(seen, room))
        assert sorted(memory.start[seen > 0].tolist()) == [room * row for row in range(born)]
        assert (memory.start[seen == 0] == -1).all()
        for concept in np.flatnonzero(seen):
            lived_of_it = items[: turn + 1][valid[: turn + 1] & (concepts[: turn + 1] == concept)]
            own = kept(memory, concept)
            assert len(set(own)) == min(seen[concept], SLOTS // born) and set(own) <= set(lived_of_it.tolist())
    assert seen.min() > SLOTS // CONCEPTS, "in the end every run is full"


def uniformity(counts: np.ndarray, kept_each: int) -> float:
    """p-value of counts [n] of N samples of `kept_each` of n without replacement:
    (n - 1) / n * sum (O - N p)^2 / (N p (1 - p)) ~ chi-square(n - 1), p = kept / n.
    """
    n, samples = counts.size, counts.sum() / kept_each
    p = kept_each / n
    statistic = (n - 1) / n * ((counts - samples * p) ** 2).sum() / (samples * p * (1 - p))
    return chi2.sf(statistic, n - 1)


HISTORIES = {  # stream of concepts, batch
    "one at a time": ([1] + [0] * 20 + [2], 1),
    "batches larger than the run": ([1, 2] + [0] * 20, 11),
    "born later, run full": ([0] * 14 + [1] * 4 + [0] * 6, 4),
    "born later, run part full": ([0] * 9 + [1] + [0] * 10, 4),
    "three births, interleaved": ([0] * 8 + [1, 0, 1, 0, 2, 0, 1, 0] + [0, 2] * 6, 4),
    "born in the middle of a batch": ([0] * 16 + [1] * 2 + [0] * 4, 12),
    "all at once": ([0, 1, 2] * 4 + [3, 4, 5] * 4, 12),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_every_episode_of_a_concept_is_equally_likely_kept(history):
    """Vitter: P(item n is kept) = quota / seen for every n, however batched and whatever was born meanwhile."""
    stream, batch = HISTORIES[history]
    after = jax.tree.map(lambda leaf: leaf[:, -1], lives(*days(stream, batch)))
    quota, tested = SLOTS // len(set(stream)), 0
    for concept in sorted(set(stream)):
        own = np.flatnonzero(np.asarray(stream) == concept)
        if own.size <= quota:
            continue
        first = int(after.start[0, concept])
        run = item_of(after.codes["image"][:, first : first + quota])
        counts = np.asarray([np.count_nonzero(run == item) for item in own])
        assert counts.sum() == SEEDS * quota, "only own episodes, and a full run of them"
        assert uniformity(counts, quota) > UNLIKELY, counts
        tested += 1
    assert tested


@pytest.mark.parametrize("batch", [1, 12])
def test_a_batch_keeps_every_subset_as_often_as_one_by_one(batch):
    """Of 5 episodes in 2 slots each of the 10 pairs is kept 1 time in 10, lived in one batch or one by one.

    So in a batch, as in a row, the later of two writes to one slot wins.
    """
    stream = [1, 2, 3, 4, 5] + [0] * 5
    after = jax.tree.map(lambda leaf: leaf[:, -1], lives(*days(stream, batch)))
    first = int(after.start[0, 0])
    pairs = np.sort(item_of(after.codes["image"][:, first : first + 2]), axis=1)
    counts = np.asarray([np.count_nonzero((pairs == pair).all(1)) for pair in combinations(range(5, 10), 2)])
    assert counts.sum() == SEEDS
    assert chi2.sf(((counts - SEEDS / 10) ** 2 / (SEEDS / 10)).sum(), 9) > UNLIKELY, counts


def test_while_there_is_room_nothing_depends_on_batching():
    """With room for all and no birth between, item n of a concept lies in slot n of its run, however batched."""
    stream = [2, 0, 1, 2, 2, 1, 0, 2, 1, 0, 0, 1]
    for batch in (3, 4, 12):  # the first batch holds one of each, so that no later birth shuffles what is there
        memory = last(lives(*days(stream, batch)), seed=batch)
        for concept in range(3):
            assert kept(memory, concept) == np.flatnonzero(np.asarray(stream) == concept).tolist()


def test_invalid_rows_leave_no_trace():
    """Whatever invalid rows hold, a known concept or an unborn one, every memory is the same bit for bit."""
    concepts, items, valid = days([0] * 9 + [1] * 6 + [0] * 12, 5)
    outcomes = [
        jax.device_get(lives(np.where(valid, concepts, concept), np.where(valid, items, item), valid))
        for concept, item in ((0, 5), (1, 77), (3, 999))
    ]
    for other in outcomes[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, outcomes[0])
    assert last(outcomes[0]).seen.tolist() == [21, 6, 0, 0, 0, 0] and int(episodic.born(last(outcomes[0]))) == 2


def test_what_judges_was_always_set_apart():
    """Whatever is born and overwritten, an episode that is held out was told to be `apart` when it was written."""
    generator, memory, apart = np.random.default_rng(4), memory_of(60, 5), set()
    for turn in range(60):  # a new concept every ten turns
        concept = generator.integers(0, 1 + min(turn // 10, 4), 8)
        item, key = 8 * turn + np.arange(8), jax.random.key(turn)
        apart |= set(item[np.asarray(place(memory, concept, concept >= 0, key)[1].apart)].tolist())
        memory = write(memory, code_of(concept, item), 0 * concept, concept, concept >= 0, key)
        judged = held_out(memory, 100)
        judges = set(item_of(judged.codes["image"])[np.asarray(judged.weight) > 0].tolist())
        assert judges <= apart
    assert len(judges) == 5 and len(apart) < 60, "one of each run of twelve; few were ever set apart"


def ran(memory, concept):
    """Items to be learned from, and items set apart, of a concept."""
    own = kept(memory, concept)
    return {item for n, item in enumerate(own) if n % 10 != 9}, {item for n, item in enumerate(own) if n % 10 == 9}


@pytest.mark.parametrize("room", [[0, 20, 0, 20, 20], [0, 12, 0, 6, 42], [0, 5, 0, 5, 50], [0, 30, 0, 5, 25]])
def test_runs_of_other_lengths_keep_what_fits(lived, room):
    """A run keeps as much as fits of what it held, and what is set apart then was set apart before."""
    room = jnp.asarray(room)
    start = jnp.where(room > 0, jnp.cumsum(room) - room, -1)
    after = jax.jit(episodic.relaid)(lived, start, room, jnp.zeros(60, bool), jax.random.key(0))
    for concept in (1, 3, 4):
        (learned, apart), (still, now_apart) = ran(lived, concept), ran(after, concept)
        many = len(learned | apart)
        assert len(kept(after, concept)) == len(still | now_apart) == min(many, int(room[concept]))
        assert still | now_apart <= learned | apart and now_apart <= apart
    np.testing.assert_array_equal(after.seen, lived.seen)


def test_what_is_dropped_is_gone_and_leaves_room(lived):
    """Dropped slots disappear, all else stays, and the next episode is certain to be kept."""
    first = int(lived.start[4])
    dropped = jnp.zeros(60, bool).at[first + jnp.asarray([0, 3, 12])].set(True)
    gone = {kept(lived, 4)[place] for place in (0, 3, 12)}
    after = jax.jit(episodic.relaid)(lived, lived.start, lived.room, dropped, jax.random.key(0))
    assert set(kept(after, 4)) == set(kept(lived, 4)) - gone and ran(after, 4)[1] <= ran(lived, 4)[1]
    assert ran(after, 1) == ran(lived, 1), "other concepts lose nothing"
    new = jnp.full(1, 4)
    later = write(after, code_of(new, jnp.asarray([999])), 0 * new, new, new > 0, jax.random.key(5))
    assert 999 in kept(later, 4) and int(later.kept[4]) == 18 and int(later.seen[4]) == 201


def test_recall_never_returns_what_is_held_out(lived):
    """Every tenth slot of a run is held out: recall returns all the others and none of these, `held_out` only these."""
    replayable, judged = set(), set()
    for concept in (1, 3, 4):
        for place, item in enumerate(kept(lived, concept)):
            (judged if place % 10 == 9 else replayable).add(item)
    replayed, tested = (recall(lived, jax.random.key(0), 9000, asked) for asked in (False, True))
    weighty = lambda r: set(item_of(r.codes["image"])[np.asarray(r.weight) > 0].tolist())  # noqa: E731
    assert weighty(replayed) == replayable
    assert weighty(tested) == weighty(held_out(lived, 100)) == judged
    assert len(judged) == 4, "two of each full run of 20, none of the five of concept 3"


def test_nothing_is_held_out_of_a_memory_that_is_not_judged():
    """With held_out = 0 every episode is recalled, and none judges."""
    memory = episodic.empty({"image": 3}, 3 * 60, 5, held_out=0)
    memory = jax.tree.map(lambda leaf: leaf[-1], live(memory, *days(STREAM.tolist(), 31, 10, 31), jax.random.key(1)))
    replayed = recall(memory, jax.random.key(0), 9000, False)
    assert (np.asarray(replayed.weight) == 1).all()
    everything = {item for concept in (1, 3, 4) for item in kept(memory, concept)}
    assert set(item_of(replayed.codes["image"]).tolist()) == everything and len(everything) == 20 + 5 + 20
    for judged in (recall(memory, jax.random.key(0), 9000, True), held_out(memory, 100)):
        assert not np.asarray(judged.weight).any()
    assert not episodic.judges(memory) and episodic.judges(memory_of(60, 5)) and not episodic.judges(memory_of(0, 5))


def test_what_is_recalled_is_what_was_written(lived):
    """Codes come back byte for byte with the concept they were written under."""
    recalled = recall(lived, jax.random.key(2), 9000, False)
    assert (np.asarray(recalled.weight) == 1).all()
    np.testing.assert_array_equal(recalled.codes["image"][:, 0], recalled.target)
    np.testing.assert_array_equal(STREAM[item_of(recalled.codes["image"])], recalled.target)


def test_recall_is_even_over_concepts_and_within_them(lived):
    """P(concept) = 1 / born whatever its numbers; within a concept every replayable episode is equally likely."""
    recalled = recall(lived, jax.random.key(3), 9000, False)
    target, item = np.asarray(recalled.target), item_of(recalled.codes["image"])
    for values, cells in [(target, 3)] + [(item[target == c], cells) for c, cells in ((1, 18), (3, 5), (4, 18))]:
        counts = np.unique(values, return_counts=True)[1]
        assert counts.size == cells
        expected = counts.sum() / cells
        assert chi2.sf(((counts - expected) ** 2 / expected).sum(), cells - 1) > UNLIKELY, counts


@pytest.mark.parametrize(("most", "of_each"), [(1, [1, 0]), (3, [2, 1]), (4, [2, 2]), (100, [2, 2])])
def test_held_out_episodes_are_asked_in_turns(lived, most, of_each):
    """At most `most` are asked, no more than can be held out, as many of each concept as there are, no slot twice."""
    asked = held_out(lived, most)
    assert asked.target.size == min(most, 60 // 10)
    there = np.asarray(asked.weight) > 0
    target, item = np.asarray(asked.target)[there], item_of(asked.codes["image"])[there]
    assert [np.count_nonzero(target == concept) for concept in (1, 4)] == of_each and there.sum() == sum(of_each)
    assert len(set(item.tolist())) == item.size


def test_an_empty_memory_recalls_nothing():
    """Before anything was lived every recalled episode weighs 0."""
    memory = memory_of(60, 5)
    for asked in (False, True):
        assert not np.asarray(recall(memory, jax.random.key(0), 9000, asked).weight).any()
    assert not np.asarray(held_out(memory, 100).weight).any()


def test_answers_come_back_within_an_eighth():
    """A logit from -31.75 to 31.75 is kept in a byte to 1/8; beyond it is clipped, and what was unborn stays unborn."""
    logits = np.random.default_rng(0).uniform(-31.75, 31.75, (4, 5)).astype(np.float32)
    logits[0, :4], logits[:, 4] = [-100, 40, 0, -31.75], -1e9
    memory = episodic.empty({"image": 3}, 8 * 60, 5, answers=True)
    assert memory.answers.dtype == jnp.uint8 and memory.answers.shape == (60, 5), "three bytes of code and five answers"
    target = jnp.arange(4)
    memory = write(memory, code_of(target, target), 0 * target, target, target >= 0, jax.random.key(0), logits)
    recalled = recall(memory, jax.random.key(1), 100, False)
    expected = np.clip(logits, -31.75, 31.75)[np.asarray(recalled.target)]
    assert (np.asarray(recalled.weight) == 1).all() and set(recalled.target.tolist()) == {0, 1, 2, 3}
    assert np.abs(recalled.answers[:, :4] - expected[:, :4]).max() <= 1 / 8
    assert (np.asarray(recalled.answers)[:, 4] == -1e9).all()
    assert recall(memory_of(60, 5), jax.random.key(1), 9000, False).answers is None


def test_answers_follow_their_episode():
    """However often quotas shrink and slots are overwritten, an episode keeps the logits that it was answered with."""
    memory = episodic.empty({"image": 3}, 8 * 60, 5, answers=True)
    random = np.random.default_rng(1)
    for turn in range(40):  # a new concept every eight turns
        concept = random.integers(0, 1 + turn // 8, 4)
        item = 4 * turn + np.arange(4)
        logits = np.stack([item // 16, item % 16, -concept, concept, 0 * item], 1).astype(np.float32)
        key = jax.random.key(turn)
        memory = write(memory, code_of(concept, item), 0 * concept, concept, concept >= 0, key, logits)
    assert memory.kept.tolist() == [12, 12, 12, 12, 9], "runs that shrank, and one that is part full"
    recalled = recall(memory, jax.random.key(1), 100, False)
    item, answers = item_of(recalled.codes["image"]), np.asarray(recalled.answers)
    np.testing.assert_array_equal(16 * answers[:, 0] + answers[:, 1], item)
    np.testing.assert_array_equal(answers[:, 3], recalled.target)
    np.testing.assert_array_equal(answers[:, 2], -recalled.target)


def test_a_budget_of_nothing_keeps_nothing():
    """Without bytes there are no episodes; what is written leaves no trace."""
    memory = episodic.empty({"image": 3}, 0, 5)
    assert episodic.capacity(memory) == 0 and not memory.codes["image"].size
    target = jnp.arange(4)
    assert write(memory, code_of(target, target), 0 * target, target, target >= 0, jax.random.key(0)).seen.sum() == 0


def test_presence_bits_come_back():
    """Bit i of `present` says whether sense i was there; what was absent decodes to zero with presence 0."""
    body = Architecture(
        senses=(Image(2, 2, code_side=2, code_bits=8, filters=1, kernel=1, cells=1), Text(width=3, buckets=8)),
        assemblies=(Assembly("vision", ("image", "text"), 2),),
        concepts=3,
    )
    picture, word = np.full((1, 2, 2, 1), 51, np.uint8), np.full((1, 3), 97, np.uint8)
    parts = [
        experiences.encode(body, Experience(senses, jnp.zeros(1, jnp.int32), jnp.ones(1)))
        for senses in ({"image": picture}, {"text": word}, {"image": picture, "text": word})
    ]
    codes, present = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    assert present.tolist() == [0b01, 0b10, 0b11]
    memory = episodic.empty({"image": 4, "text": 3}, 8 * 30, 3)
    memory = write(memory, codes, present, jnp.arange(3), jnp.ones(3, bool), jax.random.key(0))
    recalled = recall(memory, jax.random.key(9), 60, False)
    assert set(recalled.target.tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(recalled.present, recalled.target + 1)
    percepts = jax.device_get(experiences.decode(body, recalled.codes, recalled.present))
    there = {"image": recalled.target != 1, "text": recalled.target != 0}
    for sense in there:
        np.testing.assert_array_equal(percepts.presence[sense], there[sense])
        np.testing.assert_array_equal((percepts.values[sense] > 0).any(1), there[sense])
    np.testing.assert_allclose(percepts.values["image"], np.where(there["image"], 0.2, 0)[:, None] * np.ones(4), 1e-6)
