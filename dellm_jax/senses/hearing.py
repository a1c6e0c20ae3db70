"""Hearing: mono int16 waveforms of a fixed window."""

from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.senses.grid import pack, pooling, random_convolution, random_filters, resample, stretching, unpack
from dellm_jax.types import ArchitectureError, Array

FLOOR_DB = 60.0


@cache
def mel_filterbank(rate: int, window: int, mels: int) -> np.ndarray:
    """librosa's Slaney mel filters [mels, window // 2 + 1]."""
    import librosa  # slow to import, needed only where something is heard

    return librosa.filters.mel(sr=rate, n_fft=window, n_mels=mels).astype(np.float32)


@dataclass(frozen=True)
class Audio:
    """Waveforms of `samples` at `rate` Hz, heard as a log-mel picture of `frames` x `mels`, 0 to 60 dB below its peak.

    Remembered at `code_frames` x `code_mels` cells of `code_bits` bits. Frozen features as in `Image`.
    `delay`: how many frames a rest may shift what it replays; `gain`: how much it may vary its contrast.
    """

    samples: int = 8000
    rate: int = 8000
    name: str = "audio"
    window: int = 256
    hop: int = 200
    mels: int = 32
    code_frames: int = 20
    code_mels: int = 16
    code_bits: int = 4
    filters: int = 32
    kernel: int = 5
    stride: int = 2
    cells: int = 4
    delay: float = 3.0
    gain: float = 0.2

    def __post_init__(self) -> None:
        heard = (self.rate, self.window, self.hop, self.mels)
        kept = (self.code_frames, self.code_mels, self.filters, self.kernel, self.stride, self.cells)
        if self.samples < self.window or min(*heard, *kept) < 1:
            raise ArchitectureError(f"sense {self.name!r}: needs samples >= window and sizes of at least 1, got {self}")
        if self.code_bits not in (1, 2, 4, 8):
            raise ArchitectureError(f"sense {self.name!r}: code_bits is {self.code_bits}; choose 1, 2, 4 or 8")

    @property
    def frames(self) -> int:
        return 1 + (self.samples - self.window) // self.hop

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.samples,)

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(np.int16)

    @property
    def inputs(self) -> int:
        return self.frames * self.mels

    @property
    def code_bytes(self) -> int:
        return -(-self.code_frames * self.code_mels * self.code_bits // 8)

    @property
    def features(self) -> int:
        return 2 * self.filters * self.cells**2

    def sharpest(self) -> "Audio":
        """The same sense with codes of full resolution: what a learner perceives that need not remember."""
        return replace(self, code_frames=self.frames, code_mels=self.mels, code_bits=8)

    def perceive(self, raw: Array) -> Array:
        """int16 [B, samples] -> log-mel [B, frames * mels] in [0, 1]: decibels above the floor, peak at 1."""
        starts = self.hop * np.arange(self.frames)[:, None] + np.arange(self.window)
        frames = (raw.astype(jnp.float32) / 32768)[:, starts] * np.hanning(self.window + 1)[:-1].astype(np.float32)
        power = jnp.abs(jnp.fft.rfft(frames)) ** 2
        mel = power @ mel_filterbank(self.rate, self.window, self.mels).T
        decibel = 10 * jnp.log10(jnp.maximum(mel, 1e-10))
        peak = decibel.max((1, 2), keepdims=True)
        return jnp.clip(1 + (decibel - peak) / FLOOR_DB, 0, 1).reshape(raw.shape[0], -1)

    def encode(self, raw: Array) -> Array:
        """int16 [B, samples] -> packed codes [B, code_bytes] uint8."""
        x = resample(
            self._grid(self.perceive(raw)), pooling(self.code_frames, self.frames), pooling(self.code_mels, self.mels)
        )
        return pack(x.reshape(raw.shape[0], -1), self.code_bits)

    def decode(self, code: Array) -> Array:
        """Packed codes -> percepts [B, inputs]."""
        x = unpack(code, self.code_bits, self.code_frames * self.code_mels)
        x = x.reshape(code.shape[0], self.code_frames, self.code_mels, 1)
        x = resample(x, stretching(self.frames, self.code_frames), stretching(self.mels, self.code_mels))
        return x.reshape(code.shape[0], -1)

    def augment(self, key: Array, percept: Array) -> Array:
        """The same sound a little earlier or later, with more or less contrast."""
        for_delay, for_gain = jax.random.split(key)
        x = self._grid(percept)[..., 0]
        delay = jax.random.uniform(for_delay, (x.shape[0],), minval=-self.delay, maxval=self.delay).round()
        source = jnp.arange(self.frames)[None, :] - delay.astype(jnp.int32)[:, None]
        inside = (source >= 0) & (source < self.frames)
        index = jnp.clip(source, 0, self.frames - 1)
        moved = jnp.where(inside[..., None], jnp.take_along_axis(x, index[..., None], axis=1), 0.0)
        contrast = jnp.exp(jax.random.uniform(for_gain, (x.shape[0], 1, 1), minval=-self.gain, maxval=self.gain))
        return (moved**contrast).reshape(percept.shape)

    def draw_filters(self, key: Array) -> Array:
        """Frozen filters of the random expansion."""
        return random_filters(key, self.kernel, 1, self.filters)

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0."""
        return random_convolution(self._grid(percept), filters, self.stride, self.cells)

    def _grid(self, percept: Array) -> Array:
        return percept.reshape(percept.shape[0], self.frames, self.mels, 1)
