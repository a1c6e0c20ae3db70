"""Every measure worked by hand on small numbers, the laws between them, and what they refuse."""

import ast
from pathlib import Path

import numpy as np
import pytest

from dellm_jax import metrics

NAN = np.nan
# Three tasks. Row i is after task i; above the diagonal is what was known of a task before it came.
R = np.array([[0.9, 0.3, 0.2], [0.95, 0.8, 0.4], [0.5, 0.85, 0.7]])
NEWBORN = np.array([0.1, 0.15, 0.25])
# Eight evaluations of three tasks: task 0 is learned at 0..1, task 1 at 2..4, task 2 at 5..7.
A = np.array(
    [
        [0.6, NAN, NAN],
        [0.9, NAN, NAN],
        [0.5, 0.3, NAN],
        [0.7, 0.6, NAN],
        [0.9, 0.8, NAN],
        [0.6, 0.7, 0.2],
        [0.5, 0.8, 0.5],
        [0.8, 0.6, 0.9],
    ]
)
BEGINS, ENDS = [0, 2, 5], [1, 4, 7]


def unexamined(matrix):
    """The same life, but no task was examined before it was learned."""
    return np.where(np.tri(len(matrix), dtype=bool), matrix, NAN)


def random_matrix(seed, tasks=6):
    """Accuracies of a life that could be any."""
    return np.random.default_rng(seed).random((tasks, tasks))


def random_history(seed, tasks=4, each=5):
    """Accuracies of a life evaluated `each` times a task, and when its tasks begin and end."""
    history = np.random.default_rng(seed).random((tasks * each, tasks))
    return history, np.arange(tasks) * each, np.arange(tasks) * each + each - 1


# From the matrix


def test_final_and_learning_accuracy_by_hand():
    """The mean of the last row, and of the diagonal."""
    assert metrics.final_accuracy(R) == pytest.approx((0.5 + 0.85 + 0.7) / 3)
    assert metrics.learning_accuracy(R) == pytest.approx((0.9 + 0.8 + 0.7) / 3)


def test_final_accuracy_needs_no_more_than_the_last_row():
    """A joint life is examined once on the tasks of all days; it has one row."""
    assert metrics.final_accuracy(R[2:]) == metrics.final_accuracy(R)
    assert metrics.final_accuracy(np.vstack([np.full(3, NAN), R[2:]])) == metrics.final_accuracy(R)


def test_transfer_by_hand():
    """Divided by T - 1 = 2, not by T; forward transfer counts from the newborn."""
    assert metrics.backward_transfer(R) == pytest.approx(((0.5 - 0.9) + (0.85 - 0.8)) / 2)
    assert metrics.forward_transfer(R, NEWBORN) == pytest.approx(((0.3 - 0.15) + (0.4 - 0.25)) / 2)


def test_three_forgettings_by_hand():
    """Task 0 was best after task 1, task 1 after the last: three definitions, three numbers."""
    assert metrics.forgetting(R) == pytest.approx(((0.95 - 0.5) + (0.8 - 0.85)) / 2)  # 0.2
    assert metrics.forgetting_from_best(R) == pytest.approx(((0.95 - 0.5) + (0.85 - 0.85)) / 2)  # 0.225
    assert metrics.forgetting_from_first(R) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.85)) / 2)  # 0.175


def test_the_best_may_be_from_before_the_task_was_learned():
    """In task 1 the newborn scores 0.6, the learner 0.4 and then 0.3; where that was not examined it is not known."""
    matrix = np.array([[0.9, 0.6, 0.0], [0.9, 0.4, 0.0], [0.9, 0.3, 0.8]])
    assert metrics.forgetting(matrix) == pytest.approx((0.0 + (0.6 - 0.3)) / 2)
    assert metrics.forgetting(unexamined(matrix)) == pytest.approx((0.0 + (0.4 - 0.3)) / 2)


def test_intransigence_by_hand():
    """The joint reference after 1, 2 and 3 tasks, less the diagonal."""
    np.testing.assert_allclose(metrics.intransigence(R, [0.92, 0.9, 0.65]), [0.02, 0.1, -0.05])


