"""Sounds of any kind as the int16 windows that are heard."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

from dellm_jax.errors import MediaError
from dellm_jax.media.files import Source, called, opened
from dellm_jax.streams.corpus import fixed_length

MOST_BYTES = 512 << 20
MOST_SECONDS = 600.0
LOUDNESS = 0.1  # root mean square, -20 dB of full scale
PEAK = 0.99
SILENCE = 1e-4  # a peak of -80 dB: below the noise of 13 bits
OVERSHOOT = 8.0  # mixes in floating point may exceed 1; sixteen-bit numbers in disguise exceed this
RATES = (1_000, 400_000)
MOST_CHANNELS = 32
BLOCK = 1 << 18  # numbers decoded at a time


def read_sound(
    source: Source, samples: int, rate: int, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS
) -> np.ndarray:
    """A sound file or its bytes -> mono int16 [samples] at `rate` Hz, at one loudness, without silence at its ends.

    Any format of libsndfile (WAV, FLAC, OGG, MP3, ...), number format, rate and number of channels. A longer sound
    gives its loudest window: see `read_windows`. Raises MediaError where there is nothing to hear, on damage, on NaN or
    infinity, and beyond the limits. A rate that is labelled wrongly cannot be known: it is heard too fast or too slow.
    """
    with decoded(source, rate, most_bytes, most_seconds) as blocks:
        return fit_sound(np.concatenate([np.zeros(0, np.float32), *blocks]), samples, called(source))


def read_windows(
    source: Source,
    samples: int,
    rate: int,
    hop: int = 0,
    most_bytes: int = MOST_BYTES,
    most_seconds: float = 24 * MOST_SECONDS,
) -> Iterator[np.ndarray]:
    """A long sound, decoded piece by piece -> windows int16 [samples], every `hop` samples (0: side by side).

    Windows in which there is silence are left out; the last may be padded. Raises as `read_sound` does.
    """
    kept = np.zeros(0, np.float32)
    with decoded(source, rate, most_bytes, most_seconds) as blocks:
        for block in blocks:
            kept = np.concatenate([kept, block])
            while len(kept) >= samples:
                if not silent(kept[:samples]):
                    yield fit_sound(kept[:samples], samples)
                kept = kept[hop or samples :]
    if not silent(kept):
        yield fit_sound(kept, samples)


def fit_sound(sound: np.ndarray, samples: int, name: str = "the sound") -> np.ndarray:
    """Mono float32 [N] -> int16 [samples] at one loudness: trimmed, then centred in zeros or cut to its loudest window.

    Loudness: root mean square 0.1 of full scale, or less where the peak would pass 0.99. MediaError in silence.
    """
    if silent(sound):
        raise MediaError(
            f"{name} is silent, with {len(sound)} samples; give a sound in which there is something to hear"
        )
    sound = sound - sound.mean()
    gain = min(LOUDNESS / np.sqrt(np.mean(sound**2)), PEAK / np.abs(sound).max())
    return fixed_length([np.round(32767 * gain * sound).astype(np.int16)], samples)[0]


def silent(sound: np.ndarray) -> bool:
    """Whether nothing in it [N] exceeds -80 dB of full scale, a constant pressure left aside."""
    return len(sound) == 0 or float(np.abs(sound - sound.mean()).max()) < SILENCE


def mono(samples: np.ndarray, name: str = "the sound") -> np.ndarray:
    """Any array of samples, [N], [N, channels] or [channels, N] -> float32 [N] in about [-1, 1], channels averaged.

    Integers are taken relative to their full range (uint8 around 128). MediaError on NaN, infinity, floats beyond full
    scale, other kinds of number and other shapes.
    """
    x = np.asarray(samples)
    if x.ndim == 2 and min(x.shape) <= MOST_CHANNELS < max(x.shape):
        x = x if x.shape[1] <= MOST_CHANNELS else x.T
    elif x.ndim == 2 and 1 in x.shape:
        x = x.reshape(-1, 1)
    elif x.ndim != 1:
        raise MediaError(f"{name} has shape {x.shape}; expected [samples], [samples, channels] or [channels, samples]")
    if x.dtype.kind == "u" and x.dtype.itemsize == 1:
        x = (x.astype(np.float32) - 128) / 128
    elif x.dtype.kind == "i":
        x = x.astype(np.float32) / -float(np.iinfo(x.dtype).min)
    elif x.dtype.kind != "f":
        raise MediaError(f"{name} has dtype {x.dtype}; expected floats, signed integers or uint8")
    x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise MediaError(f"{name} holds NaN or infinite samples; repair or drop them")
    if x.size and np.abs(x).max() > OVERSHOOT:
        raise MediaError(f"{name} reaches {np.abs(x).max():.0f}; floats are expected in -1..1: divide by full scale")
    return x.mean(1) if x.ndim == 2 else x


def resample(sound: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Mono float32 [N] at `rate` Hz -> [about N to / rate] at `to` Hz (soxr, high quality). MediaError on odd rates."""
    sound = np.asarray(sound, np.float32)
    return sound if checked_rate(rate) == to or not len(sound) else soxr.resample(sound, rate, to)


def checked_rate(rate: Any, name: str = "the sound") -> int:
    """The sample rate, if it is one. MediaError else."""
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not RATES[0] <= rate <= RATES[1]:
        raise MediaError(f"{name} has a sample rate of {rate!r}; expected whole Hz from {RATES[0]} to {RATES[1]}")
    return int(rate)


@contextmanager
def decoded(source: Source, rate: int, most_bytes: int, most_seconds: float) -> Iterator[Iterator[np.ndarray]]:
    """The blocks of a sound file, mono float32 at `rate` Hz. What the header says of its length is not believed."""
    checked_rate(rate, "the sense")
    name = called(source)
    with opened(source, most_bytes) as file:
        try:
            sound = soundfile.SoundFile(_Sought(file))
        except (soundfile.SoundFileError, TypeError, ValueError, OSError) as error:
            raise MediaError(f"{name} cannot be heard; give a whole file of WAV, FLAC, OGG or MP3") from error
        with sound:
            checked_rate(sound.samplerate, name)
            if sound.channels > MOST_CHANNELS:
                raise MediaError(f"{name} has {sound.channels} channels; expected at most {MOST_CHANNELS}")
            yield _blocks(sound, rate, most_seconds, name)


class _Sought:
    """A file for libsndfile, which damage may send to a place before its beginning: it then stays where it is.

    What `seek` raised would be printed with its traceback by the callback that it is called from, and not be raised.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.read, self.readinto, self.tell = file, file.read, file.readinto, file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        with suppress(OSError, ValueError, OverflowError):
            self._file.seek(offset, whence)
        return self.tell()


def _blocks(file: Any, rate: int, most_seconds: float, name: str) -> Iterator[np.ndarray]:
    stream, seconds = soxr.ResampleStream(file.samplerate, rate, 1, "float32"), 0.0
    while True:
        try:
            block = file.read(BLOCK // file.channels, "float32", always_2d=True)
        except (soundfile.SoundFileError, ValueError) as error:
            raise MediaError(f"{name} is damaged after {seconds:.1f} s; record or copy it again") from error
        seconds += len(block) / file.samplerate
        if seconds > most_seconds:
            raise MediaError(f"{name} is longer than {most_seconds:g} s; cut it, or raise most_seconds")
        with np.errstate(invalid="ignore", over="ignore"):  # infinity minus infinity is NaN, and is refused
            mixed = block.mean(1)
        yield stream.resample_chunk(mono(mixed, name), last=not len(block))
        if not len(block):
            return
