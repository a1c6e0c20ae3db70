"""A corpus laid out in time: days of new concepts, cut into stretches of batches that `awake` can scan."""

from collections.abc import Iterator, Sequence

import numpy as np

from dellm_jax.streams.corpus import Split, gather
from dellm_jax.types import Experience, StreamError


def class_incremental(split: Split, days: int, seed: int) -> list[np.ndarray]:
    """Rows of each day: concepts in their order, shared evenly over `days`, shuffled within the day."""
    concepts = np.unique(split.target)
    if not 1 <= days <= concepts.size:
        raise StreamError(f"days={days}, but the stream has {concepts.size} concepts; choose 1 to {concepts.size} days")
    generator = np.random.default_rng(seed)
    shares = np.array_split(concepts, days)
    return [generator.permutation(np.flatnonzero(np.isin(split.target, share))) for share in shares]


def independent(split: Split, epochs: int, seed: int) -> list[np.ndarray]:
    """Rows of each epoch: everything, shuffled. What joint training sees."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(split.target.size) for _ in range(epochs)]


def stretches(split: Split, days: Sequence[np.ndarray], batch: int, length: int) -> Iterator[Experience]:
    """Experience stretches [length, batch, ...], day after day; the last of a day is filled up with weight 0."""
    for rows in days:
        for start in range(0, rows.size, length * batch):
            part = rows[start : start + length * batch]
            yield stretch(split, part, length, batch)


def stretch(split: Split, rows: np.ndarray, length: int, batch: int) -> Experience:
    """One stretch of up to length * batch rows, filled up with weight 0."""
    filled = np.resize(rows, length * batch)
    weight = (np.arange(filled.size) < rows.size).astype(np.float32).reshape(length, batch)
    senses = {sense: items.reshape(length, batch, *items.shape[1:]) for sense, items in gather(split, filled).items()}
    return Experience(senses, split.target[filled].reshape(length, batch).astype(np.int32), weight)


def ends(days: Sequence[np.ndarray], batch: int, length: int) -> list[int]:
    """How many awake steps have been lived when each day is over."""
    return np.cumsum([length * -(-rows.size // (length * batch)) for rows in days]).tolist()
