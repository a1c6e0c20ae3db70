"""Makes dellm_jax/streams/data/spoken_digits.npz: the words zero to nine, synthesised by eSpeak NG.

Run it in the development environment, with the one package it adds (a tool for developers, never a dependency):
    uv pip install espeakng-loader==0.2.4 && python scripts/make_speech_pack.py
Licence: eSpeak NG is GPL-3 software; the GPL covers the program, not the sound it makes, so the pack is free of it.

eSpeak NG draws the breath of some voices from a generator that it seeds with the clock, and carries state from one word
to the next: only the whole set, seeded, in this order, in one fresh process, comes out the same. The printed sha256 is
of the arrays, so that it does not depend on the compressor.
"""

import ctypes
import hashlib
from collections.abc import Callable
from pathlib import Path

import espeakng_loader
import numpy as np
from scipy.signal import resample_poly

from dellm_jax.streams.corpus import mu_law_encode, trimmed
from dellm_jax.streams.digits import PACK, WORDS

SAMPLE_RATE = 8_000
SEED = 1  # of eSpeak NG's own noise
PEAK = 0.9  # every clip has this peak, so that loudness tells nothing about the voice or the word
VOICES = (
    "en-us", "en", "en-us+f3", "en+f2", "en-us+m3", "en-gb-scotland+m7", "en-029+f5", "en-us+Andy",
)  # fmt: skip
UNSEEN = ("en+f2", "en-us+Andy")  # one woman, one man: voices that only the test split hears
VARIANTS = tuple((speed, pitch) for speed in (140, 175, 220) for pitch in (35, 65))  # words per minute, 0..99
SYNCHRONOUS, RATE, PITCH, CHARACTERS, UTF8 = 2, 1, 3, 1, 1  # constants of espeak-ng/speak_lib.h
RECEIVER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def open_speaker() -> tuple[Callable[[str, str, int, int], np.ndarray], int, RECEIVER]:
    """`say(word, voice, speed, pitch) -> int16 [T]`, its sample rate in Hz, and the callback that must stay alive."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    chunks: list[np.ndarray] = []

    @RECEIVER
    def receive(samples, count, _events):
        if count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    rate = library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    library.espeak_SetSynthCallback(receive)
    library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))

    def say(word: str, voice: str, speed: int, pitch: int) -> np.ndarray:
        chunks.clear()
        text = word.encode() + b"\0"
        failed = library.espeak_SetVoiceByName(voice.encode())
        failed |= library.espeak_SetParameter(RATE, speed, 0) | library.espeak_SetParameter(PITCH, pitch, 0)
        failed |= library.espeak_Synth(text, len(text), 0, CHARACTERS, 0, UTF8, None, None)
        failed |= library.espeak_Synchronize()
        if failed or not chunks:
            raise RuntimeError(f"eSpeak NG said nothing for {word!r} with voice {voice!r}; is that voice installed?")
        return np.concatenate(chunks)

    return say, rate, receive


def clip(samples: np.ndarray, rate: int) -> np.ndarray:
    """Raw speech int16 [T] at `rate` -> trimmed mu-law uint8 at 8 kHz with a common peak."""
    audio = trimmed(resample_poly(samples.astype(np.float64), SAMPLE_RATE, rate))
    return mu_law_encode(PEAK * audio / np.abs(audio).max())


def held_out(voice: int, variant: int) -> bool:
    """Whether a combination belongs to the test split: one variant of every voice in turn, all of an unseen voice."""
    return VOICES[voice] in UNSEEN or variant == voice % len(VARIANTS)


def make() -> dict[str, np.ndarray]:
    """All arrays of the pack; clip j is audio[offsets[j]:offsets[j + 1]]."""
    say, rate, _receive = open_speaker()
    keys = [(v, s, w) for v in range(len(VOICES)) for s in range(len(VARIANTS)) for w in range(len(WORDS))]
    clips = [clip(say(WORDS[w], VOICES[v], *VARIANTS[s]), rate) for v, s, w in keys]
    return {
        "audio": np.concatenate(clips),
        "offsets": np.cumsum([0, *map(len, clips)]).astype(np.int64),
        "label": np.array([w for _, _, w in keys], np.uint8),
        "voice": np.array([v for v, _, _ in keys], np.uint8),
        "variant": np.array([s for _, s, _ in keys], np.uint8),
        "test": np.array([held_out(v, s) for v, s, _ in keys]),
        "voices": np.array(VOICES),
        "variants": np.array(VARIANTS, np.int32),
        "sample_rate": np.int32(SAMPLE_RATE),
    }


def main() -> None:
    """Writes the pack and prints what is in it."""
    pack = make()
    content = hashlib.sha256()
    for name, array in pack.items():
        content.update(f"{name} {array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    Path(PACK).parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(PACK, **pack)
    seconds = np.diff(pack["offsets"]) / SAMPLE_RATE
    print(f"{PACK}: {Path(PACK).stat().st_size:,} bytes, {len(seconds)} clips, {pack['test'].sum()} for testing")
    print(f"seconds: shortest {seconds.min():.2f}, median {np.median(seconds):.2f}, longest {seconds.max():.2f}")
    print(f"sha256 {content.hexdigest()}")


if __name__ == "__main__":
    main()
