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


def convolved(x: Array, weights: Array, stride: int) -> Array:
    """sum_k x[t stride + k] W_k in every moment t that has all of the kernel: [B, T, N], [K, N, U] -> [B, T', U].

    As one product of windows laid side by side: XLA's own convolution is faster alone, but not in loops on CPU.
    """
    kernel = weights.shape[0]
    last = (x.shape[1] - kernel) // stride * stride
    windows = jnp.concatenate([x[:, k : k + last + 1 : stride] for k in range(kernel)], axis=-1)
    return windows @ weights.reshape(-1, weights.shape[-1])


def filtered(x: Array, pairs: Array, stride: int) -> Array:
    """Power in every band, once every `stride` samples: [B, S], [K, 2, U] -> |x * h_u|^2 [B, ceil(S / stride), U].

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
        self.forward = self._filters(living) if self.linear else self._kernels(living)
        at_rest = AT_REST if self.linear else 0.0
        self.bias = self.param("bias", named(lambda _, shape: jnp.where(living, at_rest, 0.0), self.axis), (self.size,))
        self.active = self._kept("active", lambda _, shape: living.astype(jnp.float32))
        self.age = self._kept("age", nn.initializers.zeros)
        self.rate = self._kept("rate", nn.initializers.zeros)
        if not self.linear:
            self.threshold = self._kept("threshold", nn.initializers.zeros)

    def _kept(self, name: str, init: nn.initializers.Initializer) -> Array:
        return self.variable("homeostasis", name, named(init, self.axis), None, (self.size,)).value

    def _filters(self, living: Array) -> dict[str, Array]:
        """Pairs in quadrature [kernel, 2, units], as the sense gives them at birth."""
        (source,) = self.own.reads
        (self.sense,) = (s for s in self.architecture.senses if s.name == source)

        def born(key: Array, shape: tuple[int, ...]) -> Array:
            del key
            pairs = self.sense.quadrature(self.own.kernel, self.own.units)
            return jnp.zeros(shape).at[..., : self.own.units].set(pairs)

        init = named(born, f"{self.node}.kernel", f"{self.node}.quadrature", self.axis)
        return {source: self.param(f"from_{source}", init, (self.own.kernel, 2, self.size))}

    def _kernels(self, living: Array) -> dict[str, Array]:
        """He weights [kernel, source, units] over the living of every source."""
        architecture, kernel = self.architecture, self.own.kernel
        here = {source: _told(architecture, source) for source in self.own.reads}
        scale = (2.0 / (kernel * sum(alive for _, _, alive in here.values()))) ** 0.5

        def born(key: Array, shape: tuple[int, ...], alive: int) -> Array:
            heard = (jnp.arange(shape[1]) < alive)[:, None] & living
            return jnp.where(heard, scale * jax.random.normal(key, shape), 0.0)

        return {
            source: self.param(
                f"from_{source}", named(born, f"{self.node}.kernel", axis, self.axis), (kernel, size, self.size), alive
            )
            for source, (axis, size, alive) in here.items()
        }

    def __call__(self, heard: dict[str, Array], presence: dict[str, Array]) -> Array:
        """Outputs [B, moments, U] of percepts [B, N] and outputs of assemblies in time [B, T, N]; absent = zero."""
        out = self._bands(heard) if self.linear else jax.nn.relu(self._drive(heard, presence) - self.threshold)
        out = out * self.active
        there = [presence[source] for source in self.forward if source in heard and source in presence]
        certain = any(source in heard and source not in presence for source in self.forward)
        return out if certain or not there else out * jnp.stack(there).max(0)[:, None, None]

    def _bands(self, heard: dict[str, Array]) -> Array:
        """log(1 + p_u / quiet) of the power p_u = |x * h_u|^2 in each band, less a share of its mean in time."""
        ((source, pairs),) = self.forward.items()
        x, own = heard[source], self.own
        level = jnp.log1p(filtered(x, pairs, own.stride) / QUIET)
        first, end = span(x)
        level = stretched(level, first / own.stride, end / own.stride, own.moments)
        return level - self.sense.colour * level.mean(1, keepdims=True) + self.bias

    def _drive(self, heard: dict[str, Array], presence: dict[str, Array]) -> Array:
        own, total = self.own, self.bias
        for source, weights in self.forward.items():
            if source not in heard:
                continue
            x = heard[source]
            if x.ndim == 2:
                x = x.reshape(x.shape[0], self.architecture.moments[source], -1)
            incoming = convolved(x, weights, own.stride)
            total = total + (incoming * presence[source][:, None, None] if source in presence else incoming)
        return total

    def predict(self, output: Array) -> dict[str, Array]:
        """Units in time foretell nothing."""
        del output
        return {}


def _told(architecture: Architecture, source: str) -> tuple[str, int, int]:
    """Axis of what a source tells in a moment, its size, and how much of it is alive."""
    if source in architecture.bands:
        return f"{source}.bands", architecture.bands[source], architecture.bands[source]
    (other,) = (a for a in architecture.assemblies if a.name == source)
    return architecture.axis(source), other.capacity, other.units
