"""The fold over the stages of a night, and the guard around it."""

from collections.abc import Sequence

import jax.numpy as jnp

from dellm_jax.memory import episodic
from dellm_jax.rest.judge import judge, worse
from dellm_jax.trees import finite, named_key
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def rest(mind: Mind, stages: Sequence[tuple[str, Stage]], state: Dellm, key: Array) -> tuple[Dellm, Report]:
    """Sleep through `stages` (name, stage) in order -> the woken state and a report with keys `<stage>/<what>`.

    A life that holds no episode out has nothing to be judged by and keeps what the night made of it. Otherwise a night
    never harms: if the held-out episodes are answered worse than in the evening by more than chance, or
    anything is not finite, the evening's body and memory come back, and `rolled_back` is 1. Does not donate `state`.
    """
    judged = episodic.judges(state.memory.episodic)
    evening = judge(mind, state) if judged else None
    woken, report = state, {}
    for name, stage in stages:
        woken, of_stage = stage(mind, woken, named_key(key, name))
        report |= {f"{name}/{what}": float(value) for what, value in of_stage.items()}
    harmed = not bool(finite(woken))
    if judged:
        morning = judge(mind, woken)
        harmed = harmed or worse(evening, morning)
        report |= {
            "held_out_before": evening.accuracy(evening.whole),
            "held_out_after": morning.accuracy(morning.whole),
        }
    report["rolled_back"] = float(harmed)
    woken = state if harmed else woken
    clock = woken.clock
    return woken.replace(
        clock=clock.replace(nights=clock.nights + 1, since_rest=jnp.zeros_like(clock.since_rest))
    ), report


def aged(state: Dellm) -> Dellm:
    """Every living unit is one night older."""
    homeostasis = {node: kept | {"age": kept["age"] + kept["active"]} for node, kept in state.homeostasis.items()}
    return state.replace(homeostasis=homeostasis)
