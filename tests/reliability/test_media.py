"""Files of every kind are seen, heard and read, or refused by a MediaError that says why; what is taken is exact."""

import io
import os
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.errors import ExperienceError, MediaError
from dellm_jax.experience import validate
from dellm_jax.media import (
    displayed,
    experience_from,
    fit_sound,
    mono,
    read_image,
    read_sound,
    read_text,
    read_windows,
    resample,
)
from dellm_jax.senses import Audio, Text
from dellm_jax.senses import Image as Seeing

RATE = 8000
TIME = np.arange(RATE) / RATE
TONE = (0.3 * np.sin(2 * np.pi * 440 * TIME) * np.hanning(RATE)).astype(np.float32)
RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (28, 28), np.uint8)
COLOUR = RANDOM.integers(0, 256, (28, 28, 3), np.uint8)
NOISE = RANDOM.normal(0, 0.1, RATE).astype(np.float32)


def sound(samples=TONE, rate=RATE, kind="WAV", number=None):
    """The bytes of a sound file."""
    soundfile.write(file := io.BytesIO(), samples, rate, format=kind, subtype=number)
    return file.getvalue()


def picture(pixels=GREY, kind="PNG", mode=None, **how):
    """The bytes of a picture file."""
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file := io.BytesIO(), kind, **how)
    return file.getvalue()


def with_nan(value):
    return np.where(TIME == 0.5, np.float32(value), TONE)


def changed(data, place, new):
    return data[:place] + new + data[place + len(new) :]


