"""Valid files, and what damage, chance and malice make of them: hypothesis strategies for `fuzz.py` and the tests."""

import io
import json
import struct

import numpy as np
import soundfile
from hypothesis import strategies as st
from PIL import Image

from dellm_jax.persistence import manifest

MOST = 1 << 18  # bytes that a mutation may grow a file to
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
STRANGE = st.sampled_from(
    [
        *(
            "\0",
            "\x1b[2J\x1b]0;owned\a",
            "\x9b31m",
            "\u202egnp.",
            "\u2028",
            "\ud800",
            "\udfff",
            "👩‍👩‍👧",
            "שלום",
            "a" * 70_000,
        ),
        *(
            "[bold red]x[/]",
            "{}{0}%s%n",
            "'; DROP TABLE records; --",
            "../../etc/passwd",
            "$(reboot)",
            "é" * 200,
            "\ufeff",
        ),
        *("no", "no, ", "no, that is ", "yes", "the other one", "undo", "never mind", "it is ", "play a song", "seven"),
    ]
)
TEXT = st.lists(st.text(max_size=12) | st.text("abc ,.!\t\n\r/", max_size=12) | STRANGE, max_size=4).map("".join)


@st.composite
def damaged(draw, goods: list[bytes]) -> bytes:
    """One of `goods` after a few flips of bits, cuts, other bytes, huge counts, repetitions and splices with others."""
    data = draw(st.sampled_from(goods))
    for _ in range(draw(st.integers(1, 3))):
        near = st.integers(0, min(len(data), 200))  # headers are short, and where the trouble is
        place = draw(near | st.integers(0, len(data)))
        match draw(st.sampled_from(("flip", "cut", "replace", "count", "repeat", "splice"))):
            case "flip" if place < len(data):
                data = data[:place] + bytes([data[place] ^ 1 << draw(st.integers(0, 7))]) + data[place + 1 :]
            case "cut":
                data = data[:place]
            case "replace":
                data = data[:place] + draw(st.binary(max_size=64)) + data[place + draw(st.integers(0, 64)) :]
            case "count":
                size, order = draw(st.sampled_from((1, 2, 4, 8))), draw(st.sampled_from(("little", "big")))
                number = (draw(st.sampled_from(EXTREMES)) & (1 << 8 * size) - 1).to_bytes(size, order)
                data = data[:place] + number + data[place + size :]
            case "repeat":
                part = data[place : place + draw(st.integers(1, 4096))]
                data = (data[:place] + part * draw(st.integers(2, 50)) + data[place:])[:MOST]
            case "splice":
                other = draw(st.sampled_from(goods))
                data = (data[:place] + other[draw(st.integers(0, len(other))) :])[:MOST]
    return data


@st.composite
def forged(draw, good: bytes) -> bytes:
    """A snapshot with another JSON value somewhere in its header or manifest, sealed again or not."""
    length = int.from_bytes(good[:8], "little")
    header, rest = json.loads(good[8 : 8 + length]), good[8 + length :]
    metadata = header["__metadata__"]
    where = draw(st.sampled_from(("header", "manifest", "architecture", "leaves", "keys")))
    if where == "header":
        entry = header[draw(st.sampled_from(sorted(header)))]
        entry[draw(st.sampled_from([*sorted(entry), "another"]))] = draw(JSON)
    elif where == "manifest":
        metadata[draw(st.sampled_from(sorted(metadata)))] = draw(st.text(max_size=9) | JSON.map(json.dumps))
    else:
        metadata[where] = json.dumps(_changed(draw, json.loads(metadata[where])))
    if draw(st.booleans()) and all(isinstance(value, str) for value in metadata.values()):
        metadata["seal"] = manifest.seal(metadata)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def _changed(draw, node):
    """One value somewhere in a tree of JSON is another: any other, or a number far too great or too small."""
    whole = node
    while isinstance(node, dict | list) and node:
        place = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[place], dict | list) or not node[place] or draw(st.integers(0, 5)) == 0:
            number = st.sampled_from([*EXTREMES, -1, 3, 17, 1 << 20, 10**9, 1e300])
            node[place] = draw(JSON | number if type(node[place]) not in (int, float) else number)
            break
        node = node[place]
    return whole


def pictures() -> list[bytes]:
    """A small picture in every format that is read, grey, coloured, deep, transparent, with a palette, moving."""
    grey = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    colour = np.stack([grey, grey.T, 255 - grey], -1)
    tag = Image.Exif()
    tag[0x112] = 6
    made = [(grey, kind, {}) for kind in ("PNG", "BMP", "GIF", "JPEG", "TIFF", "WEBP", "PPM")]
    made += [(colour, kind, {}) for kind in ("PNG", "JPEG", "WEBP", "TIFF")]
    made += [(grey.astype(np.uint16) * 257, kind, {}) for kind in ("PNG", "TIFF")]
    made += [
        (np.dstack([colour, grey]), "PNG", {}),
        (colour, "JPEG", {"exif": tag}),
        (colour, "JPEG", {"progressive": True}),
    ]
    made += [(colour, "TIFF", {"compression": how}) for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits")]
    made += [
        (grey, kind, {"save_all": True, "append_images": [Image.new("L", (16, 16))] * 3}) for kind in ("GIF", "WEBP")
    ]
    return [_saved(Image.fromarray(pixels), kind, how) for pixels, kind, how in made]


def _saved(image: Image.Image, kind: str, how: dict) -> bytes:
    image.save(file := io.BytesIO(), kind, **how)
    return file.getvalue()


def sounds() -> list[bytes]:
    """A tone in many of libsndfile's formats and kinds of number, with one channel and with two."""
    tone = np.sin(np.arange(2000) / 5).astype(np.float32) * 0.3
    kinds = [
        ("WAV", k) for k in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW")
    ]
    kinds += [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")]
    kinds += [("AU", "PCM_16"), ("CAF", "ALAC_16"), ("W64", "PCM_16"), ("RF64", "PCM_16"), ("VOC", "PCM_16")]
    return [
        _sounded(np.stack([tone] * channels, 1), kind, number)
        for kind, number in kinds
        for channels in (1, 2)
        if soundfile.check_format(kind, number) and not (number == "GSM610" and channels == 2)
    ]


def _sounded(samples: np.ndarray, kind: str, number: str) -> bytes:
    soundfile.write(file := io.BytesIO(), samples, 8000, format=kind, subtype=number)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims to be that big."""
    import zlib

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(999))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts
    )
