"""What several seeds say together. A "+-" may be a standard deviation, a standard error or half an interval: say it."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from dellm_jax.metrics import checks

SPREADS = ("sd", "sem", "interval")


class Summary(NamedTuple):
    """Mean, standard deviation, standard error of the mean, and of how many."""

    mean: float
    sd: float
    sem: float
    n: int


class Interval(NamedTuple):
    """Mean, where it lies with the asked confidence, and of how many."""

    mean: float
    low: float
    high: float
    n: int


def mean_sd_sem(values: np.ndarray) -> Summary:
    """m = 1/n sum v, sd = sqrt(sum (v - m)^2 / (n-1)), sem = sd / sqrt(n); values v [n]; sd and sem are NaN for n = 1.

    Source: Student (1908).
    """
    values = checks.numbers(values, "values", "n")
    sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Summary(float(values.mean()), sd, sd / len(values) ** 0.5, len(values))


def confidence_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """m +- t_{(1+level)/2, n-1} sem; values [n], n >= 2.

    Source: Student (1908).
    """
    mean, _, sem, n = mean_sd_sem(values)
    half = _quantile(n, level, "values") * sem
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(ours: np.ndarray, theirs: np.ndarray, level: float = 0.95) -> Interval:
    """d_s = ours_s - theirs_s, mean d +- t_{(1+level)/2, n-1} sem(d); ours [n], theirs [n], the same seeds in order.

    What a seed does to both drops out, so it tells apart what two separate intervals do not.
    Source: Student (1908).
    """
    ours, theirs = checks.numbers(ours, "ours", "n"), checks.numbers(theirs, "theirs", "n")
    checks.same_length("theirs", len(theirs), "ours", len(ours))
    _quantile(len(ours), level, "ours")
    return confidence_interval(ours - theirs, level)


def convert_spread(value: float, n: int, given: str, wanted: str, level: float = 0.95) -> float:
    """sd = sqrt(n) sem, interval = t_{(1+level)/2, n-1} sem (the half width); given and wanted are one of `SPREADS`.

    Source: Student (1908).
    """
    checks.at_least(value, "value", 0.0)
    checks.count_at_least(n, "n", 2)
    for name, spread in (("given", given), ("wanted", wanted)):
        if spread not in SPREADS:
            raise ValueError(f"{name} is {spread!r}; give one of {', '.join(SPREADS)}")
    per_sem = {"sd": n**0.5, "sem": 1.0, "interval": _quantile(n, level, "n")}
    return float(value / per_sem[given] * per_sem[wanted])


def _quantile(n: int, level: float, name: str) -> float:
    """t_{(1+level)/2, n-1}."""
    checks.within(level, "level", 0.0, 1.0)
    if n < 2:
        raise ValueError(f"{name} holds one seed, whose spread is unknown; give two seeds or more")
    return float(stats.t.ppf((1 + level) / 2, n - 1))
