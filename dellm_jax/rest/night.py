"""The fold over the stages of a night, and the guard around it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from dellm_jax.rest.judge import judge
from dellm_jax.trees import finite, named_key
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

TOLERANCE = 0.005


def rest(mind: Mind, stages: Sequence[tuple[str, Stage]], state: Dellm, key: Array) -> tuple[Dellm, Report]:
    """Sleep through `stages` (name, stage) in order -> the woken state and a report with keys `<stage>/<what>`.

    A night never harms: if the held-out episodes are answered worse than in the evening by more than 0.5 points, or
    anything is not finite, the evening's body and memory come back, and `rolled_back` is 1. Does not donate `state`.
    """
    evening = judge(mind, state)
    woken, report = state, {}
    for name, stage in stages:
        woken, of_stage = stage(mind, woken, named_key(key, name))
        report |= {f"{name}/{what}": float(value) for what, value in of_stage.items()}
    morning = judge(mind, woken)
    harmed = bool(morning["accuracy"] < evening["accuracy"] - TOLERANCE) or not bool(finite(woken))
    report |= {
        "held_out_before": float(evening["accuracy"]),
        "held_out_after": float(morning["accuracy"]),
        "rolled_back": float(harmed),
    }
    woken = state if harmed else woken
    clock = woken.clock
    return woken.replace(
        clock=clock.replace(nights=clock.nights + 1, since_rest=jnp.zeros_like(clock.since_rest))
    ), report


def aged(state: Dellm) -> Dellm:
    """Every living unit is one night older."""
    homeostasis = {node: kept | {"age": kept["age"] + kept["active"]} for node, kept in state.homeostasis.items()}
    return state.replace(homeostasis=homeostasis)


def sizes(state: Dellm) -> Report:
    """Living units and allocated capacity, summed over the assemblies, and parameters that live."""
    alive = jax.device_get({a.name: state.homeostasis[a.name]["active"] for a in state.architecture.assemblies})
    return {
        "units": float(sum(mask.sum() for mask in alive.values())),
        "capacity": float(sum(a.capacity for a in state.architecture.assemblies)),
    }
