"""Digits heard: the Free Spoken Digit Dataset, 3,000 recordings of six speakers at 8 kHz.

Source: Jackson et al. 2018, version 1.0.10 (CC BY-SA 4.0). Its official split tests on recordings 0-4 of every speaker
and digit, so the same people speak in training and in testing; holding one speaker out tests on a voice never heard.
"""

import io
import re
import wave
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split, fixed_length
from dellm_jax.streams.digits import WORDS
from dellm_jax.streams.fetch import locate

SAMPLES = 8_000  # 1 s at 8 kHz
SAMPLE_RATE = 8_000
TESTED = 5  # recordings 0..4 of every speaker and digit
SPEAKERS, REPEATS = 6, 50  # what version 1.0.10 holds for each digit
RECORDING = re.compile(r"recordings/(\d)_([a-z]+)_(\d+)\.wav$")


class Recordings(NamedTuple):
    """FSDD in the order of digit, speaker, repeat: K int16 clips at 8 kHz, three columns [K] int32, and six names."""

    clips: list[np.ndarray]
    label: np.ndarray
    speaker: np.ndarray  # rows of `speakers`
    repeat: np.ndarray
    speakers: tuple[str, ...]


def fsdd(root: Path | str | None = None, held_out: str | None = None) -> Corpus:
    """Spoken digits, sound only: the official split (2,700, 300 clips), or all of one speaker for testing (2,500, 500).

    audio int16 [K, 8000] at 8 kHz; `group` is the speaker's number in the order of their names. `held_out`: a speaker's
    name, such as "theo"; StreamError lists the names when there is no such speaker. `root`: see `fetch.locate`.
    """
    (archive,) = locate("fsdd", root).values()
    recordings = read_fsdd(archive)
    if held_out is None:
        name, tested = "fsdd", recordings.repeat < TESTED
    elif held_out in recordings.speakers:
        name, tested = f"fsdd/{held_out}", recordings.speaker == recordings.speakers.index(held_out)
    else:
        raise StreamError(f"held_out={held_out!r} is no speaker of FSDD; choose among {list(recordings.speakers)}")
    audio = fixed_length(recordings.clips, SAMPLES)
    train, test = (
        Split(
            recordings.label[part],
            {"audio": audio[part]},
            {"audio": np.arange(np.count_nonzero(part), dtype=np.int32)},
            recordings.speaker[part],
        )
        for part in (~tested, tested)
    )
    return Corpus(name, WORDS, train, test, SAMPLE_RATE)


def read_fsdd(path: Path) -> Recordings:
    """FSDD from its repository's archive (.zip of wav files) or the prepared .npz: the same clips in the same order.

    StreamError when the file cannot be read, or is not the 10 digits x 6 speakers x 50 repeats of version 1.0.10.
    """
    try:
        label, speaker, repeat, clips, names = (_from_npz if path.suffix == ".npz" else _from_zip)(path)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, wave.Error) as error:
        raise StreamError(f"{path} cannot be read ({error}); delete it, or copy or download FSDD 1.0.10") from error
    keys = np.stack([label, speaker, repeat], axis=1).astype(np.int32)
    expected = len(WORDS) * SPEAKERS * REPEATS
    if len(clips) != expected or len(names) != SPEAKERS or not np.array_equal(np.unique(keys, axis=0), _complete()):
        raise StreamError(f"{path} holds {len(clips)} recordings, expected 10 x 6 x 50, each once; use FSDD 1.0.10")
    order = np.lexsort(keys.T[::-1])
    return Recordings([clips[row] for row in order], *keys[order].T, tuple(map(str, names)))


def _complete() -> np.ndarray:
    """Every (digit, speaker, repeat) once, in order: [3000, 3]."""
    return np.stack(np.meshgrid(*map(np.arange, (len(WORDS), SPEAKERS, REPEATS)), indexing="ij"), -1).reshape(-1, 3)


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """Labels, speakers, repeats, clips and speakers' names of the prepared file."""
    with np.load(path, allow_pickle=False) as archive:
        stored = {name: archive[name] for name in ("audio", "offsets", "label", "speaker", "index", "speakers")}
    clips = np.split(stored["audio"], stored["offsets"][1:-1])
    return stored["label"], stored["speaker"], stored["index"], clips, stored["speakers"]


def _from_zip(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """The same of the repository's archive, in no order; speakers are numbered by name."""
    with zipfile.ZipFile(path) as archive:
        found = [match for name in archive.namelist() if (match := RECORDING.search(name))]
        clips = [_samples(archive.read(match.string), match.string) for match in found]
    names, speaker = np.unique([match[2] for match in found], return_inverse=True)
    return np.array([int(m[1]) for m in found]), speaker, np.array([int(m[3]) for m in found]), clips, names


def _samples(content: bytes, name: str) -> np.ndarray:
    """The samples of a mono 16-bit wav file at 8 kHz: int16 [T]."""
    with wave.open(io.BytesIO(content)) as file:
        form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if form != (1, 2, SAMPLE_RATE):
            raise wave.Error(f"{name} has channels, bytes and hertz {form}, expected {(1, 2, SAMPLE_RATE)}")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
