"""Semantic memory is solved exactly, and each way of knowing is trusted as far as held-out episodes bear it out."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax.architecture import CONCEPTS
from dellm_jax.memory import episodic, semantic
from dellm_jax.rest.judge import held_out_responses
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.rest.trust import trust
from dellm_jax.types import Array, Dellm, Mind, Report, Response, Stage


def consolidate() -> Stage:
    """Exact closed-form readout of every sense, then the weights of the log-linear pool of experts.

    A life that holds no episode out cannot tell how far to trust whom, and goes on as it did.
    """

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        del key
        for sense, known in state.memory.semantic.items():
            semantics = dict(state.memory.semantic) | {sense: _solve(known)}
            state = state.replace(memory=state.memory.replace(semantic=semantics))
            yield state, {}
        found = _fit_trust(mind, state) if episodic.judges(state.memory.episodic) else {}
        state = state.replace(hyper=dict(state.hyper) | {"trust": dict(state.hyper["trust"]) | found})
        yield state, {f"trust_{expert}": float(value) for expert, value in found.items()}

    return in_pieces(pieces)


_solve = jax.jit(semantic.solve)


@partial(jax.jit, static_argnums=0)
def _fit_trust(mind: Mind, state: Dellm) -> dict[str, Array]:
    """As far as held-out episodes bear it out, which semantic memory answers as if it had not observed them."""
    responses, target, weights = held_out_responses(mind, state, left_out=True)
    experts = list(state.hyper["trust"])

    def evidence(response: Response) -> Array:
        silent = jnp.zeros_like(response.log_probability)
        return jnp.stack([response.by.get(expert, silent) for expert in experts])

    born = state.homeostasis[CONCEPTS]["active"] > 0
    before = jnp.stack([state.hyper["trust"][expert] for expert in experts])
    fitted = trust(jnp.stack([evidence(response) for response in responses]), target, weights, born, before)
    return dict(zip(experts, fitted, strict=True))
