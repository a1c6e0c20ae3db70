"""Result tables of a benchmark: cells of seeds -> rows -> CSV, Markdown, LaTeX and a figure, beside published anchors.

A cell is what one seed of one method gave on one stream: {stream, method, seed, metrics: {name: value}, episodic_bytes,
state_bytes, updates_awake, updates_rest, seconds}, or {stream, method, seed, error}. Accuracies in cells and rows are
in [0, 1]; tables, figures and anchors are in percent, except metrics whose name starts with "error" or "loss".
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.stats import t as student

from dellm_jax.errors import DellmError
from dellm_jax.persistence.files import write_atomically

RESULTS = Path(__file__).parent / "results"
ANCHORS = RESULTS / "anchors.csv"
COSTS = ("episodic_bytes", "state_bytes", "updates_awake", "updates_rest", "seconds")
FAILED = "failed"
TAGS = {
    "O": "read in the authors' own repository",
    "P": "read in the paper",
    "S": "quoted by a third party",
    "F": "read off a figure, to about half a point",
    "M": "measured for this project",
}
CONFIDENCE = 0.95
Cells = Iterable[Mapping[str, Any]]


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


class Paired(NamedTuple):
    """Mean over the seeds that both methods have of (method - against), and its 95 % t interval (nan below two)."""

    difference: float
    low: float
    high: float
    n: int


Record = TypeVar("Record", Row, Anchor)


# Aggregation


def rows(cells: Cells, commit: str = "", date: str = "") -> list[Row]:
    """A row for every stream, method and metric, sorted; a metric that a seed lacks or has as None does not count."""
    out = []
    for (stream, method), seeds in sorted(_grouped(cells).items()):
        lived = [cell for cell in seeds.values() if cell.get("error") is None]
        costs = [_mean([cell[cost] for cell in lived if cell.get(cost) is not None]) for cost in COSTS]
        if len(lived) < len(seeds):
            lost = len(seeds) - len(lived)
            out.append(Row(stream, method, FAILED, lost, None, None, len(lived), commit=commit, date=date))
        for metric in sorted({name for cell in lived for name in cell["metrics"]}):
            values = list(_values(seeds, metric).values())
            if values:
                sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
                sem = None if sd is None else sd / math.sqrt(len(values))
                out.append(Row(stream, method, metric, _mean(values), sd, sem, len(values), *costs, commit, date))
    return sorted(out, key=_order)


def paired(cells: Cells, method: str, against: str, metric: str = "accuracy") -> Paired:
    """Compare two methods of one stream, seed by seed, in the unit of the cells."""
    groups = {key: seeds for key, seeds in _grouped(cells).items() if key[1] in (method, against)}
    streams = sorted({stream for stream, _ in groups})
    if len(streams) > 1:
        raise TableError(f"cells of {method!r} and {against!r} are of streams {streams}; expected one, pair each alone")
    for name in (method, against):
        if not any(name == key[1] for key in groups):
            raise TableError(f"no cell of method {name!r} on {streams}; run it, or compare with another")
    ours, theirs = (_values(groups[streams[0], name], metric) for name in (method, against))
    gains = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    n = len(gains)
    if n < 2:
        return Paired(gains[0] if gains else math.nan, math.nan, math.nan, n)
    half = float(student.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(gains, ddof=1) / math.sqrt(n))
    mean = float(np.mean(gains))
    return Paired(mean, mean - half, mean + half, n)


def _grouped(cells: Cells) -> dict[tuple[str, str], dict[Any, Mapping[str, Any]]]:
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


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


# CSV


def write_csv(path: Path, records: Iterable[Row] | Iterable[Anchor], kind: type[Row] | type[Anchor] = Row) -> None:
    """Whole or not at all; by stream, method and metric, numbers rounded to 4 decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(kind)])
    writer.writerows([_written(value) for value in astuple(record)] for record in sorted(records, key=_order))
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
    return _plain(value, 4)


def _plain(value: float, decimals: int) -> str:
    """Rounded, without trailing zeros and without a negative zero."""
    text = f"{round(value, decimals) + 0.0:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _order(record: Row | Anchor) -> tuple[str, str, str]:
    return record.stream, record.method, record.metric


# What is printed


def percent(metric: str) -> bool:
    """Whether a metric is a share, to be printed in percent."""
    return not metric.startswith(("error", "loss"))


def lower_is_better(metric: str) -> bool:
    """Whether the best is the least."""
    return metric.startswith(("error", "loss", "forgetting"))