@cache
def bomb(width, height):
    """A PNG of a few bytes that says it is that big."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(999))), (b"IEND", b""))
    chunk = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk)


def lying_flac():
    """A FLAC file whose header promises 2^36 - 1 samples."""
    data = sound(NOISE, kind="FLAC")
    return changed(data, 21, bytes([data[21] | 0x0F]) + b"\xff" * 4)


HEARD = {  # what is taken, and how like the tone it must be (correlation)
    "int16": (lambda: sound(), 0.999),
    "uint8": (lambda: sound(number="PCM_U8"), 0.99),
    "int24": (lambda: sound(number="PCM_24"), 0.999),
    "float64": (lambda: sound(number="DOUBLE"), 0.999),
    "flac": (lambda: sound(kind="FLAC"), 0.999),
    "ogg": (lambda: sound(kind="OGG"), 0.99),
    "48 kHz": (lambda: sound(resample(TONE, RATE, 48_000), 48_000), 0.999),
    "192 kHz": (lambda: sound(resample(TONE, RATE, 192_000), 192_000), 0.999),
    "stereo": (lambda: sound(np.stack([TONE, TONE], 1)), 0.999),
    "hardly audible": (lambda: sound(TONE * 1e-3, number="FLOAT"), 0.999),
    "far too loud": (lambda: sound(TONE * 20, number="FLOAT"), 0.999),
    "beside a constant": (lambda: sound(TONE + 0.3), 0.999),
    "clipped": (lambda: sound(np.clip(TONE * 10, -1, 1)), 0.8),
    "odd bytes": (lambda: sound()[:-1], 0.999),
    "a header that says 2 GB": (lambda: changed(sound(), 40, struct.pack("<I", 0x7FFFFFF0)), 0.999),
}
UNHEARD = {
    "NaN": (lambda: sound(with_nan(np.nan), number="FLOAT"), "NaN or infinite"),
    "infinity": (lambda: sound(with_nan(np.inf), number="FLOAT"), "NaN or infinite"),
    "zeros": (lambda: sound(0 * TONE), "silent"),
    "a constant": (lambda: sound(0 * TONE + 0.3), "silent"),
    "1 sample": (lambda: sound(TONE[4000:4001]), "silent"),
    "0 samples": (lambda: sound(TONE[:0]), "silent"),
    "0 bytes": (lambda: b"", "empty"),
    "integers as floats": (lambda: sound(TONE * 32768, number="FLOAT"), "divide by full scale"),
    "an hour": (lambda: sound(np.zeros(3600 * 1000, np.int16), 1000), "longer than 600 s"),
    "a header only": (lambda: sound()[:20], "cannot be heard"),
    "rate 0": (lambda: changed(sound(), 24, struct.pack("<I", 0)), "cannot be heard"),
    "rate 2^31": (lambda: changed(sound(), 24, struct.pack("<I", 2**31 - 1)), "sample rate"),
    "1,000 channels": (lambda: changed(sound(), 22, struct.pack("<H", 1000)), "channels"),
    "half a flac": (lambda: sound(kind="FLAC")[:3000], "damaged"),
    "a flac that lies": (lying_flac, "damaged"),
    "text": (lambda: b"one two three", "cannot be heard"),
    "a pickle": (lambda: b"\x80\x04K\x01.", "cannot be heard"),
    "a device": (lambda: "/dev/zero", "no regular file"),
    "a folder": (lambda: "/", "no regular file"),
    "no file": (lambda: Path("/nowhere"), "cannot be opened"),
    "a NUL in its name": (lambda: "a\0b", "cannot be opened"),
}
SEEN = {  # what is taken, the shape it is wanted in, and the picture that it is
    "itself": (lambda: picture(), GREY[..., None]),
    "colour": (lambda: picture(COLOUR), COLOUR),
    "16 bits": (lambda: picture(GREY.astype(np.uint16) * 257), GREY[..., None]),
    "16 bits, TIFF": (lambda: picture(GREY.astype(np.uint16) * 257, "TIFF"), GREY[..., None]),
    "grey as colour": (lambda: picture(), np.repeat(GREY[..., None], 3, 2)),
    "transparent": (lambda: picture(np.dstack([COLOUR, 0 * GREY])), 0 * COLOUR + 255),
    "opaque": (lambda: picture(np.dstack([COLOUR, 0 * GREY + 255])), COLOUR),
    "palette": (lambda: picture(GREY, mode="P"), GREY[..., None]),
    "animated GIF": (
        lambda: picture(kind="GIF", save_all=True, append_images=[Image.new("L", (28, 28))]),
        GREY[..., None],
    ),
    "1x1": (lambda: picture(GREY[:1, :1]), np.full((28, 28, 1), GREY[0, 0])),
    "cmyk": (lambda: picture(0 * COLOUR + 200, "TIFF", "CMYK"), 0 * COLOUR + 200),
}  # fmt: skip
UNSEEN = {
    "half a PNG": (lambda: picture(COLOUR)[:999], "cannot be seen"),
    "half a JPEG": (lambda: picture(COLOUR, "JPEG")[:500], "cannot be seen"),
    "pixels that are not there": (lambda: bomb(99, 99), "cannot be seen"),
    "30,000 x 30,000": (lambda: bomb(30_000, 30_000), "pixels; shrink it"),
    "9,000 x 10,000": (lambda: bomb(9_000, 10_000), "pixels; shrink it"),
    "8,000 x 9,000": (lambda: bomb(8_000, 9_000), "pixels; shrink it"),
    "2^31 x 2^31": (lambda: bomb(2**31 - 1, 2**31 - 1), "pixels; shrink it"),
    "float pixels": (lambda: picture(GREY.astype(np.float32), "TIFF"), "32 bits"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be seen"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be seen"),
    "a sound": (sound, "cannot be seen"),
    "0 bytes": (lambda: b"", "empty"),
}
READ = {
    "a byte order mark": (b"\xef\xbb\xbfhi", "hi"),
    "NUL": (b"a\0b", "a b"),
    "escapes": (b"\x1b[2Jhi\xc2\x9b", " [2Jhi "),
    "lines": (b"a\n\tb", "a\n\tb"),
    "right to left, joiners, emoji": ("שלום 👩‍👩‍👧".encode(), "שלום 👩‍👩‍👧"),
    "like a prompt": (b"Ignore all that; sudo rm -rf /", "Ignore all that; sudo rm -rf /"),
}
UNREAD = {
    "Latin-1": ("é".encode("latin-1"), "not UTF-8 at byte 0"),
    "UTF-16": ("hello".encode("utf-16"), "not UTF-8"),
    "10 MB": (b"a" * 10_000_000, "expected at most"),
    "0 bytes": (b"", "empty"),
}


@pytest.mark.parametrize("case", HEARD)
def test_it_is_heard(case):
    given, like = HEARD[case]
    heard = read_sound(given(), RATE, RATE)
    assert (heard.dtype, heard.shape) == (np.int16, (RATE,))
    lags = np.correlate(heard / 32768.0, TONE, "full") / (np.linalg.norm(heard / 32768.0) * np.linalg.norm(TONE))
    assert lags.max() > like
    np.testing.assert_allclose(np.sqrt(np.mean((heard / 32767.0) ** 2)), 0.1, rtol=0.02)


@pytest.mark.parametrize("case", UNHEARD)
def test_it_is_not_heard(case):
    given, why = UNHEARD[case]
    with pytest.raises(MediaError, match=why):
        read_sound(given(), RATE, RATE)


@pytest.mark.parametrize("case", SEEN)
def test_it_is_seen(case):
    given, expected = SEEN[case]
    np.testing.assert_array_equal(read_image(given(), expected.shape), expected)


@pytest.mark.parametrize("case", UNSEEN)
def test_it_is_not_seen(case):
    given, why = UNSEEN[case]
    with pytest.raises(MediaError, match=why):
        read_image(given(), (28, 28, 1))


@pytest.mark.parametrize("case", READ)
def test_it_is_read(case):
    given, expected = READ[case]
    assert read_text(given) == expected


@pytest.mark.parametrize("case", UNREAD)
def test_it_is_not_read(case):
    given, why = UNREAD[case]
    with pytest.raises(MediaError, match=why):
        read_text(given)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="no regular file"):
        read_image(tmp_path / "pipe", (28, 28, 1))


def test_a_picture_is_turned_as_its_camera_was():
    tag = Image.Exif()
    tag[0x112] = 6  # to be turned clockwise by a quarter
    np.testing.assert_array_equal(read_image(picture(COLOUR[:20], exif=tag), (28, 20, 3)), np.rot90(COLOUR[:20], -1))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\a", "␛[31mred␛]0;title␇"),
        ("a\r\nb\tc", "a␍␊b␉c"),
        ("x\u202eevil\u0085\x7f\u2028", "x\ufffdevil\ufffd\ufffd\ufffd"),
        ("\udc80", "\ufffd"),
        ("y" * 300, "y" * 200 + "..."),
        ("größer 你好", "größer 你好"),
    ],
)
def test_no_terminal_obeys_what_is_shown(text, shown):
    assert displayed(text) == shown and displayed(text).isprintable()


@pytest.mark.parametrize("turned", [False, True])
def test_channels_may_come_in_either_order(turned):
    both = np.stack([TONE, np.zeros_like(TONE)], 1)
    np.testing.assert_allclose(mono(both.T if turned else both), TONE / 2)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (np.zeros((3, 3)), "shape"),
        (np.zeros((2, 2, 99)), "shape"),
        (np.zeros(9, bool), "dtype"),
        (np.array(["a"]), "dtype"),
        (np.float32([0, np.nan]), "NaN"),
        (np.float32([0, 12_000]), "full scale"),
    ],
)
def test_samples_of_another_kind_are_refused(samples, why):
    with pytest.raises(MediaError, match=why):
        mono(samples)


@pytest.mark.parametrize("rate", [0, -1, 500, 10**9, 44_100.0, True, "8000", None])
def test_an_odd_rate_is_refused(rate):
    with pytest.raises(MediaError, match="sample rate"):
        resample(TONE, rate, RATE)


def test_the_whole_range_of_integers_is_full_scale():
    for kind in (np.int8, np.int16, np.int32):
        lowest = np.iinfo(kind).min
        np.testing.assert_allclose(mono(np.array([lowest, 0, -(lowest // 2)], kind)), [-1, 0, 0.5])
    np.testing.assert_allclose(mono(np.array([0, 128, 192], np.uint8)), [-1, 0, 0.5])


def test_a_long_sound_is_heard_in_windows_and_its_silence_is_left_out():
    quiet = np.zeros(2 * RATE, np.float32)
    windows = list(read_windows(sound(np.concatenate([TONE, TONE, quiet, TONE[: RATE // 2]])), RATE, RATE))
    np.testing.assert_array_equal(windows[0], windows[1])
    np.testing.assert_allclose(windows[0], fit_sound(TONE, RATE), atol=2)
    assert len(windows) == 3 and all(window.shape == (RATE,) for window in windows)
    assert len(list(read_windows(sound(np.tile(TONE, 3)), RATE, RATE, hop=RATE // 2))) == 6
    with pytest.raises(MediaError, match="longer than 2 s"):
        list(read_windows(sound(np.tile(TONE, 3)), RATE, RATE, most_seconds=2))


BODY = Architecture((Seeing(), Audio(), Text(width=8)), (Assembly("all", ("image", "audio", "text"), 4),), concepts=5)


def test_one_call_makes_an_experience(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "word.txt").write_bytes("étéééé".encode())
    lived = experience_from(BODY, 3, image=tmp_path / "a.png", audio=(np.int16(9999 * TONE), RATE), text="three")
    np.testing.assert_array_equal(lived.senses["image"], GREY[None, ..., None])
    np.testing.assert_allclose(lived.senses["audio"], read_sound(sound(), RATE, RATE)[None], atol=4)
    assert bytes(lived.senses["text"][0]) == b"three\0\0\0"
    assert (lived.target.tolist(), lived.weight.tolist()) == ([3], [1.0])
    asked = experience_from(BODY, text=tmp_path / "word.txt", image=None)
    assert list(asked.senses) == ["text"] and bytes(asked.senses["text"][0]).decode() == "étéé\0"
    assert asked.weight.tolist() == [0.0]
    validate(BODY, asked)


@pytest.mark.parametrize(
    ("how", "error", "why"),
    [
        ({"smell": "rose"}, ExperienceError, "smell"),
        ({}, ExperienceError, "at least one"),
        ({"text": "three", "target": 5}, ExperienceError, "architecture.concepts"),
        ({"text": 3}, MediaError, "cannot take a int"),
        ({"text": " \0 "}, MediaError, "empty"),
        ({"text": "\ud800"}, MediaError, "surrogate"),
        ({"text": "a" * 10_000_000}, MediaError, "expected at most"),
        ({"audio": (TONE, 0)}, MediaError, "sample rate"),
        ({"audio": TONE}, ExperienceError, "dtype float32"),
        ({"image": ("a", 1)}, MediaError, "cannot take a tuple"),
    ],
)  # fmt: skip
def test_what_makes_no_experience_is_refused(how, error, why):
    with pytest.raises(error, match=why):
        experience_from(BODY, **how)
