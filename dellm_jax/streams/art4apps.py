"""Things seen, named aloud and in writing, in four languages: one picture and one recording each.

Pictures and English and Spanish words: art4apps (CC BY-SA 3.0); French and German recordings: GCompris voices (GPL).
"""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split, fixed_length, mu_law_decode, written
from dellm_jax.streams.fetch import locate

LANGUAGES = ("en", "es", "fr", "de")
SAMPLE_RATE = 8_000
SAMPLES = 12_800  # 1.6 s at 8 kHz: as long as the longest word
TEXT_WIDTH = 28  # bytes
FILE = "art4apps_64px_8k_mulaw.npz"


def art4apps(root: Path | str | None = None, languages: Sequence[str] = ("en", "de")) -> Corpus:
    """Each thing once in every language it has a name in: picture, spoken word, written word.

    image uint8 [623, 64, 64, 3], audio int16 [K, 12800] at 8 kHz, text uint8 [K, 28]; `group` is the place of the
    language in `languages`. Concepts are the things that have a word in the first language (623 in English), and what
    is taught is what is asked: testing is on the training examples, through fewer senses. Some words name two things
    (26 letters in small and large, and orange), and four pictures are two of a kind. `root`: see `fetch.locate`.
    StreamError unless the languages are distinct ones of en, es, fr and de.
    """
    names = list(languages)
    if not names or len(set(names)) < len(names) or not set(names) <= set(LANGUAGES):
        raise StreamError(f"languages={names}; name each once, of {list(LANGUAGES)}")
    path = locate("art4apps", root)[FILE]
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _corpus(dict(archive), names)
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise StreamError(f"{path} cannot be read ({error}); delete it or copy it again") from error


def _corpus(stored: dict[str, np.ndarray], languages: Sequence[str]) -> Corpus:
    """The corpus of the arrays that the file holds."""
    if int(stored["sample_rate"]) != SAMPLE_RATE:
        raise ValueError(f"sample_rate is {stored['sample_rate']}, expected {SAMPLE_RATE}")
    things = _named(stored, languages[0])
    place = np.full(len(stored["key"]), -1)
    place[things] = np.arange(things.size)
    items, clips, words = [], [], []
    for language in languages:
        found, heard = _named(stored, language), _clips(stored, language)
        rows = np.flatnonzero(place[found] >= 0)
        items.append(found[rows])
        clips += [heard[row] for row in rows]
        words += stored[f"text_{language}"][found[rows]].tolist()
    target = place[np.concatenate(items)].astype(np.int32)
    rows = np.arange(target.size, dtype=np.int32)
    split = Split(
        target,
        {
            "image": stored["images"][things],
            "audio": fixed_length(clips, SAMPLES),
            "text": written(words, TEXT_WIDTH),
        },
        {"image": target, "audio": rows, "text": rows},
        group=np.repeat(np.arange(len(languages), dtype=np.int32), [found.size for found in items]),
    )
    concepts = tuple(str(key) for key in stored["key"][things])
    return Corpus(f"art4apps/{'+'.join(languages)}", concepts, split, split, SAMPLE_RATE)


def _named(stored: dict[str, np.ndarray], language: str) -> np.ndarray:
    """The things that have a recording and a written word in a language, as rows of the pictures [K]."""
    items = stored[f"audio_{language}_item"]
    return items[stored[f"text_{language}"][items] != ""]


def _clips(stored: dict[str, np.ndarray], language: str) -> list[np.ndarray]:
    """Their recordings, in the same order."""
    audio, offsets = mu_law_decode(stored[f"audio_{language}"]), stored[f"audio_{language}_offsets"]
    written_too = stored[f"text_{language}"][stored[f"audio_{language}_item"]] != ""
    return [audio[offsets[row] : offsets[row + 1]] for row in np.flatnonzero(written_too)]
