"""Rows of our own and anchors of others, and the CSV files that hold them."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from dellm_jax.errors import DellmError
from dellm_jax.persistence.files import write_atomically

RESULTS = Path(__file__).parents[1] / "results"
ANCHORS = RESULTS / "anchors.csv"
FAILED = "failed"
TAGS = {
    "O": "read in the authors' own repository",
    "P": "read in the paper",
    "S": "quoted by a third party",
    "F": "read off a figure, to about half a point",
    "M": "measured for this project",
}


class TableError(DellmError):
    """Results from which no table can be made."""


@dataclass(frozen=True)
class Row:
    """One metric of one method on one stream, over its seeds: SD with n - 1, SEM = SD / sqrt(n).

    A method of which seeds failed has a row whose metric is "failed": `mean` counts them, `n` those that did not.
    """

    stream: str
    method: str
    metric: str
    mean: float | None
    sd: float | None
    sem: float | None
    n: int
    episodic_bytes: float | None = None
    state_bytes: float | None = None
    updates_awake: float | None = None
    updates_rest: float | None = None
    seconds: float | None = None
    commit: str = ""
    date: str = ""


@dataclass(frozen=True)
class Anchor:
    """Someone else's number, in percent; SD, SEM and n as far as they are known. `tag` is a key of TAGS."""

    stream: str
    method: str
    metric: str
    mean: float
    sd: float | None
    sem: float | None
    n: int | None
    memory: str
    protocol: str
    source: str
    tag: str


Record = TypeVar("Record", Row, Anchor)


def write_csv(path: Path, records: Iterable[Row] | Iterable[Anchor], kind: type[Row] | type[Anchor] = Row) -> None:
    """Whole or not at all; by stream, method and metric, numbers rounded to 4 decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(kind)])
    writer.writerows([_written(value) for value in astuple(record)] for record in sorted(records, key=order))
    write_atomically(Path(path), text.getvalue().encode())


def read_csv(path: Path, kind: type[Record] = Row) -> list[Record]:
    """What `write_csv` wrote. Raises TableError, naming the line."""
    columns = fields(kind)
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            heading, *lines = csv.reader(file, strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise TableError(f"{path} cannot be read as CSV ({type(error).__name__}); write it anew") from error
    if heading != [column.name for column in columns]:
        raise TableError(f"{path} has columns {heading}; expected {[column.name for column in columns]}")
    out = []
    for number, line in enumerate(lines, 2):
        try:
            read = [READERS[column.type](cell) for column, cell in zip(columns, line, strict=True)]
        except ValueError as error:
            raise TableError(f"{path}, record {number}: {error}; expected one {kind.__name__} a line") from None
        out.append(kind(*read))
    return out


def read_anchors(path: Path = ANCHORS) -> list[Anchor]:
    """The published numbers that this repository prints beside its own."""
    return read_csv(path, Anchor)


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: read(cell) if cell else None


READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    int | None: _or_none(int),
    float | None: _or_none(float),
}


def _written(value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return plain(value, 4)


def plain(value: float, decimals: int) -> str:
    """Rounded, without trailing zeros and without a negative zero."""
    text = f"{round(value, decimals) + 0.0:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def order(record: Row | Anchor) -> tuple[str, str, str]:
    return record.stream, record.method, record.metric
