"""What the body of a run became, night by night: its assemblies, their sizes, and what they are for.

python -m experiments.structure run=outputs/2026-01-31/12-00-00

Prints a row a night and writes structure.png into the run folder. Needs nights that tell of it: rest=told, or
rest=evolving, in which assemblies are also recruited and merged.
"""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dellm_jax.errors import SnapshotError
from experiments.command import guarded, run_argument

COUNTS = {
    "born": "grow/births",
    "died": "prune/deaths",
    "recruited": "specialise/recruits",
    "merged": "specialise/merges",
    "folded": "specialise/folded",
}


def nights(folder: Path, life: str = "dellm") -> list[dict[str, Any]]:
    """The events of every night that told what the body is made of, in order. SnapshotError if none did.

    `evening` and `morning` are the accuracy before and after it: of what was lived so far, where days are examined one
    by one, else of everything.
    """
    path = folder / "metrics.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    told = [e for e in events if (e["life"], e["phase"]) == (life, "rest") and "structure/assemblies" in e]
    if not told:
        raise SnapshotError(f"{path} tells of no night with the stage structure; live one with rest=told or =evolving")
    known = {e["step"]: _known(e) for e in events if (e["life"], e["phase"]) == (life, "awake")}
    return [e | {"evening": known.get(e["step"]), "morning": _known(e)} for e in told]


def _known(event: dict[str, Any]) -> float | None:
    return event.get("test/seen", event.get("test/accuracy"))


def gains(told: list[dict[str, Any]]) -> list[float]:
    """By how much every night that was examined before and after changed the accuracy, in points."""
    return [100 * (e["morning"] - e["evening"]) for e in told if None not in (e["morning"], e["evening"])]


def assemblies(told: list[dict[str, Any]]) -> list[str]:
    """Every assembly there ever was, in the order in which they came."""
    return list(dict.fromkeys(name for event in told for name in _of(event, "structure/units_")))


def _of(event: dict[str, Any], prefix: str) -> dict[str, float]:
    """What an event says under names that begin alike, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in event.items() if name.startswith(prefix)}


def table(told: list[dict[str, Any]]) -> Table:
    """What came and went in every night, and a row for each assembly that was there in the morning.

    "heard": how strong its connection is beside the others of each reader, 1 where that hears all alike.
    """
    out = Table(title="What the body is made of")
    for heading in ("night", "happened", "assembly", "age", "units", "weights", "rank", "heard"):
        words = heading in ("happened", "assembly")
        out.add_column(heading, justify="left" if words else "right", no_wrap=heading == "assembly")
    for number, event in enumerate(told, 1):
        first = (str(number), "\n".join(happened(event)))
        for name in _of(event, "structure/units_"):
            rank = event.get(f"grow/effective_rank_{name}")
            out.add_row(
                *first,
                name,
                *(f"{event[f'structure/{what}_{name}']:.0f}" for what in ("age", "units", "parameters")),
                "" if rank is None else f"{rank:.0f}",
                "\n".join(f"{strength:.2f}" for strength in heard(event, name)),
            )
            first = ("", "")
        out.add_section()
    return out


def happened(event: dict[str, Any]) -> list[str]:
    """What came, what went, and what the assemblies of a group tell of the concepts."""
    counts = [f"{event[name]:.0f} {what}" for what, name in COUNTS.items() if event.get(name)]
    return counts + [f"{group}: {bits:.2f} bits" for group, bits in _of(event, "specialise/bits_").items()]


def heard(event: dict[str, Any], name: str) -> list[float]:
    """How strongly an assembly is heard by each that hears others too."""
    strengths = _of(event, "structure/strength_").items()
    return [strength for ends, strength in strengths if ends.split("_from_", 1)[1] == name]


def figure(told: list[dict[str, Any]], path: Path) -> Path:
    """Living units of every assembly, stacked, and all parameters; accuracy before and after every night; and how much
    assemblies say of concepts; over the awake steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    groups = list(dict.fromkeys(group for event in told for group in _of(event, "specialise/bits_")))
    rows = 2 + bool(groups)
    fig, (size, known, *use) = plt.subplots(
        rows, 1, figsize=(8, 2 + 2 * rows), sharex=True, height_ratios=(3, 2, 2)[:rows], constrained_layout=True
    )
    steps = [event["step"] for event in told]
    names = assemblies(told)
    size.stackplot(
        steps, [[e.get(f"structure/units_{n}", 0.0) for e in told] for n in names], labels=names, step="post"
    )
    size.set(ylabel="living units", title="assemblies, by awake steps")
    for event in told:
        for what, colour in (("recruited", "tab:green"), ("merged", "tab:red")):
            if event.get(COUNTS[what]):
                size.axvline(event["step"], color=colour, ls="--", lw=1)
    size.legend(loc="upper left", fontsize=8)
    weights = size.twinx()
    total = [sum(_of(event, "structure/parameters_").values()) / 1000 for event in told]
    weights.step(steps, total, where="post", color="black", ls=":")
    weights.set(ylabel="thousand parameters (dotted)", ylim=(0, None))
    for when, colour in (("evening", "tab:orange"), ("morning", "tab:blue")):
        line = [(e["step"], 100 * e[when]) for e in told if e[when] is not None]
        known.plot(*(zip(*line, strict=True) if line else ([], [])), color=colour, marker=".", label=when)
    known.set(ylabel="accuracy (%)")
    known.legend(fontsize=8)
    for group in groups:
        line = [(e["step"], e[f"specialise/bits_{group}"]) for e in told if f"specialise/bits_{group}" in e]
        use[0].plot(*zip(*line, strict=True), marker="o", label=group)
        use[0].set(ylabel="I(assembly; concept), bits")
        use[0].legend(fontsize=8)
    fig.axes[rows - 1].set(xlabel="awake steps")
    fig.savefig(path, dpi=80)
    plt.close(fig)
    return path


def show(folder: Path, console: Console) -> Path:
    """Print the table and draw the figure; returns the figure's file."""
    told = nights(folder)
    console.print(table(told))
    changed = gains(told)
    if changed:
        mean, least = sum(changed) / len(changed), min(changed)
        console.print(
            f"from evening to morning: {mean:+.2f} points in the mean of {len(changed)} nights, {least:+.2f} at worst"
        )
    path = figure(told, folder / "structure.png")
    console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return path


def main() -> None:
    """`run=<folder>`."""
    show(run_argument(), Console())


if __name__ == "__main__":
    guarded(main)
