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


def joined(
    rows: Sequence[Row], path: Path, owned: Callable[[Row], bool] = lambda row: True
) -> tuple[list[Row], list[str]]:
    """The rows; but of a method on a stream of which the CSV at `path` has more seeds that lived, the `owned` rows that
    are there, and a line that says so. All moments of a method ("method, moment") are of the same lives, and stay
    together. A CSV that cannot be read has nothing to give."""
    try:
        before = [row for row in read_csv(path) if owned(row)] if path.exists() else []
    except TableError:
        return list(rows), []
    now, then = _lives(rows), _lives(before)
    fuller = {whose: many for whose, many in then.items() if many > now.get(whose, 0)}
    every = [row for row in rows if _whose(row) not in fuller] + [row for row in before if _whose(row) in fuller]
    told = [
        f"{stream}, {method}: {now.get((stream, method), 0)} of {n} seeds" for (stream, method), n in fuller.items()
    ]
    return sorted(every, key=order), sorted(told)


def _whose(row: Row) -> tuple[str, str]:
    return row.stream, row.method.split(", ")[0]


def _lives(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    """How many seeds of a method lived on a stream, at whichever moment most did."""
    many: dict[tuple[str, str], int] = {}
    for row in rows:
        many[_whose(row)] = max(many.get(_whose(row), 0), row.n)
    return many


def fewer(rows: Sequence[Row], path: Path, owned: Callable[[Row], bool] = lambda row: True) -> list[str]:
    """Every stream and method of which the `owned` rows of the CSV at `path` have more seeds, lived or in all."""
    if not path.exists():
        return []
    try:
        before = _seeds([row for row in read_csv(path) if owned(row)])
    except TableError as error:
        return [str(error)]
    now = _seeds(rows)
    lacking = []
    for (stream, method), (lived, tried) in sorted(before.items()):
        here, tried_here = now.get((stream, method), (0, 0))
        if here < lived:
            lacking.append(f"{stream}, {method}: {here} of {lived} seeds")
        elif tried_here < tried:
            lacking.append(f"{stream}, {method}: {tried_here} of {tried} seeds, failures among them")
    return lacking


def _seeds(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[int, int]]:
    """How many seeds of every stream and method lived, and how many there were with those that failed."""
    out: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        lived, tried = out.get((row.stream, row.method), (0, 0))
        failed = round(row.mean or 0) if row.metric == FAILED else 0
        out[row.stream, row.method] = max(lived, row.n), max(tried, row.n + failed)
    return out
