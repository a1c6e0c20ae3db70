"""Semantic memory is solved exactly, and each way of knowing is trusted as far as held-out episodes bear it out."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax.memory import semantic
from dellm_jax.rest.judge import held_out_responses
from dellm_jax.types import CONCEPTS, Array, Dellm, Mind, Report, Stage

PRIOR = 0.002


def consolidate() -> Stage:
    """Exact closed-form readout of every sense, then the weights of the log-linear pool of experts."""

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del key
        state = _solve(state)
        trust = _fit_trust(mind, state)
        state = state.replace(hyper=dict(state.hyper) | {"trust": trust})
        return state, {f"trust_{expert}": float(value) for expert, value in trust.items()}

    return stage


@jax.jit
def _solve(state: Dellm) -> Dellm:
    solved = {sense: semantic.solve(known) for sense, known in state.memory.semantic.items()}
    return state.replace(memory=state.memory.replace(semantic=solved))


@partial(jax.jit, static_argnums=0)
def _fit_trust(mind: Mind, state: Dellm) -> dict[str, Array]:
    """argmax_w of the held-out mean of log softmax(sum_e w_e log p_e)[target] - prior |w - 1|^2, w >= 0.

    Concave in w: a few damped Newton steps. Source: logarithmic opinion pools (Genest & Zidek, 1986).
    """
    responses, target, weights = held_out_responses(mind, state, left_out=True)
    experts = list(state.hyper["trust"])
    born = state.homeostasis[CONCEPTS]["active"] > 0
    log_p = jnp.stack(
        [
            jnp.stack(
                [jnp.where(born, r.by[e], 0.0) if e in r.by else jnp.zeros_like(r.log_probability) for e in experts]
            )
            for r in responses
        ]
    )
    many = jnp.maximum(weights.sum(), 1)

    def worse(w: Array) -> Array:
        pooled = jax.nn.log_softmax(jnp.where(born, jnp.einsum("e,sebc->sbc", w, log_p), -1e9))
        own = jnp.take_along_axis(pooled, target[None, :, None], axis=2)[..., 0]
        return -(own * weights).sum() / many + PRIOR * ((w - 1) ** 2).sum()

    def newton(_: int, w: Array) -> Array:
        step = jnp.linalg.solve(jax.hessian(worse)(w) + 1e-4 * jnp.eye(len(experts)), jax.grad(worse)(w))
        return jnp.maximum(w - jnp.clip(step, -0.3, 0.3), 0.0)

    fitted = jax.lax.fori_loop(0, 25, newton, jnp.stack([state.hyper["trust"][e] for e in experts]))
    return dict(zip(experts, fitted, strict=True))
