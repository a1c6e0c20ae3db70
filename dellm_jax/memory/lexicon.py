"""The texts a life can say: names of concepts and answers it was taught, kept with it as bytes."""

import jax.numpy as jnp
import numpy as np
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.errors import CorrectionError
from dellm_jax.types import Array

LONGEST = 256


@struct.dataclass
class Lexicon:
    """`bytes_` [A, LONGEST]: UTF-8, zero-padded; a row of zeros is free."""

    bytes_: Array = leaf("answers", "letters")


def empty(answers: int) -> Lexicon:
    """Room for so many texts."""
    return Lexicon(jnp.zeros((answers, LONGEST), jnp.uint8))


def find(lexicon: Lexicon, text: str) -> int:
    """The place of a text, -1 if it was never said. Case and outer white space do not count."""
    wanted = text.strip().casefold()
    return next((place for place, known in enumerate(texts(lexicon)) if known.casefold() == wanted), -1)


def add(lexicon: Lexicon, text: str, needed: set[int]) -> tuple[Lexicon, int]:
    """The lexicon with a text in it, and its place; a free one, else the first that is not `needed`.

    Raises CorrectionError if the text is empty, longer than LONGEST bytes, holds NUL, or finds no room.
    """
    raw = text.strip().encode()
    if not raw or len(raw) > LONGEST or 0 in raw:
        raise CorrectionError(
            f"answer has {len(raw)} bytes; expected 1 to {LONGEST} bytes of text without NUL: say it shorter"
        )
    place = find(lexicon, text)
    if place >= 0:
        return lexicon, place
    filled = np.asarray(lexicon.bytes_)[:, 0] > 0
    free = np.flatnonzero(~filled)
    idle = [place for place in range(len(filled)) if place not in needed]
    if not (free.size or idle):
        raise CorrectionError(
            f"answer {text[:40]!r}: all {len(filled)} places for texts are in use; raise architecture.rules"
        )
    place = int(free[0]) if free.size else idle[0]
    row = np.zeros(LONGEST, np.uint8)
    row[: len(raw)] = np.frombuffer(raw, np.uint8)
    return Lexicon(lexicon.bytes_.at[place].set(row)), place


def drop(lexicon: Lexicon, places: set[int]) -> Lexicon:
    """The lexicon without the texts at these places."""
    rows = np.array(sorted(places), np.int32)
    return Lexicon(lexicon.bytes_.at[rows].set(0)) if rows.size else lexicon


def texts(lexicon: Lexicon) -> list[str]:
    """Every text in its place; empty where there is none."""
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in np.asarray(lexicon.bytes_)]


def text(lexicon: Lexicon, place: int) -> str:
    """The text at a place; empty at -1."""
    return bytes(np.asarray(lexicon.bytes_[place])).rstrip(b"\0").decode(errors="replace") if place >= 0 else ""
