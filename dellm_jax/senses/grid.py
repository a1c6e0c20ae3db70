"""Percepts that lie on a grid (pictures, spectrograms): resampling, packed codes, frozen convolution, small warps."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.types import Array


@cache
def pooling(out: int, size: int) -> np.ndarray:
    """Area averaging [out, size]: each row is the mean over its share of the input."""
    edges = np.linspace(0, size, out + 1)
    cells = np.arange(size)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    overlap = np.clip(overlap, 0, None)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


@cache
def stretching(out: int, size: int) -> np.ndarray:
    """Linear interpolation [out, size] between cell centres."""
    centres = (np.arange(out) + 0.5) * size / out - 0.5
    low = np.clip(np.floor(centres), 0, max(size - 2, 0)).astype(int)
    share = np.clip(centres - low, 0, 1)
    weights = np.zeros((out, size), np.float32)
    np.add.at(weights, (np.arange(out), low), 1 - share)
    np.add.at(weights, (np.arange(out), np.minimum(low + 1, size - 1)), share)
    return weights


@cache
def blurring(out: int, size: int) -> np.ndarray:
    """Gaussian averaging [out, size], 0.4 cells wide: like `pooling`, but neighbours share what lies between them.

    So what moves a little changes the averages a little, and does not jump from one cell into the next.
    """
    centres = (np.arange(out) + 0.5) * size / out - 0.5
    weights = np.exp(-0.5 * ((np.arange(size) - centres[:, None]) / (0.4 * max(size / out, 1))) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def between(position: Array, size: int) -> Array:
    """Linear interpolation [..., size] at fractional positions [...]; beyond the ends the outermost stay."""
    return jax.nn.relu(1 - jnp.abs(jnp.clip(position, 0, size - 1)[..., None] - jnp.arange(size)))


def resample(x_BHWC: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
    """Linear maps `rows` [h, H] and `columns` [w, W] on a batch of grids -> [B, h, w, C]."""
    return jnp.einsum("hH,BHWC,wW->BhwC", rows, x_BHWC, columns)


def pack(x: Array, bits: int) -> Array:
    """Values in [0, 1], [B, N] -> [B, ceil(N bits / 8)] uint8, `8 / bits` values a byte (bits in 1, 2, 4, 8)."""
    per_byte = 8 // bits
    levels = jnp.round(jnp.clip(x, 0, 1) * (2**bits - 1)).astype(jnp.uint8)
    levels = jnp.pad(levels, ((0, 0), (0, -x.shape[1] % per_byte))).reshape(x.shape[0], -1, per_byte)
    return (levels << (bits * jnp.arange(per_byte, dtype=jnp.uint8))).sum(-1, dtype=jnp.uint8)


def unpack(code: Array, bits: int, count: int) -> Array:
    """Inverse of `pack` up to rounding: [B, bytes] uint8 -> [B, count] in [0, 1]."""
    per_byte = 8 // bits
    levels = (code[:, :, None] >> (bits * jnp.arange(per_byte, dtype=jnp.uint8))) & (2**bits - 1)
    return levels.reshape(code.shape[0], -1)[:, :count].astype(jnp.float32) / (2**bits - 1)


def random_filters(key: Array, height: int, width: int, channels: int, count: int) -> Array:
    """Frozen zero-mean unit-norm filters [height, width, channels, count]."""
    w = jax.random.normal(key, (height, width, channels, count))
    w = w - w.mean((0, 1, 2))
    return w / jnp.sqrt((w**2).sum((0, 1, 2)))


def random_convolution(x_BHWC: Array, filters: Array, stride: int, cells: int) -> Array:
    """sqrt of relu(+-(x * w)) averaged in overlapping cells: [B, H, W, C] -> [B, cells^2 * 2 count]. Never trained.

    Source: random convolutional kitchen sinks; with a closed-form readout, RanDumb (Prabhu et al., 2024).
    """
    h = jax.lax.conv_general_dilated(
        x_BHWC, filters, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    both = jnp.concatenate([jax.nn.relu(h), jax.nn.relu(-h)], axis=-1)
    pooled = resample(both, blurring(cells, both.shape[1]), blurring(cells, both.shape[2]))
    return jnp.sqrt(pooled).reshape(x_BHWC.shape[0], -1)


def warp(key: Array, x_BHWC: Array, shift: float, turn: float, scale: float) -> Array:
    """A random small affine map of each picture, bilinear, zero outside: pixels, radians, relative size."""
    batch, height, width, channels = x_BHWC.shape
    dy, dx, angle, size = jax.random.uniform(key, (4, batch), minval=-1.0, maxval=1.0)
    size = 1 + scale * size
    cos, sin = jnp.cos(turn * angle) / size, jnp.sin(turn * angle) / size
    y, x = jnp.meshgrid(jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing="ij")
    from_y = cos[:, None, None] * y - sin[:, None, None] * x + (height - 1) / 2 + shift * dy[:, None, None]
    from_x = sin[:, None, None] * y + cos[:, None, None] * x + (width - 1) / 2 + shift * dx[:, None, None]
    low_y, low_x = jnp.floor(from_y).astype(jnp.int32), jnp.floor(from_x).astype(jnp.int32)
    flat = x_BHWC.reshape(batch, height * width, channels)

    def corner(row: Array, column: Array) -> Array:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        share = (1 - jnp.abs(from_y - row)) * (1 - jnp.abs(from_x - column)) * inside
        index = (jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)).reshape(batch, -1)
        return share[..., None] * jnp.take_along_axis(flat, index[..., None], axis=1).reshape(x_BHWC.shape)

    return sum(corner(low_y + i, low_x + j) for i in (0, 1) for j in (0, 1))
