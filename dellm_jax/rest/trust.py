"""How far to trust whom: the weights of a log-linear pool of experts, from what they say of episodes set apart."""

import jax
import jax.numpy as jnp

from dellm_jax.types import Array

PRIOR = 0.3  # episodes
TURNS, SETTLED = 60, 1e-5


def trust(log_p: Array, target: Array, weight: Array, born: Array, before: Array) -> Array:
    """argmin_w of the mean of -sum_c q_c log softmax(sum_e w_e log p_e)[c] + prior sum_e (w_e s_e - log w_e s_e) / N.

    Of E experts asked in S ways about B episodes, N questions in all: log p [S, E, B, C], concepts [B], weights [S, B],
    and which concepts live [C]. Who says nothing of any of them is trusted as `before` [E]. q is the truth but for
    1 / (n + 2) shared among the concepts: what the n episodes of a way, all answered rightly, still leave to doubt
    (Laplace, 1814). Without it an expert that is right and far too sure of it is never brought to measure. The prior
    (Gamma) decides what the episodes leave open, and lets nobody be silenced for good: a heavier one held trust down,
    and took the whole below its own parts (LOG, 2026-11-30). s_e is the root of the mean of log p_e^2 over episodes and
    concepts: experts speak on scales millions of times apart, and in units of s the problem is well conditioned. Convex
    in w: Newton steps that keep w > 0.
    Source: logarithmic opinion pools (Genest & Zidek, 1986).
    """
    experts, many = log_p.shape[1], jnp.maximum(weight.sum(), 1)
    log_p = jnp.where((weight[:, None, :, None] > 0) & born, log_p, 0.0)  # others may be asked about anything
    size = many * jnp.maximum(born.sum(), 1)
    power = jnp.einsum("sebc,sb->e", log_p**2, weight) / size
    scale = jnp.sqrt(jnp.where(power > 0, power, 1.0))
    log_p = log_p / scale[:, None, None]
    doubt = 1 / (weight.sum(1) + 2)
    truth = jax.nn.one_hot(target, born.size)
    truth = truth + doubt[:, None, None] * (born / jnp.maximum(born.sum(), 1) - truth)

    def surprise(w: Array) -> Array:
        pooled = jnp.einsum("e,sebc->sbc", w, log_p)
        pooled = pooled - jax.nn.logsumexp(jnp.where(born, pooled, -jnp.inf), axis=-1, keepdims=True)
        missed = -(truth * jnp.where(born, pooled, 0.0)).sum(-1)
        return ((missed * weight).sum() + PRIOR * (w - jnp.log(w)).sum()) / many

    def newton(fit: tuple[int, Array, Array]) -> tuple[int, Array, Array]:
        turn, w, _ = fit
        step = jnp.linalg.solve(jax.hessian(surprise)(w) + 1e-6 * jnp.eye(experts), jax.grad(surprise)(w))
        after = jnp.clip(w - step, 0.1 * w, 2 * w + 1)
        return turn + 1, after, jnp.abs(after - w).max()

    begin = (0, jnp.ones(experts), jnp.inf)
    _, fitted, _ = jax.lax.while_loop(lambda fit: (fit[0] < TURNS) & (fit[2] > SETTLED), newton, begin)
    return jnp.where(power > 0, fitted / scale, before)
