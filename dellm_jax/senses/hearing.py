"""Hearing: mono int16 waveforms of a fixed window."""

from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import ArchitectureError
from dellm_jax.senses.grid import (
    between,
    pack,
    pooling,
    random_convolution,
    random_filters,
    resample,
    stretching,
    unpack,
)
from dellm_jax.types import Array

FLOOR_DB = 50.0  # what lies further below a clip's peak is not heard
SPAN_DB = 60.0  # from 0 to 1 in a percept


@cache
def mel_filterbank(rate: int, window: int, mels: int) -> np.ndarray:
    """librosa's Slaney mel filters [mels, window // 2 + 1]."""
    import librosa  # slow to import, needed only where something is heard

    return librosa.filters.mel(sr=rate, n_fft=window, n_mels=mels).astype(np.float32)


@cache
def mel_centres(rate: int, mels: int) -> np.ndarray:
    """The frequencies in Hz at which those filters peak [mels]."""
    import librosa

    return librosa.mel_frequencies(n_mels=mels + 2, fmin=0, fmax=rate / 2)[1:-1].astype(np.float32)


@dataclass(frozen=True)
class Audio:
    """Waveforms of `samples` at `rate` Hz, heard as a log-mel picture of `frames` x `mels`, from beginning to end.

    A sound begins and ends where it rises above `quiet` dB below its loudest moment, and is stretched to `frames`, so
    that slow and fast ways to say a word look alike. Its mean is 0.5, whatever its loudness. Of its mean spectrum,
    which tells more of the speaker and the room than of the word, the share `colour` is taken away.
    Remembered at `code_frames` x `code_mels` cells of `code_bits` bits. Frozen features as in `Image`, of filters
    `kernel_frames` long and `kernel` wide, pooled in cells that overlap.

    What a rest varies: `delay`, the moment, in frames; `tempo`, the relative speed; `tract`, the relative length of the
    vocal tract, which scales all frequencies (Jaitly & Hinton, 2013); `gain`, the contrast.
    """

    samples: int = 8000
    rate: int = 8000
    name: str = "audio"
    window: int = 256
    hop: int = 128
    frames: int = 32
    mels: int = 32
    quiet: float = 25.0
    colour: float = 0.5
    code_frames: int = 16
    code_mels: int = 20
    code_bits: int = 4
    filters: int = 32
    kernel: int = 5
    kernel_frames: int = 7
    stride: int = 2
    cells: int = 4
    delay: float = 8.0
    tempo: float = 0.2
    tract: float = 0.05
    gain: float = 0.2

    def __post_init__(self) -> None:
        heard = (self.rate, self.window, self.hop, self.frames, self.mels)
        kept = (self.code_frames, self.code_mels, self.filters, self.kernel, self.kernel_frames)
        kept += (self.stride, self.cells)
        if self.samples < self.window or min(*heard, *kept) < 1:
            raise ArchitectureError(f"sense {self.name!r}: needs samples >= window and sizes of at least 1, got {self}")
        if self.code_bits not in (1, 2, 4, 8):
            raise ArchitectureError(f"sense {self.name!r}: code_bits is {self.code_bits}; choose 1, 2, 4 or 8")

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

    @property
    def moments(self) -> int:
        """Convolutions read a percept as `frames` moments of `mels` bands."""
        return self.frames

    def sharpest(self) -> "Audio":
        """The same sense with codes of full resolution: what a learner perceives that need not remember."""
        return replace(self, code_frames=self.frames, code_mels=self.mels, code_bits=8)

    def decibels(self, raw: Array) -> Array:
        """int16 [B, samples] -> log-mel [B, 1 + (samples - window) // hop, mels] in dB, from the floor to 0 = peak.

        float32 waveforms of any length are heard as they are.
        """
        x = raw.astype(jnp.float32) / 32768 if jnp.issubdtype(raw.dtype, jnp.integer) else raw
        count = 1 + (x.shape[1] - self.window) // self.hop
        starts = self.hop * np.arange(count)[:, None] + np.arange(self.window)
        frames = x[:, starts] * np.hanning(self.window + 1)[:-1].astype(np.float32)
        power = jnp.abs(jnp.fft.rfft(frames)) ** 2
        decibel = 10 * jnp.log10(jnp.maximum(power @ mel_filterbank(self.rate, self.window, self.mels).T, 1e-10))
        return jnp.maximum(decibel - decibel.max((1, 2), keepdims=True), -FLOOR_DB)

    def perceive(self, raw: Array) -> Array:
        """int16 [B, samples] -> the sound from beginning to end [B, frames * mels] in [0, 1]."""
        decibel = self.decibels(raw)
        count = decibel.shape[1]
        power = (10 ** (decibel / 10)).sum(-1)
        loud = power > 10 ** (-self.quiet / 10) * power.max(1, keepdims=True)
        first, end = jnp.argmax(loud, 1), count - jnp.argmax(loud[:, ::-1], 1)
        places = (np.arange(self.frames, dtype=np.float32) + 0.5) / self.frames
        heard = between(first[:, None] - 0.5 + (end - first)[:, None] * places, count) @ decibel
        spectrum = heard.mean(1, keepdims=True)
        level = spectrum.mean(2, keepdims=True)
        heard = heard - level - self.colour * (spectrum - level)
        return jnp.clip(0.5 + heard / SPAN_DB, 0, 1).reshape(raw.shape[0], -1)

    def encode(self, raw: Array) -> Array:
        """int16 [B, samples] -> packed codes [B, code_bytes] uint8."""
        x = resample(
            self._grid(self.perceive(raw)), pooling(self.code_frames, self.frames), pooling(self.code_mels, self.mels)
        )
        return pack(x.reshape(raw.shape[0], -1), self.code_bits)

    @property
    def latents(self) -> int:
        return self.code_frames * self.code_mels

    def latent(self, code: Array) -> Array:
        """Packed codes -> their cells [B, latents] in [0, 1]."""
        return unpack(code, self.code_bits, self.latents)

    def depict(self, latent: Array) -> Array:
        """Cells of codes -> percepts [B, inputs]."""
        x = latent.reshape(latent.shape[0], self.code_frames, self.code_mels, 1)
        x = resample(x, stretching(self.frames, self.code_frames), stretching(self.mels, self.code_mels))
        return x.reshape(latent.shape[0], -1)

    def decode(self, code: Array) -> Array:
        """Packed codes -> percepts [B, inputs]."""
        return self.depict(self.latent(code))

    def augment(self, key: Array, percept: Array) -> Array:
        """The same word earlier or later, slower or faster, by a larger or smaller mouth, with other contrast."""
        delay, tempo, tract, gain = jax.random.uniform(key, (4, percept.shape[0], 1), minval=-1.0, maxval=1.0)
        middle = (self.frames - 1) / 2
        moment = (np.arange(self.frames) - middle) * jnp.exp(self.tempo * tempo) + middle + self.delay * delay
        centres = mel_centres(self.rate, self.mels)
        pitch = jnp.interp(centres * jnp.exp(self.tract * tract), centres, np.arange(self.mels, dtype=np.float32))
        x = between(moment, self.frames) @ self._grid(percept)[..., 0] @ between(pitch, self.mels).swapaxes(1, 2)
        return (x ** jnp.exp(self.gain * gain)[..., None]).reshape(percept.shape)

    def draw_filters(self, key: Array) -> Array:
        """Frozen filters of the random expansion."""
        return random_filters(key, self.kernel_frames, self.kernel, 1, self.filters)

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0."""
        return random_convolution(self._grid(percept), filters, self.stride, self.cells)

    def _grid(self, percept: Array) -> Array:
        return percept.reshape(percept.shape[0], self.frames, self.mels, 1)
