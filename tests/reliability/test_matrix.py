"""The matrix of bad input that a user's day brings: where each row is tested, and here what is tested nowhere else.

| row | where |
| --- | --- |
| audio: NaN, infinity, zeros, constant, clipped, 0 and 1 samples, an hour, 8, 48, 192 kHz, odd bytes, stereo in both orders, int8, int24, float64, lying header | test_media: HEARD, UNHEARD, channels, range |
| audio: wrong label, cut WAV | here |
| image: half a PNG, half a JPEG, 1x1, bombs, CMYK, 16 bits, alpha, GIF, EXIF, SVG | test_media: SEEN, UNSEEN, camera |
| text: empty, 10 MB, NUL, invalid UTF-8, right to left, joiners, emoji, like a prompt, escapes | test_media: READ, UNREAD, displayed |
| text: no spaces; lines without end; bytes piped in that are no text | here; test_conversation |
| corrections: no room, contradictory, nothing to say, empty, too long, unknown concept | test_conversation; test_corrections: WRONG |
| corrections: 1,000 times the same, by a clock that goes backwards | test_corrections; test_conversation |
| safetensors: empty, short, giant, cut, a byte more, pickle, zip, twice a name, NaN, flipped bits, many names | test_refusals |
| safetensors: hole, overlap, overflow, strange dtype, an offset that is shared | here |
| journal: torn, cut, flipped, forged, foreign, linked, full, read-only | test_journal |
| pickle, npz of objects, zip that climbs out, links | test_refusals; here; test_home |
| YAML: tags, aliases, depth, size; targets that are not trusted | test_bad_input |
| disk full, read-only | test_home, test_journal; here |
| two processes | test_home |
| SIGTERM, SIGKILL, in a night and awake | test_conversation (nobody handles the first); test_crash, test_home |
| no memory left in a night | test_conversation |
| no microphone | test_speech |
| a loss that leaps, NaN in a stage or an act | test_home: broken; test_nights |
"""  # noqa: E501

import errno
import io
import json
import os
import struct
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from surfaces import BODY, MIND, newborn

from dellm_jax.errors import JournalError, SnapshotError, StreamError
from dellm_jax.home import Home
from dellm_jax.media import experience_from, read_sound
from dellm_jax.persistence import load
from dellm_jax.streams.fsdd import read_fsdd

RATE = 8000
TONE = (0.3 * np.sin(np.arange(RATE) / 3) * np.hanning(RATE)).astype(np.float32)


def wav(rate: int = RATE) -> bytes:
    soundfile.write(file := io.BytesIO(), TONE, rate, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("label", [4_000, 16_000, 44_100])
def test_a_sound_of_another_rate_than_it_says_is_heard_too_fast_or_too_slow(label: int) -> None:
    """Nothing tells that the label is wrong: what is heard is the tone, as much higher or lower."""
    heard = read_sound(wav(label), RATE, RATE)
    assert (heard.dtype, heard.shape) == (np.int16, (RATE,))
    pitch = np.fft.rfftfreq(RATE, 1 / RATE)[np.abs(np.fft.rfft(heard)).argmax()]
    np.testing.assert_allclose(pitch, label / (6 * np.pi), rtol=0.02)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_of_a_sound_that_was_cut_what_is_there_is_heard(share: float) -> None:
    data = wav()
    cut, samples = data[: int(len(data) * share)], (int(len(data) * share) - 44) // 2
    soundfile.write(file := io.BytesIO(), np.round(TONE[:samples] * 32767) / 32768, RATE, format="WAV", subtype="FLOAT")
    np.testing.assert_allclose(read_sound(cut, RATE, RATE), read_sound(file.getvalue(), RATE, RATE), atol=3)


def test_a_text_without_a_space_is_read_as_far_as_it_fits() -> None:
    for text in ("x" * 5000, "é" * 5000):
        raw = experience_from(BODY, text=text).senses["text"]
        assert raw.shape == (1, 40) and bytes(raw[0]).rstrip(b"\0").decode() == text[:40].encode()[:40].decode()


def header(**leaves: tuple) -> bytes:
    """A safetensors file that says so of its leaves, and has 16 bytes of them."""
    text = json.dumps(
        {n: dict(zip(("dtype", "shape", "data_offsets"), leaf, strict=True)) for n, leaf in leaves.items()}
    )
    return struct.pack("<Q", len(text)) + text.encode() + bytes(16)


FILES = {
    "a hole": header(a=("F32", [1], [0, 4]), b=("F32", [2], [8, 16])),
    "an overlap": header(a=("F32", [3], [0, 12]), b=("F32", [2], [8, 16])),
    "an overflow": header(a=("F32", [2**62, 4], [0, 16])),
    "an end beyond the end": header(a=("F32", [2**40], [0, 2**42])),
    "an end before the beginning": header(a=("F32", [4], [16, 0])),
    "a shape below zero": header(a=("F32", [-4], [0, 16])),
    "a strange kind of number": header(a=("F8_E4M3", [16], [0, 16])),
    "no kind of number": header(a=("OBJ", [2], [0, 16])),
    "one place for two": header(a=("F32", [4], [0, 16]), b=("F32", [0], [4, 4])),
    "300,000 leaves": header(**{f"l{n}": ("F32", [0], [0, 0]) for n in range(300_000)}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_snapshot_that_no_one_would_write_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "life.safetensors"
    path.write_bytes(FILES[name])
    with pytest.raises(SnapshotError, match=r"life\.safetensors") as caught:
        load(path, newborn)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000


def test_archives_run_nothing_and_leave_nothing_outside(tmp_path: Path) -> None:
    """An array of objects is a pickle; a name in an archive may climb out of the folder."""

    class Harm:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "harmed"),)

    np.savez(tmp_path / "bad.npz", audio=np.array([Harm()], object), offsets=np.zeros(2, int))
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../recordings/0_george_0.wav", wav())
    before = {path.name for path in tmp_path.rglob("*")}
    for name in ("bad.npz", "bad.zip"):
        with pytest.raises(StreamError, match=name):
            read_fsdd(tmp_path / name)
    assert {path.name for path in tmp_path.rglob("*")} == before and not (tmp_path.parent / "recordings").exists()


def test_a_folder_that_may_only_be_read_is_refused_and_left_as_it_is(tmp_path: Path, monkeypatch) -> None:
    with Home.open(MIND, tmp_path, partial(newborn, BODY), batch=1):
        pass
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    opens = os.open

    def readonly(path: str, flags: int, *mode: int, **more: int) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opens(path, flags, *mode, **more)

    monkeypatch.setattr(os, "open", readonly)
    with pytest.raises(JournalError, match="Read-only file system"):
        Home.open(MIND, tmp_path, batch=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