class _Table(NamedTuple):
    """What the tables of one stream print: lines of text, the bold ones marked."""

    stream: str
    ours: list[tuple[bool, list[str]]]
    anchors: list[list[str]]


HEADINGS = ("method", "mean ± SD", "SEM", "n", "episodic kB", "state kB", "updates awake / asleep")
ANCHOR_HEADINGS = ("anchor", "mean ± SD", "SEM", "n", "memory", "tag", "protocol", "source")


def _tables(rows: Sequence[Row], anchors: Sequence[Anchor], metric: str) -> list[_Table]:
    out = []
    for stream in dict.fromkeys(row.stream for row in rows):
        ours = _best_first([row for row in rows if row.stream == stream and row.metric == metric], metric)
        failed = {row.method: row for row in rows if row.stream == stream and row.metric == FAILED}
        theirs = _best_first([a for a in anchors if a.stream == stream and a.metric == metric], metric)
        printed = [_number(row.mean, metric) for row in ours]
        lines = [
            (text == printed[0] and text != "nan", _line(row, failed.get(row.method), metric))
            for row, text in zip(ours, printed, strict=True)
        ]
        lived = {row.method for row in ours}
        lines += [
            (False, [f"{name} ({_lost(row)})", "failed", "-", str(row.n), "-", "-", "-"])
            for name, row in failed.items()
            if name not in lived
        ]
        if lines:
            out.append(_Table(stream, lines, [_anchor_line(anchor) for anchor in theirs]))
    return out


def _best_first(records: list[Record], metric: str) -> list[Record]:
    """By mean, what is not a number last."""
    sign = 1 if lower_is_better(metric) else -1
    return sorted(records, key=lambda r: (r.mean is None or math.isnan(r.mean), sign * (r.mean or 0.0)))


def _line(row: Row, failed: Row | None, metric: str) -> list[str]:
    return [
        row.method if failed is None else f"{row.method} ({_lost(failed)})",
        _spread(_number(row.mean, metric), _number(row.sd, metric)),
        _number(row.sem, metric),
        str(row.n),
        *("-" if size is None else f"{size / 1000:,.1f}" for size in (row.episodic_bytes, row.state_bytes)),
        " / ".join("-" if count is None else f"{count:,.0f}" for count in (row.updates_awake, row.updates_rest)),
    ]


def _anchor_line(anchor: Anchor) -> list[str]:
    mean, sd, sem = ("-" if x is None else _plain(x, 2) for x in (anchor.mean, anchor.sd, anchor.sem))
    n = "-" if anchor.n is None else str(anchor.n)
    text = (anchor.memory or "-", anchor.tag, anchor.protocol, anchor.source)
    return [anchor.method, _spread(mean, sd), sem, n, *text]


def _number(value: float | None, metric: str) -> str:
    """Two decimals of a percentage, four of anything else."""
    if value is None:
        return "-"
    return f"{round(100 * value, 2) + 0.0:.2f}" if percent(metric) else f"{round(value, 4) + 0.0:.4f}"


def _spread(mean: str, sd: str) -> str:
    return mean if sd == "-" else f"{mean} ± {sd}"


def _lost(failed: Row) -> str:
    return f"{failed.mean:.0f} of {failed.mean + failed.n:.0f} seeds failed"


def _title(metric: str) -> str:
    return f"{metric.replace('_', ' ')} (percent)" if percent(metric) else metric.replace("_", " ")


def _legend(anchors: Iterable[list[str]]) -> str:
    used = {line[ANCHOR_HEADINGS.index("tag")] for line in anchors}
    return "; ".join(f"{tag}: {meaning}" for tag, meaning in TAGS.items() if tag in used)


# Markdown


def markdown(rows: Sequence[Row], anchors: Sequence[Anchor], metric: str = "accuracy") -> str:
    """A table per stream, best first, our best in bold; below a rule the anchors, each under its own protocol."""
    parts = []
    for table in _tables(rows, anchors, metric):
        lines = [
            [f"**{cell}**" if bold and place < 2 else cell for place, cell in enumerate(line)]
            for bold, line in _barred(table.ours)
        ]
        parts.append(f"### {table.stream}: {_title(metric)}\n\n{_pipes(HEADINGS, lines, 'lrrrrrr')}")
        if table.anchors:
            body = [[_bar(cell) for cell in line] for line in table.anchors]
            parts.append(f"---\n\n{_pipes(ANCHOR_HEADINGS, body, 'lrrrllll')}\n\nTags: {_legend(table.anchors)}.")
    return "\n\n".join(parts) + "\n" if parts else ""


