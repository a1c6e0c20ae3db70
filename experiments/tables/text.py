"""Tables in Markdown and in LaTeX, beside published anchors."""

import math
from collections.abc import Iterable, Sequence

from experiments.tables.aggregate import Cells, Paired, grouped, paired, rows
from experiments.tables.lines import ANCHOR_HEADINGS, HEADINGS, Table, legend, number, spread, tables, title
from experiments.tables.records import Anchor, Row


def markdown(rows: Sequence[Row], anchors: Sequence[Anchor], metric: str = "accuracy", machine: str = "") -> str:
    """A table per stream, best first, our best in bold, with date, commit and machine as far as they are known.

    Below a rule the anchors, each under its own protocol.
    """
    parts = []
    for table in tables(rows, anchors, metric, machine):
        lines = [
            [f"**{cell}**" if bold and place < 2 else cell for place, cell in enumerate(line)]
            for bold, line in _barred(table.ours)
        ]
        parts.append(f"### {table.stream}: {title(metric)}\n\n{_pipes(HEADINGS, lines, 'lrrrrrr')}")
        parts += [table.made] if table.made else []
        if table.anchors:
            body = [[_bar(cell) for cell in line] for line in table.anchors]
            parts.append(f"---\n\n{_pipes(ANCHOR_HEADINGS, body, 'lrrrllll')}\n\nTags: {legend(table.anchors)}.")
    return "\n\n".join(parts) + "\n" if parts else ""


def ablation_markdown(cells: Cells, against: str, metric: str = "accuracy") -> str:
    """A table per stream: each method minus `against` on the same seeds, in bold where the 95 % interval excludes 0.

    A part of a life ("method, cortex alone") is set against the same part of the other.
    """
    cells = list(cells)
    groups, parts = grouped(cells), []
    for stream in dict.fromkeys(stream for stream, _ in groups):
        here = [cell for cell in cells if cell["stream"] == stream]
        summary = {row.method: row for row in rows(here) if row.metric == metric}
        lines = []
        methods = [name for place, name in groups if place == stream]
        parted = {name: against + name[len(name.split(", ")[0]) :] for name in methods}
        other = {name: part if part in methods else against for name, part in parted.items()}
        for method in sorted(methods, key=lambda name: (name.split(", ")[1:], name != other[name])):
            row = summary.get(method)
            result = "failed" if row is None else spread(number(row.mean, metric), number(row.sd, metric))
            itself = method == other[method]
            difference = ["-"] * 3 if itself else _difference(paired(here, method, other[method], metric), metric)
            lines.append([_bar(method), result, *difference])
        headings = ("method", "mean ± SD", f"minus {_bar(against)}", "95 % interval", "paired seeds")
        parts.append(f"### {stream}: {title(metric)}\n\n{_pipes(headings, lines, 'lrrrr')}")
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
    text = number(value, metric)
    return text if text.startswith("-") or text == "nan" else f"+{text}"


def _pipes(headings: Sequence[str], lines: Iterable[Sequence[str]], align: str) -> str:
    rule = ["---:" if side == "r" else "---" for side in align]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *lines))


def _barred(lines: Iterable[tuple[bool, list[str]]]) -> list[tuple[bool, list[str]]]:
    return [(bold, [_bar(cell) for cell in line]) for bold, line in lines]


def _bar(text: str) -> str:
    """A cell may hold the sign that ends cells."""
    return text.replace("|", "\\|")


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


def latex(rows: Sequence[Row], anchors: Sequence[Anchor], metric: str = "accuracy", machine: str = "") -> str:
    """The tables of `markdown`, each a longtable; needs the packages booktabs and longtable."""
    return "\n".join(_environment(table, metric) for table in tables(rows, anchors, metric, machine))


def _environment(table: Table, metric: str) -> str:
    caption = f"{table.stream}: {title(metric)}." + (f" {table.made}" if table.made else "")
    if table.anchors:
        caption += f" Below the rule, anchors under their own protocols; {legend(table.anchors)}."
    lines = [" & ".join(escape(heading) for heading in HEADINGS) + r" \\", r"\midrule"]
    for bold, line in table.ours:
        cells = [escape(cell) for cell in line]
        lines.append(" & ".join([rf"\textbf{{{cell}}}" for cell in cells[:2]] + cells[2:] if bold else cells) + r" \\")
    lines += [r"\midrule"] if table.anchors else []
    for method, result, sem, n, memory, tag, protocol, source in table.anchors:
        about = f"{protocol}. {source}" if memory == "-" else f"{memory}; {protocol}. {source}"
        note = rf"\multicolumn{{3}}{{p{{0.45\textwidth}}}}{{\raggedright\footnotesize {escape(about)}}}"
        lines.append(" & ".join([f"{escape(method)} [{tag}]", escape(result), sem, n, note]) + r" \\")
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
