"""Laws of time: which row is lived when, through which view, what fills a stretch up, and when it is time to rest."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dellm_jax.errors import ScheduleError, StreamError
from dellm_jax.life import sleep_pressure, tired
from dellm_jax.metrics import final_accuracy, forgetting
from dellm_jax.streams import Corpus, Curriculum, Split, days
from dellm_jax.streams.views import permutation, rotation, rotation_angles, seen
from dellm_jax.types import Clock, Schedule


def split_of(target: np.ndarray, group: np.ndarray | None = None) -> Split:
    """A split whose example i shows the number of its row, through a bank that lies in another order."""
    bank = np.random.default_rng(0).permutation(target.size).astype(np.uint8)[:, None]
    index = {"text": np.argsort(bank[:, 0]).astype(np.int32)}
    return Split(target.astype(np.int32), {"text": bank}, index, group)


def corpus_of(target: np.ndarray, group: np.ndarray | None = None) -> Corpus:
    """A corpus that asks about every other example that it teaches, in the opposite order."""
    asked = slice(None, None, -2)
    names = tuple(f"concept {number}" for number in range(int(target.max()) + 1))
    test = split_of(target[asked], None if group is None else group[asked])
    return Corpus("numbers", names, split_of(target, group), test, 0)


def pictures(many: int, side: int = 3) -> Corpus:
    """A corpus of random pictures of two concepts, with words beside them."""
    random = np.random.default_rng(many)

    def split(size: int) -> Split:
        images = random.integers(1, 256, (size, side, side, 1), np.uint8)
        rows = np.arange(size, dtype=np.int32)
        banks = {"image": images, "text": rows[:, None].astype(np.uint8)}
        return Split((rows % 2).astype(np.int32), banks, {"image": random.permutation(rows), "text": rows})

    return Corpus("pictures", ("even", "odd"), split(many), split(4), 0)


def lived_rows(parts: list) -> list[int]:
    """The rows that stretches of `corpus_of` live, in order."""
    return np.concatenate([part.senses["text"][part.weight == 1][:, 0] for part in parts]).tolist()


def places(curriculum: Curriculum) -> list[tuple[int, int]]:
    """Every (row, view) of a curriculum, in the order in which they are lived."""
    return [pair for day in curriculum.days for pair in zip(day.rows.tolist(), day.view.tolist(), strict=True)]


def same_days(one: Curriculum, other: Curriculum) -> bool:
    """Whether two curricula live the same, day by day."""
    sizes = [[day.rows.size for day in curriculum.days] for curriculum in (one, other)]
    return sizes[0] == sizes[1] and places(one) == places(other)


class Life:
    """As much of a life as being tired looks at."""

    def __init__(self, since: int, steps: int = 0, fast: float = 1.0, slow: float = 1.0):
        whole = [jnp.asarray(number) for number in (steps, since, since, 0, 0)]
        self.clock = Clock(*whole, jnp.float32(fast), jnp.float32(slow))


@given(
    counts=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    batch=st.integers(1, 4),
    length=st.integers(1, 4),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_every_row_is_lived_exactly_once(counts, batch, length, seed):
    """Over a life each row comes once with weight 1; what fills a stretch up weighs 0; every shape is the same.

    `ends` says after how many steps each day is over, and a day holds only its own concepts, in their order.
    """
    target = np.repeat(np.arange(len(counts)), counts)
    corpus = corpus_of(np.random.default_rng(seed).permutation(target))
    many = min(3, len(counts))
    plan = days.class_incremental(corpus, many, seed)
    lived = list(days.stretches(plan, batch, length))
    assert sorted(lived_rows(lived)) == list(range(target.size))
    assert {value for part in lived for value in part.weight.ravel().tolist()} <= {0.0, 1.0}
    assert {part.weight.shape for part in lived} == {(length, batch)} == {part.target.shape for part in lived}
    for part in lived:
        np.testing.assert_array_equal(corpus.train.target[part.senses["text"][..., 0]], part.target)
    shares = [set(share.tolist()) for share in np.array_split(np.arange(len(counts)), many)]
    ends = days.ends(plan, batch, length)
    assert [set(corpus.train.target[day.rows].tolist()) for day in plan.days] == shares
    assert ends[-1] == length * len(lived)
    for share, start, end in zip(shares, [0, *ends], ends, strict=False):
        for part in lived[start // length : end // length]:
            assert set(part.target[part.weight == 1].tolist()) <= share


@given(seed=st.integers(0, 99), many=st.integers(1, 6), shuffled=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_exam_of_a_day_asks_about_its_concepts(seed, many, shuffled):
    """Every question is in one exam, that of the day which brings its concept, whatever the order of the concepts."""
    corpus = corpus_of(np.arange(38) // 2 % 6)
    plan = days.class_incremental(corpus, many, seed, shuffled)
    assert same_days(plan, days.class_incremental(corpus, many, seed, shuffled)), "the same seed, the same days"
    assert len(plan.days) == len(plan.exams) == many and plan.views == (None,)
    for day, exam in zip(plan.days, plan.exams, strict=True):
        assert set(corpus.train.target[day.rows]) == set(corpus.test.target[exam.rows]) == set(exam.concepts.tolist())
        assert exam.concepts.tolist() == sorted(exam.concepts.tolist())
        assert not day.view.any() and exam.view == 0
    asked = np.concatenate([exam.rows for exam in plan.exams])
    assert sorted(asked.tolist()) == list(range(corpus.test.target.size))
    assert max(exam.concepts.size for exam in plan.exams) - min(exam.concepts.size for exam in plan.exams) <= 1


def test_concepts_come_in_another_order_when_shuffled():
    """In their order by default, whatever the seed; else every seed has its own."""
    corpus = corpus_of(np.arange(24) % 6)

    def first(seed: int, shuffled: bool) -> int:
        return int(days.class_incremental(corpus, 6, seed, shuffled).exams[0].concepts[0])

    assert {first(seed, False) for seed in range(20)} == {0}
    assert len({first(seed, True) for seed in range(20)}) > 3


def test_days_are_over_when_their_last_stretch_is():
    """7 and 3 rows in stretches of 2 batches of 3: 4 steps, then 2 more."""
    plan = days.class_incremental(corpus_of(np.repeat([0, 1], [7, 3])), 2, 0)
    assert days.ends(plan, batch=3, length=2) == [4, 6]
    assert [part.weight.sum() for part in days.stretches(plan, batch=3, length=2)] == [6, 1, 3]


def test_pauses_come_after_every_day_and_change_nothing_else():
    """None after the last stretch of each day, the last day too; without them, or with: the same stretches."""
    plan = days.class_incremental(corpus_of(np.repeat([0, 1, 2], [7, 3, 6])), 3, 0)
    told = list(days.stretches(plan, batch=3, length=2, pauses=True))
    assert [part is None for part in told] == [False, False, True, False, True, False, True]
    untold = list(days.stretches(plan, batch=3, length=2))
    assert None not in untold and lived_rows(untold) == lived_rows([part for part in told if part is not None])


def test_a_day_of_a_group_holds_that_group_alone():
    """All rows of a group, in an order of their own, each day another group; the exam of a day is of its group."""
    group = np.array([4, 4, 9, 0, 9, 0, 4, 9, 0, 0, 4, 9], np.int32)
    corpus = corpus_of(np.arange(12) % 3, group)
    plan = days.by_group(corpus, seed=1)
    assert [set(corpus.train.group[day.rows].tolist()) for day in plan.days] == [{0}, {4}, {9}]
    assert sorted(row for row, _ in places(plan)) == list(range(12))
    assert [set(corpus.test.group[exam.rows].tolist()) for exam in plan.exams] == [{0}, {4}, {9}]
    assert sorted(np.concatenate([exam.rows for exam in plan.exams]).tolist()) == list(range(6))
    assert {tuple(exam.concepts.tolist()) for exam in plan.exams} == {(0, 1, 2)}, "any concept may come on any day"
    assert same_days(plan, days.by_group(corpus, seed=1)) and not same_days(plan, days.by_group(corpus, seed=2))


def test_groups_that_are_not_asked_about_are_asked_about_everything():
    """A group held out for the test is nobody's day, so every exam asks all of it; so does a test without groups."""
    corpus = corpus_of(np.arange(12) % 3, np.arange(12, dtype=np.int32) % 2)
    stranger = corpus.test._replace(group=np.full(6, 7, np.int32))
    for test in (stranger, corpus.test._replace(group=None)):
        for exam in days.by_group(corpus._replace(test=test), seed=0).exams:
            assert exam.rows.tolist() == list(range(6))
    with pytest.raises(StreamError, match="'numbers' has no groups"):
        days.by_group(corpus_of(np.arange(12) % 3), seed=0)


