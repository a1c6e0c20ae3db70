"""Reading: UTF-8 bytes of a fixed width, as hashed n-grams. No vocabulary, any language, tolerant of typing errors."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from dellm_jax.types import ArchitectureError, Array

BEGIN, END = 2, 3
NORM = 8.0


@dataclass(frozen=True)
class Text:
    """Texts of up to `width` bytes, zero-padded; n-grams of 1 to `longest` bytes hashed into `buckets` counts."""

    width: int = 16
    buckets: int = 512
    longest: int = 4
    name: str = "text"

    def __post_init__(self) -> None:
        if min(self.width, self.buckets, self.longest) < 1:
            raise ArchitectureError(f"sense {self.name!r}: width, buckets and longest must be at least 1, got {self}")

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def inputs(self) -> int:
        return self.buckets

    @property
    def code_bytes(self) -> int:
        return self.width

    @property
    def features(self) -> int:
        return self.buckets

    def sharpest(self) -> "Text":
        """Codes of texts lose nothing as it is."""
        return self

    def perceive(self, raw: Array) -> Array:
        """uint8 [B, width] -> hashed n-gram counts [B, buckets], scaled to length 8; an empty text is all zero."""
        batch, width = raw.shape
        length = (raw > 0).sum(1, keepdims=True)
        place = jnp.arange(width + 2)[None, :]
        padded = jnp.pad(raw, ((0, 0), (1, 1)))
        text = jnp.where(place == 0, BEGIN, jnp.where(place == length + 1, END, padded)).astype(jnp.uint32)
        counts = jnp.zeros((batch, self.buckets))
        rows = jnp.arange(batch)[:, None]
        gram = jnp.zeros((batch, width + 2), jnp.uint32)
        for size in range(1, self.longest + 1):
            ahead = jnp.pad(text[:, size - 1 :], ((0, 0), (0, size - 1)))
            gram = (gram ^ ahead) * jnp.uint32(16777619) + jnp.uint32(size)
            whole = (place + size <= length + 2) & (length > 0)
            mixed = (gram ^ (gram >> 15)) * jnp.uint32(2246822519)
            counts = counts.at[rows, (mixed >> 8) % self.buckets].add(whole.astype(jnp.float32))
        return NORM * counts / jnp.maximum(jnp.linalg.norm(counts, axis=1, keepdims=True), 1e-6)

    def encode(self, raw: Array) -> Array:
        """The bytes themselves."""
        return raw

    def decode(self, code: Array) -> Array:
        """Bytes -> percepts [B, inputs]."""
        return self.perceive(code)

    def augment(self, key: Array, percept: Array) -> Array:
        """A written word stays as it is written."""
        del key
        return percept

    def draw_filters(self, key: Array) -> Array:
        """Hashing needs no filters: an empty array."""
        del key
        return jnp.zeros((0, 0, 0, 0))

    def expand(self, filters: Array, percept: Array) -> Array:
        """Hashed n-grams are their own frozen features."""
        del filters
        return percept
