"""Assemblies in time: a learned filterbank that hears a waveform, and convolutions over the moments it is told in."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dellm_jax.architecture import FILTERBANK, Architecture
from dellm_jax.axes import named
from dellm_jax.types import Array

QUIET = 1e-3  # power of a band, of a waveform of unit-energy filters, below which nothing is told
AT_REST = -0.5  # so that a filter at birth tells about zero of speech on average


def convolved(x: Array, weights: Array, stride: int, step: int) -> Array:
    """sum_kr x[t stride + k, p step + r] W_kr wherever all of the kernel is: [B, T, P, N] -> [B, T', P', U].

    `weights` [K, R, N, U].
    As one product of windows laid side by side: XLA's own convolution is faster alone, but not in loops on CPU.
    """
    kernel, reach = weights.shape[:2]
    if x.shape[1:3] == (kernel, reach):
        return (x.reshape(x.shape[0], -1) @ weights.reshape(-1, weights.shape[-1]))[:, None, None]
    last, top = (x.shape[1] - kernel) // stride * stride, (x.shape[2] - reach) // step * step
    windows = [x[:, k : k + last + 1 : stride, r : r + top + 1 : step] for k in range(kernel) for r in range(reach)]
    return jnp.concatenate(windows, axis=-1) @ weights.reshape(-1, weights.shape[-1])


def filtered(x: Array, pairs: Array, stride: int) -> Array:
    """Power in every band, once every `stride` samples: [B, S], [K, 2, ...] -> |x * h|^2 [B, ceil(S / stride), -1].

    The middle of the first window is half a stride from the beginning; beyond the ends it is silent.
    """
    kernel, count = pairs.shape[0], -(-x.shape[1] // stride)
    before, blocks = (kernel - stride) // 2, -(-kernel // stride)
    after = (count + blocks - 1) * stride - x.shape[1] - before
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (before, after, 0))).reshape(x.shape[0], -1, stride)
    windows = jnp.concatenate([x[:, block : block + count] for block in range(blocks)], axis=-1)[..., :kernel]
    parts = windows @ pairs.reshape(kernel, -1)
    return (parts.reshape(*parts.shape[:2], 2, -1) ** 2).sum(2)


def span(x: Array) -> tuple[Array, Array]:
    """Where a sound begins and ends in samples [B], [B]: zeros before and after it are no part of it."""
    there = x != 0
    return jnp.argmax(there, axis=1), x.shape[1] - jnp.argmax(there[:, ::-1], axis=1)


def stretched(x: Array, first: Array, end: Array, moments: int) -> Array:
    """Linear interpolation at `moments` places, evenly from `first` to `end` [B] in frames: [B, T, N] -> [B, M, N].

    Frame t covers t to t + 1. No place reads a frame whose middle is not within the sound, except in one shorter than
    a frame.
    """
    places = (np.arange(moments, dtype=np.float32) + 0.5) / moments
    low = jnp.ceil(first - 0.5)
    high = jnp.maximum(low, jnp.floor(end - 0.5))
    middle = first[:, None] + (end - first)[:, None] * places - 0.5
    middle = jnp.clip(middle, low[:, None], high[:, None])
    return jax.nn.relu(1 - jnp.abs(middle[..., None] - jnp.arange(x.shape[1]))) @ x


class TimeUnits(nn.Module):
    """What units in time have in common: weights [..., source, units], a bias, and who is alive."""

    architecture: Architecture
    node: str

    def setup(self) -> None:
        architecture = self.architecture
        (self.own,) = (a for a in architecture.assemblies if a.name == self.node)
        self.axis, self.size = architecture.axis(self.node), self.own.capacity
        living = jnp.arange(self.size) < self.own.units
        self.linear = self.own.kind == FILTERBANK
        self.feedback: dict[str, Array] = {}
        self.forward = self._filters() if self.linear else self._kernels(living)
        at_rest = AT_REST if self.linear else 0.0
        self.bias = self.param("bias", named(lambda _, shape: jnp.where(living, at_rest, 0.0), self.axis), (self.size,))
        self.active = self._kept("active", lambda _, shape: living.astype(jnp.float32))
        self.age = self._kept("age", nn.initializers.zeros)
        self.rate = self._kept("rate", nn.initializers.zeros)
        if not self.linear:
            self.threshold = self._kept("threshold", nn.initializers.zeros)

    def _kept(self, name: str, init: nn.initializers.Initializer) -> Array:
        return self.variable("homeostasis", name, named(init, self.axis), None, (self.size,)).value

    def _filters(self) -> dict[str, Array]:
        """Pairs in quadrature [kernel, 2, bands, units], as the sense gives them at birth, from low to high."""
        (source,), own = self.own.reads, self.own
        (self.sense,) = (s for s in self.architecture.senses if s.name == source)

        def born(key: Array, shape: tuple[int, ...]) -> Array:
            del key
            pairs = self.sense.quadrature(own.kernel, own.bands * own.units).reshape(*shape[:3], own.units)
            return jnp.zeros(shape).at[..., : own.units].set(pairs)

        init = named(born, *(f"{self.node}.{axis}" for axis in ("kernel", "quadrature", "bands")), self.axis)
        return {source: self.param(f"from_{source}", init, (own.kernel, 2, own.bands, self.size))}

    def _kernels(self, living: Array) -> dict[str, Array]:
        """He weights [kernel, reach, source, units] over the living of every source."""
        kernel = self.own.kernel, self.own.reach
        here = {source: _told(self.architecture, source) for source in self.own.reads}
        scale = (2.0 / (kernel[0] * kernel[1] * sum(alive for _, _, alive in here.values()))) ** 0.5

        def born(key: Array, shape: tuple[int, ...], alive: int) -> Array:
            heard = (jnp.arange(shape[2]) < alive)[:, None] & living
            return jnp.where(heard, scale * jax.random.normal(key, shape), 0.0)

        weights = {}
        for source, (axis, size, alive) in here.items():
            init = named(born, f"{self.node}.kernel", f"{self.node}.reach", axis, self.axis)
            weights[source] = self.param(f"from_{source}", init, (*kernel, size, self.size), alive)
        return weights

    def __call__(self, heard: dict[str, Array], presence: dict[str, Array]) -> Array:
        """Outputs [B, moments, bands, U] of percepts [B, N] and outputs of assemblies in time; absent = zero."""
        out = self._bands(heard) if self.linear else jax.nn.relu(self._drive(heard, presence) - self.threshold)
        out = out * self.active
        there = [presence[source] for source in self.forward if source in heard and source in presence]
        certain = any(source in heard and source not in presence for source in self.forward)
        return out if certain or not there else out * jnp.stack(there).max(0)[:, None, None, None]

    def _bands(self, heard: dict[str, Array]) -> Array:
        """log(1 + p_u / quiet) of the power p_u = |x * h_u|^2 in each band, less a share of its mean in time."""
        ((source, pairs),) = self.forward.items()
        x, own = heard[source], self.own
        level = jnp.log1p(filtered(x, pairs, own.stride) / QUIET)
        first, end = span(x)
        level = stretched(level, first / own.stride, end / own.stride, own.moments)
        told = level - self.sense.colour * level.mean(1, keepdims=True)
        return told.reshape(*told.shape[:2], own.bands, -1) + self.bias

    def _drive(self, heard: dict[str, Array], presence: dict[str, Array]) -> Array:
        own, total = self.own, self.bias
        for source, weights in self.forward.items():
            if source not in heard:
                continue
            x = heard[source]
            if x.ndim == 2:
                x = x.reshape(x.shape[0], *self.architecture.maps[source], 1)
            incoming = convolved(x, weights, own.stride, own.step)
            total = total + (incoming * presence[source][:, None, None, None] if source in presence else incoming)
        return total

    def predict(self, output: Array) -> dict[str, Array]:
        """Units in time foretell nothing."""
        del output
        return {}


def _told(architecture: Architecture, source: str) -> tuple[str, int, int]:
    """Axis of what a source tells in a moment and band, its size, and how much of it is alive."""
    for other in architecture.assemblies:
        if other.name == source:
            return architecture.axis(source), other.capacity, other.units
    return f"{source}.channels", 1, 1
