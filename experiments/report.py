"""The end of a run: its table, its figure, its summary."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from experiments.lives import Lived

ROWS = {
    "dellm": "DELLM with nights",
    "awake_only": "DELLM awake only",
    "naive": "naive fine-tuning",
    "joint": "offline joint training",
}


def table(lives: dict[str, Lived], queries: list[str]) -> Table:
    """Final accuracy, through all senses and each alone, forgetting, and what it cost."""
    out = Table(title="Accuracy after the last day, on examples never lived (percent)")
    for heading in (
        "life",
        "together",
        *queries,
        "forgetting",
        "updates awake",
        "at rest",
        "units",
        "parameters",
        "state kB",
    ):
        out.add_column(heading, justify="left" if heading == "life" else "right")
    for name, lived in lives.items():
        out.add_row(ROWS[name], *_cells(lived, "whole", queries), *_costs(lived))
        if name == "dellm":
            out.add_row("  its cortex alone", *_cells(lived, "cortex", queries), *[""] * 5)
            if lived.matrix["semantic"]:
                out.add_row("  streaming LDA alone", *_cells(lived, "semantic", queries), *[""] * 5)
    return out


def _cells(lived: Lived, way: str, queries: list[str]) -> list[str]:
    senses = [f"{100 * lived.accuracy[way][query]:.1f}" for query in ("together", *queries)]
    lost = lived.forgetting(way)
    return [*senses, "-" if lost is None else f"{100 * lost:.1f}"]


def _costs(lived: Lived) -> list[str]:
    return [
        str(lived.updates_awake),
        str(lived.updates_rest),
        f"{lived.timeline[0]['units']:.0f} -> {lived.timeline[-1]['units']:.0f}",
        f"{lived.timeline[0]['parameters']:.0f} -> {lived.timeline[-1]['parameters']:.0f}",
        f"{lived.state_bytes / 1000:.0f}",
    ]


def summary(lives: dict[str, Lived], seconds: float) -> dict[str, Any]:
    """What other programs read of a run; accuracies in [0, 1]."""
    main = lives["dellm"]
    baselines = {name: lives[name].accuracy["whole"]["together"] for name in lives if name != "dellm"}
    if main.matrix["semantic"]:
        baselines["semantic"] = main.accuracy["semantic"]["together"]
    return {
        "final_accuracy": main.accuracy["whole"]["together"],
        "cortex_accuracy": main.accuracy["cortex"]["together"],
        "by_sense": main.accuracy["whole"],
        "forgetting": main.forgetting(),
        "baselines": baselines,
        "awake_compilations": main.awake_compilations,
        "births": main.births,
        "deaths": main.deaths,
        "recruits": main.recruits,
        "merges": main.merges,
        "nights": main.nights,
        "rolled_back": main.rolled_back,
        "updates_awake": main.updates_awake,
        "updates_rest": main.updates_rest,
        "parameters": main.parameters,
        "state_bytes": main.state_bytes,
        "seconds": round(seconds, 1),
    }


def write_summary(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def figure(lives: dict[str, Lived], path: Path) -> Path:
    """Hypnogram with sleep pressure, accuracy on everything and network size of every life, over the awake steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    main = lives["dellm"]
    fig, (sleep, accuracy, size) = plt.subplots(
        3, 1, figsize=(9, 7), sharex=True, height_ratios=(2, 4, 3), constrained_layout=True
    )
    nights = [moment["step"] for moment in main.timeline if moment["night"]]
    steps = np.sort(np.repeat([0.0, *nights, main.timeline[-1]["step"]], 1))
    sleep.hlines(1, 0, steps[-1], color="tab:orange", lw=3)
    for night in nights:
        sleep.vlines(night, 0, 1, color="tab:blue", lw=3)
        for axis in (accuracy, size):
            axis.axvline(night, color="tab:blue", alpha=0.15)
    sleep.plot(*zip(*main.pressure, strict=True), color="tab:red", lw=1, label="sleep pressure")
    sleep.legend(loc="center left", fontsize=8)
    sleep.set(yticks=(0, 1), yticklabels=("rest", "awake"), ylim=(-0.2, 1.3), title="a life, by awake steps")
    for name, lived in lives.items():
        if name == "joint":
            accuracy.axhline(100 * lived.accuracy["whole"]["together"], color="grey", ls="--", label=ROWS[name])
            continue
        line = [(m["step"], 100 * m["accuracy"]) for m in lived.timeline]
        accuracy.plot(*zip(*line, strict=True), marker="o", ms=3, label=ROWS[name])
    accuracy.set(ylabel="accuracy on all concepts (%)", ylim=(0, 101))
    accuracy.legend(loc="lower right", fontsize=8)
    size.step(*zip(*[(m["step"], m["units"]) for m in main.timeline], strict=True), where="post", label="units")
    size.set(xlabel="awake steps", ylabel="living units")
    weights = size.twinx()
    weights.step(
        *zip(*[(m["step"], m["parameters"] / 1000) for m in main.timeline], strict=True),
        where="post",
        color="tab:green",
        ls=":",
    )
    weights.set_ylabel("thousand parameters", color="tab:green")
    fig.savefig(path, dpi=120)
    plt.close(fig)
    return path
