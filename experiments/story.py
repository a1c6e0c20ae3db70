"""What is told of a life while it is lived: a line for every day and every night."""

from collections.abc import Sequence
from typing import Any

from dellm_jax.types import Report


def day(name: str, number: int, timeline: Sequence[dict[str, Any]]) -> str:
    """A day that was lived."""
    return f"{name:>11}  day {number}    lived   {now(timeline)}"


def night(name: str, number: int, timeline: Sequence[dict[str, Any]], report: Report) -> str:
    """A night: what every stage did, and what the guard says."""
    parts = []
    if "prune/deaths" in report:
        parts.append(f"prune -{report['prune/deaths']:.0f}")
    if "grow/births" in report:
        parts.append(f"grow +{report['grow/births']:.0f}")
    if report.get("specialise/recruits"):
        parts.append("an assembly recruited")
    if report.get("specialise/merges"):
        parts.append(f"two assemblies merged, {report['specialise/folded']:.0f} units folded")
    if "replay/kept_step" in report:
        parts.append(f"replay kept {report['replay/kept_step']:.0f} of {report['replay/updates']:.0f} steps")
    if "dream/coherence" in report:
        parts.append(f"dreamt, {report['dream/coherence']:.0%} coherent")
    if "held_out_before" in report:
        parts.append(f"held-out {report['held_out_before']:.1%} -> {report['held_out_after']:.1%}")
    for what in report:
        stage, _, how = what.partition("/")
        if how in ("undone", "interrupted"):
            parts.append(f"{stage} {how}")
    return f"{name:>11}  night {number}  rested  {now(timeline)}  ({', '.join(parts)})"


def now(timeline: Sequence[dict[str, Any]]) -> str:
    """How a life stands after the last examination."""
    if not timeline:
        return "newborn"
    return f"accuracy {timeline[-1]['accuracy']:6.1%}  units {timeline[-1]['units']:.0f}"