@pytest.mark.parametrize("matrix", [R[:1], unexamined(R)[:1], R[:1, :1]])
def test_a_life_of_one_day_has_nothing_to_forget(matrix):
    """Of one row only the first task counts, whatever the number of columns."""
    for measure in (
        metrics.forgetting,
        metrics.forgetting_from_best,
        metrics.forgetting_from_first,
        metrics.backward_transfer,
    ):
        assert measure(matrix) == 0.0
    assert metrics.forward_transfer(matrix, NEWBORN[: matrix.shape[1]]) == 0.0
    assert metrics.learning_accuracy(matrix) == 0.9
    np.testing.assert_allclose(metrics.intransigence(matrix, [1.0]), [0.1])


def test_cumulative_accuracy_by_hand():
    """Concept 2 has the highest score everywhere, but it has not come yet: 0, 1 and 0 against 0, 1 and 1."""
    scores = np.array([[0.5, 0.1, 0.9], [0.2, 0.3, 0.9], [0.4, 0.3, 0.9]])
    assert metrics.cumulative_accuracy(scores, [0, 1, 1], [True, True, False]) == pytest.approx(2 / 3)
    assert metrics.cumulative_accuracy(scores, [0, 1, 1], [True, True, True]) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_the_matrix(seed):
    """First-minus-last is -BWT; the best of more rows is never less; FWT of the unknown is none; LA + BWT make ACC."""
    matrix = random_matrix(seed)
    tasks = len(matrix)
    assert metrics.forgetting_from_first(matrix) == -metrics.backward_transfer(matrix)
    for life in (matrix, unexamined(matrix)):
        assert metrics.forgetting_from_first(life) <= metrics.forgetting(life) <= metrics.forgetting_from_best(life)
        assert metrics.forgetting_from_best(life) >= 0
    assert metrics.forward_transfer(matrix, [0.0, *np.diag(matrix, 1)]) == 0
    assert metrics.final_accuracy(matrix) == pytest.approx(
        metrics.learning_accuracy(matrix) + metrics.backward_transfer(matrix) * (tasks - 1) / tasks
    )


def test_percents_are_as_good_as_shares():
    """Every measure of the matrix is linear in its unit."""
    assert metrics.forgetting(100 * R) == pytest.approx(100 * metrics.forgetting(R))
    assert metrics.forward_transfer(100 * R, 100 * NEWBORN) == pytest.approx(100 * metrics.forward_transfer(R, NEWBORN))


# From the history


def test_anytime_accuracy_by_hand():
    """Tasks begun weigh alike at every evaluation: 2 evaluations of one task, 3 of two, 3 of three."""
    one = 0.6 + 0.9
    two = (0.5 + 0.3) / 2 + (0.7 + 0.6) / 2 + (0.9 + 0.8) / 2
    three = (0.6 + 0.7 + 0.2) / 3 + (0.5 + 0.8 + 0.5) / 3 + (0.8 + 0.6 + 0.9) / 3
    assert metrics.average_anytime_accuracy(A, BEGINS) == pytest.approx((one + two + three) / 8)


def test_what_comes_before_the_first_task_does_not_count():
    """Evaluations of the newborn change nothing, nor does what was known of tasks to come."""
    newborn = np.vstack([[0.1, 0.1, 0.1], np.where(np.isnan(A), 0.1, A)])
    later = [begin + 1 for begin in BEGINS]
    assert metrics.average_anytime_accuracy(newborn, later) == metrics.average_anytime_accuracy(A, BEGINS)


def test_worst_cases_by_hand():
    """Task 0 falls to 0.5 after its end, task 1 to 0.6 after its own; task 2 ends at 0.9."""
    assert metrics.min_accuracy(A, ENDS) == pytest.approx((0.5 + 0.6) / 2)
    assert metrics.worst_case_accuracy(A, ENDS) == pytest.approx(0.9 / 3 + (1 - 1 / 3) * 0.55)


def test_one_task_has_no_worst_of_the_earlier_ones():
    """WC-ACC is the accuracy itself, min-ACC undefined."""
    assert metrics.worst_case_accuracy([[0.3], [0.7]], [1]) == pytest.approx(0.7)
    with pytest.raises(ValueError, match="A has a single task"):
        metrics.min_accuracy([[0.3], [0.7]], [1])


