"""From the accuracy matrix R[i, j]: accuracy on the test of task j after learning task i, counted from 0.

An equation counts from 1 to T, as its paper does. R is [T, T] and may be NaN above the diagonal, where a task that had
not been learned was not examined. One row is a life of one day, whatever the number of its columns: only the first task
has been learned. Every mean over earlier tasks is 0 then, as there was nothing to transfer to or to forget.
"""

import numpy as np

from dellm_jax.metrics import checks


def _learned(R) -> np.ndarray:
    """R as far as it was lived, [T, T], complete on and below the diagonal."""
    R = checks.numbers(R, "R", "N T", missing=True)
    if len(R) == 1:
        R = R[:, :1]
    if R.shape[0] != R.shape[1]:
        raise ValueError(f"R has the shape {R.shape}; give [T, T], one row after each task and one column for each")
    checks.measured(R, np.tri(len(R), dtype=bool), "R")
    return R


def _mean(terms: np.ndarray) -> float:
    return float(terms.mean()) if len(terms) else 0.0


def final_accuracy(R: np.ndarray) -> float:
    """ACC = 1/T sum_j R[T, j], of the last row of R [N, T]; how many rows come before it does not matter.

    Source: Lopez-Paz & Ranzato (2017).
    """
    R = checks.numbers(R, "R", "N T", missing=True)
    checks.measured(R, np.arange(len(R))[:, None] == len(R) - 1, "R")
    return float(R[-1].mean())


def learning_accuracy(R: np.ndarray) -> float:
    """LA = 1/T sum_j R[j, j], how well each task was known when it had just been learned; R [T, T].

    Source: Riemer et al. (2019).
    """
    return float(np.diag(_learned(R)).mean())


def backward_transfer(R: np.ndarray) -> float:
    """BWT = 1/(T-1) sum_{j<T} (R[T, j] - R[j, j]), what later tasks did to earlier ones; R [T, T].

    Source: Lopez-Paz & Ranzato (2017). The code they published divides by T.
    """
    R = _learned(R)
    return _mean((R[-1] - np.diag(R))[:-1])


def forward_transfer(R: np.ndarray, newborn: np.ndarray) -> float:
    """FWT = 1/(T-1) sum_{j>=2} (R[j-1, j] - b_j), what was known of a task before it came; R [T, T], newborn b [T].

    `newborn` is the accuracy of the same life before any learning. R is needed on its first upper diagonal too.
    Source: Lopez-Paz & Ranzato (2017). The code they published divides by T; others leave b out.
    """
    born = checks.numbers(newborn, "newborn", "T")
    checks.same_length("newborn", len(born), "R's axis of tasks", checks.numbers(R, "R", "N T", missing=True).shape[1])
    R = _learned(R)
    checks.measured(R, np.eye(len(R), k=1, dtype=bool), "R")
    return _mean(np.diag(R, 1) - born[1 : len(R)])


def forgetting(R: np.ndarray) -> float:
    """F = 1/(T-1) sum_{j<T} (max_{l<T} R[l, j] - R[T, j]); negative where the last task helped; R [T, T].

    The best is sought in every row but the last, as the paper does, also in those from before task j was learned: they
    seldom hold it, and make no difference where they are NaN.
    Source: Chaudhry et al. (2018).
    """
    R = _learned(R)
    return _mean(np.fmax.reduce(R[:-1, :-1], axis=0, initial=-np.inf) - R[-1, :-1])


def forgetting_from_best(R: np.ndarray) -> float:
    """F = 1/(T-1) sum_{j<T} (max_{l<=T} R[l, j] - R[T, j]), never negative, as the last row may be the best; R [T, T].

    Source: the code of Mammoth (Buzzega et al., 2020).
    """
    R = _learned(R)
    return _mean(np.fmax.reduce(R[:, :-1], axis=0) - R[-1, :-1])


def forgetting_from_first(R: np.ndarray) -> float:
    """F = 1/(T-1) sum_{j<T} (R[j, j] - R[T, j]) = -BWT; R [T, T].

    Source: the code of Avalanche (Lomonaco et al., 2021).
    """
    R = _learned(R)
    return _mean((np.diag(R) - R[-1])[:-1])


def intransigence(R: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """I_k = a*_k - R[k, k], what could not be learned, [T]; R [T, T], joint a* [T].

    `joint[k]` is the accuracy on task k of a reference that learned tasks 1..k together.
    Source: Chaudhry et al. (2018).
    """
    R = _learned(R)
    joint = checks.numbers(joint, "joint", "T")
    checks.same_length("joint", len(joint), "R's diagonal", len(R))
    return joint - np.diag(R)


def cumulative_accuracy(scores: np.ndarray, target: np.ndarray, seen: np.ndarray) -> float:
    """1/N sum_n [argmax_{c seen} scores[n, c] = y_n], one entry of a matrix; scores [N, C], target y [N], seen [C].

    The examples are those of tasks 1..k, and only the concepts seen up to k may be answered. With entry R[t, k] after
    task t, `forgetting(R)` is cumulative forgetting, which tasks of rising difficulty do not inflate.
    Source: Soutif-Cormerais et al. (2021).
    """
    scores, target = checks.numbers(scores, "scores", "N C"), checks.integers(target, "target", "N")
    seen = checks.numbers(seen, "seen", "C").astype(bool)
    checks.same_length("target", len(target), "scores", len(scores))
    checks.same_length("seen", len(seen), "scores' axis of concepts", scores.shape[1])
    if target.max() >= len(seen) or not seen[target].all():
        raise ValueError("target holds concepts that are not seen; keep only the examples of the tasks lived so far")
    return float((np.where(seen, scores, -np.inf).argmax(1) == target).mean())