def test_every_day_through_its_own_view_and_asked_through_it():
    """Each day lives every example through one view, and its exam asks every question through the same one."""
    corpus = pictures(10)
    views = [None, np.arange(9, dtype=np.int32)[::-1].copy(), np.full(9, -1, np.int32)]
    plan = days.through_views(corpus, views, seed=3)
    assert plan.views == tuple(views) and len(plan.days) == len(plan.exams) == 3
    for number, (day, exam) in enumerate(zip(plan.days, plan.exams, strict=True)):
        assert sorted(day.rows.tolist()) == list(range(10)) and set(day.view.tolist()) == {number} == {exam.view}
        assert exam.rows.tolist() == list(range(4)) and exam.concepts.tolist() == [0, 1]
    assert len({tuple(day.rows.tolist()) for day in plan.days}) == 3, "another order every day"


def test_permuted_and_rotated_days_are_of_their_views():
    """`permuted`: `permutation` of each task, the first as it is when asked; `rotated`: `rotation` by each angle."""
    corpus = pictures(6)
    for first_identity in (False, True):
        for task, view in enumerate(days.permuted(corpus, 3, seed=5, first_identity=first_identity).views):
            np.testing.assert_array_equal(view, permutation(3, 3, 5, task, first_identity))
    for angle, view in zip(rotation_angles(3, 5), days.rotated(corpus, 3, seed=5).views, strict=True):
        np.testing.assert_array_equal(view, rotation(3, 3, angle))


