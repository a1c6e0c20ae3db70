"""The fold over the stages of a night, and the guard around it."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp

from dellm_jax.memory import episodic
from dellm_jax.rest.judge import Verdict, harmed, judge, known
from dellm_jax.rest.pieces import pieces_of
from dellm_jax.rest.rules import recalled, taught
from dellm_jax.trees import finite, named_key
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

Stages = Sequence[tuple[str, Stage]]


class Slept(NamedTuple):
    """A night as it went: the state after every stage that was kept, by its name; the reports of all; the stages whose
    result was not finite; and the stage in which it was interrupted, or None."""

    after: dict[str, Dellm]
    report: Report
    spoilt: list[str]
    interrupted: str | None


def undisturbed() -> bool:
    """Nobody wakes the sleeper."""
    return False


def rest(
    mind: Mind, stages: Stages, state: Dellm, key: Array, disturbed: Callable[[], bool] = undisturbed
) -> tuple[Dellm, Report]:
    """Sleep through `stages` (name, stage) in order -> the woken state and a report with keys `<stage>/<what>`.

    A night never harms. What a stage makes that is not finite is thrown away at once. In the morning the held-out
    episodes are asked as in the evening: if they are answered worse by more than chance, the stage that cost most of
    what was harmed is undone by sleeping the same night again without it, and so on. `<stage>/undone` is 1 for each
    such stage and `rolled_back` counts them. A life that holds no episode out has nothing to be judged by and keeps
    what the night made of it. Does not donate `state`.

    `disturbed` is asked after every piece of a stage, and ends the night where it is true: what was done so far is
    judged and kept, `<stage>/interrupted` is 1, and the next night goes on with the stage after it.
    """
    judged = episodic.judges(state.memory.episodic) or taught(state)
    evening = judge(mind, state) if judged else None
    tonight = list(stages)[int(state.clock.stage) % max(len(stages), 1) :]
    undone: list[str] = []
    while True:
        night = _sleep(mind, [stage for stage in tonight if stage[0] not in undone], state, key, disturbed)
        woken, back = recalled(mind, list(night.after.values())[-1] if night.after else state)
        morning = judge(mind, woken) if judged else None
        harm = harmed(evening, morning) if judged and night.after else []
        if not harm:
            break
        undone.append(_culprit(mind, night.after, evening, harm))
    lost = [name for name, _ in tonight if name in undone or name in night.spoilt]
    report = night.report | {f"{name}/undone": 1.0 for name in lost} | {"rolled_back": float(len(lost))}
    if back:
        report["rules_back"] = back
    if judged:
        report |= {
            "held_out_before": evening.accuracy(evening.whole),
            "held_out_after": morning.accuracy(morning.whole),
        }
    clock = woken.clock
    if night.interrupted:
        report[f"{night.interrupted}/interrupted"] = 1.0
        following = [name for name, _ in stages].index(night.interrupted) + 1
        return woken.replace(clock=clock.replace(stage=jnp.int32(following))), report
    none = partial(jnp.zeros, (), jnp.int32)  # a buffer each: the state will be donated
    return woken.replace(clock=clock.replace(nights=clock.nights + 1, since_rest=none(), stage=none())), report


def _sleep(mind: Mind, stages: Stages, state: Dellm, key: Array, disturbed: Callable[[], bool]) -> Slept:
    """One pass through the stages, each on what the one before it left."""
    after, report, spoilt = {}, {}, []
    for place, (name, stage) in enumerate(stages, 1):
        (changed, of_stage), woken = _until(disturbed, pieces_of(stage)(mind, state, named_key(key, name)))
        if bool(finite(changed)):
            after[name] = state = changed
            report |= {f"{name}/{what}": float(value) for what, value in of_stage.items()}
        else:
            spoilt.append(name)
        if woken and place < len(stages):
            return Slept(after, report, spoilt, name)
    return Slept(after, report, spoilt, None)


def _until(disturbed: Callable[[], bool], pieces: Iterable[tuple[Dellm, Report]]) -> tuple[tuple[Dellm, Report], bool]:
    """The last piece that was come to, and whether somebody woke the sleeper."""
    for last in pieces:
        if disturbed():
            return last, True
    return last, False


def _culprit(mind: Mind, after: dict[str, Dellm], evening: Verdict, harm: list[str]) -> str:
    """The stage that cost most of what was harmed."""
    so_far = [known(evening, harm), *(known(judge(mind, state), harm) for state in after.values())]
    lost = [before - now for before, now in pairwise(so_far)]
    return list(after)[lost.index(max(lost))]


def aged(state: Dellm) -> Dellm:
    """Every living unit is one night older."""
    homeostasis = {node: kept | {"age": kept["age"] + kept["active"]} for node, kept in state.homeostasis.items()}
    return state.replace(homeostasis=homeostasis)