def test_stability_gap_by_hand():
    """From 0.9, task 0 falls to 0.5 under task 1 and is back after 3 evaluations; under task 2 it ends at 0.8."""
    depth, recovery = metrics.stability_gap(A, ENDS)
    none = [NAN, NAN, NAN]
    np.testing.assert_allclose(depth, [none, [0.9 - 0.5, NAN, NAN], [0.9 - 0.5, 0.8 - 0.6, NAN]])
    # Task 1 goes 0.8 -> 0.7, 0.8, 0.6: back in between, but it falls deeper and stays there.
    np.testing.assert_array_equal(recovery, [none, [3, NAN, NAN], [np.inf, np.inf, NAN]])
    within_a_tenth = metrics.stability_gap(A, ENDS, tolerance=0.1 + 1e-9).recovery
    np.testing.assert_array_equal(within_a_tenth, [none, [3, NAN, NAN], [3, np.inf, NAN]])


def test_a_task_that_never_fell_has_no_gap():
    """Its depth is negative, and nothing had to be recovered."""
    depth, recovery = metrics.stability_gap([[0.5, NAN], [0.6, 0.4], [0.7, 0.8]], [0, 2])
    assert depth[1, 0] == pytest.approx(0.5 - 0.6)
    assert recovery[1, 0] == 0


def test_recovered_only_if_it_does_not_fall_as_deep_again():
    """0.9 -> 0.5, 0.9, 0.5, 0.9 is back after the second fall; without its last evaluation it is not back."""
    history = np.array([[0.9, NAN], [0.5, 0.2], [0.9, 0.3], [0.5, 0.4], [0.9, 0.5]])
    assert metrics.stability_gap(history, [0, 4]).recovery[1, 0] == 4
    assert metrics.stability_gap(history[:4], [0, 3]).recovery[1, 0] == np.inf


def test_windows_by_hand():
    """Neighbours (w = 2): falls of 0.4 and 0.2; rises of 0.3, 0.3 and 0.4. Any two evaluations (w = 8) see more."""
    assert metrics.windowed_forgetting(A, 2) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.6) + 0.0) / 3)
    assert metrics.windowed_plasticity(A, 2) == pytest.approx(((0.6 - 0.3) + (0.8 - 0.5) + (0.9 - 0.5)) / 3)
    assert metrics.windowed_forgetting(A, 8) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.6) + 0.0) / 3)
    assert metrics.windowed_plasticity(A, 8) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.3) + (0.9 - 0.2)) / 3)


def test_a_slow_fall_needs_a_wide_window():
    """0.9, 0.8, 0.7: 0.1 between neighbours, 0.2 within three; it never rises."""
    slow = [[0.9], [0.8], [0.7]]
    assert metrics.windowed_forgetting(slow, 2) == pytest.approx(0.1)
    assert metrics.windowed_forgetting(slow, 3) == pytest.approx(0.2)
    assert metrics.windowed_plasticity(slow, 3) == 0.0
    assert metrics.windowed_forgetting(slow[:1], 3) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_the_history(seed):
    """The worst is no better than the end; windows only add; reversed, a fall is a rise; depth and min-ACC agree."""
    history, begins, ends = random_history(seed)
    tasks = len(ends)
    assert metrics.min_accuracy(history, ends) <= history[-1, :-1].mean()
    assert metrics.worst_case_accuracy(history, ends) <= metrics.final_accuracy(history)
    falls = [metrics.windowed_forgetting(history, window) for window in range(2, len(history) + 3)]
    assert (np.diff(falls) >= 0).all() and falls[-1] == falls[-3]
    assert metrics.windowed_forgetting(history, 4) == pytest.approx(metrics.windowed_plasticity(history[::-1], 4))
    assert metrics.average_anytime_accuracy(np.full_like(history, 0.4), begins) == pytest.approx(0.4)
    depth, recovery = metrics.stability_gap(history, ends)
    lowest = [min(history[ends[k - 1], i] - depth[k, i] for k in range(i + 1, tasks)) for i in range(tasks - 1)]
    assert np.mean(lowest) == pytest.approx(metrics.min_accuracy(history, ends))
    earlier = np.tri(tasks, k=-1, dtype=bool)
    assert np.isnan(depth[~earlier]).all() and np.isnan(recovery[~earlier]).all()
    assert ((recovery[earlier] == 0) == (depth[earlier] <= 0)).all()


# From the stream


def test_prequential_accuracy_by_hand():
    """Task 0: 1, 0, 1 right of 3; task 1: 0, 1 of 2. The total weighs examples alike: it is no mean of tasks."""
    per_task, total = metrics.prequential_accuracy([True, False, True, False, True], [0, 0, 0, 1, 1])
    np.testing.assert_allclose(per_task, [2 / 3, 1 / 2])
    assert total == pytest.approx(3 / 5)


