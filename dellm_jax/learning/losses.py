"""Losses of a batch that mixes lived experiences with rehearsed ones."""

import jax
import jax.numpy as jnp

from dellm_jax.types import Array

MASKED = -1e9


def cross_entropy(logits: Array, target: Array, weight: Array, lived: Array) -> Array:
    """Weighted mean of -log softmax(logits)[target]: logits [B, C], target [B] int, weight [B] -> scalar."""
    del lived
    own = jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], axis=1)[:, 0]
    return -(weight * own).sum() / jnp.maximum(weight.sum(), 1e-6)


def asymmetric_cross_entropy(logits: Array, target: Array, weight: Array, lived: Array) -> Array:
    """Cross-entropy in which lived examples compete only among the concepts lived in this batch.

    A new concept then does not push down the old ones that merely happen to be absent; rehearsed examples compete among
    all. `lived` [B] is 1 for lived examples. Source: ER-ACE (Caccia et al., 2022).
    """
    concepts = jax.nn.one_hot(target, logits.shape[1])
    here = (concepts * (lived * weight)[:, None]).max(0) > 0
    shielded = (lived[:, None] > 0) & ~here[None, :]
    return cross_entropy(jnp.where(shielded, MASKED, logits), target, weight, lived)
