"""Short vectors with the angles of long ones."""

import jax.numpy as jnp
import numpy as np

from dellm_jax.memory import symmetric
from dellm_jax.types import Array


def sketch(features: Array, size: int) -> Array:
    """Features [B, n] -> [B, size] with the same angles, nearly: signed sums of every size-th feature.

    Source: the count sketch (Charikar et al., 2002).
    """
    batch, many = features.shape
    padded = jnp.pad(features * _signs(many), ((0, 0), (0, -many % size)))
    return padded.reshape(batch, -1, size).sum(1)


def sketch_gram(packed: Array, many: int, size: int) -> Array:
    """S^T X^T X S [size, size] from the packed X^T X of `many` features, S the map of `sketch`."""
    signs, lacking = _signs(many), -many % size
    signed = symmetric.dense(packed, many) * signs * signs[:, None]
    padded = jnp.pad(signed, ((0, lacking), (0, lacking)))
    blocks = padded.shape[0] // size
    return padded.reshape(blocks, size, blocks, size).sum((0, 2))


def unit(x: Array) -> Array:
    """Rows of length one; those of length zero stay."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def _signs(many: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.float32([-1, 1]), many)
