"""Real digits seen, heard and read: MNIST pictures, Free Spoken Digit Dataset recordings, English words.

MNIST: LeCun, Cortes & Burges 1998 (CC BY-SA 3.0). FSDD: Jackson et al. 2018, six speakers (CC BY-SA 4.0); its official
split tests on recordings 0-4 of every speaker and digit, so the same people speak in training and in testing.
"""

import gzip
import io
import re
import wave
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dellm_jax.streams.corpus import Corpus, fixed_length
from dellm_jax.streams.digits import WORDS, triples
from dellm_jax.streams.fetch import locate
from dellm_jax.types import StreamError

SAMPLES = 8_000  # 1 s at 8 kHz
SAMPLE_RATE = 8_000
TESTED = 5  # recordings 0..4 of every speaker and digit
SPEAKERS, REPEATS = 6, 50  # what version 1.0.10 holds for each digit
RECORDING = re.compile(r"recordings/(\d)_([a-z]+)_(\d+)\.wav$")


class Recordings(NamedTuple):
    """FSDD in the order of digit, speaker, repeat: K int16 clips at 8 kHz, and three columns [K] int32."""

    clips: list[np.ndarray]
    label: np.ndarray
    speaker: np.ndarray
    repeat: np.ndarray


def mnist_fsdd(root: Path | str | None = None, seed: int = 0) -> Corpus:
    """60,000 training and 10,000 test triples; `seed` deals 2,700 and 300 clips to the pictures.

    image uint8 [K, 28, 28, 1], audio int16 [K, 8000] at 8 kHz, text uint8 [10, 8]. `root`: see `fetch.locate`.
    """
    generator = np.random.default_rng(seed)
    files = locate("mnist", root)
    (archive,) = locate("fsdd", root).values()
    recordings = read_fsdd(archive)
    audio = fixed_length(recordings.clips, SAMPLES)
    tested = recordings.repeat < TESTED
    train, test = (
        triples(
            read_idx(files[f"{part}-images-idx3-ubyte.gz"])[..., None],
            read_idx(files[f"{part}-labels-idx1-ubyte.gz"]),
            audio[heard],
            recordings.label[heard],
            generator,
        )
        for part, heard in (("train", ~tested), ("t10k", tested))
    )
    return Corpus("mnist_fsdd", WORDS, train, test, SAMPLE_RATE)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped IDX file of bytes (its header: 0, 0, 8, rank, then big-endian sizes) -> uint8 [sizes]."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise StreamError(f"{path} opens with {content[:3]!r}, expected an IDX file of bytes; copy it again")
    rank = content[3]
    sizes = np.frombuffer(content, ">u4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def read_fsdd(path: Path) -> Recordings:
    """FSDD from its repository's archive (.zip of wav files) or the prepared .npz: the same clips in the same order.

    StreamError when the file cannot be read, or is not the 10 digits x 6 speakers x 50 repeats of version 1.0.10.
    """
    try:
        label, speaker, repeat, clips = (_from_npz if path.suffix == ".npz" else _from_zip)(path)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, wave.Error) as error:
        raise StreamError(f"{path} cannot be read ({error}); delete it, or copy or download FSDD 1.0.10") from error
    keys = np.stack([label, speaker, repeat], axis=1).astype(np.int32)
    expected = len(WORDS) * SPEAKERS * REPEATS
    if len(clips) != expected or not np.array_equal(np.unique(keys, axis=0), _complete()):
        raise StreamError(f"{path} holds {len(clips)} recordings, expected 10 x 6 x 50, each once; use FSDD 1.0.10")
    order = np.lexsort(keys.T[::-1])
    return Recordings([clips[row] for row in order], *keys[order].T)


def _complete() -> np.ndarray:
    """Every (digit, speaker, repeat) once, in order: [3000, 3]."""
    return np.stack(np.meshgrid(*map(np.arange, (len(WORDS), SPEAKERS, REPEATS)), indexing="ij"), -1).reshape(-1, 3)


def _from_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Labels, speakers, repeats and clips of the prepared file."""
    with np.load(path, allow_pickle=False) as archive:
        stored = {name: archive[name] for name in ("audio", "offsets", "label", "speaker", "index")}
    clips = np.split(stored["audio"], stored["offsets"][1:-1])
    return stored["label"], stored["speaker"], stored["index"], clips


def _from_zip(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Labels, speakers, repeats and clips of the repository's archive; speakers are numbered by name."""
    with zipfile.ZipFile(path) as archive:
        found = [match for name in archive.namelist() if (match := RECORDING.search(name))]
        clips = [_samples(archive.read(match.string), match.string) for match in found]
    _names, speaker = np.unique([match[2] for match in found], return_inverse=True)
    return np.array([int(m[1]) for m in found]), speaker, np.array([int(m[3]) for m in found]), clips


def _samples(content: bytes, name: str) -> np.ndarray:
    """The samples of a mono 16-bit wav file at 8 kHz: int16 [T]."""
    with wave.open(io.BytesIO(content)) as file:
        form = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if form != (1, 2, SAMPLE_RATE):
            raise wave.Error(f"{name} has channels, bytes and hertz {form}, expected {(1, 2, SAMPLE_RATE)}")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
