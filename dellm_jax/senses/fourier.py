"""Seeing by random Fourier features of the pixels: another frozen expansion, for comparison."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dellm_jax.senses.vision import Image
from dellm_jax.types import Array


@dataclass(frozen=True)
class FourierImage(Image):
    """An `Image` whose frozen features approximate a Gaussian kernel: k(x, y) = exp(-gamma |x - y|^2).

    phi(x) = n^-1/2 [cos(x W), sin(x W)], W ~ N(0, 2 gamma), `filters` = n columns.
    Source: random Fourier features (Rahimi & Recht, 2007), as RanDumb (Prabhu et al., 2024) uses them.
    """

    filters: int = 640
    gamma: float = 0.01

    @property
    def features(self) -> int:
        return 2 * self.filters

    def draw_filters(self, key: Array) -> Array:
        """Frozen directions [H, W, C, n]."""
        return (2 * self.gamma) ** 0.5 * jax.random.normal(key, (self.height, self.width, self.channels, self.filters))

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, 2 n]."""
        angle = percept @ filters.reshape(-1, self.filters)
        return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=1) / self.filters**0.5
