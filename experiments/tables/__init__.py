"""Result tables of a benchmark: cells of seeds -> rows -> CSV, Markdown, LaTeX and a figure, beside published anchors.

What a cell is stands in `aggregate`. Accuracies in cells and rows are in [0, 1]; tables, figures and anchors are in
percent, except metrics that are no shares (`lines.percent`).
"""

from experiments.tables.aggregate import CONFIDENCE, COSTS, Cells, Paired, paired, rows
from experiments.tables.draw import figure
from experiments.tables.files import fewer, joined, write
from experiments.tables.lines import lower_is_better, percent
from experiments.tables.plane import plane
from experiments.tables.records import (
    ANCHORS,
    FAILED,
    RESULTS,
    TAGS,
    Anchor,
    Row,
    TableError,
    read_anchors,
    read_csv,
    write_csv,
)
from experiments.tables.text import ablation_markdown, escape, latex, markdown

__all__ = [
    "ANCHORS",
    "CONFIDENCE",
    "COSTS",
    "FAILED",
    "RESULTS",
    "TAGS",
    "Anchor",
    "Cells",
    "Paired",
    "Row",
    "TableError",
    "ablation_markdown",
    "escape",
    "fewer",
    "figure",
    "joined",
    "latex",
    "lower_is_better",
    "markdown",
    "paired",
    "percent",
    "plane",
    "read_anchors",
    "read_csv",
    "rows",
    "write",
    "write_csv",
]
