"""What a data set is here: banks of items per sense, and for every example the row of each bank it shows.

Several examples may share one item (60,000 pictures, 2,700 spoken clips), so items are stored once and joined by index.
Conventions: image uint8 [K, H, W, 1]; audio int16 [K, samples], mono; text uint8 [K, width], UTF-8 padded with zeros.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dellm_jax.errors import StreamError

FRAME = 80  # samples over which loudness is measured: 10 ms at 8 kHz
QUIET = 1e-4  # power of a frame against the loudest frame below which it counts as silence: -40 dB
MARGIN = 2  # frames of silence kept on either side, so that soft onsets and endings survive
MU = 255.0


class Split(NamedTuple):
    """N examples: their concepts, the items they are made of, and which item each example shows to each sense.

    `group` is a further attribute of the examples that days may be formed by: who speaks, which domain; `value` says
    how much, where concepts are quantities to be predicted.
    """

    target: np.ndarray  # [N] int32
    banks: dict[str, np.ndarray]  # sense -> [K, ...]
    index: dict[str, np.ndarray]  # sense -> [N] int32, rows of the bank
    group: np.ndarray | None = None  # [N] int32
    value: np.ndarray | None = None  # [N] float32, where concepts are quantities


class Corpus(NamedTuple):
    """A named data set; `target` counts in `concepts`, `sample_rate` is in Hz, 0 where nothing is heard."""

    name: str
    concepts: tuple[str, ...]
    train: Split
    test: Split
    sample_rate: int


def gather(split: Split, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The items of the examples `rows` [B]: sense -> bank[index[rows]], [B, ...]."""
    return {sense: bank[split.index[sense][rows]] for sense, bank in split.banks.items()}


def select(split: Split, senses: Sequence[str]) -> Split:
    """The same examples through fewer senses; StreamError when the split lacks one of them."""
    for sense in senses:
        if sense not in split.banks:
            raise StreamError(f"stream has no sense {sense!r}; it has {sorted(split.banks)}: choose among these")
    return split._replace(
        banks={sense: split.banks[sense] for sense in senses}, index={sense: split.index[sense] for sense in senses}
    )


def subset(split: Split, rows: np.ndarray) -> Split:
    """The examples `rows` [M] in that order; the banks are shared, not copied."""
    return split._replace(
        target=split.target[rows],
        index={sense: index[rows] for sense, index in split.index.items()},
        group=None if split.group is None else split.group[rows],
        value=None if split.value is None else split.value[rows],
    )


def pair(target: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For every target [N] a row among the items labelled alike [K]: int32 [N], labels[row] == target.

    Items are dealt like shuffled decks, so that all of a label are used, equally often to within one.
    """
    rows = np.empty(len(target), np.int32)
    for concept in np.unique(target):
        candidates = np.flatnonzero(labels == concept)
        if not len(candidates):
            raise StreamError(f"no item of concept {concept} to pair with; labels hold {np.unique(labels).tolist()}")
        members = np.flatnonzero(target == concept)
        decks = np.tile(candidates, (-(-len(members) // len(candidates)), 1))
        rows[members] = generator.permuted(decks, axis=1).ravel()[: len(members)]
    return rows


def written(words: Sequence[str], width: int) -> np.ndarray:
    """Words as UTF-8 bytes padded with zeros: uint8 [N, width]; StreamError when one is longer than width."""
    encoded = [word.encode() for word in words]
    for word, code in zip(words, encoded, strict=True):
        if len(code) > width:
            raise StreamError(f"text {word!r} takes {len(code)} bytes, expected at most {width}: raise the text width")
    padded = b"".join(code.ljust(width, b"\0") for code in encoded)
    return np.frombuffer(padded, np.uint8).reshape(len(encoded), width).copy()


def trimmed(clip: np.ndarray) -> np.ndarray:
    """A clip [T] without the silence at its ends (40 dB below the loudest frame), but for a margin of 20 ms."""
    frames = np.pad(clip.astype(np.float64), (0, -len(clip) % FRAME)).reshape(-1, FRAME)
    power = np.mean(frames**2, axis=1)
    loud = np.flatnonzero(power > QUIET * power.max(initial=0.0))
    if not len(loud):
        return clip
    return clip[max(loud[0] - MARGIN, 0) * FRAME : (loud[-1] + 1 + MARGIN) * FRAME]


def fixed_length(clips: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """Clips trimmed, then centred in zeros or cut to their loudest window: list of int16 [T] -> int16 [K, samples]."""
    fixed = np.zeros((len(clips), samples), np.int16)
    for row, clip in enumerate(clips):
        if clip.ndim != 1 or clip.dtype != np.int16:
            raise StreamError(f"audio clip {row} is {clip.dtype} {list(clip.shape)}, expected mono int16 [samples]")
        clip = trimmed(clip)
        if len(clip) > samples:
            energy = np.concatenate([[0], np.cumsum(clip.astype(np.int64) ** 2)])
            start = int(np.argmax(energy[samples:] - energy[:-samples]))
            clip = clip[start : start + samples]
        before = (samples - len(clip)) // 2
        fixed[row, before : before + len(clip)] = clip
    return fixed


def mu_law_encode(audio: np.ndarray) -> np.ndarray:
    """Audio in [-1, 1] -> uint8, 128 = zero: round(127 sign(x) ln(1 + 255|x|) / ln 256) + 128 (ITU-T G.711's curve)."""
    curve = np.sign(audio) * np.log1p(MU * np.abs(audio)) / np.log1p(MU)
    return (np.round(127.0 * curve) + 128.0).astype(np.uint8)


def mu_law_decode(code: np.ndarray) -> np.ndarray:
    """Inverse of `mu_law_encode` up to its rounding, as int16 samples: uint8 [...] -> int16 [...]."""
    curve = (np.arange(256) - 128.0) / 127.0
    audio = np.sign(curve) * ((1.0 + MU) ** np.abs(curve) - 1.0) / MU
    return np.round(32767.0 * np.clip(audio, -1.0, 1.0)).astype(np.int16)[code]
