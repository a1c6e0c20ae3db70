"""Files of unknown origin: what they are and how big, before a byte of them is decoded."""

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dellm_jax.errors import MediaError

Source = str | Path | bytes


def called(source: Source) -> str:
    """What a message calls it."""
    return f"a file of {len(source)} bytes" if isinstance(source, bytes) else str(source)


@contextmanager
def opened(source: Source, most_bytes: int) -> Iterator[BinaryIO]:
    """A path or encoded bytes as an open file. MediaError if it is no regular file, empty or above `most_bytes`."""
    if isinstance(source, bytes):
        _check_size(source, len(source), most_bytes)
        yield io.BytesIO(source)
        return
    try:
        status = Path(source).stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device would be waited for
            raise MediaError(f"{source} is no regular file; give a file, or the bytes that it would hold")
        _check_size(source, status.st_size, most_bytes)
        file = Path(source).open("rb")  # noqa: SIM115
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{str(source)!r} cannot be opened ({type(error).__name__}); check the path") from error
    with file:
        yield file


def _check_size(source: Source, size: int, most_bytes: int) -> None:
    if size == 0:
        raise MediaError(f"{called(source)} is empty; give a file that holds something")
    if size > most_bytes:
        raise MediaError(
            f"{called(source)} is {size} bytes, expected at most {most_bytes}; shorten it, or raise most_bytes"
        )
