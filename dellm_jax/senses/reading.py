"""Reading: UTF-8 bytes of a fixed width, as hashed n-grams. No vocabulary, any language, tolerant of typing errors."""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import ArchitectureError
from dellm_jax.types import Array

BEGIN, END = 2, 3
NORM = 8.0
GROWTH = 16777619
ROUNDS = 2


@dataclass(frozen=True)
class Text:
    """Texts of up to `width` bytes, zero-padded; n-grams hashed into `buckets` counts.

    With `words` = 0 the text is one framed run of bytes, and grams are `shortest` to `longest` bytes of it (one word,
    a name, a code). Otherwise it is a sentence: split into words (ASCII letters of either case, digits, bytes from 128
    on; all else separates), grams of bytes within each framed word, and grams of 1 to `words` words within the framed
    text. `expansion`: so many frozen random rectified features for semantic memory, for which buckets must be a power
    of two (0: the percept itself). What a rest varies: the share `leave_out` of the grams of a text is left out.
    """

    width: int = 16
    buckets: int = 512
    longest: int = 4
    name: str = "text"
    shortest: int = 1
    words: int = 0
    expansion: int = 0
    leave_out: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.buckets, self.longest) < 1:
            raise ArchitectureError(f"sense {self.name!r}: width, buckets and longest must be at least 1, got {self}")
        if not 1 <= self.shortest <= self.longest:
            raise ArchitectureError(
                f"sense {self.name!r}: shortest is {self.shortest}; choose 1 to longest={self.longest}"
            )
        if min(self.words, self.expansion) < 0:
            raise ArchitectureError(f"sense {self.name!r}: words and expansion must be at least 0, got {self}")
        if not 0 <= self.leave_out < 1:
            raise ArchitectureError(
                f"sense {self.name!r}: leave_out is {self.leave_out}; choose a share from 0 to below 1"
            )
        if self.expansion and self.buckets & (self.buckets - 1):
            raise ArchitectureError(
                f"sense {self.name!r}: an expansion needs buckets to be a power of two, got buckets={self.buckets}"
            )

    @property
    def raw_shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def raw_dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def inputs(self) -> int:
        return self.buckets

    @property
    def code_bytes(self) -> int:
        return self.width

    @property
    def features(self) -> int:
        return self.expansion or self.buckets

    def sharpest(self) -> "Text":
        """Codes of texts lose nothing as it is."""
        return self

    def perceive(self, raw: Array) -> Array:
        """uint8 [B, width] -> hashed n-gram counts [B, buckets], scaled to length 8; an empty text is all zero."""
        grams = self._in_words(raw) if self.words else self._in_run(raw)
        gram = jnp.concatenate([gram for gram, _ in grams], axis=1)
        there = jnp.concatenate([there for _, there in grams], axis=1)
        mixed = (gram ^ (gram >> 15)) * jnp.uint32(2246822519)
        rows = jnp.arange(raw.shape[0])[:, None]
        counts = jnp.zeros((raw.shape[0], self.buckets))
        counts = counts.at[rows, (mixed >> 8) % self.buckets].add(there.astype(jnp.float32))
        return _scaled(counts)

    def encode(self, raw: Array) -> Array:
        """The bytes themselves."""
        return raw

    @property
    def latents(self) -> int:
        return self.inputs

    def latent(self, code: Array) -> Array:
        """Bytes -> percepts: letters have no mean, counts have."""
        return self.perceive(code)

    def depict(self, latent: Array) -> Array:
        """The percepts themselves."""
        return latent

    def decode(self, code: Array) -> Array:
        """Bytes -> percepts [B, inputs]."""
        return self.perceive(code)

    def augment(self, key: Array, percept: Array) -> Array:
        """The same text without a share `leave_out` of its grams, every one drawn alone."""
        if not self.leave_out:
            return percept
        return _scaled(jnp.where(jax.random.bernoulli(key, self.leave_out, percept.shape), 0.0, percept))

    def draw_filters(self, key: Array) -> Array:
        """Signs [blocks, rounds, 1, buckets] of the random rotations; hashing alone needs none: an empty array."""
        if not self.expansion:
            return jnp.zeros((0, 0, 0, 0))
        blocks = -(-self.expansion // self.buckets)
        return jax.random.rademacher(key, (blocks, ROUNDS, 1, self.buckets), jnp.float32)

    def expand(self, filters: Array, percept: Array) -> Array:
        """Frozen features [B, features] >= 0: rectified random projections, of variance 1 before they are rectified.

        The projection is a product of random signs and Hadamard rotations, which costs n log n and stores only signs.
        Source: structured orthogonal random features (Yu et al., 2016); rectified, the arc-cosine kernel (Cho & Saul,
        2009).
        """
        if not self.expansion:
            return percept
        blocks = []
        for signs in filters[:, :, 0]:
            x = percept
            for sign in signs:
                x = _rotate(x * sign)
            blocks.append(x)
        return jax.nn.relu(jnp.concatenate(blocks, axis=1)[:, : self.expansion]) * (np.sqrt(self.buckets) / NORM)

    def _in_run(self, raw: Array) -> list[tuple[Array, Array]]:
        """Hashes and presence [B, places] of the grams of each size in the whole text as one run of bytes."""
        batch, width = raw.shape
        length = (raw > 0).sum(1, keepdims=True)
        place = jnp.arange(width + 2)[None, :]
        padded = jnp.pad(raw, ((0, 0), (1, 1)))
        text = jnp.where(place == 0, BEGIN, jnp.where(place == length + 1, END, padded)).astype(jnp.uint32)
        gram = jnp.zeros((batch, width + 2), jnp.uint32)
        grams = []
        for size in range(1, self.longest + 1):
            gram = _longer(gram, _ahead(text, size - 1), size)
            if size >= self.shortest:
                grams.append((gram, (place + size <= length + 2) & (length > 0)))
        return grams

    def _in_words(self, raw: Array) -> list[tuple[Array, Array]]:
        """Hashes and presence [B, places] of the grams of bytes within words, then of the grams of words."""
        byte, letter = _fold(jnp.pad(raw, ((0, 0), (1, 1))).astype(jnp.uint32))
        return [*self._of_bytes(byte, letter), *self._of_words(byte, letter)]

    def _of_bytes(self, byte: Array, letter: Array) -> list[tuple[Array, Array]]:
        """A separator counts as the beginning of the word after it and as the end of the word before it."""
        first, last = jnp.where(letter, byte, BEGIN), jnp.where(letter, byte, END)
        gram, inside, grams = jnp.zeros_like(byte), jnp.ones_like(letter), []
        for size in range(1, self.longest + 1):
            ended, inside_next = _longer(gram, _ahead(last, size - 1), size), _ahead(letter, size - 1)
            if size >= self.shortest:
                whole = letter if size == 1 else inside & (letter | inside_next) if size == 2 else inside
                grams.append((ended, whole & (jnp.arange(byte.shape[1]) + size <= byte.shape[1])))
            gram = _longer(gram, first if size == 1 else _ahead(byte, size - 1), size)
            inside = inside & inside_next if size > 1 else inside
        return grams

    def _of_words(self, byte: Array, letter: Array) -> list[tuple[Array, Array]]:
        """Hash each word by the difference of two running sums, line the words up, and hash their runs."""
        batch, places = byte.shape
        powers = np.cumprod([1, *[GROWTH] * (places - 1)], dtype=np.uint32)
        back = np.cumprod([1, *[pow(GROWTH, -1, 2**32)] * (places - 1)], dtype=np.uint32)
        running = jnp.cumsum(jnp.where(letter, _mixed(byte + 1), 0) * powers, axis=1, dtype=jnp.uint32)
        place = jnp.arange(places)
        starts = letter & ~jnp.pad(letter, ((0, 0), (1, 0)))[:, :-1]
        ends = letter & ~_ahead(letter, 1)
        start = jax.lax.cummax(jnp.where(starts, place, 0), axis=1)
        before = jnp.take_along_axis(running, jnp.maximum(start - 1, 0), axis=1)
        word = _mixed((running - before) * jnp.asarray(back)[start])
        most = (places - 1) // 2
        index = jnp.where(ends, jnp.cumsum(starts, axis=1), most + 2)
        rows = jnp.arange(batch)[:, None]
        many = starts.sum(1, keepdims=True)
        line = jnp.zeros((batch, most + 2), jnp.uint32).at[rows, index].set(word, mode="drop")
        spot = jnp.arange(most + 2)
        line = jnp.where(spot == 0, BEGIN, jnp.where(spot == many + 1, END, line))
        gram, grams = jnp.zeros_like(line), []
        for size in range(1, self.words + 1):
            gram = _longer(gram, _ahead(line, size - 1), size)
            whole = (spot >= 1) & (spot <= many) if size == 1 else spot + size <= many + 2
            grams.append((_mixed(gram + 1), whole & (many > 0)))
        return grams


def _scaled(counts: Array) -> Array:
    return NORM * counts / jnp.maximum(jnp.linalg.norm(counts, axis=1, keepdims=True), 1e-6)


def _ahead(x: Array, places: int) -> Array:
    """What stands `places` later, zero beyond the end."""
    return jnp.pad(x[:, places:], ((0, 0), (0, min(places, x.shape[1]))))


def _longer(gram: Array, byte: Array, size: int) -> Array:
    return (gram ^ byte) * jnp.uint32(GROWTH) + jnp.uint32(size)


def _mixed(x: Array) -> Array:
    """A bijection of 32 bits that spreads every bit over all (the finaliser of MurmurHash3)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _fold(byte: Array) -> tuple[Array, Array]:
    """Bytes with ASCII capitals made small and separators made zero, and where there is a letter or digit."""
    byte = jnp.where((byte >= ord("A")) & (byte <= ord("Z")), byte + 32, byte)
    small, digit = (byte >= ord("a")) & (byte <= ord("z")), (byte >= ord("0")) & (byte <= ord("9"))
    letter = small | digit | (byte >= 128)
    return jnp.where(letter, byte, 0), letter


@cache
def _hadamard(size: int) -> np.ndarray:
    signs = np.ones((1, 1), np.float32)
    while len(signs) < size:
        signs = np.block([[signs, signs], [signs, -signs]])
    return signs / np.float32(np.sqrt(size))


def _rotate(x: Array) -> Array:
    """The orthonormal Hadamard transform of each row [B, n], as two small products."""
    rows = 1 << (x.shape[1].bit_length() - 1) // 2
    grid = x.reshape(x.shape[0], rows, -1) @ _hadamard(x.shape[1] // rows)
    return jnp.einsum("rs,bsc->brc", _hadamard(rows), grid).reshape(x.shape)