def test_learning_curve_area_by_hand():
    """beta = 1: the means after 0 and 1 mini-batches; what comes later does not count."""
    curves = np.array([[0.1, 0.5, 0.9], [0.3, 0.7, NAN]])
    assert metrics.learning_curve_area(curves, 1) == pytest.approx(((0.1 + 0.3) / 2 + (0.5 + 0.7) / 2) / 2)
    assert metrics.learning_curve_area(curves, 0) == pytest.approx((0.1 + 0.3) / 2)


def test_sample_plasticity_by_hand():
    """Halved, learned at once, made worse, nothing to learn: 1 - 0.5, 1 - 0, 0 and 1 - 0 / epsilon."""
    before, after = [2.0, 1.0, 1.0, 0.0], [1.0, 0.0, 3.0, 0.0]
    np.testing.assert_allclose(metrics.sample_plasticity(before, after), [0.5, 1.0, 0.0, 1.0])


def test_declines_by_hand():
    """From window to window and from the first to the last."""
    np.testing.assert_allclose(metrics.window_means([0.8, 1.0, 0.5, 0.7], 2), [0.9, 0.6])
    per_window, overall = metrics.loss_of_plasticity([0.9, 0.6, 0.7])
    np.testing.assert_allclose(per_window, [0.9 - 0.6, 0.6 - 0.7])
    assert overall == pytest.approx(0.9 - 0.7)
    np.testing.assert_allclose(metrics.online_forgetting([0.9, 0.6, 0.7]).per_window, per_window)
    assert metrics.online_forgetting([0.9, 0.6, 0.7]).overall == overall


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_the_stream(seed):
    """The total is the mean; tasks of equal length weigh alike; plasticity lies in [0, 1]; steps sum to the whole."""
    random = np.random.default_rng(seed)
    correct, task = random.random(60) < 0.6, np.repeat(np.arange(4), 15)
    per_task, total = metrics.prequential_accuracy(correct, task)
    assert total == pytest.approx(correct.mean()) == pytest.approx(per_task.mean())
    np.testing.assert_allclose(per_task, metrics.window_means(correct, 15))
    order = random.permutation(60)
    np.testing.assert_allclose(metrics.prequential_accuracy(correct[order], task[order]).per_task, per_task)
    plasticity = metrics.sample_plasticity(random.gamma(1, 1, 60), random.gamma(1, 1, 60))
    assert plasticity.min() >= 0 and plasticity.max() <= 1
    decline = metrics.loss_of_plasticity(metrics.window_means(plasticity, 15))
    assert decline.per_window.sum() == pytest.approx(decline.overall)


# From the net


def test_dead_and_dormant_by_hand():
    """Means 3, 0, 0.2 and 0.8: one of four is dead; against the mean 1 two are within 0.2, three within 0.8."""
    activity = np.array([[6.0, 0.0, 0.4, 0.8], [0.0, 0.0, 0.0, 0.8]])
    assert metrics.dead_units(activity) == 1 / 4
    assert [metrics.dormant_ratio(activity, tau) for tau in (0.0, 0.1, 0.2, 0.8, 3.0)] == [0.25, 0.25, 0.5, 0.75, 1.0]


def test_negative_activity_is_activity():
    """A unit that fires -1 and 1 is neither dead nor dormant, though its mean is 0."""
    activity = np.array([[-1.0, 1.0], [1.0, 1.0]])
    assert metrics.dead_units(activity) == metrics.dormant_ratio(activity) == 0.0


def test_ranks_by_hand():
    """Singular values 3 and 1: p = 3/4, 1/4; squares 9 and 1; the first holds 0.75 of the sum, 0.9 of the squares."""
    activity = np.diag([1.0, 3.0])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert metrics.effective_rank(activity) == pytest.approx(np.exp(entropy))
    assert metrics.stable_rank(activity) == pytest.approx((9 + 1) / 9)
    assert [metrics.approximate_rank(activity, share) for share in (0.85, 0.95)] == [1, 2]
    assert [metrics.approximate_rank(activity, share, power=1) for share in (0.7, 0.85)] == [1, 2]


def test_a_silent_layer_has_no_rank():
    """All units dead, all dormant, all ranks 0."""
    silent = np.zeros((5, 3))
    assert metrics.dead_units(silent) == metrics.dormant_ratio(silent) == 1.0
    assert metrics.effective_rank(silent) == metrics.stable_rank(silent) == metrics.approximate_rank(silent) == 0


