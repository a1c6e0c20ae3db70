"""How well confidence tells what is known from what is not; dreams that were refused stand in for the unknown."""

import jax.numpy as jnp

from dellm_jax.types import Array


def auroc(known: Array, unknown: Array, of_known: Array, of_unknown: Array) -> Array:
    """P(score of something known > score of something unknown) + P(equal) / 2, a scalar; 1/2 where either is missing.

    Scores `known` [N] and `unknown` [M], which count by their weights `of_known` [N] and `of_unknown` [M] >= 0.
    Source: Hanley & McNeil (1982).
    """
    above = (known[:, None] > unknown) + 0.5 * (known[:, None] == unknown)
    pairs = of_known[:, None] * of_unknown
    return jnp.where(pairs.sum() > 0, (above * pairs).sum() / jnp.maximum(pairs.sum(), 1e-9), 0.5)


def threshold(known: Array, unknown: Array, of_known: Array, of_unknown: Array) -> Array:
    """The score below which to call something unknown: argmax_t P(known >= t) + P(unknown < t), least of the best.

    Arguments as of `auroc`; t is one of the known scores; -inf where either side is missing.
    Source: Youden (1950).
    """

    def share(holds: Array, weight: Array) -> Array:
        return holds @ weight / jnp.maximum(weight.sum(), 1e-9)

    told = share(known[None, :] >= known[:, None], of_known) + share(unknown[None, :] < known[:, None], of_unknown)
    told = jnp.where(of_known > 0, told, -jnp.inf)
    best = jnp.where(told >= told.max() - 1e-6, known, jnp.inf).min()
    return jnp.where((of_known.sum() > 0) & (of_unknown.sum() > 0), best, -jnp.inf)
