"""Reload a run's newest snapshot in this process and examine it again.

python -m experiments.evaluate run=outputs/2026-01-31/12-00-00
"""

import json
from functools import partial
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from dellm_jax.mind import create
from dellm_jax.persistence import load_newest
from experiments import build
from experiments.command import configuration, guarded, run_argument
from experiments.examine import KNOWING, examine


def evaluate(folder: Path, console: Console) -> float:
    """Print the accuracy of the newest snapshot that verifies, by sense and by way of knowing; returns the whole's."""
    config = configuration(folder)
    mind = build.mind(config)
    newborn = partial(create, mind, key=jax.random.key(config.seed))
    life, path, skipped = load_newest(folder / "lives" / "dellm" / "snapshots", newborn)
    for reason in skipped:
        console.print(reason, markup=False, highlight=False, soft_wrap=True)
    answers = examine(mind, life, build.curriculum(config))
    console.print(f"{path.name}, {int(life.clock.nights)} nights old", highlight=False)
    table = Table()
    queries = list(answers.right["whole"])
    for heading in ("accuracy", *queries):
        table.add_column(heading)
    for way in KNOWING if life.memory.semantic else KNOWING[:2]:
        table.add_row(way, *[f"{answers.accuracy(way, query):.2%}" for query in queries])
    console.print(table)
    told = (
        json.loads((folder / "summary.json").read_text())["final_accuracy"]
        if (folder / "summary.json").exists()
        else None
    )
    accuracy = answers.accuracy()
    console.print(f"final accuracy {accuracy:.6f}" + (f", the run said {told:.6f}" if told is not None else ""))
    return accuracy


def main() -> None:
    """`run=<folder>`."""
    evaluate(run_argument(), Console())


if __name__ == "__main__":
    guarded(main)
