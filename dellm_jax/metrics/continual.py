"""From a history of evaluations A[n, i]: accuracy on task i at evaluation n, counted from 0.

A is [N, T] and may be NaN where a task was not yet evaluated. `begins[i]` is the first evaluation after task i has
begun to be learned, `ends[i]` the one when it ends. An equation counts tasks from 1 to k, and t is the last evaluation
of A. What happens between two evaluations is not seen: only one at every update finds the true minima.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dellm_jax.metrics import checks


class StabilityGap(NamedTuple):
    """What task k did to each earlier task i while it was learned: both [T, T], NaN on and above the diagonal."""

    depth: np.ndarray
    recovery: np.ndarray


def average_anytime_accuracy(A: np.ndarray, begins: Sequence[int]) -> float:
    """AAA_t = 1/t sum_{n<=t} 1/k_n sum_{i<=k_n} A[n, i], where k_n tasks have begun; A [N, T], begins [T].

    Evaluations before the first task begins do not count.
    Source: Caccia et al. (2020).
    """
    A = checks.numbers(A, "A", "N T", missing=True)
    begins = checks.evaluations(begins, "begins", *A.shape)
    begun = np.arange(len(A))[:, None] >= begins
    checks.measured(A, begun, "A")
    return float(A[begins[0] :].mean(1, where=begun[begins[0] :]).mean())


def min_accuracy(A: np.ndarray, ends: Sequence[int]) -> float:
    """min-ACC = 1/(k-1) sum_{i<k} min_{t_i<n<=t} A[n, i], the worst since task i was learned; A [N, T], ends t_i [T].

    A last task that is still being learned ends at the last evaluation. Undefined for a single task.
    Source: De Lange et al. (2023).
    """
    A = checks.numbers(A, "A", "N T", missing=True)
    ends = checks.evaluations(ends, "ends", *A.shape)
    if len(ends) < 2:
        raise ValueError("A has a single task, and min_accuracy is of earlier tasks; give a life of two tasks or more")
    later = np.arange(len(A))[:, None] > ends
    checks.measured(A[:, :-1], later[:, :-1], "A")
    return float(A[:, :-1].min(0, where=later[:, :-1], initial=np.inf).mean())


def worst_case_accuracy(A: np.ndarray, ends: Sequence[int]) -> float:
    """WC-ACC = 1/k A[t, k] + (1 - 1/k) min-ACC, what can be relied on at any time; A [N, T], ends [T].

    For a single task it is A[t, 1].
    Source: De Lange et al. (2023).
    """
    A = checks.numbers(A, "A", "N T", missing=True)
    tasks = len(checks.evaluations(ends, "ends", *A.shape))
    last = np.zeros(A.shape, bool)
    last[-1, -1] = True
    checks.measured(A, last, "A")
    return float(A[-1, -1] / tasks + (1 - 1 / tasks) * (min_accuracy(A, ends) if tasks > 1 else 0.0))


def stability_gap(A: np.ndarray, ends: Sequence[int], tolerance: float = 0.0) -> StabilityGap:
    """depth[k, i] = A[t_{k-1}, i] - min_{t_{k-1}<n<=t_k} A[n, i] for i < k, and its length; A [N, T], ends t [T].

    recovery[k, i] counts evaluations from t_{k-1} to the first one, at the deepest point or later, with
    A[n, i] >= A[t_{k-1}, i] - tolerance; 0 if none was below that, inf if it was not reached by t_k. Times the updates
    per evaluation it is in updates. A depth below 0 is a task that never fell.
    Source: De Lange et al. (2023).
    """
    A = checks.numbers(A, "A", "N T", missing=True)
    ends = checks.evaluations(ends, "ends", *A.shape)
    checks.at_least(tolerance, "tolerance", 0.0)
    tasks = len(ends)
    steps = np.arange(len(A))[:, None]
    checks.measured(A, (steps >= ends) & (steps <= ends[-1]) & (np.arange(tasks) < tasks - 1), "A")
    gap = StabilityGap(np.full((tasks, tasks), np.nan), np.full((tasks, tasks), np.nan))
    for k in range(1, tasks):
        for i in range(k):
            before, during = A[ends[k - 1], i], A[ends[k - 1] + 1 : ends[k] + 1, i]
            gap.depth[k, i] = before - during.min()
            # If it fell as deep again, it had not recovered in between.
            deepest = len(during) - 1 - during[::-1].argmin()
            back = np.flatnonzero(during[deepest:] >= before - tolerance)
            fell = during.min() < before - tolerance
            gap.recovery[k, i] = 0 if not fell else 1 + deepest + back[0] if len(back) else np.inf
    return gap


def windowed_forgetting(A: np.ndarray, window: int) -> float:
    """WF^w = 1/T sum_i max_{m<=n<m+w} (A[m, i] - A[n, i]), the sharpest fall within w evaluations; A [N, T].

    Never negative, as m = n is among them. A task counts from its first evaluation on.
    Source: De Lange et al. (2023).
    """
    return _sharpest_fall(A, window, 1)


def windowed_plasticity(A: np.ndarray, window: int) -> float:
    """WP^w = 1/T sum_i max_{m<=n<m+w} (A[n, i] - A[m, i]), the sharpest rise within w evaluations; A [N, T].

    Never negative, as m = n is among them. A task counts from its first evaluation on.
    Source: De Lange et al. (2023).
    """
    return _sharpest_fall(A, window, -1)


def _sharpest_fall(A, window: int, sign: int) -> float:
    A = sign * checks.numbers(A, "A", "N T", missing=True)
    window = checks.count_at_least(window, "window", 2)
    # NaN may only come first: a hole in a history would hide a fall.
    evaluated = np.logical_or.accumulate(~np.isnan(A), axis=0)
    evaluated[-1] = True
    checks.measured(A, evaluated, "A")
    sharpest = np.zeros(A.shape[1])
    for distance in range(1, min(window, len(A))):
        # fmax and not maximum: it passes over the pairs whose first is not a number.
        sharpest = np.fmax(sharpest, np.fmax.reduce(A[:-distance] - A[distance:], axis=0))
    return float(sharpest.mean())
