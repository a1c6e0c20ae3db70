"""Living one life from its first day to its last, examined after every day, checkpointed after every night."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import numpy as np

from dellm_jax import metrics, trees
from dellm_jax.architecture import Architecture
from dellm_jax.experience import validate
from dellm_jax.life import live
from dellm_jax.mind import awake_step, create
from dellm_jax.persistence import Checkpoints, save_generation
from dellm_jax.persistence.files import write_atomically
from dellm_jax.streams import Curriculum, days
from dellm_jax.surgery import living
from dellm_jax.types import Dellm, Experience, Mind, Report, Schedule
from experiments import diagnose, story
from experiments.examine import TOGETHER, WAYS, examine
from experiments.log import Record, watching


@dataclass(frozen=True)
class Plan:
    """A life to be lived: its laws, its body, its days and exams, and its rhythm.

    `questions` > 0 bounds every exam but the last; `examine_every` > 0 examines in the middle of days too, after so
    many stretches. `checkpoints`: keep what is needed to go on after an interruption.
    """

    name: str
    mind: Mind
    architecture: Architecture
    curriculum: Curriculum
    schedule: Schedule
    batch: int
    stretch: int
    snapshots: int = 0
    checkpoints: bool = True
    questions: int = 0
    examine_every: int = 0


@dataclass(frozen=True)
class Lived:
    """What came of it. `matrix[way]` is R[i, j], NaN where not examined; `timeline` has a row per examination;
    `prequential` has [day, experiences, share answered rightly before learning, mean loss] of every stretch, `pressure`
    [step, sleep pressure] of every stretch."""

    name: str
    matrix: dict[str, list[list[float]]] = field(default_factory=lambda: {way: [] for way in WAYS})
    accuracy: dict[str, dict[str, float]] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    prequential: list[list[float]] = field(default_factory=list)
    pressure: list[list[float]] = field(default_factory=list)
    newborn: list[float] = field(default_factory=list)
    awake_compilations: int = 0
    births: int = 0
    deaths: int = 0
    recruits: int = 0
    merges: int = 0
    updates_awake: int = 0
    updates_rest: int = 0
    nights: int = 0
    rolled_back: int = 0
    parameters: int = 0
    state_bytes: int = 0
    episodic_bytes: int = 0
    flops_awake: float = 0.0
    flops_rest: float = 0.0
    health: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def final(self, way: str = "whole") -> float:
        """Accuracy over all exams, exams weighing alike."""
        return metrics.final_accuracy(np.array(self.matrix[way]))

    def forgetting(self, way: str = "whole") -> float | None:
        """How much of the best was lost; None where days and exams do not correspond (joint training)."""
        R = np.array(self.matrix[way])
        return metrics.forgetting(R) if R.ndim == 2 and R.shape[0] == R.shape[1] else None


def check(plan: Plan) -> None:
    """Raise DellmError now, before anything is written, if this life could not be born or could not live a moment."""
    born = jax.eval_shape(partial(create, plan.mind, plan.architecture), jax.random.key(0))
    validate(plan.architecture, days.stretch(plan.curriculum.corpus.train, plan.curriculum.days[0].rows[:1], 1, 1))
    moment = days.stretch(plan.curriculum.corpus.train, plan.curriculum.days[0].rows[:1], 1, plan.batch)
    jax.eval_shape(partial(awake_step, plan.mind), born, jax.tree.map(lambda leaf: leaf[0], moment))


def run(plan: Plan, seed: int, folder: Path, record: Record) -> Lived:
    """Live `plan`, or go on from where its folder says it was. A finished life is read, not lived again."""
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / "lived.json"
    if finished.exists():
        return Lived(**json.loads(finished.read_text()))
    newborn = partial(create, plan.mind, key=jax.random.key(seed))
    with Checkpoints(folder / "checkpoints", keep=2) if plan.checkpoints else nullcontext() as checkpoints:
        restored = checkpoints.restore_latest(newborn) if checkpoints else None
        if restored:
            state, lived, skip = restored.state, Lived(**restored.extra["lived"]), restored.extra["stretches"]
            record.truncate(restored.extra["lines"])
            for reason in restored.skipped:
                record.say(reason)
            record.say(f"{plan.name:>11}  goes on after night {lived.nights}")
        else:
            state, lived, skip = newborn(plan.architecture), Lived(plan.name), 0
            record.truncate(record.lines_before(plan.name))
        state, lived = _live(plan, state, lived, skip, folder, record, checkpoints)
    if plan.snapshots:  # a life may end awake
        save_generation(folder / "snapshots", plan.mind, state, keep=plan.snapshots)
    write_atomically(finished, json.dumps(asdict(lived)).encode())
    return lived


def _live(
    plan: Plan,
    newborn: Dellm,
    lived: Lived,
    skip: int,
    folder: Path,
    record: Record,
    checkpoints: Checkpoints | None,
) -> tuple[Dellm, Lived]:
    ends = days.ends(plan.curriculum, plan.batch, plan.stretch)
    stream = _after(days.stretches(plan.curriculum, plan.batch, plan.stretch, plan.schedule.at_pauses), skip)
    began, before, state = perf_counter(), lived.seconds, newborn
    if not skip and plan.curriculum.exams:
        lived = replace(lived, newborn=examine(plan.mind, newborn, plan.curriculum, most=plan.questions).by_exam())
    with watching(record.console, plan.name, ends[-1]) as watch:
        for phase, state, report in live(plan.mind, newborn, stream, plan.schedule):
            step = int(state.clock.steps)
            day = sum(end < step for end in ends) + 1
            lived = _counted(lived, phase, step, day, report)
            scalars = dict(report)
            midday = plan.examine_every and phase == "awake" and (step // plan.stretch) % plan.examine_every == 0
            if plan.curriculum.exams and (phase == "rest" or step in ends or midday):
                lived, examined = _examined(plan, state, lived, day, phase, step == ends[-1])
                scalars |= examined
                if phase == "rest" or step in ends:
                    _tell(plan, record, day, phase, report, lived)
            watch(step, f"day {day}, {phase}, {story.now(lived.timeline)}")
            record.event(plan.name, phase, step, scalars)
            lived = replace(lived, seconds=before + perf_counter() - began)
            if phase == "rest" and checkpoints:
                if plan.snapshots:  # first, so that no checkpoint goes on from a night whose snapshot is missing
                    save_generation(folder / "snapshots", plan.mind, state, keep=plan.snapshots)
                extra = {"lived": asdict(lived), "stretches": step // plan.stretch, "lines": record.lines}
                checkpoints.save(lived.nights, state, extra)
    return state, _measured(plan, state, lived)


def _after(stream: Iterator[Experience | None], skip: int) -> Iterator[Experience | None]:
    """The stream without its first `skip` stretches, nor the pauses before the next one."""
    for stretch in stream:
        if skip and stretch is not None:
            skip -= 1
        elif not skip:
            yield stretch


def _tell(plan: Plan, record: Record, day: int, phase: str, report: Report, lived: Lived) -> None:
    joint = len(plan.curriculum.days) != len(plan.curriculum.exams)
    if not joint or day == len(plan.curriculum.days):
        awake = phase == "awake"
        told = (
            story.day(plan.name, day, lived.timeline) if awake else story.night(plan.name, day, lived.timeline, report)
        )
        record.say(told)


def _counted(lived: Lived, phase: str, step: int, day: int, report: Report) -> Lived:
    if phase == "awake":
        compilations = lived.awake_compilations + int(report["compilations"])
        told = [float(day), report["lived"], report["accuracy"], report["loss"]]
        return replace(
            lived,
            updates_awake=step,
            awake_compilations=compilations,
            prequential=[*lived.prequential, told],
            pressure=[*lived.pressure, [float(step), report["pressure"]]],
        )
    return replace(
        lived,
        nights=lived.nights + 1,
        rolled_back=lived.rolled_back + (report["rolled_back"] > 0),
        births=lived.births + int(report.get("grow/births", 0)),
        deaths=lived.deaths + int(report.get("prune/deaths", 0) + report.get("specialise/folded", 0)),
        recruits=lived.recruits + int(report.get("specialise/recruits", 0)),
        merges=lived.merges + int(report.get("specialise/merges", 0)),
        updates_rest=lived.updates_rest + int(sum(n for what, n in report.items() if what.endswith("/updates"))),
    )


def _examined(
    plan: Plan, state: Dellm, lived: Lived, day: int, phase: str, last: bool
) -> tuple[Lived, dict[str, float]]:
    """Sit the exams; the row of a day is overwritten until the next day begins.

    Where every day is seen in its own way, there are days times exams to sit: then only those of the days so far and
    the next are sat, the others are NaN.
    """
    exams, ways = plan.curriculum.exams, WAYS if state.memory.semantic else [w for w in WAYS if "semantic" not in w]
    sat = len(exams) if len(plan.curriculum.views) == 1 or last else min(day + 1, len(exams))
    answers = examine(plan.mind, state, plan.curriculum, exams[:sat], 0 if last else plan.questions)
    unsat = [float("nan")] * (len(exams) - sat)
    matrix = {way: [*lived.matrix[way][: day - 1], answers.by_exam(way) + unsat] for way in ways}
    accuracy = {way: {q: answers.accuracy(way, q) for q in answers.right[way]} for way in ways}
    moment = {
        "step": float(state.clock.steps),
        "day": float(day),
        "night": float(phase == "rest"),
        "accuracy": accuracy["whole"][TOGETHER],
        "seen": float(np.mean(matrix["whole"][-1][:day])) if len(exams) == len(plan.curriculum.days) else float("nan"),
        "units": float(sum(living(state).values())),
        "parameters": float(_parameters(state)),
        "exams": {way: matrix[way][-1] for way in ("whole", "cortex")},
    }
    lived = replace(lived, matrix=dict(lived.matrix) | matrix, accuracy=accuracy, timeline=[*lived.timeline, moment])
    told = ("accuracy", "seen", "units", "parameters")
    return lived, {f"test/{what}": moment[what] for what in told if not np.isnan(moment[what])}


def _measured(plan: Plan, state: Dellm, lived: Lived) -> Lived:
    """What is known of a life when it is over: its sizes, its health, its costs."""
    episodes = state.memory.episodic
    return replace(
        lived,
        parameters=_parameters(state),
        state_bytes=trees.nbytes(state),
        episodic_bytes=trees.nbytes(episodes.codes) + trees.nbytes(episodes.answers),
        flops_awake=lived.updates_awake * diagnose.flops(plan.mind, state, plan.curriculum, plan.batch),
        flops_rest=lived.updates_rest * diagnose.flops_of_rehearsal(plan.mind, state, plan.curriculum),
        health=diagnose.plasticity(plan.mind, state, plan.curriculum),
    )


def _parameters(state: Dellm) -> int:
    """Weights between living units: what the body would hold if it were compacted."""
    return int(sum(np.count_nonzero(leaf) for leaf in jax.device_get(jax.tree.leaves(state.params))))
