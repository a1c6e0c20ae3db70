"""Pruning: units that are of little use die, and those that live take over what they said."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from dellm_jax import surgery
from dellm_jax.rest.statistics import activity, utility
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

# state -> how much every unit is worth {assembly: [U]}, 0 or more.
Score = Callable[[Dellm], dict[str, Array]]
# (what the living said [B, L], what the dying said [B, D], weight [B]) -> X [L, D] and c [D], a_dying = a_living X + c.
Heirs = Callable[[Array, Array, Array], tuple[Array, Array]]


def nobody(living: Array, dying: Array, weight: Array) -> tuple[Array, Array]:
    """What the dying said is lost: X = 0, c = 0."""
    del weight
    return jnp.zeros((living.shape[1], dying.shape[1])), jnp.zeros(dying.shape[1])


def the_bias(living: Array, dying: Array, weight: Array) -> tuple[Array, Array]:
    """What the dying said on average becomes bias: X = 0, c = E[a_dying]."""
    return jnp.zeros((living.shape[1], dying.shape[1])), weight @ dying / jnp.maximum(weight.sum(), 1)


def the_living(ridge: float = 0.03) -> Heirs:
    """The living say what they know of what the dying would have said: least squares of centred activities.

    X = (A'A + ridge tr(A'A)/L I)^-1 A'D, c = E[d] - E[a] X. Source: channel pruning by reconstruction (He, 2017).
    """

    def heirs(living: Array, dying: Array, weight: Array) -> tuple[Array, Array]:
        total = jnp.maximum(weight.sum(), 1)
        means = weight @ living / total, weight @ dying / total
        a, d = living - means[0], dying - means[1]
        gram = (a * weight[:, None]).T @ a
        more = jnp.maximum(ridge * jnp.trace(gram) / max(len(gram), 1), 1e-6)
        X = jnp.linalg.solve(gram + more * jnp.eye(len(gram)), (a * weight[:, None]).T @ d)
        return X, means[1] - means[0] @ X

    return heirs


def prune(
    below: float = 0.3, most: float = 0.125, min_age: float = 2.0, score: Score = utility, heirs: Heirs = the_bias
) -> Stage:
    """Silence living units whose `score` is less than `below` times the mean of their assembly.

    The least useful first, at most `most` of an assembly a night, none younger than `min_age` nights. What they said on
    memory is left to `heirs`: W_out[living] += X W_out[dying], b += c W_out[dying]; by default to the bias alone.
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
            said, lives = values[assembly.name], np.setdiff1d(np.flatnonzero(alive), dying)
            state = _left_to(state, assembly.name, lives, dying, *heirs(said[:, lives], said[:, dying], weight))
            state = surgery.silence(mind, state, f"{assembly.name}.units", dying)
            state = _give_back(mind, state, assembly.name)
        return state, {"deaths": float(deaths)}

    return stage


def _left_to(state: Dellm, name: str, lives: np.ndarray, dying: np.ndarray, X: Array, c: Array) -> Dellm:
    params = {node: dict(leaves) for node, leaves in state.params.items()}
    for reader, sources in state.architecture.reads.items():
        if name in sources:
            said = params[reader][f"from_{name}"]
            lost = said[..., dying, :]
            params[reader]["bias"] = params[reader]["bias"] + (c @ lost).reshape(-1, lost.shape[-1]).sum(0)
            params[reader][f"from_{name}"] = said.at[..., lives, :].add(X @ lost)
    return state.replace(params=params)


def _give_back(mind: Mind, state: Dellm, name: str) -> Dellm:
    quantum = state.architecture.quantum
    capacity = next(a.capacity for a in state.architecture.assemblies if a.name == name)
    needed = quantum * -(-surgery.living(state)[name] // quantum)
    # One quantum of slack stays, so that a net that breathes around a boundary does not recompile every night.
    return surgery.resize(mind, state, f"{name}.units", needed + quantum) if capacity > needed + quantum else state
