"""A symmetric matrix as the blocks on and above its diagonal: a little over half the bytes and half the arithmetic."""

from functools import cache

import jax.numpy as jnp
import numpy as np

from dellm_jax.types import Array


@cache
def _pairs(blocks: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(blocks)


def block_count(size: int) -> int:
    """Blocks a side: the most, up to 8, that divide `size`."""
    return max(count for count in range(1, 9) if size % count == 0)


def zeros(size: int) -> Array:
    """The zero matrix of `size` rows, packed: [pairs, b, b]."""
    blocks = block_count(size)
    return jnp.zeros((blocks * (blocks + 1) // 2, size // blocks, size // blocks))


def add_gram(packed: Array, rows: Array) -> Array:
    """S + X^T X for X [K, n]."""
    blocks = rows.shape[1] // packed.shape[1]
    parts = jnp.moveaxis(rows.reshape(rows.shape[0], blocks, -1), 1, 0)
    left, right = _pairs(blocks)
    return packed + jnp.einsum("pka,pkb->pab", parts[left], parts[right])


def product(packed: Array, columns: Array) -> Array:
    """S V for V [n, C]."""
    blocks = columns.shape[0] // packed.shape[1]
    parts = columns.reshape(blocks, -1, columns.shape[1])
    left, right = _pairs(blocks)
    above = left != right
    out = jnp.zeros_like(parts).at[left].add(packed @ parts[right])
    out = out.at[right[above]].add(jnp.swapaxes(packed[above], 1, 2) @ parts[left[above]])
    return out.reshape(columns.shape)


def diagonal(packed: Array, size: int) -> Array:
    """diag S [n]."""
    blocks = size // packed.shape[1]
    left, right = _pairs(blocks)
    return jnp.diagonal(packed[left == right], axis1=1, axis2=2).reshape(-1)


def dense(packed: Array, size: int) -> Array:
    """S [n, n]."""
    blocks = size // packed.shape[1]
    left, right = _pairs(blocks)
    full = jnp.zeros((blocks, blocks, *packed.shape[1:])).at[left, right].set(packed)
    full = full.at[right, left].set(jnp.swapaxes(packed, 1, 2))
    return jnp.moveaxis(full, 2, 1).reshape(size, size)
