"""From the stream itself: every example is a question before it is a lesson."""

from typing import NamedTuple

import numpy as np

from dellm_jax.metrics import checks


class Prequential(NamedTuple):
    """Online accuracy of each task [T], and over the whole stream."""

    per_task: np.ndarray
    total: float


class Decline(NamedTuple):
    """What was lost from each window to the next [K-1], and from the first to the last."""

    per_window: np.ndarray
    overall: float


def prequential_accuracy(correct: np.ndarray, task: np.ndarray) -> Prequential:
    """a_t = mean of c_n over the n of task t, total = 1/N sum_n c_n; correct c [N], task [N].

    c_n = [argmax f_n(x_n) = y_n] is asked BEFORE the update on (x_n, y_n); asked after it, it measures memory. For T
    tasks of equal length the total is 1/T sum_t a_t. A task that comes back under its number counts as one.
    Source: Dohare et al. (2024); Kumar et al. (2023).
    """
    correct, task = checks.numbers(correct, "correct", "N"), checks.integers(task, "task", "N")
    checks.same_length("task", len(task), "correct", len(correct))
    if correct.min() < 0 or correct.max() > 1:
        raise ValueError(
            f"correct holds {correct.min()} to {correct.max()}; give whether each answer was right, 0 to 1"
        )
    count = np.bincount(task)
    if not count.all():
        raise ValueError(f"task holds no {count.argmin()} but {len(count) - 1}; number the tasks from 0 without gaps")
    return Prequential(np.bincount(task, correct) / count, float(correct.mean()))


def learning_curve_area(curves: np.ndarray, beta: int) -> float:
    """LCA_beta = 1/(beta+1) sum_{b=0..beta} 1/T sum_k a[k, b], how fast tasks are learned; curves a [T, B], B > beta.

    `curves[k, b]` is the accuracy on task k after b mini-batches of it; b = 0 is from before it came.
    Source: Chaudhry et al. (2019).
    """
    curves = checks.numbers(curves, "curves", "T B", missing=True)
    beta = checks.count_at_least(beta, "beta", 0)
    if curves.shape[1] <= beta:
        raise ValueError(f"curves has {curves.shape[1]} columns; give {beta + 1}, after 0 to beta={beta} mini-batches")
    first = curves[:, : beta + 1]
    checks.measured(first, np.ones(first.shape, bool), "curves")
    return float(first.mean())


def sample_plasticity(before: np.ndarray, after: np.ndarray, epsilon: float = 1e-8) -> np.ndarray:
    """p_n = max(1 - L(W+, Z_n) / max(L(W, Z_n), epsilon), 0) in [0, 1]; before L(W, Z) [N], after L(W+, Z) [N] -> [N].

    Both losses are of the same sample, before and after the one update on it. 1 is learned at a stroke.
    Source: Elsayed & Mahmood (2024).
    """
    before, after = checks.numbers(before, "before", "N"), checks.numbers(after, "after", "N")
    checks.same_length("after", len(after), "before", len(before))
    checks.within(epsilon, "epsilon", 0.0, np.inf)
    for name, loss in (("before", before), ("after", after)):
        if loss.min() < 0:
            raise ValueError(f"{name} holds {loss.min()}; give losses that are never negative, as cross-entropy is")
    return np.maximum(1 - after / np.maximum(before, epsilon), 0)


def window_means(values: np.ndarray, window: int) -> np.ndarray:
    """1/w sum of each w values in a row; values [K w] -> [K].

    Source: Elsayed & Mahmood (2024), whose windows are the tasks.
    """
    values = checks.numbers(values, "values", "N")
    window = checks.count_at_least(window, "window", 1)
    if len(values) % window:
        raise ValueError(f"values has {len(values)} entries, no multiple of window={window}; leave out what is over")
    return values.reshape(-1, window).mean(1)


def loss_of_plasticity(plasticity: np.ndarray) -> Decline:
    """p_k - p_{k+1} for every window, p_1 - p_K overall; plasticity p [K], means of `sample_plasticity` over windows.

    Source: Elsayed & Mahmood (2024).
    """
    return _decline(plasticity, "plasticity")


def online_forgetting(accuracy: np.ndarray) -> Decline:
    """F_{k+1} = A_k - A_{k+1} for every window, A_1 - A_K overall; accuracy A [K], prequential means over windows.

    On a stream that only changes its form this is what was lost of the skill; it never asks about the past.
    Source: Elsayed & Mahmood (2024).
    """
    return _decline(accuracy, "accuracy")


def _decline(values, name: str) -> Decline:
    values = checks.numbers(values, name, "K")
    if len(values) < 2:
        raise ValueError(f"{name} has one window; give the means of two windows or more")
    return Decline(values[:-1] - values[1:], float(values[0] - values[-1]))
