"""Imagery: what each concept looks, sounds or reads like, from which it can be dreamt when no episode is left of it.

A Gaussian a concept over the latents of one sense (what its codes hold), as sums: nothing is forgotten, and order does
not matter.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.memory import symmetric
from dellm_jax.types import Array


@struct.dataclass
class Imagery:
    """Of C concepts and latents of n numbers: `count` [C], `total` [C, n], `gram` (packed sum of x x^T, a concept),
    and the `lowest` and `highest` [n] that each of them, or zero, ever was."""

    count: Array = leaf("concepts")
    total: Array = leaf("concepts", "{}.latents")
    gram: Array = leaf("concepts", "{}.latent_pairs", "{}.latent_block", "{}.latent_block")
    lowest: Array = leaf("{}.latents")
    highest: Array = leaf("{}.latents")


class Gaussians(NamedTuple):
    """x = mean[c] + eps spread[c], eps ~ N(0, I), within [lowest, highest]: mean [C, n], spread [C, r, n]."""

    mean: Array
    spread: Array
    lowest: Array
    highest: Array


def empty(latents: int, concepts: int) -> Imagery:
    """Nothing was perceived yet."""
    return Imagery(
        count=jnp.zeros((concepts,)),
        total=jnp.zeros((concepts, latents)),
        gram=jnp.zeros((concepts, *symmetric.zeros(latents).shape)),
        lowest=jnp.zeros((latents,)),
        highest=jnp.zeros((latents,)),
    )


def observe(memory: Imagery, latents: Array, target: Array, weight: Array) -> Imagery:
    """Add a batch: latents [B, n], concepts [B], weight [B] in {0, 1} (0 = absent or unlabelled)."""
    nothing = symmetric.zeros(latents.shape[1])
    squares = jax.vmap(lambda x: symmetric.add_gram(nothing, x[None]))(latents)
    of = jax.nn.one_hot(target, memory.count.size) * weight[:, None]
    seen = latents * weight[:, None]
    return memory.replace(
        count=memory.count + of.sum(0),
        total=memory.total + of.T @ latents,
        gram=memory.gram + jnp.tensordot(of.T, squares, 1),
        lowest=jnp.minimum(memory.lowest, seen.min(0)),
        highest=jnp.maximum(memory.highest, seen.max(0)),
    )


def gaussians(memory: Imagery, rank: int) -> Gaussians:
    """The mean of every concept and the `rank` principal axes of its covariance, each as long as its deviation.

    A concept met fewer than twice has no spread. Raises ValueError if `rank` is more than there are latents.
    """
    latents = memory.total.shape[1]
    if not 0 <= rank <= latents:
        raise ValueError(f"rank is {rank}; {latents} latents have 0 to {latents} principal axes")
    many = jnp.maximum(memory.count, 1)
    mean = memory.total / many[:, None]

    def axes(gram: Array, mean: Array, many: Array) -> Array:
        covariance = symmetric.dense(gram, latents) / many - jnp.outer(mean, mean)
        variance, direction = jnp.linalg.eigh(covariance)
        deviation = jnp.sqrt(jnp.maximum(variance, 0)) * (many > 1)
        return (direction * deviation).T[latents - rank :][::-1]

    return Gaussians(mean, jax.lax.map(lambda of: axes(*of), (memory.gram, mean, many)), memory.lowest, memory.highest)


def variance(memory: Imagery) -> Array:
    """Of each concept [C], the total variance of its latents: trace of the covariance; 0 for the unknown."""
    many = jnp.maximum(memory.count, 1)
    squares = jax.vmap(lambda gram: symmetric.diagonal(gram, memory.total.shape[1]).sum())(memory.gram)
    return squares / many - ((memory.total / many[:, None]) ** 2).sum(1)


def dream(of: Gaussians, concept: Array, key: Array) -> Array:
    """Latents [B, n] of `concept` [B] that never came."""
    chance = jax.random.normal(key, (concept.size, of.spread.shape[1]))
    dreamt = of.mean[concept] + jnp.einsum("br,brn->bn", chance, of.spread[concept])
    return jnp.clip(dreamt, of.lowest, of.highest)
