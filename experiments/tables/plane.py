"""Two metrics against each other: where gaining one costs the other."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dellm_jax.persistence.files import write_atomically
from experiments.tables.lines import percent, title
from experiments.tables.records import Row, TableError


def plane(rows: Sequence[Row], across: str, up: str, path: Path) -> Path:
    """One PNG, a panel per stream of several methods: a line per method through its moments ("method, moment")."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    every = {stream: _lines(rows, stream, across, up) for stream in dict.fromkeys(row.stream for row in rows)}
    streams = {stream: lines for stream, lines in every.items() if len(lines) > 1}
    if not streams:
        raise TableError(f"no stream has two methods with both {across!r} and {up!r}")
    fig, axes = plt.subplots(1, len(streams), figsize=(5.5 * len(streams), 4.5), squeeze=False, constrained_layout=True)
    for axis, (stream, lines) in zip(axes[0], streams.items(), strict=True):
        for method, moments in lines.items():
            _trace(axis, method, moments, 100 if percent(across) else 1, 100 if percent(up) else 1)
        axis.set_title(stream)
        axis.set_xlabel(title(across))
        axis.set_ylabel(title(up))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    image = io.BytesIO()
    fig.savefig(image, dpi=120, format="png")
    plt.close(fig)
    write_atomically(path, image.getvalue())
    return path


Lines = dict[str, list[tuple[str, Row, Row]]]


def _lines(rows: Sequence[Row], stream: str, across: str, up: str) -> Lines:
    """{method: (moment, row across, row up)} of a stream, in the order of the rows."""
    own = {(row.method, row.metric): row for row in rows if row.stream == stream and row.mean is not None}
    lines: Lines = {}
    for name in dict.fromkeys(method for method, _ in own):
        if (name, across) in own and (name, up) in own:
            method, _, moment = name.partition(", ")
            lines.setdefault(method, []).append((moment, own[name, across], own[name, up]))
    return lines


def _trace(axis: Any, method: str, moments: list[tuple[str, Row, Row]], wide: int, high: int) -> None:
    x, y = [across.mean * wide for _, across, _ in moments], [up.mean * high for _, _, up in moments]
    left = [(across.sd or math.nan) * wide for _, across, _ in moments]
    down = [(up.sd or math.nan) * high for _, _, up in moments]
    axis.errorbar(x, y, xerr=left, yerr=down, marker="o", ms=4, lw=1, label=method)
    at: dict[tuple[float, float], list[str]] = {}
    for (moment, _, _), here, there in zip(moments, x, y, strict=True):
        at.setdefault((round(here, 1), round(there, 1)), []).append(moment)
    for place, together in at.items():
        axis.annotate(", ".join(together), place, (4, 3), textcoords="offset points", fontsize=6)
