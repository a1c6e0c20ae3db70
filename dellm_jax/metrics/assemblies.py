"""What assemblies are to each other and to the concepts: who listens to what, who says the same as whom."""

import numpy as np

from dellm_jax.metrics import checks


def mutual_information(one: np.ndarray, other: np.ndarray) -> float:
    """I(A; C) = sum_ac p(a, c) log2 (p(a, c) / (p(a) p(c))), in bits; labels a and c [N], whole numbers from 0.

    Of independent labels it is about (K - 1)(L - 1) / (2 N ln 2) instead of 0, K and L the numbers of labels (Miller,
    1955). Source: Shannon (1948).
    """
    a, c = checks.integers(one, "one", "N"), checks.integers(other, "other", "N")
    checks.same_length("one", a.size, "other", c.size)
    joint = np.zeros((a.max() + 1, c.max() + 1))
    np.add.at(joint, (a, c), 1 / a.size)
    alone = np.outer(joint.sum(1), joint.sum(0))
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / alone[there])).sum())


def effective_number(counts: np.ndarray) -> float:
    """exp(-sum_k p_k ln p_k), p_k = n_k / sum n: among how many kinds counts [K] spread; 0 if there are none.

    Source: Hill (1973).
    """
    share = checks.numbers(counts, "counts", "K")
    if not share.any():
        return 0.0
    share = share[share > 0] / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def linear_cka(one: np.ndarray, other: np.ndarray) -> float:
    """|Y'X|_F^2 / (|X'X|_F |Y'Y|_F) of centred activity X [N, U] and Y [N, V]: in [0, 1]; 0 if one never changes.

    Source: Kornblith et al. (2019).
    """
    x, y = checks.numbers(one, "one", "N U"), checks.numbers(other, "other", "N V")
    checks.same_length("one", len(x), "other", len(y))
    x, y = x - x.mean(0), y - y.mean(0)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else 0.0


def twins(activity: np.ndarray, like: float) -> dict[int, tuple[int, float]]:
    """Units whose activity is almost a multiple of an earlier one's: {unit: (twin, slope)}, a_unit = slope a_twin.

    Activity [N, U]; `like`: the least cosine of two units' activity. No twin has a twin.
    Source: Srinivas and Babu (2015), who merge neurons of similar weights; here of similar activity.
    """
    checks.within(like, "like", 0.0, 1.0)
    values = checks.numbers(activity, "activity", "N U")
    products = values.T @ values
    length = np.sqrt(np.diag(products))
    cosine = np.tril(products / np.maximum(np.outer(length, length), 1e-30), -1)
    found: dict[int, tuple[int, float]] = {}
    for unit in np.flatnonzero(cosine.max(1) > like):
        alone = np.where(np.isin(np.arange(unit), list(found)), 0.0, cosine[unit, :unit])
        twin = int(alone.argmax())
        if alone[twin] > like:
            found[int(unit)] = twin, float(products[twin, unit] / products[twin, twin])
    return found