def test_mean_absolute_weight_by_hand():
    """(1 + 2 + 3 + 4) / 4 over all arrays together, not (2 + 4) / 2 over layers."""
    assert metrics.mean_absolute_weight([np.array([[1.0, -2.0, 3.0]]), np.array(-4.0)]) == 2.5


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_the_net(seed):
    """The identity has full rank, an outer product rank one; scale and rotation change none; none exceeds the full."""
    random = np.random.default_rng(seed)
    units = 4 + seed
    for rank in (metrics.effective_rank, metrics.stable_rank, metrics.approximate_rank):
        assert rank(np.eye(units)) == pytest.approx(units)
        assert rank(np.outer(random.random(9) + 0.1, random.random(units) + 0.1)) == pytest.approx(1)
        activity = random.random((20, units))
        rotation = np.linalg.qr(random.normal(size=(units, units)))[0]
        assert rank(7 * activity @ rotation) == pytest.approx(rank(activity)) == pytest.approx(rank(activity.T))
        assert 1 <= rank(activity) <= units
    assert metrics.stable_rank(activity) <= metrics.effective_rank(activity)
    activity[:, :2] = 0
    assert metrics.dead_units(activity) == metrics.dormant_ratio(activity, tau=0.0) == 2 / units


# From the seeds


def test_mean_sd_sem_by_hand():
    """1, 2, 3, 4, 5: the squares sum to 4 + 1 + 0 + 1 + 4 = 10, so sd = sqrt(10 / 4) and sem = sd / sqrt(5)."""
    mean, sd, sem, n = metrics.mean_sd_sem([1, 2, 3, 4, 5])
    assert (mean, n) == (3.0, 5)
    assert sd == pytest.approx(2.5**0.5) and sem == pytest.approx(0.5**0.5)


def test_one_seed_says_nothing_of_the_spread():
    """It is unknown, which is not the same as none."""
    mean, sd, sem, n = metrics.mean_sd_sem([0.7])
    assert (mean, n) == (0.7, 1) and np.isnan(sd) and np.isnan(sem)


def test_intervals_by_hand():
    """t with 4 degrees of freedom is 2.776 at 95 % and 2.132 at 90 %, in any table."""
    low, high = metrics.confidence_interval([1, 2, 3, 4, 5])[1:3]
    assert (low, high) == pytest.approx((3 - 2.776445 * 0.5**0.5, 3 + 2.776445 * 0.5**0.5))
    assert metrics.confidence_interval([1, 2, 3, 4, 5], level=0.9).high == pytest.approx(3 + 2.131847 * 0.5**0.5)


def test_a_paired_difference_by_hand():
    """Differences 1, 2, 3: mean 2, sd 1, sem 1 / sqrt(3), t with 2 degrees of freedom 4.303."""
    ours, theirs = np.array([11.0, 52.0, 93.0]), np.array([10.0, 50.0, 90.0])
    mean, low, high, n = metrics.paired_difference(ours, theirs)
    assert (mean, n) == (2.0, 3)
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    # The seeds differ far more than the learners do: unpaired, nothing could be told.
    assert metrics.confidence_interval(ours).low < theirs.mean() < metrics.confidence_interval(ours).high


def test_conversions_by_hand():
    """A standard error of 0.2 over 25 seeds is a deviation of 0.2 * 5, and an interval of 0.2 * 2.064."""
    assert metrics.convert_spread(0.2, 25, "sem", "sd") == pytest.approx(1.0)
    assert metrics.convert_spread(0.2, 25, "sem", "interval") == pytest.approx(0.2 * 2.063899)
    assert metrics.convert_spread(0.2 * 2.063899, 25, "interval", "sd") == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_the_seeds(seed):
    """What is converted agrees with what is computed; pairs against a constant are an interval; sides are symmetric."""
    values, others = np.random.default_rng(seed).normal(size=(2, 8))
    mean, sd, sem, n = metrics.mean_sd_sem(values)
    _, low, high, _ = metrics.confidence_interval(values)
    spread = {"sd": sd, "sem": sem, "interval": (high - low) / 2}
    for given in spread:
        for wanted in spread:
            assert metrics.convert_spread(spread[given], n, given, wanted) == pytest.approx(spread[wanted])
    assert metrics.paired_difference(values, np.zeros(8)) == pytest.approx((mean, low, high, n))
    ours, theirs = metrics.paired_difference(values, others), metrics.paired_difference(others, values)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((-theirs.mean, -theirs.high, -theirs.low))


