"""What is measured of a life, from the accuracy matrix R[i, j]: accuracy on the concepts of day j after day i."""

import numpy as np


def final_accuracy(R: np.ndarray) -> float:
    """ACC = mean_j R[T, j]. Source: Lopez-Paz & Ranzato (2017)."""
    return float(R[-1].mean())


def forgetting(R: np.ndarray) -> float:
    """F = mean_{j<T} (max_{j<=l<T} R[l, j] - R[T, j]); 0 for a life of one day. Source: Chaudhry et al. (2018)."""
    if len(R) < 2:
        return 0.0
    return float(np.mean([R[j:-1, j].max() - R[-1, j] for j in range(len(R) - 1)]))
