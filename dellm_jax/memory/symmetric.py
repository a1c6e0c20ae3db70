"""A symmetric matrix as the blocks on and above its diagonal: a little over half the bytes and half the arithmetic."""

from collections.abc import Callable
from functools import cache

import jax
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


def descend(product: Callable[[Array], Array], wanted: Array, begin: Array, scale: Array, steps: int) -> Array:
    """`steps` of Jacobi-preconditioned conjugate gradients on S X = `wanted` [n, C] from `begin`; `scale` [n, 1]."""

    def step(_: int, walk: tuple[Array, ...]) -> tuple[Array, ...]:
        x, residual, direction, energy = walk
        applied = product(direction)
        # Rounding may leave no curvature in a direction that never varied: go no further in it (Steihaug, 1983).
        curvature = (direction * applied).sum(0)
        length = jnp.where(curvature > 0, energy / jnp.where(curvature > 0, curvature, 1.0), 0.0)
        residual = residual - length * applied
        eased = scale * residual
        fresh = (residual * eased).sum(0)
        return x + length * direction, residual, eased + fresh / jnp.maximum(energy, 1e-30) * direction, fresh

    residual = wanted - product(begin)
    eased = scale * residual
    return jax.lax.fori_loop(0, steps, step, (begin, residual, eased, (residual * eased).sum(0)))[0]


def root(matrix: Array, ridge: Array) -> Array:
    """Lower L with L L^T = S + ridge I. Where S hardly varies, rounding may leave it with negative eigenvalues that the
    ridge does not lift: it is then raised tenfold until there is a factor."""

    def factor(raised: Array) -> tuple[Array, Array]:
        return raised, jax.scipy.linalg.cho_factor(matrix + raised * jnp.eye(matrix.shape[0]), lower=True)[0]

    def failed(tried: tuple[Array, Array]) -> Array:
        return jnp.isfinite(tried[0]) & ~jnp.isfinite(tried[1]).all()

    return jax.lax.while_loop(failed, lambda tried: factor(10 * tried[0]), factor(ridge))[1]