def test_intervals_hold_what_they_promise():
    """Of 2 000 samples of 5, 80 % intervals hold the true mean 80 times in 100; normal quantiles would not."""
    samples = np.random.default_rng(0).normal(3.0, 2.0, (2000, 5))
    held = [low <= 3.0 <= high for _, low, high, _ in (metrics.confidence_interval(values, 0.8) for values in samples)]
    assert np.mean(held) == pytest.approx(0.8, abs=0.03)


# What is refused

HOLE = np.array([[0.9, NAN], [NAN, 0.8]])


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (metrics.final_accuracy, ([0.5, 0.6],), r"R has the shape \(2,\); give \[N, T\]"),
        (metrics.final_accuracy, ([[0.5, NAN]],), r"R\[0, 1\] is nan, .*examine"),
        (metrics.final_accuracy, ([[0.5, np.inf]],), r"R\[0, 1\] is inf; give a finite"),
        (metrics.final_accuracy, ([[0.5], [0.1, 0.2]],), "R is not an array of numbers; give"),
        (metrics.final_accuracy, (np.zeros((0, 3)),), "R is empty"),
        (metrics.forgetting, (np.zeros((2, 3)),), r"R has the shape \(2, 3\); give \[T, T\]"),
        (metrics.forgetting, (HOLE,), r"R\[1, 0\] is nan"),
        (metrics.backward_transfer, (HOLE,), r"R\[1, 0\] is nan"),
        (metrics.learning_accuracy, (np.zeros((3, 2)),), "R has the shape"),
        (metrics.forward_transfer, (unexamined(R), NEWBORN), r"R\[0, 1\] is nan"),
        (metrics.forward_transfer, (R, NEWBORN[:2]), "newborn has 2 entries but R's axis of tasks has 3"),
        (metrics.forward_transfer, (R, [NAN, 0.1, 0.1]), r"newborn\[0\] is nan"),
        (metrics.intransigence, (R, [0.9]), "joint has 1 entries but R's diagonal has 3"),
        (metrics.cumulative_accuracy, (np.eye(2), [0, 1], [1, 0]), "target holds concepts that are not seen"),
        (metrics.cumulative_accuracy, (np.eye(2), [0, 2], [1, 1]), "target holds concepts that are not seen"),
        (metrics.cumulative_accuracy, (np.eye(2), [0, 1], [1]), "seen has 1 entries"),
        (metrics.average_anytime_accuracy, (A, [0, 1, 5]), r"A\[1, 1\] is nan"),
        (metrics.average_anytime_accuracy, (A, [0, 2]), "begins has 2 entries but A's axis of tasks has 3"),
        (metrics.average_anytime_accuracy, (A, [0, 5, 2]), r"begins is \[0, 5, 2\]; give evaluations in rising order"),
        (metrics.min_accuracy, (A, [1, 4, 8]), r"ends is \[1, 4, 8\]; give .* from 0 to 7"),
        (metrics.min_accuracy, (A, [-1, 4, 7]), "ends holds -1.0 to 7.0; give whole numbers from 0"),
        (metrics.min_accuracy, (A, [0.5, 4, 7]), "ends holds 0.5 to 7.0; give whole numbers from 0"),
        (metrics.min_accuracy, (np.where(A == 0.7, NAN, A), ENDS), r"A\[3, 0\] is nan"),
        (metrics.worst_case_accuracy, ([[0.4, 0.5], [0.4, NAN]], [0, 1]), r"A\[1, 1\] is nan"),
        (metrics.stability_gap, (np.where(A == 0.7, NAN, A), ENDS), r"A\[3, 0\] is nan"),
        (metrics.stability_gap, (A, ENDS, -0.1), "tolerance is -0.1; give at least 0"),
        (metrics.windowed_forgetting, (A, 1), "window is 1; give at least 2"),
        (metrics.windowed_plasticity, (A, 2.5), "window is 2.5; give a whole number"),
        (metrics.windowed_forgetting, ([[0.1], [NAN], [0.3]], 2), r"A\[1, 0\] is nan"),
        (metrics.windowed_forgetting, ([[0.1, NAN], [0.3, NAN]], 2), r"A\[1, 1\] is nan"),
        (metrics.prequential_accuracy, ([3, 1], [0, 0]), "correct holds 1.0 to 3.0; give whether"),
        (metrics.prequential_accuracy, ([1, 0], [0, 2]), "task holds no 1 but 2; number the tasks from 0"),
        (metrics.prequential_accuracy, ([1, 0], [0]), "task has 1 entries but correct has 2"),
        (metrics.learning_curve_area, (np.eye(2), 2), "curves has 2 columns; give 3"),
        (metrics.learning_curve_area, (HOLE, 1), r"curves\[0, 1\] is nan"),
        (metrics.learning_curve_area, (np.eye(2), -1), "beta is -1; give at least 0"),
        (metrics.sample_plasticity, ([1.0], [-1.0]), "after holds -1.0; give losses"),
        (metrics.sample_plasticity, ([1.0], [1.0, 2.0]), "after has 2 entries but before has 1"),
        (metrics.sample_plasticity, ([1.0], [1.0], 0.0), "epsilon is 0.0; give a number between"),
        (metrics.window_means, ([1, 2, 3], 2), "values has 3 entries, no multiple of window=2; leave out"),
        (metrics.window_means, ([1, 2, 3], np.inf), "window is inf; give a whole number"),
        (metrics.loss_of_plasticity, ([0.5],), "plasticity has one window"),
        (metrics.online_forgetting, ([0.5],), "accuracy has one window"),
        (metrics.dead_units, (np.zeros(3),), r"activity has the shape \(3,\); give \[N, U\]"),
        (metrics.dormant_ratio, (np.eye(2), -1.0), "tau is -1.0; give at least 0"),
        (metrics.dormant_ratio, (np.eye(2), NAN), "tau is nan"),
        (metrics.effective_rank, (HOLE,), r"activity\[0, 1\] is nan; give a finite number"),
        (metrics.approximate_rank, (np.eye(2), 1.0), "share is 1.0; give a number between 0.0 and 1.0"),
        (metrics.mean_absolute_weight, ([],), "weights is empty"),
        (metrics.mean_absolute_weight, ([np.ones(2), np.array([NAN])],), r"weights\[1\]\[0\] is nan"),
        (metrics.mean_sd_sem, ([],), "values is empty"),
        (metrics.confidence_interval, ([0.5],), "values holds one seed"),
        (metrics.confidence_interval, ([0.5, 0.6], 95), "level is 95; give a number between 0.0 and 1.0"),
        (metrics.paired_difference, ([0.5], [0.4]), "ours holds one seed"),
        (metrics.paired_difference, ([0.5, 0.6], [0.4]), "theirs has 1 entries but ours has 2"),
        (metrics.convert_spread, (0.2, 1, "sem", "sd"), "n is 1; give at least 2"),
        (metrics.convert_spread, (0.2, 5, "std", "sd"), "given is 'std'; give one of sd, sem, interval"),
        (metrics.convert_spread, (-0.2, 5, "sem", "sd"), "value is -0.2; give at least 0"),
    ],
)
def test_bad_input_is_refused_by_name(measure, arguments, message):
    """Each says which argument, what it is and what to give."""
    with pytest.raises(ValueError, match=message):
        measure(*arguments)


