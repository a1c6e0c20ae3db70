"""The figure of a table."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dellm_jax.persistence.files import write_atomically
from experiments.tables.lines import best_first, number, percent, title
from experiments.tables.records import Anchor, Row, TableError


def figure(rows: Sequence[Row], anchors: Sequence[Anchor], path: Path, metric: str = "accuracy") -> Path:
    """One PNG, a panel per stream: our means as bars with SD whiskers, below them the anchors as hollow marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = []
    for stream in dict.fromkeys(row.stream for row in rows):
        ours = best_first([row for row in rows if (row.stream, row.metric) == (stream, metric)], metric)
        theirs = best_first([a for a in anchors if (a.stream, a.metric) == (stream, metric)], metric)
        if ours:
            panels.append((stream, ours, theirs, list(dict.fromkeys(anchor.method for anchor in theirs))))
    if not panels:
        raise TableError(f"no row has the metric {metric!r}; known are {sorted({row.metric for row in rows})}")
    heights = [len(ours) + len(names) + 3 for _, ours, _, names in panels]
    fig, axes = plt.subplots(
        len(panels), 1, figsize=(9, 0.22 * sum(heights)), height_ratios=heights, squeeze=False, constrained_layout=True
    )
    for axis, (stream, ours, theirs, names) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, ours, theirs, names, metric)
        axis.set_title(f"{stream}: {title(metric)}")
    image = io.BytesIO()
    fig.savefig(image, dpi=120, format="png")
    plt.close(fig)
    write_atomically(Path(path), image.getvalue())
    return Path(path)


def _panel(axis: Any, ours: list[Row], theirs: list[Anchor], names: list[str], metric: str) -> None:
    """A line for each of our methods; below a rule one for each anchored method, with a mark a number."""
    scale = 100 if percent(metric) else 1
    means, spreads = (np.array([_nan(getattr(row, of)) * scale for row in ours]) for of in ("mean", "sd"))
    axis.barh(range(len(ours)), means, xerr=spreads, color="tab:blue", alpha=0.8, capsize=2, height=0.7)
    ends = np.nan_to_num(np.fmax(means, means + spreads))
    for line, (row, end) in enumerate(zip(ours, ends, strict=True)):
        text = f"{number(row.mean, metric)} (n = {row.n})"
        axis.annotate(text, (max(end, 0.0), line), (4, 0), textcoords="offset points", va="center", fontsize=7)
    marks = [anchor.mean for anchor in theirs]
    lines = [len(ours) + names.index(anchor.method) for anchor in theirs]
    whiskers = [_nan(anchor.sd) for anchor in theirs]
    axis.errorbar(marks, lines, xerr=whiskers, fmt="o", mfc="none", color="tab:orange", ms=5, lw=1)
    tags = {name: ", ".join(sorted({anchor.tag for anchor in theirs if anchor.method == name})) for name in names}
    labels = [row.method for row in ours] + [f"{name} [{tags[name]}]" for name in names]
    axis.set_yticks(range(len(labels)), labels, fontsize=7)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    if percent(metric):
        axis.set_xlim(min(0.0, *np.nan_to_num(means), *marks), 115)
        axis.set_xticks(range(0, 101, 10))
    if theirs:
        axis.axhline(len(ours) - 0.5, color="grey", lw=0.8)
    axis.grid(axis="x", alpha=0.3)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
