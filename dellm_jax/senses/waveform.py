"""Hearing the waveform itself, for a filterbank that learns."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import ArchitectureError
from dellm_jax.senses.hearing import Audio
from dellm_jax.senses.quadrature import mel_quadrature
from dellm_jax.types import Array

LOUDNESS = 0.1  # root mean square of what is heard
MU = 255
LEVELS = 127


@dataclass(frozen=True)
class Waveform:
    """Waveforms of `samples` at `rate` Hz, heard as they are from beginning to end, of one loudness.

    A sound begins and ends where its energy rises above `quiet` dB below its loudest moment. It is moved to the start
    of `longest` samples and is zero behind its end, which says how long it is. Remembered in a byte a sample (mu-law,
    in which nothing stays nothing). Of its mean spectrum filterbanks take away the share `colour`. Frozen features are
    those of the log-mel picture (`filters`, see `Audio`).

    What a rest varies: `pitch`, the relative speed, and with it pitch and vocal tract; `cut`, the share that is missing
    at either end; `tilt`, two echoes of one and two samples that colour the sound; `noise`, the loudest noise in dB
    below the sound (to 40 dB less); `gain`, the loudness.
    """

    samples: int = 8000
    rate: int = 8000
    name: str = "audio"
    longest: int = 4800
    quiet: float = 20.0
    colour: float = 0.5
    filters: int = 32
    pitch: float = 0.12
    cut: float = 0.05
    tilt: float = 0.3
    noise: float = 20.0
    gain: float = 0.2

    def __post_init__(self) -> None:
        if min(self.rate // 100, self.filters, self.longest - Audio.window + 1) < 1 or self.longest > self.samples:
            raise ArchitectureError(
                f"sense {self.name!r}: needs rate >= 100, filters >= 1 and {Audio.window} <= longest <= samples, got "
                f"{self}"
            )
        for field in ("quiet", "pitch", "cut", "tilt", "gain"):
            if getattr(self, field) < 0:
                raise ArchitectureError(f"sense {self.name!r}: {field} is {getattr(self, field)}; expected 0 or more")

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.samples,)

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(np.int16)

    @property
    def inputs(self) -> int:
        return self.longest

    @property
    def code_bytes(self) -> int:
        return self.longest

    @property
    def features(self) -> int:
        return self._picture.features

    @property
    def _picture(self) -> Audio:
        return Audio(self.longest, self.rate, self.name, filters=self.filters, colour=self.colour)

    def quadrature(self, kernel: int, count: int) -> np.ndarray:
        """Filters at birth [kernel, 2, count]."""
        return mel_quadrature(self.rate, kernel, count)

    def sharpest(self) -> "Waveform":
        """The same sense: a byte a sample is all there is."""
        return self

    def perceive(self, raw: Array) -> Array:
        """int16 [B, samples] -> the sound from its beginning on [B, longest] in [-1, 1], zeros behind its end."""
        x, frame = raw.astype(jnp.float32) / 32768, self.rate // 100
        whole = jnp.pad(x, ((0, 0), (0, -x.shape[1] % frame)))
        power = (whole.reshape(x.shape[0], -1, frame) ** 2).mean(2)
        power = 0.5 * power + 0.25 * (_shifted(power, 1) + _shifted(power, -1))
        loud = power > 10 ** (-self.quiet / 10) * power.max(1, keepdims=True)
        first, end = jnp.argmax(loud, 1), loud.shape[1] - jnp.argmax(loud[:, ::-1], 1)
        place = frame * first[:, None] + np.arange(self.longest)
        heard = jnp.take_along_axis(x, jnp.minimum(place, self.samples - 1), axis=1)
        inside = place < jnp.minimum(frame * end, self.samples)[:, None]
        return _of_one_loudness(heard, inside)

    def encode(self, raw: Array) -> Array:
        """int16 [B, samples] -> mu-law codes [B, longest] uint8, 128 = nothing."""
        x = self.perceive(raw)
        curve = jnp.sign(x) * jnp.log1p(MU * jnp.abs(x)) / np.log1p(MU)
        return (jnp.round(LEVELS * curve) + LEVELS + 1).astype(jnp.uint8)

    @property
    def latents(self) -> int:
        return self.longest

    def latent(self, code: Array) -> Array:
        """Codes -> where they lie on the curve of mu-law [B, longest], in [-1, 1]."""
        return (code.astype(jnp.float32) - LEVELS - 1) / LEVELS

    def depict(self, latent: Array) -> Array:
        """The curve back to percepts [B, longest]."""
        return jnp.sign(latent) * jnp.expm1(jnp.abs(latent) * np.log1p(MU)) / MU

    def decode(self, code: Array) -> Array:
        """Codes -> percepts [B, longest]."""
        return self.depict(self.latent(code))

    def augment(self, key: Array, percept: Array) -> Array:
        """The same word by a higher or deeper voice, cut short, through another microphone, in noise, louder or softer.

        Speed perturbation: Ko et al. (2015).
        """
        for_chance, for_noise = jax.random.split(key)
        pitch, gain, noise, *rest = jax.random.uniform(for_chance, (7, percept.shape[0], 1), minval=-1.0, maxval=1.0)
        there = percept != 0
        last = jnp.where(there.any(1), self.longest - jnp.argmax(there[:, ::-1], 1), 0)[:, None]
        begin, early = (self.cut * last * jax.nn.relu(one) for one in rest[:2])
        moment = begin + np.arange(self.longest) * jnp.exp(self.pitch * pitch)
        low = jnp.floor(moment).astype(jnp.int32)
        share = moment - low
        x = _at(percept, low) * (1 - share) + _at(percept, low + 1) * share
        near, far = (self.tilt * one for one in rest[2:])
        x = x + near * _shifted(x, 1) + far * _shifted(x, 2)
        inside = moment < last - early - 1
        x = _of_one_loudness(x, inside) * jnp.exp(self.gain * gain)
        loud = LOUDNESS * 10 ** (-(self.noise + 20 * (1 + noise)) / 20)
        return jnp.clip(jnp.where(inside, x + loud * jax.random.normal(for_noise, x.shape), 0.0), -1, 1)

    def draw_filters(self, key: Array) -> Array:
        """Frozen filters of the random expansion of the log-mel picture."""
        return self._picture.draw_filters(key)

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0 of the log-mel picture of the percept."""
        return self._picture.expand(filters, self._picture.perceive(percept))


def _of_one_loudness(x: Array, inside: Array) -> Array:
    """x where it is inside and zero elsewhere, with a root mean square of `LOUDNESS` inside, clipped to [-1, 1]."""
    power = ((x**2) * inside).sum(1, keepdims=True) / jnp.maximum(inside.sum(1, keepdims=True), 1)
    return jnp.where(inside, jnp.clip(x * LOUDNESS / jnp.maximum(jnp.sqrt(power), 1e-6), -1, 1), 0.0)


def _at(x: Array, place: Array) -> Array:
    """x [B, N] at places [B, M]; beyond the end the last stays."""
    return jnp.take_along_axis(x, jnp.clip(place, 0, x.shape[1] - 1), axis=1)


def _shifted(x: Array, by: int) -> Array:
    """x [B, N] later by so many places, or earlier; zeros come in."""
    return jnp.pad(x, ((0, 0), (max(by, 0), max(-by, 0))))[:, max(-by, 0) : x.shape[1] + max(-by, 0)]
