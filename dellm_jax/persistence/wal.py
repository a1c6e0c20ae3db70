"""How much of SQLite's write-ahead log was not believed.

SQLite reads its log up to the first frame whose checksum is wrong and forgets the rest without a word. That is right
for a write that a power cut tore, and wrong for a log that was damaged later: two transactions beyond the first bad
frame mean that one of them had been acknowledged, since the second began after the first was on disk.
Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log (header of 32 bytes; frames of 24 bytes and a page).
"""

import struct
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

HEADER, FRAME = 32, 24
MAGIC = (0x377F0682, 0x377F0683)


class Log(NamedTuple):
    """Places (from 0) of the frames that end a transaction, and how many frames were begun, believed or not."""

    commits: list[int]
    frames: int


def read(path: Path) -> Log:
    """What is in the log since it was last begun anew; nothing where there is no log."""
    commits, frames = [], 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        start = file.read(HEADER)
        if len(start) < HEADER:
            return Log(commits, frames)
        magic, _, page, _, salt, *_ = fields = struct.unpack(">IIIIQII", start)
        whole = magic in MAGIC and _checksum(start[:24], "<" if magic == MAGIC[0] else ">") == fields[5:]
        page = page if whole else _page_of_frames(page)
        for place in count():
            frame, content = file.read(FRAME), file.read(page)
            if len(frame) < FRAME:
                break
            _, size_after, of = struct.unpack(">IIQ", frame[:16])
            salt = salt if whole or place else of
            if of == salt:
                frames = place + 1
                commits += [place] if size_after and len(content) == page else []
    return Log(commits, frames)


def _page_of_frames(page: int) -> int:
    """The page size that a damaged header meant: its own if that is possible, else SQLite's default."""
    return page if 512 <= page <= 65_536 and page & (page - 1) == 0 else 4096


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
