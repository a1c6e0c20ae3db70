"""Sketches of frozen features: short vectors with the angles of long ones, by which instances are known again."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from dellm_jax.memory import symmetric
from dellm_jax.types import Array

SKETCH = 256


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


def likeness(
    known: dict[str, Array],
    among: Array,
    senses: Sequence[str],
    sketches: dict[str, Array],
    centres: dict[str, Array],
    present: Array,
) -> Array:
    """Cosine [B, R] of what is perceived to what is `known` [R, SKETCH] through every sense, around the `centres`, the
    mean of all that was ever perceived; the mean over the senses that both have, 0 if there are none. `present` [B],
    `among` [R]: a bit for each of `senses`."""
    total = many = jnp.zeros((present.size, among.size))
    for bit, sense in enumerate(senses):
        if sense not in sketches:
            continue
        both = ((present[:, None] & among[None, :]) >> bit & 1).astype(jnp.float32)
        own, others = unit(sketches[sense] - centres[sense]), unit(known[sense] - centres[sense])
        total, many = total + both * (own @ others.T), many + both
    return total / jnp.maximum(many, 1)


def unit(x: Array) -> Array:
    """Rows of length one; those of length zero stay."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-9)


def _signs(many: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.float32([-1, 1]), many)