@given(batch=st.integers(1, 4), length=st.integers(1, 3), blur=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_a_stretch_shows_each_picture_through_its_own_view(batch, length, blur, seed):
    """`seen` by hand of every row of a day, also where days and with them views are mixed; words stay as they are."""
    corpus = pictures(7)
    before = corpus.train.banks["image"].copy()
    views = [None, permutation(3, 3, seed, 1), rotation(3, 3, 45.0)]
    plan = days.blurred(days.through_views(corpus, views, seed), blur, seed)
    parts = list(days.stretches(plan, batch, length))
    shown = np.concatenate([part.senses["image"][part.weight == 1] for part in parts])
    words = np.concatenate([part.senses["text"][part.weight == 1] for part in parts])
    for picture, word, (row, view) in zip(shown, words, places(plan), strict=True):
        plain = corpus.train.banks["image"][corpus.train.index["image"][row]]
        np.testing.assert_array_equal(picture, plain if views[view] is None else seen(plain, views[view]))
        assert word.tolist() == [row]
    np.testing.assert_array_equal(corpus.train.banks["image"], before, "the bank is not painted over")


def test_views_of_what_cannot_be_seen_are_refused():
    """A stream without pictures has nothing to view."""
    plan = days.through_views(corpus_of(np.arange(6) % 2), [np.arange(4, dtype=np.int32)], seed=0)
    with pytest.raises(StreamError, match=r"views are of pictures.*\['text'\]"):
        next(days.stretches(plan, 2, 2))


def test_what_is_judged_as_it_goes_comes_in_its_own_order():
    """`in_order`: one day, every row where it is, and nothing to be asked at the end."""
    corpus = corpus_of(np.arange(9) % 2)
    plan = days.in_order(corpus)
    assert plan.exams == () and [day.rows.tolist() for day in plan.days] == [list(range(9))]
    assert lived_rows(list(days.stretches(plan, 2, 2))) == list(range(9))


def test_quantities_come_with_what_is_lived():
    """Where concepts are quantities, `value` says how much of every row, float32; else there is none."""
    corpus = corpus_of(np.zeros(9, int))
    much = corpus._replace(train=corpus.train._replace(value=np.linspace(0, 1, 9)))
    (part, last) = days.stretches(days.in_order(much), 2, 3)
    assert part.value.dtype == np.float32 and part.value.shape == (3, 2) == last.value.shape
    np.testing.assert_array_equal(part.value.ravel(), np.linspace(0, 1, 9)[:6].astype(np.float32))
    assert next(days.stretches(days.in_order(corpus), 2, 3)).value is None


def test_joint_epochs_hold_everything_in_another_order():
    """`mixed`: each epoch is a permutation of all rows, another each time, the same for the same seed."""
    corpus = corpus_of(np.arange(30) % 3)
    plan = days.class_incremental(corpus, 3, 0)
    one, two = days.mixed(plan, 2, seed=4).days
    assert sorted(one.rows) == sorted(two.rows) == list(range(30)) and (one.rows != two.rows).any()
    np.testing.assert_array_equal(one.rows, days.mixed(plan, 1, seed=4).days[0].rows)
    assert days.mixed(plan, 1, seed=4).exams is plan.exams, "it is asked the same"
    assert len({corpus.train.target[row] for row in one.rows[:10]}) == 3, "no day is left of the days"


@given(examples=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_mixing_keeps_every_view_of_every_row(examples, seed):
    """Of a stream of views, drawn to any size, an epoch holds each (row, view) as often as the days did."""
    plan = days.drawn(days.through_views(pictures(8), [None, permutation(3, 3, 0, 1)], seed), examples, seed)
    for epoch in days.mixed(plan, 2, seed).days:
        assert sorted(zip(epoch.rows.tolist(), epoch.view.tolist(), strict=True)) == sorted(places(plan))


@given(examples=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_examples_are_drawn_evenly_from_their_own_day(examples, seed):
    """A day has as many as asked for; each of its rows comes equally often to within one, through the day's view."""
    plan = days.through_views(pictures(8), [None, permutation(3, 3, 0, 1)], seed)
    for number, day in enumerate(days.drawn(plan, examples, seed).days):
        assert day.rows.size == day.view.size == examples and set(day.view.tolist()) == {number}
        often = np.bincount(day.rows, minlength=8)
        assert often.max() - often.min() <= 1
    by_concept = days.class_incremental(corpus_of(np.repeat([0, 1, 2], [5, 2, 9])), 3, seed)
    for day, drawn in zip(by_concept.days, days.drawn(by_concept, examples, seed).days, strict=True):
        assert set(drawn.rows.tolist()) <= set(day.rows.tolist())
        assert len(set(drawn.rows.tolist())) == min(examples, day.rows.size)


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
@settings(max_examples=80, deadline=None)
def test_blurring_moves_a_share_of_every_day_and_loses_nothing(sizes, share, seed):
    """The same (row, view) pairs in days of the same sizes; at most round(share size) places of a day are changed."""
    target = np.repeat(np.arange(len(sizes)), sizes)
    plan = days.class_incremental(corpus_of(target), len(sizes), seed)
    plan = plan._replace(days=tuple(day._replace(view=day.view + number) for number, day in enumerate(plan.days)))
    before = places(plan)
    blurred = days.blurred(plan, share, seed)
    assert places(plan) == before, "the curriculum given is as it was"
    assert sorted(places(blurred)) == sorted(before)
    assert blurred.exams is plan.exams
    for day, was in zip(blurred.days, plan.days, strict=True):
        assert day.rows.size == was.rows.size
        assert (day.rows != was.rows).sum() <= round(share * was.rows.size)
    assert same_days(blurred, days.blurred(plan, share, seed))


def test_without_a_blur_days_are_as_they_were_and_with_all_of_it_there_are_none():
    """Share 0 is the identity; share 1 mixes everything with everything; what is no share is refused."""
    plan = days.class_incremental(corpus_of(np.repeat([0, 1], 60)), 2, 0)
    assert same_days(days.blurred(plan, 0.0, seed=1), plan)
    first = days.blurred(plan, 1.0, seed=1).days[0]
    assert 15 < (first.rows >= 60).sum() < 45
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(StreamError, match=rf"blur={share}; expected a share of every day from 0"):
            days.blurred(plan, share, seed=1)


@pytest.mark.parametrize("many", [0, 4])
def test_more_days_than_concepts_are_refused(many):
    """A day without a concept cannot be lived."""
    with pytest.raises(StreamError, match=rf"days={many}, but the stream has 3 concepts; choose 1 to 3"):
        days.class_incremental(corpus_of(np.arange(9) % 3), many, 0)


def test_sleep_pressure_by_hand():
    """p = 0.6 min(1, n / full) + 0.3 clip(fast / slow - 1, 0, 1) + 0.1 min(1, steps / 10,000)."""
    for life, expected in (
        (Life(0), 0.0),
        (Life(250), 0.15),
        (Life(5000), 0.6),
        (Life(0, fast=1.5), 0.15),
        (Life(0, fast=9.0), 0.3),
        (Life(0, fast=0.2), 0.0),
        (Life(0, steps=2500), 0.025),
        (Life(500, steps=10**6, fast=1.2), 0.3 + 0.06 + 0.1),
    ):
        assert sleep_pressure(life, full=1000) == pytest.approx(expected, abs=1e-6)


def test_when_it_is_time_to_rest():
    """By count, by pressure or by silence; each only from `min_awake` on, and never when nothing was lived since."""
    assert not tired(Schedule(), Life(10**6, 10**6, 9.0), math.inf), "no trigger, no rest"
    for schedule, before, after in (
        (Schedule(rest_every=40), (Life(39), 0.0), (Life(40), 0.0)),
        (Schedule(pressure=0.3, full=1000), (Life(499), 0.0), (Life(501), 0.0)),
        (Schedule(inactivity_s=5.0), (Life(1), 4.9), (Life(1), 5.0)),
        (Schedule(rest_every=10, min_awake=30), (Life(29), 0.0), (Life(30), 0.0)),
        (Schedule(inactivity_s=5.0, min_awake=30), (Life(29), 99.0), (Life(30), 99.0)),
        (Schedule(pressure=0.1, full=1, min_awake=30), (Life(29), 0.0), (Life(30), 0.0)),
        (Schedule(inactivity_s=5.0, rest_every=1), (Life(0), 99.0), (Life(1), 0.0)),
    ):
        assert not tired(schedule, *before) and tired(schedule, *after), schedule


@pytest.mark.parametrize("field", ["rest_every", "pressure", "full", "inactivity_s", "min_awake"])
def test_a_rhythm_cannot_run_backwards(field):
    """Negative numbers in a schedule are refused by name."""
    with pytest.raises(ScheduleError, match=rf"schedule\.{field} is -1"):
        Schedule(**{field: -1})


def test_metrics_by_hand():
    """ACC is the mean of the last row; forgetting counts from the best day before the last and may be negative."""
    R = np.array([[0.9, 0.3, 0.0], [0.95, 0.8, 0.1], [0.5, 0.85, 0.7]])
    assert final_accuracy(R) == pytest.approx((0.5 + 0.85 + 0.7) / 3)
    assert forgetting(R) == pytest.approx(((0.95 - 0.5) + (0.8 - 0.85)) / 2)
    assert forgetting(R[:1]) == 0.0
