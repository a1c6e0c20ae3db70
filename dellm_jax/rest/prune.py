"""Pruning: units that are of little use die, and what they said on average becomes bias."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from dellm_jax import surgery
from dellm_jax.rest.statistics import activity, utility
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

# state -> how much every unit is worth {assembly: [U]}, 0 or more.
Score = Callable[[Dellm], dict[str, Array]]


def prune(
    below: float = 0.3, most: float = 0.125, min_age: float = 2.0, score: Score = utility, fold: bool = True
) -> Stage:
    """Silence living units whose `score` is less than `below` times the mean of their assembly.

    The least useful first, at most `most` of an assembly a night, none younger than `min_age` nights. With `fold` their
    mean activity on memory is folded into the biases that listened: b += E[a_i] W_out[i].
    An assembly of fewer than 1 / `most` units loses none, however many nights there are. A capacity that then has a
    whole quantum to spare is given back.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        scores, (values, weight) = score(state), activity(mind, state, key)
        deaths = 0
        for assembly in state.architecture.assemblies:
            kept = state.homeostasis[assembly.name]
            alive, age = np.asarray(kept["active"]) > 0, np.asarray(kept["age"])
            worth = np.asarray(scores[assembly.name])
            weak = np.flatnonzero(alive & (age >= min_age) & (worth < below * worth[alive].mean()))
            dying = np.sort(weak[np.argsort(worth[weak], kind="stable")][: int(most * alive.sum())])
            if dying.size == 0:
                continue
            deaths += dying.size
            if fold:
                mean = (weight @ values[assembly.name]) / jnp.maximum(weight.sum(), 1)
                state = _fold_into_bias(state, assembly.name, dying, mean)
            state = surgery.silence(mind, state, f"{assembly.name}.units", dying)
            state = _give_back(mind, state, assembly.name)
        return state, {"deaths": float(deaths)}

    return stage


def _fold_into_bias(state: Dellm, name: str, dying: np.ndarray, mean: Array) -> Dellm:
    params = {node: dict(leaves) for node, leaves in state.params.items()}
    for reader, sources in state.architecture.reads.items():
        if name in sources:
            params[reader]["bias"] = params[reader]["bias"] + mean[dying] @ params[reader][f"from_{name}"][dying]
    return state.replace(params=params)


def _give_back(mind: Mind, state: Dellm, name: str) -> Dellm:
    quantum = state.architecture.quantum
    capacity = next(a.capacity for a in state.architecture.assemblies if a.name == name)
    needed = quantum * -(-surgery.living(state)[name] // quantum)
    # One quantum of slack stays, so that a net that breathes around a boundary does not recompile every night.
    return surgery.resize(mind, state, f"{name}.units", needed + quantum) if capacity > needed + quantum else state