def ablation_markdown(cells: Cells, against: str, metric: str = "accuracy") -> str:
    """A table per stream: each method minus `against` on the same seeds, in bold where the 95 % interval excludes 0."""
    cells = list(cells)
    groups, parts = _grouped(cells), []
    for stream in dict.fromkeys(stream for stream, _ in groups):
        here = [cell for cell in cells if cell["stream"] == stream]
        summary = {row.method: row for row in rows(here) if row.metric == metric}
        lines = []
        for method in sorted((name for place, name in groups if place == stream), key=lambda name: name != against):
            row = summary.get(method)
            result = "failed" if row is None else _spread(_number(row.mean, metric), _number(row.sd, metric))
            difference = ["-"] * 3 if method == against else _difference(paired(here, method, against, metric), metric)
            lines.append([_bar(method), result, *difference])
        headings = ("method", "mean ± SD", f"minus {_bar(against)}", "95 % interval", "paired seeds")
        parts.append(f"### {stream}: {_title(metric)}\n\n{_pipes(headings, lines, 'lrrrr')}")
    return "\n\n".join(parts) + "\n" if parts else ""


def _difference(found: Paired, metric: str) -> list[str]:
    """Signed; in points where the metric is in percent."""
    if not found.n:
        return ["-", "-", "0"]
    gain, low, high = (_signed(x, metric) for x in found[:3])
    if math.isnan(found.low):
        return [gain, "-", str(found.n)]
    return [f"**{gain}**" if found.low > 0 or found.high < 0 else gain, f"{low} to {high}", str(found.n)]


def _signed(value: float, metric: str) -> str:
    text = _number(value, metric)
    return text if text.startswith("-") or text == "nan" else f"+{text}"


def _pipes(headings: Sequence[str], lines: Iterable[Sequence[str]], align: str) -> str:
    rule = ["---:" if side == "r" else "---" for side in align]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *lines))


def _barred(lines: Iterable[tuple[bool, list[str]]]) -> list[tuple[bool, list[str]]]:
    return [(bold, [_bar(cell) for cell in line]) for bold, line in lines]


def _bar(text: str) -> str:
    """A cell may hold the sign that ends cells."""
    return text.replace("|", "\\|")


# LaTeX

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "±": r"$\pm$",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return text.translate(ESCAPES)


def latex(rows: Sequence[Row], anchors: Sequence[Anchor], metric: str = "accuracy") -> str:
    """The tables of `markdown`, each a longtable; needs the packages booktabs and longtable."""
    return "\n".join(_environment(table, metric) for table in _tables(rows, anchors, metric))


def _environment(table: _Table, metric: str) -> str:
    caption = f"{table.stream}: {_title(metric)}."
    if table.anchors:
        caption += f" Below the rule, anchors under their own protocols; {_legend(table.anchors)}."
    lines = [" & ".join(escape(heading) for heading in HEADINGS) + r" \\", r"\midrule"]
    for bold, line in table.ours:
        cells = [escape(cell) for cell in line]
        lines.append(" & ".join([rf"\textbf{{{cell}}}" for cell in cells[:2]] + cells[2:] if bold else cells) + r" \\")
    lines += [r"\midrule"] if table.anchors else []
    for method, spread, sem, n, memory, tag, protocol, source in table.anchors:
        about = f"{protocol}. {source}" if memory == "-" else f"{memory}; {protocol}. {source}"
        note = rf"\multicolumn{{3}}{{p{{0.45\textwidth}}}}{{\raggedright\footnotesize {escape(about)}}}"
        lines.append(" & ".join([f"{escape(method)} [{tag}]", escape(spread), sem, n, note]) + r" \\")
    return "\n".join(
        [
            r"\begin{longtable}{lrrrrrr}",
            rf"\caption{{{escape(caption)}}} \\",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{longtable}",
            "",
        ]
    )


# Figure


def figure(rows: Sequence[Row], anchors: Sequence[Anchor], path: Path, metric: str = "accuracy") -> Path:
    """One PNG, a panel per stream: our means as bars with SD whiskers, below them the anchors as hollow marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = []
    for stream in dict.fromkeys(row.stream for row in rows):
        ours = _best_first([row for row in rows if (row.stream, row.metric) == (stream, metric)], metric)
        theirs = _best_first([a for a in anchors if (a.stream, a.metric) == (stream, metric)], metric)
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
        axis.set_title(f"{stream}: {_title(metric)}")
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
        text = f"{_number(row.mean, metric)} (n = {row.n})"
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
