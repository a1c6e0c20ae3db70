"""One call from files, arrays and words to an experience."""

from pathlib import Path
from typing import Any

import numpy as np

from dellm_jax.architecture import Architecture, Sense
from dellm_jax.errors import ExperienceError, MediaError
from dellm_jax.experience import validate
from dellm_jax.media.pictures import read_image
from dellm_jax.media.sounds import fit_sound, mono, read_sound, resample
from dellm_jax.media.texts import clean, read_text
from dellm_jax.types import Experience


def experience_from(architecture: Architecture, target: int | None = None, **senses: Any) -> Experience:
    """A batch of one from what each sense is given; `target` None weighs nothing: it is asked about, not learned.

    A sense that sees takes a path or the bytes of a picture file; one that hears a path, bytes, or (samples, rate); one
    that reads a string, or the Path or the bytes of a text file, of which it keeps as much as it can hold; all take a
    raw array of their own shape and kind. Raises MediaError, or ExperienceError where the body has no such sense.

        experience_from(life.architecture, image="cat.jpg", audio=(samples, 44_100), text="cat", target=3)
    """
    known = {sense.name: sense for sense in architecture.senses}
    raw = {name: given for name, given in senses.items() if given is not None}
    unknown = sorted(set(raw) - set(known))
    if unknown or not raw:
        raise ExperienceError(f"senses {unknown or 'there are none'}; this body has {sorted(known)}: give at least one")
    experience = Experience(
        {name: _raw(known[name], given)[None] for name, given in raw.items()},
        np.array([0 if target is None else target], np.int32),
        np.array([target is not None], np.float32),
    )
    validate(architecture, experience)
    return experience


def _raw(sense: Sense, given: Any) -> np.ndarray:
    """What is given to a sense as the array that it takes; which medium it takes is seen by its shape and kind."""
    if isinstance(given, np.ndarray):
        return given
    kind, rank = np.dtype(sense.raw_dtype), len(sense.raw_shape)
    if (kind, rank) == (np.uint8, 3) and isinstance(given, str | Path | bytes):
        return read_image(given, sense.raw_shape)
    if (kind, rank) == (np.int16, 1) and isinstance(given, str | Path | bytes):
        return read_sound(given, sense.raw_shape[0], sense.rate)
    if (kind, rank) == (np.int16, 1) and isinstance(given, tuple) and len(given) == 2:
        samples, rate = given
        return fit_sound(resample(mono(samples), rate, sense.rate), sense.raw_shape[0])
    if (kind, rank) == (np.uint8, 1) and isinstance(given, str | Path | bytes):
        text = clean(given) if isinstance(given, str) else read_text(given)
        return _written(text, sense.raw_shape[0])
    raise MediaError(
        f"sense {sense.name!r} takes {sense.raw_dtype} {sense.raw_shape} and cannot take a {type(given).__name__}; "
        "give a file, (samples, rate), a text or a raw array, whichever it senses"
    )


def _written(text: str, width: int) -> np.ndarray:
    """As much of a text as `width` bytes of UTF-8 hold, in whole characters, padded with zeros. MediaError if none."""
    words = " ".join(text.split()).encode()[:width].decode(errors="ignore").encode()
    if not words:
        raise MediaError("the text is empty; give at least one character, or leave the sense out")
    return np.frombuffer(words.ljust(width, b"\0"), np.uint8).copy()
