"""Feeling: vectors of numbers within known bounds."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import ArchitectureError
from dellm_jax.senses.grid import pack, unpack
from dellm_jax.types import Array


@dataclass(frozen=True)
class Signal:
    """Vectors of `size` numbers from `low` to `high`; remembered with `code_bits` bits a number.

    `filters`: how many frozen random rectified features semantic memory sees, both signs of each.
    """

    size: int
    low: float = 0.0
    high: float = 1.0
    name: str = "signal"
    code_bits: int = 8
    filters: int = 64

    def __post_init__(self) -> None:
        if min(self.size, self.filters) < 1 or not self.low < self.high:
            raise ArchitectureError(f"sense {self.name!r}: needs size and filters >= 1 and low < high, got {self}")
        if self.code_bits not in (1, 2, 4, 8):
            raise ArchitectureError(f"sense {self.name!r}: code_bits is {self.code_bits}; choose 1, 2, 4 or 8")

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    @property
    def inputs(self) -> int:
        return self.size

    @property
    def code_bytes(self) -> int:
        return -(-self.size * self.code_bits // 8)

    @property
    def features(self) -> int:
        return 2 * self.filters

    def sharpest(self) -> "Signal":
        """The same sense with codes of eight bits."""
        return replace(self, code_bits=8)

    def perceive(self, raw: Array) -> Array:
        """float32 [B, size] as it is, within the bounds."""
        return jnp.clip(raw, self.low, self.high)

    def encode(self, raw: Array) -> Array:
        """float32 [B, size] -> packed codes [B, code_bytes] uint8."""
        return pack((self.perceive(raw) - self.low) / (self.high - self.low), self.code_bits)

    @property
    def latents(self) -> int:
        return self.size

    def latent(self, code: Array) -> Array:
        """Packed codes -> [B, size] in [0, 1]."""
        return unpack(code, self.code_bits, self.size)

    def depict(self, latent: Array) -> Array:
        """From [0, 1] to the bounds, [B, size]."""
        return self.low + (self.high - self.low) * latent

    def decode(self, code: Array) -> Array:
        """Packed codes -> percepts [B, size]."""
        return self.depict(self.latent(code))

    def augment(self, key: Array, percept: Array) -> Array:
        """No invariance is known of numbers in general."""
        del key
        return percept

    def draw_filters(self, key: Array) -> Array:
        """Frozen directions of the random expansion [1, 1, size, filters]."""
        return jax.random.normal(key, (1, 1, self.size, self.filters)) / self.size**0.5

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0: relu(+-(x W))."""
        h = percept @ filters[0, 0]
        return jnp.concatenate([jax.nn.relu(h), jax.nn.relu(-h)], axis=1)
