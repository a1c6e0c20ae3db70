"""Reading byte after byte, for convolutions that learn."""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import ArchitectureError
from dellm_jax.senses.reading import Text
from dellm_jax.types import Array

BLANK = ord(" ")


@dataclass(frozen=True)
class Bytes(Text):
    """Texts of up to `width` UTF-8 bytes, read as `width` moments: every byte as `bands` signs of its own.

    Beyond the end of a text there are none. Frozen features are those of hashed n-grams (see `Text`, whose
    settings they are). What a rest varies: the share `leave_out` of the bytes is blanked.
    """

    bands: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bands < 8:
            raise ArchitectureError(f"sense {self.name!r}: bands is {self.bands}; 256 bytes need at least 8 signs")

    @property
    def moments(self) -> int:
        """Convolutions read a percept as `width` moments of `bands` signs."""
        return self.width

    @property
    def inputs(self) -> int:
        return self.width * self.bands

    def perceive(self, raw: Array) -> Array:
        """uint8 [B, width] -> signs of every byte, in order [B, width * bands]."""
        return jnp.asarray(_signs(self.bands))[raw].reshape(raw.shape[0], -1)

    def augment(self, key: Array, percept: Array) -> Array:
        """The same text with a share `leave_out` of its bytes blanked, every one drawn alone."""
        if not self.leave_out:
            return percept
        letters = percept.reshape(-1, self.width, self.bands)
        there = (letters != 0).any(-1, keepdims=True)
        lost = there & jax.random.bernoulli(key, self.leave_out, there.shape)
        return jnp.where(lost, _signs(self.bands)[BLANK], letters).reshape(percept.shape)

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0 of the hashed n-grams of the text that was read."""
        letters = percept.reshape(-1, self.width, self.bands)
        return super().expand(filters, super().perceive(jnp.argmax(letters @ _signs(self.bands).T, -1)))


@cache
def _signs(bands: int) -> np.ndarray:
    """A row of signs for every byte [256, bands], no two alike; none for byte 0, which is nothing.

    The first eight are the bits of the byte, the others random.
    """
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    rest = np.random.default_rng(0).integers(0, 2, (256, bands - 8))
    return (2.0 * np.concatenate([bits, rest], axis=1) - 1).astype(np.float32) * (np.arange(256) > 0)[:, None]
