"""The files of a suite's tables. No row takes the place of one that had more seeds."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dellm_jax.persistence.files import write_atomically
from experiments.tables.draw import figure
from experiments.tables.records import FAILED, Row, TableError, order, read_anchors, read_csv, write_csv
from experiments.tables.text import latex, markdown

KINDS = ("csv", "md", "tex", "png")


def write(
    folder: Path,
    name: str,
    rows: Sequence[Row],
    metric: str = "accuracy",
    machine: str = "",
    more: str = "",
    owned: Callable[[Row], bool] = lambda row: True,
) -> tuple[Path, list[str]]:
    """Write CSV, Markdown (with `more` below), LaTeX and, of rows that have the metric, PNG.

    Returns the path without its ending, and what the CSV that is there has more of among rows that are `owned`. If it
    has more it stays, and so does all beside it: the name is then <name>.partial. Otherwise the partial ones go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lacking = fewer(rows, folder / f"{name}.csv", owned)
    stem = f"{name}.partial" if lacking else name
    csv, text, tex, image = (folder / f"{stem}.{kind}" for kind in KINDS)
    anchors = read_anchors()
    write_csv(csv, rows)
    write_atomically(text, (markdown(rows, anchors, metric, machine) + more).encode())
    write_atomically(tex, latex(rows, anchors, metric, machine).encode())
    if any(row.metric == metric for row in rows):
        figure(rows, anchors, image, metric)
    if not lacking:
        for kind in KINDS:
            (folder / f"{name}.partial.{kind}").unlink(missing_ok=True)
    return folder / stem, lacking


def joined(rows: Sequence[Row], path: Path, owned: Callable[[Row], bool] = lambda row: True) -> list[Row]:
    """The rows; of a method on a stream of which the CSV at `path` has more seeds, those that are there, which are
    `owned`. All moments of a method ("method, moment") stay together: they are of the same lives."""
    try:
        fuller = {(stream, _of(method)) for stream, method in _more(rows, path, owned)}
    except TableError:
        return list(rows)
    kept = [row for row in read_csv(path) if owned(row) and (row.stream, _of(row.method)) in fuller] if fuller else []
    return sorted([row for row in rows if (row.stream, _of(row.method)) not in fuller] + kept, key=order)


def _of(method: str) -> str:
    return method.split(", ")[0]


def fewer(rows: Sequence[Row], path: Path, owned: Callable[[Row], bool] = lambda row: True) -> list[str]:
    """Every stream and method of which the `owned` rows of the CSV at `path` have more seeds, lived or in all."""
    try:
        return [f"{stream}, {method}: {what}" for (stream, method), what in _more(rows, path, owned).items()]
    except TableError as error:
        return [str(error)]


def _more(rows: Sequence[Row], path: Path, owned: Callable[[Row], bool]) -> dict[tuple[str, str], str]:
    """{(stream, method): of how many seeds there are only so many}."""
    before = _seeds([row for row in read_csv(path) if owned(row)]) if path.exists() else {}
    now = _seeds(rows)
    lacking = {}
    for (stream, method), (lived, tried) in sorted(before.items()):
        here, tried_here = now.get((stream, method), (0, 0))
        if here < lived:
            lacking[stream, method] = f"{here} of {lived} seeds"
        elif tried_here < tried:
            lacking[stream, method] = f"{tried_here} of {tried} seeds, failures among them"
    return lacking


def _seeds(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int, int]]:
    """How many seeds of every stream and method lived, and how many there were with those that failed."""
    out: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        lived, tried = out.get((row.stream, row.method), (0, 0))
        failed = round(row.mean or 0) if row.metric == FAILED else 0
        out[row.stream, row.method] = max(lived, row.n), max(tried, row.n + failed)
    return out