def test_inputs_are_left_as_they_were():
    """Pure functions: what was given is not written to."""
    matrix, history = R.copy(), A.copy()
    metrics.forgetting(matrix[:1])
    metrics.windowed_plasticity(history, 3)
    metrics.stability_gap(history, ENDS)
    np.testing.assert_array_equal(matrix, R)
    np.testing.assert_array_equal(history, A)


def test_plain_numbers_come_back():
    """A scalar measure is a float of Python, so that it can be written as JSON."""
    for number in (
        metrics.final_accuracy(R),
        metrics.forgetting(R),
        metrics.forgetting_from_best(R[:1]),
        metrics.average_anytime_accuracy(A, BEGINS),
        metrics.worst_case_accuracy(A, ENDS),
        metrics.windowed_forgetting(A, 2),
        metrics.effective_rank(np.eye(2)),
        metrics.mean_sd_sem([1, 2]).sem,
        metrics.confidence_interval([1, 2]).low,
    ):
        assert type(number) is float


def test_every_measure_says_its_source():
    """Every public function names the work its definition is from, and no module needs jax."""
    for path in Path(metrics.__file__).parent.glob("*.py"):
        source = path.read_text()
        assert "jax" not in source.replace("dellm_jax", "")
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name in metrics.__all__:
                assert "Source: " in ast.get_docstring(node), node.name
