"""What a net shows of its ability to learn on: activity of one layer [N, U], N probe inputs (2 000, say) and U units.

Give the living units only: one that is switched off within the capacity is silent as well, and would count as dead.
"""

from collections.abc import Sequence

import numpy as np

from dellm_jax.metrics import checks


def dead_units(activity: np.ndarray) -> float:
    """1/U sum_i [h_ni = 0 for every probe n], the share of units that never fire; activity h [N, U].

    Source: Dohare et al. (2024).
    """
    return float((checks.numbers(activity, "activity", "N U") == 0).all(0).mean())


def dormant_ratio(activity: np.ndarray, tau: float = 0.1) -> float:
    """1/U sum_i [s_i <= tau], s_i = E_n|h_ni| / (1/U sum_k E_n|h_nk|); activity h [N, U]; 1 if no unit fires.

    Source: Sokar et al. (2023).
    """
    strength = np.abs(checks.numbers(activity, "activity", "N U")).mean(0)
    checks.at_least(tau, "tau", 0.0)
    return float((strength <= tau * strength.mean()).mean())


def effective_rank(activity: np.ndarray) -> float:
    """exp(-sum_k p_k ln p_k), p_k = sigma_k / sum_l sigma_l, sigma the singular values; activity [N, U]; 0 if all is 0.

    Source: Roy & Vetterli (2007).
    """
    sigma = _singular_values(activity)
    if not sigma.any():
        return 0.0
    share = sigma / sigma.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def stable_rank(activity: np.ndarray) -> float:
    """|h|_F^2 / |h|_2^2 = sum_k sigma_k^2 / max_k sigma_k^2; activity h [N, U]; 0 if all is 0.

    What Dohare et al. (2024) call stable rank is `approximate_rank(activity, power=1)`.
    Source: Rudelson & Vershynin (2007).
    """
    sigma = _singular_values(activity)
    return float(((sigma / sigma[0]) ** 2).sum()) if sigma.any() else 0.0


def approximate_rank(activity: np.ndarray, share: float = 0.99, power: int = 2) -> int:
    """The least r with sum_{k<=r} sigma_k^power >= share sum_k sigma_k^power; activity [N, U]; 0 if all is 0.

    Source: Yang et al. (2020) for power 2; Dohare et al. (2024) for power 1.
    """
    checks.within(share, "share", 0.0, 1.0)
    checks.count_at_least(power, "power", 1)
    sigma = _singular_values(activity)
    if not sigma.any():
        return 0
    held = np.cumsum((sigma / sigma[0]) ** power)
    return int((held < share * held[-1]).sum()) + 1


def mean_absolute_weight(weights: Sequence[np.ndarray]) -> float:
    """sum |w| / number of w, over all arrays together; weights, arrays of any shapes.

    Source: Dohare et al. (2024).
    """
    flat = [checks.numbers(np.ravel(array), f"weights[{index}]", "W") for index, array in enumerate(weights)]
    if not flat:
        raise ValueError("weights is empty; give at least one array")
    return float(np.abs(np.concatenate(flat)).mean())


def _singular_values(activity) -> np.ndarray:
    """Falling."""
    return np.linalg.svd(checks.numbers(activity, "activity", "N U"), compute_uv=False)
