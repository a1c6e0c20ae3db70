"""Laws of time: which row is lived when, what fills a stretch up, and when it is time to rest."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dellm_jax.life import sleep_pressure, tired
from dellm_jax.metrics import final_accuracy, forgetting
from dellm_jax.streams import Split, days
from dellm_jax.types import Clock, Schedule, ScheduleError, StreamError


def split_of(target: np.ndarray) -> Split:
    """A corpus whose example i shows the number of its row, through a bank that lies in another order."""
    bank = np.random.default_rng(0).permutation(target.size).astype(np.uint8)[:, None]
    return Split(target.astype(np.int32), {"text": bank}, {"text": np.argsort(bank[:, 0]).astype(np.int32)})


class Life:
    """As much of a life as being tired looks at."""

    def __init__(self, since: int, steps: int = 0, fast: float = 1.0, slow: float = 1.0):
        whole = [jnp.asarray(number) for number in (steps, since, since, 0)]
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
    split = split_of(np.random.default_rng(seed).permutation(target))
    many = min(3, len(counts))
    plan = days.class_incremental(split, many, seed)
    lived = list(days.stretches(split, plan, batch, length))
    rows = np.concatenate([part.senses["text"][part.weight == 1][:, 0] for part in lived])
    assert sorted(rows.tolist()) == list(range(target.size))
    assert {value for part in lived for value in part.weight.ravel().tolist()} <= {0.0, 1.0}
    assert {part.weight.shape for part in lived} == {(length, batch)} == {part.target.shape for part in lived}
    for part in lived:
        np.testing.assert_array_equal(split.target[part.senses["text"][..., 0]], part.target)
    shares = [set(share.tolist()) for share in np.array_split(np.arange(len(counts)), many)]
    ends = days.ends(plan, batch, length)
    assert [set(split.target[day].tolist()) for day in plan] == shares and ends[-1] == length * len(lived)
    for share, start, end in zip(shares, [0, *ends], ends, strict=False):
        for part in lived[start // length : end // length]:
            assert set(part.target[part.weight == 1].tolist()) <= share


def test_days_are_over_when_their_last_stretch_is():
    """7 and 3 rows in stretches of 2 batches of 3: 4 steps, then 2 more."""
    split = split_of(np.repeat([0, 1], [7, 3]))
    plan = days.class_incremental(split, 2, 0)
    assert days.ends(plan, batch=3, length=2) == [4, 6]
    assert [part.weight.sum() for part in days.stretches(split, plan, batch=3, length=2)] == [6, 1, 3]


def test_joint_epochs_hold_everything_in_another_order():
    """`independent`: each epoch is a permutation of all rows, another each time, the same for the same seed."""
    split = split_of(np.arange(30) % 3)
    one, two = days.independent(split, 2, seed=4)
    assert sorted(one) == sorted(two) == list(range(30)) and (one != two).any()
    np.testing.assert_array_equal(one, days.independent(split, 1, seed=4)[0])


@pytest.mark.parametrize("many", [0, 4])
def test_more_days_than_concepts_are_refused(many):
    """A day without a concept cannot be lived."""
    with pytest.raises(StreamError, match=rf"days={many}, but the stream has 3 concepts; choose 1 to 3"):
        days.class_incremental(split_of(np.arange(9) % 3), many, 0)


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
