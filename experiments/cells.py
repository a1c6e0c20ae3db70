"""From a life that was lived to the numbers of a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dellm_jax import metrics
from experiments.lives import Lived, Plan
from experiments.tables import COSTS

Scores = Iterator[tuple[str, dict[str, float]]]  # of parts of a protocol: (what follows the method's name, numbers)
FINAL = 0.1  # share of the tasks at either end that plasticity is compared over


def cells(stream: str, method: str, seed: int, plan: Plan, lived: Lived, told: str = "") -> list[dict[str, Any]]:
    """A cell for every way of knowing (whole; of a life with nights or semantic memory also its parts alone).

    `told` names the stream under which the same exams count when the life is told the task.
    """
    ways = {"": "whole"}
    if lived.matrix["semantic"] and method.startswith("dellm"):
        ways |= {", cortex alone": "cortex", ", semantic memory alone": "semantic"}
    costs = {
        "episodic_bytes": lived.episodic_bytes,
        "state_bytes": lived.state_bytes,
        "updates_awake": lived.updates_awake,
        "updates_rest": lived.updates_rest,
        "seconds": lived.seconds,
    }
    flops = {"flops_awake": lived.flops_awake, "flops_rest": lived.flops_rest}
    common = online(lived) | lived.health | flops
    out = []
    for suffix, way in ways.items():
        kinds = [(stream, way)] + ([(told, f"{way}_told")] if told else [])
        for name, which in kinds:
            found = common | offline(plan, lived, which)
            out.append({"stream": name, "method": method + suffix, "seed": seed, "metrics": found} | costs)
    return out


def offline(plan: Plan, lived: Lived, way: str) -> dict[str, float]:
    """From the exams: ACC, and where days and exams correspond, transfer, forgetting and the history's worst."""
    R = np.array(lived.matrix[way], float)
    if not R.size:
        return {}
    found = {"accuracy": metrics.final_accuracy(R)}
    if R.shape[0] != R.shape[1] or len(R) < 2:
        return found
    found |= {
        "backward_transfer": metrics.backward_transfer(R),
        "forgetting": metrics.forgetting(R),
        "forgetting_from_best": metrics.forgetting_from_best(R),
        "forgetting_from_first": metrics.forgetting_from_first(R),
        "learning_accuracy": metrics.learning_accuracy(R),
    }
    if way == "whole" and not np.isnan(np.diag(R, 1)).any():
        found["forward_transfer"] = metrics.forward_transfer(R, np.array(lived.newborn))
    return found | anytime(lived, way)


def anytime(lived: Lived, way: str) -> dict[str, float]:
    """From every examination, those before a night too: AAA, min-ACC, WC-ACC and the depth of the stability gap."""
    if way not in ("whole", "cortex"):
        return {}
    A = np.array([moment["exams"][way] for moment in lived.timeline], float)
    day = np.array([moment["day"] for moment in lived.timeline])
    tasks = range(1, A.shape[1] + 1)
    begins = [int(np.flatnonzero(day >= task)[0]) for task in tasks]
    ends = [int(np.flatnonzero(day <= task)[-1]) for task in tasks]
    gap = metrics.stability_gap(A, ends)
    return {
        "average_anytime_accuracy": metrics.average_anytime_accuracy(A, begins),
        "min_accuracy": metrics.min_accuracy(A, ends),
        "worst_case_accuracy": metrics.worst_case_accuracy(A, ends),
        "stability_gap": float(np.nanmax(gap.depth)),
    }


def online(lived: Lived) -> dict[str, float]:
    """From the stream itself: accuracy (and loss) before learning, over all, and over the first and last tasks."""
    told = np.array(lived.prequential)
    if not told.size:
        return {}
    day, many, right, loss = told.T
    tasks = np.unique(day)
    by_task = np.array([np.average(right[day == task], weights=many[day == task]) for task in tasks])
    ends = max(1, round(FINAL * tasks.size))
    return {
        "prequential_accuracy": float(np.average(right, weights=many)),
        "prequential_first_tasks": float(by_task[:ends].mean()),
        "prequential_last_tasks": float(by_task[-ends:].mean()),
        "loss_prequential": float(np.average(loss, weights=many)),
        "loss_last_tenth": float(np.average(loss[-max(1, loss.size // 10) :])),
        "loss_first_tenth": float(np.average(loss[: max(1, loss.size // 10)])),
    }


def averaged(every: list[dict[str, Any]], averages: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Cells of streams that stand for several: the means of what a method and seed gave on all of them.

    A method and seed that lacks one of the streams, or failed on it, has no mean.
    """
    lived = {(cell["stream"], cell["method"], cell["seed"]): cell for cell in every if "error" not in cell}
    for name, streams in averages.items():
        for method, seed in dict.fromkeys((method, seed) for stream, method, seed in lived if stream in streams):
            parts = [lived[key] for stream in streams if (key := (stream, method, seed)) in lived]
            if len(parts) < len(streams):
                continue
            shared = [what for what in parts[0]["metrics"] if all(what in part["metrics"] for part in parts)]
            yield {
                "stream": name,
                "method": method,
                "seed": seed,
                "metrics": {what: float(np.mean([part["metrics"][what] for part in parts])) for what in shared},
                "commit": "+".join(sorted({part.get("commit", "") for part in parts} - {""})),
                "date": max(part.get("date", "") for part in parts),
            } | {cost: float(np.mean([part[cost] for part in parts])) for cost in COSTS}
