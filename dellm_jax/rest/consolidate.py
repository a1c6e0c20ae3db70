"""Semantic memory is solved exactly, and each way of knowing is trusted as far as held-out episodes bear it out."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax.architecture import CONCEPTS
from dellm_jax.memory import episodic, semantic
from dellm_jax.rest.judge import held_out_responses
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.types import Array, Dellm, Mind, Report, Response, Stage

PRIOR = 0.02  # episodes
MOST_TRUST = 1e3  # in units of s
TURNS, SETTLED = 60, 1e-5


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
        trust = _fit_trust(mind, state) if episodic.judges(state.memory.episodic) else {}
        state = state.replace(hyper=dict(state.hyper) | {"trust": dict(state.hyper["trust"]) | trust})
        yield state, {f"trust_{expert}": float(value) for expert, value in trust.items()}

    return in_pieces(pieces)


_solve = jax.jit(semantic.solve)


@partial(jax.jit, static_argnums=0)
def _fit_trust(mind: Mind, state: Dellm) -> dict[str, Array]:
    """argmin_w of the held-out mean of -sum_c q_c log softmax(sum_e w_e log p_e)[c] + prior |w s - 1|^2 / n,
    w >= 0.

    q is the truth but for 1 / (n + 2) shared among the concepts: what n episodes, all answered rightly, still leave to
    doubt (Laplace, 1814). Without it an expert that is right and far too sure of it is never brought to measure. The
    prior decides only what the episodes leave open, as where nobody knows any of them: a heavier one held trust down,
    and took the whole below its own parts (LOG, 2026-11-30).
    s_e is the root of the mean of log p_e[c]^2 over episodes and concepts: experts speak on scales millions of times
    apart, and in units of s the problem is well conditioned. Convex in w: projected Newton steps.
    Source: logarithmic opinion pools (Genest & Zidek, 1986); two-metric projection (Bertsekas, 1982).
    """
    responses, target, weights = held_out_responses(mind, state, left_out=True)
    experts = list(state.hyper["trust"])
    born = state.homeostasis[CONCEPTS]["active"] > 0

    def evidence(response: Response) -> Array:
        silent = jnp.zeros_like(response.log_probability)
        return jnp.stack([jnp.where(born, response.by[e], 0.0) if e in response.by else silent for e in experts])

    log_p = jnp.stack([evidence(response) for response in responses])
    log_p = jnp.where(weights[:, None, :, None] > 0, log_p, 0.0)  # what is not there may be asked about anything
    many = jnp.maximum(weights.sum(), 1)
    scale = jnp.sqrt(jnp.einsum("sebc,sb->e", log_p**2, weights) / (many * jnp.maximum(born.sum(), 1)) + 1e-6)
    log_p = log_p / scale[:, None, None]
    doubt = 1 / (weights.sum(1) + 2)
    truth = jax.nn.one_hot(target, born.size)
    truth = truth + doubt[:, None, None] * (born / jnp.maximum(born.sum(), 1) - truth)

    def surprise(w: Array) -> Array:
        pooled = jnp.einsum("e,sebc->sbc", w, log_p)
        pooled = pooled - jax.nn.logsumexp(jnp.where(born, pooled, -jnp.inf), axis=-1, keepdims=True)
        missed = -(truth * jnp.where(born, pooled, 0.0)).sum(-1)
        return ((missed * weights).sum() + PRIOR * ((w - 1) ** 2).sum()) / many

    def newton(fit: tuple[int, Array, Array]) -> tuple[int, Array, Array]:
        turn, w, _ = fit
        slope, bend = jax.grad(surprise)(w), jax.hessian(surprise)(w)
        free = (w > 0) | (slope < 0)  # who is not trusted, and should be less, stays where it is
        bend = jnp.where(free[:, None] & free, bend, 0.0) + 1e-4 * jnp.eye(len(experts)) + jnp.diag(1.0 - free)
        step = jnp.linalg.solve(bend, jnp.where(free, slope, 0.0))
        after = jnp.clip(w - jnp.clip(step, -1.0, 1.0), 0.0, MOST_TRUST)
        return turn + 1, after, jnp.abs(after - w).max()

    begin = (0, jnp.ones(len(experts)), jnp.inf)
    _, fitted, _ = jax.lax.while_loop(lambda fit: (fit[0] < TURNS) & (fit[2] > SETTLED), newton, begin)
    # Room for held-out episodes is not yet one of them: who was never judged is trusted as before.
    trust = jnp.stack([state.hyper["trust"][expert] for expert in experts])
    fitted = jnp.where(weights.sum() > 0, fitted / scale, trust)
    return dict(zip(experts, fitted, strict=True))
