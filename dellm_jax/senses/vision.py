"""Seeing: uint8 pictures [H, W, C]."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import ArchitectureError
from dellm_jax.senses.grid import pack, pooling, random_convolution, random_filters, resample, stretching, unpack, warp
from dellm_jax.types import Array


@dataclass(frozen=True)
class Image:
    """Pictures of one size; remembered at `code_side` x `code_side` pixels of `code_bits` bits.

    `filters`, `kernel`, `stride`, `cells`: the frozen random convolution of semantic memory.
    `shift` (pixels), `turn` (radians), `scale` (relative): how far a rest may warp what it replays.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    name: str = "image"
    code_side: int = 14
    code_bits: int = 4
    filters: int = 40
    kernel: int = 7
    stride: int = 2
    cells: int = 4
    shift: float = 2.0
    turn: float = 0.2
    scale: float = 0.1

    def __post_init__(self) -> None:
        sizes = (
            self.height,
            self.width,
            self.channels,
            self.code_side,
            self.filters,
            self.kernel,
            self.stride,
            self.cells,
        )
        if min(sizes) < 1:
            raise ArchitectureError(f"sense {self.name!r}: every size must be at least 1, got {self}")
        if self.code_bits not in (1, 2, 4, 8):
            raise ArchitectureError(f"sense {self.name!r}: code_bits is {self.code_bits}; choose 1, 2, 4 or 8")

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, self.channels)

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def inputs(self) -> int:
        return self.height * self.width * self.channels

    @property
    def code_bytes(self) -> int:
        return -(-(self.code_side**2) * self.channels * self.code_bits // 8)

    @property
    def features(self) -> int:
        return 2 * self.filters * self.cells**2

    def sharpest(self) -> "Image":
        """The same sense with codes that lose nothing: what a learner perceives that need not remember."""
        return replace(self, code_side=max(self.height, self.width), code_bits=8)

    def perceive(self, raw: Array) -> Array:
        """uint8 [B, H, W, C] -> [B, inputs] in [0, 1]."""
        return raw.reshape(raw.shape[0], -1).astype(jnp.float32) / 255

    def encode(self, raw: Array) -> Array:
        """uint8 [B, H, W, C] -> packed codes [B, code_bytes] uint8."""
        x = self._grid(self.perceive(raw))
        if (self.height, self.width) != (self.code_side, self.code_side):
            x = resample(x, pooling(self.code_side, self.height), pooling(self.code_side, self.width))
        return pack(x.reshape(raw.shape[0], -1), self.code_bits)

    @property
    def latents(self) -> int:
        return self.code_side**2 * self.channels

    def latent(self, code: Array) -> Array:
        """Packed codes -> their pixels [B, latents] in [0, 1]."""
        return unpack(code, self.code_bits, self.latents)

    def depict(self, latent: Array) -> Array:
        """Pixels of codes -> percepts [B, inputs]."""
        if (self.height, self.width) == (self.code_side, self.code_side):
            return latent
        x = latent.reshape(latent.shape[0], self.code_side, self.code_side, self.channels)
        x = resample(x, stretching(self.height, self.code_side), stretching(self.width, self.code_side))
        return x.reshape(latent.shape[0], -1)

    def decode(self, code: Array) -> Array:
        """Packed codes -> percepts [B, inputs]."""
        return self.depict(self.latent(code))

    def augment(self, key: Array, percept: Array) -> Array:
        """The same thing seen a little differently."""
        return warp(key, self._grid(percept), self.shift, self.turn, self.scale).reshape(percept.shape)

    def draw_filters(self, key: Array) -> Array:
        """Frozen filters of the random expansion."""
        return random_filters(key, self.kernel, self.kernel, self.channels, self.filters)

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0."""
        return random_convolution(self._grid(percept), filters, self.stride, self.cells)

    def _grid(self, percept: Array) -> Array:
        return percept.reshape(percept.shape[0], self.height, self.width, self.channels)
