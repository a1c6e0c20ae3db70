"""What tables say line by line, whether they are printed in Markdown or in LaTeX: in percent, best first."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from experiments.tables.records import FAILED, TAGS, Anchor, Record, Row, plain

NO_SHARES = ("error", "loss", "flops", "effective_rank", "mean_absolute_weight", "ms_", "bytes_", "count_")


def percent(metric: str) -> bool:
    """Whether a metric is a share, to be printed in percent."""
    return not metric.startswith(NO_SHARES)


def lower_is_better(metric: str) -> bool:
    """Whether the best is the least."""
    return metric.startswith(("error", "loss", "forgetting", "ms_", "bytes_", "old_answers"))


class Table(NamedTuple):
    """What the tables of one stream print: lines of text, the bold ones marked, and when, of what and where."""

    stream: str
    made: str
    ours: list[tuple[bool, list[str]]]
    anchors: list[list[str]]


HEADINGS = ("method", "mean ± SD", "SEM", "n", "episodic kB", "state kB", "updates awake / asleep")
ANCHOR_HEADINGS = ("anchor", "mean ± SD", "SEM", "n", "memory", "tag", "protocol", "source")


def tables(rows: Sequence[Row], anchors: Sequence[Anchor], metric: str, machine: str) -> list[Table]:
    """A table for every stream that has the metric, or failures."""
    out = []
    for stream in dict.fromkeys(row.stream for row in rows):
        ours = best_first([row for row in rows if row.stream == stream and row.metric == metric], metric)
        failed = {row.method: row for row in rows if row.stream == stream and row.metric == FAILED}
        theirs = best_first([a for a in anchors if a.stream == stream and a.metric == metric], metric)
        printed = [number(row.mean, metric) for row in ours]
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
            made = _made([row for row in rows if row.stream == stream], machine)
            out.append(Table(stream, made, lines, [_anchor_line(anchor) for anchor in theirs]))
    return out


def _made(rows: Sequence[Row], machine: str) -> str:
    """As much as is known of when, at which commit and on what machine a table was made."""
    dates, commits = (", ".join(sorted({getattr(row, of) for row in rows} - {""})) for of in ("date", "commit"))
    known = ((" on ", dates), (" at commit ", commits), (" with ", machine))
    told = "".join(word + what for word, what in known if what)
    return f"Made{told}." if told else ""


def best_first(records: list[Record], metric: str) -> list[Record]:
    """By mean, what is not a number last."""
    sign = 1 if lower_is_better(metric) else -1
    return sorted(records, key=lambda r: (r.mean is None or math.isnan(r.mean), sign * (r.mean or 0.0)))


def _line(row: Row, failed: Row | None, metric: str) -> list[str]:
    return [
        row.method if failed is None else f"{row.method} ({_lost(failed)})",
        spread(number(row.mean, metric), number(row.sd, metric)),
        number(row.sem, metric),
        str(row.n),
        *("-" if size is None else f"{size / 1000:,.1f}" for size in (row.episodic_bytes, row.state_bytes)),
        " / ".join("-" if count is None else f"{count:,.0f}" for count in (row.updates_awake, row.updates_rest)),
    ]


def _anchor_line(anchor: Anchor) -> list[str]:
    mean, sd, sem = ("-" if x is None else plain(x, 2) for x in (anchor.mean, anchor.sd, anchor.sem))
    n = "-" if anchor.n is None else str(anchor.n)
    text = (anchor.memory or "-", anchor.tag, anchor.protocol, anchor.source)
    return [anchor.method, spread(mean, sd), sem, n, *text]


def number(value: float | None, metric: str) -> str:
    """Two decimals of a percentage, four of anything else."""
    if value is None:
        return "-"
    return f"{round(100 * value, 2) + 0.0:.2f}" if percent(metric) else f"{round(value, 4) + 0.0:.4f}"


def spread(mean: str, sd: str) -> str:
    return mean if sd == "-" else f"{mean} ± {sd}"


def _lost(failed: Row) -> str:
    return f"{failed.mean:.0f} of {failed.mean + failed.n:.0f} seeds failed"


def title(metric: str) -> str:
    return f"{metric.replace('_', ' ')} (percent)" if percent(metric) else metric.replace("_", " ")


def legend(anchors: Iterable[list[str]]) -> str:
    used = {line[ANCHOR_HEADINGS.index("tag")] for line in anchors}
    return "; ".join(f"{tag}: {meaning}" for tag, meaning in TAGS.items() if tag in used)
