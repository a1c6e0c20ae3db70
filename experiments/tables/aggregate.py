"""From cells to rows, and from the cells of two methods to what sets them apart.

A cell is what one seed of one method gave on one stream: {stream, method, seed, metrics: {name: value}, episodic_bytes,
state_bytes, updates_awake, updates_rest, seconds}, or {stream, method, seed, error}. Accuracies in cells and rows are
in [0, 1].
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dellm_jax.metrics import mean_sd_sem, paired_difference
from experiments.tables.records import FAILED, Row, TableError, order

CONFIDENCE = 0.95
COSTS = ("episodic_bytes", "state_bytes", "updates_awake", "updates_rest", "seconds")
Cells = Iterable[Mapping[str, Any]]


class Paired(NamedTuple):
    """Mean over the seeds that both methods have of (method - against), and its 95 % t interval (nan below two)."""

    difference: float
    low: float
    high: float
    n: int


def rows(cells: Cells) -> list[Row]:
    """A row for every stream, method and metric, sorted; a metric that a seed lacks or has as None does not count.

    A row is of the commits and the last date at which its cells were lived, as far as they say.
    """
    out = []
    for (stream, method), seeds in sorted(grouped(cells).items()):
        lived = [cell for cell in seeds.values() if cell.get("error") is None]
        commit = "+".join(sorted({cell.get("commit", "") for cell in seeds.values()} - {""}))
        date = max(cell.get("date", "") for cell in seeds.values())
        costs = [_mean([cell[cost] for cell in lived if cell.get(cost) is not None]) for cost in COSTS]
        if len(lived) < len(seeds):
            lost = len(seeds) - len(lived)
            out.append(Row(stream, method, FAILED, lost, None, None, len(lived), commit=commit, date=date))
        for metric in sorted({name for cell in lived for name in cell["metrics"]}):
            values = list(_values(seeds, metric).values())
            if values:
                out.append(Row(stream, method, metric, *_summary(values), *costs, commit, date))
    return sorted(out, key=order)


def paired(cells: Cells, method: str, against: str, metric: str = "accuracy") -> Paired:
    """Compare two methods of one stream, seed by seed, in the unit of the cells."""
    groups = {key: seeds for key, seeds in grouped(cells).items() if key[1] in (method, against)}
    streams = sorted({stream for stream, _ in groups})
    if len(streams) > 1:
        raise TableError(f"cells of {method!r} and {against!r} are of streams {streams}; expected one, pair each alone")
    for name in (method, against):
        if not any(name == key[1] for key in groups):
            raise TableError(f"no cell of method {name!r} on {streams}; run it, or compare with another")
    ours, theirs = (_values(groups[streams[0], name], metric) for name in (method, against))
    both = [seed for seed in ours if seed in theirs]
    gains = [ours[seed] - theirs[seed] for seed in both]
    if len(gains) < 2 or not all(map(math.isfinite, gains)):
        return Paired(_mean(gains) if gains else math.nan, math.nan, math.nan, len(gains))
    return Paired(*paired_difference([ours[seed] for seed in both], [theirs[seed] for seed in both], CONFIDENCE))


def grouped(cells: Cells) -> dict[tuple[str, str], dict[Any, Mapping[str, Any]]]:
    """{(stream, method): {seed: cell}}; a seed twice would pass for two."""
    out: dict[tuple[str, str], dict[Any, Mapping[str, Any]]] = {}
    for cell in cells:
        missing = [key for key in ("stream", "method", "seed") if key not in cell]
        missing += ["metrics or error"] if cell.get("error") is None and "metrics" not in cell else []
        if missing:
            raise TableError(f"a cell has {sorted(cell)}; it lacks {', '.join(missing)}")
        seeds = out.setdefault((cell["stream"], cell["method"]), {})
        if cell["seed"] in seeds:
            raise TableError(f"{cell['stream']}, {cell['method']}: two cells of seed {cell['seed']}; expected one")
        seeds[cell["seed"]] = cell
    return out


def _values(seeds: Mapping[Any, Mapping[str, Any]], metric: str) -> dict[Any, float]:
    """The metric of every seed that lived and has it."""
    return {
        seed: float(cell["metrics"][metric])
        for seed, cell in seeds.items()
        if cell.get("error") is None and cell["metrics"].get(metric) is not None
    }


def _summary(values: Sequence[float]) -> tuple[float, float | None, float | None, int]:
    """Mean, SD, SEM and n. One seed has no spread; what is not finite makes numbers that say so."""
    if all(map(math.isfinite, values)):
        mean, sd, sem, n = mean_sd_sem(values)
    else:
        mean, sd, sem, n = _mean(values), math.nan, math.nan, len(values)
    return (mean, sd, sem, n) if n > 1 else (mean, None, None, n)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
