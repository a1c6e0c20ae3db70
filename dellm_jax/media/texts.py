"""Texts from outside: as they may be read, and as they may be shown on a terminal."""

import re

from dellm_jax.errors import MediaError
from dellm_jax.media.files import Source, called, opened

MOST_BYTES = 1 << 20
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def read_text(source: Source, most_bytes: int = MOST_BYTES) -> str:
    """A UTF-8 file or its bytes -> text, cleaned. MediaError on other encodings and beyond the limit."""
    with opened(source, most_bytes) as file:
        try:
            return clean(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise MediaError(
                f"{called(source)} is not UTF-8 at byte {error.start}; save the text as UTF-8, or decode it first"
            ) from error


def clean(text: str, most_bytes: int = MOST_BYTES) -> str:
    """The text with control characters as spaces: a NUL would end it, for zero is the padding of what is read.

    Direction marks, joiners and emoji stay: they are language. MediaError on halves of surrogate pairs and on more than
    `most_bytes` characters.
    """
    if len(text) > most_bytes:
        raise MediaError(
            f"a text of {len(text)} characters; expected at most {most_bytes}: cut it, or raise most_bytes"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MediaError(f"character {error.start} is half of a surrogate pair; decode the text as UTF-8") from error
    return CONTROLS.sub(" ", text)


def displayed(text: str, most: int = 200) -> str:
    """The text in one line that no terminal obeys: controls and direction overrides as pictures, cut at `most`.

    Whatever is printed that somebody else may have written goes through here.
    """
    shown = UNSAFE.sub(lambda match: chr(0x2400 + ord(match[0])) if match[0] < " " else "\ufffd", text[: most + 1])
    return shown if len(text) <= most else f"{shown[:most]}..."
