"""The journal of a life: every act is on disk before it is acknowledged, in order, and only in order.

SQLite in WAL mode with synchronous=FULL outlasts kill -9 and power cuts. What it does not notice is looked for here: a
record whose bytes changed, a gap, a log damaged before its end, or cut short (the last number is also kept beside it).
"""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from dellm_jax.errors import JournalError
from dellm_jax.persistence import payload as payloads
from dellm_jax.persistence import wal
from dellm_jax.persistence.faults import fault, named
from dellm_jax.persistence.payload import Payload

KIND = re.compile(rb"[a-z][a-z0-9_.-]{0,63}")
MOST_BYTES = 16 << 30
TABLE = (
    "CREATE TABLE records (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload BLOB NOT NULL, sha256 BLOB NOT NULL)"
)
ROWS = "SELECT seq, CAST(kind AS BLOB), CAST(payload AS BLOB), CAST(sha256 AS BLOB) FROM records"
ROOM = "make room, or check permissions there; nothing was changed"
LAST = "what was acknowledged is lost: go back to a copy of this folder, or go on without it: move journal.sqlite* away"
MOST_RECORDS = 1_000_000
MARK = "-last"
CAUTION = (
    "locking_mode=EXCLUSIVE",  # keeps others out where there is no flock, and needs no shared memory
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
    f"max_page_count={MOST_BYTES >> 12}",  # of 4,096 bytes
)
DURABLE = ("journal_mode=WAL", "synchronous=FULL")


class Record(NamedTuple):
    """An act: its place in the life, its kind and what it was done with."""

    seq: int
    kind: str
    payload: Payload


class Journal:
    """The journal in the file `path`, made if it is not there; to be closed.

    `last`: the highest sequence number given, at least `after` (what a snapshot says it holds); `dropped`: how many
    damaged records at the end were given up; `told`: a line for each thing that the owner should know. Raises
    JournalError if it cannot be believed or the disk refuses.
    """

    def __init__(self, path: str | Path, after: int = 0) -> None:
        self.path = Path(path)
        self.told: list[str] = []
        self.dropped = 0
        _refuse_strange_files(self.path)
        logged = wal.read(self.path.with_name(f"{self.path.name}-wal"))
        self._connection: sqlite3.Connection | None = None
        self._mark: int | None = None
        try:
            self._connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=0)
            self._begin(logged)
            self.last = self._verify(after)
            self._mark = _open_mark(self.path)
            self._refuse_cut(after)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise fault(self.path, "the journal of a life", named(error), LAST, JournalError) from error
        except BaseException:
            self.close()
            raise

    def append(self, kind: str, payload: Payload) -> int:
        """Write an act down and return its sequence number when it is on disk, and not before.

        Raises JournalError, and nothing is changed, if it cannot be written or could not be read back.
        """
        seq = self.last + 1
        where = f"{self.path}: record {seq}"
        if not KIND.fullmatch(kind.encode()):
            raise fault(f"{where}: kind", KIND.pattern.decode(), repr(kind), "name it so", JournalError)
        if seq >= self._first() + MOST_RECORDS:
            raise fault(where, f"at most {MOST_RECORDS} records", "more", "save the life, then forget", JournalError)
        data = payloads.pack(where, payload)
        row = (seq, kind, data, _fingerprint(seq, kind.encode(), data))
        self._do(f"to write {len(data)} bytes", "INSERT INTO records VALUES (?, ?, ?, ?)", row)
        self.last = seq
        self._write_mark()
        return seq

    def tail(self, after: int = 0) -> Iterator[Record]:
        """The acts after that sequence number, in order. Raises JournalError where one cannot be believed."""
        for seq in range(max(after, self._first() - 1) + 1, self.last + 1):
            row = self._do("to read", f"{ROWS} WHERE seq = ?", (seq,))
            if not row or not _sound(row[0]):
                raise fault(f"{self.path}: record {seq}", "a whole record", "none", LAST, JournalError)
            yield Record(seq, row[0][1].decode(), payloads.unpack(f"{self.path}: record {seq}", row[0][2]))

    def forget(self, upto: int) -> None:
        """Give up the acts up to that sequence number: once a snapshot that holds them was verified. JournalError."""
        self._do("to forget", "DELETE FROM records WHERE seq <= ?", (upto,))
        self._do("to forget", "PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Give the file back. What was acknowledged stays."""
        if self._connection:
            self._connection.close()
            self._connection = None
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None

    def _do(self, what: str, command: str, values: tuple = ()) -> list[tuple]:
        if not self._connection:
            raise fault(self.path, "an open journal", "a closed one", "open it again", JournalError)
        try:
            return self._connection.execute(command, values).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise fault(self.path, what, named(error), ROOM, JournalError) from error

    def _begin(self, logged: wal.Log) -> None:
        """What others may have hidden in the file is refused before anything is done with it."""
        connection = self._connection
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * payloads.MOST_BYTES)
        for pragma in CAUTION:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        schema = connection.execute("SELECT type, sql FROM sqlite_master").fetchall()
        if schema not in ([], [("table", TABLE)]):
            names = [str(one)[:80] for one in schema]
            raise fault(self.path, "a journal", names, "it is another database", JournalError)
        for pragma in DURABLE:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        self._refuse_damaged_log(logged)
        if not schema:
            connection.execute(TABLE)

    def _refuse_damaged_log(self, logged: wal.Log) -> None:
        """Compare the transactions that are in the log with those that SQLite believed."""
        _, believed, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        unread = sum(place >= max(believed, 0) for place in logged.commits)
        if unread > 1:
            found = f"{unread} transactions after damage"
            raise fault(f"{self.path}-wal", "a log that is whole but for its end", found, LAST, JournalError)
        if logged.frames > max(believed, 0):
            self.dropped += 1
            self.told.append(f"{self.path}: a last record that was not completely written was dropped")

    def _verify(self, after: int) -> int:
        """The last sequence number. Damage at the end is dropped and counted, damage that a snapshot makes up for is
        forgotten; anywhere else: JournalError."""
        answer = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if answer != ("ok",):
            raise fault(self.path, "a whole database", answer[0], LAST, JournalError)
        sound = {row[0]: _sound(row) for row in self._connection.execute(f"{ROWS} ORDER BY seq LIMIT {MOST_RECORDS}")}
        first, last = min(sound, default=after + 1), max(sound, default=after)
        if first > after + 1 or not 0 < first <= last + 1 <= first + MOST_RECORDS:
            raise fault(f"{self.path}: record {after + 1}", "to find it", f"{first} to {last}", LAST, JournalError)
        lost = [seq for seq in range(first, last + 1) if not sound.get(seq)]
        end = last
        while end > after and lost and lost[-1] == end:
            end = lost.pop() - 1
        if lost and lost[-1] > after:
            raise fault(f"{self.path}: record {lost[-1]}", "its sha256", "another", LAST, JournalError)
        held = after if last < after else max(lost, default=0)
        if lost or last < after:
            self._connection.execute("DELETE FROM records WHERE seq <= ?", (held,))
            self.told.append(
                f"{self.path}: damaged up to {held}; the snapshot has it, but older ones are of no more use"
            )
        if end < last:
            self._connection.execute("DELETE FROM records WHERE seq > ?", (end,))
            self.dropped += last - end
            self.told.append(f"{self.path}: {last - end} damaged records at its end were dropped, from {end + 1}")
        return max(end, after)

    def _refuse_cut(self, after: int) -> None:
        """A file that ends sooner than it did looks whole to SQLite: compare with the number that is kept beside it.

        That number is not synced, so a power cut may leave an older one, which does no harm.
        """
        number, _, check = os.read(self._mark, 64).partition(b" ")
        known = number.isdigit() and len(number) == 20 and check == b"%08x" % crc32(number)
        missing = int(number) - self.last if known else 0
        if missing > max(1, self.dropped):
            raise fault(f"{self.path}: record {int(number)}", "to find it", f"{self.last}", LAST, JournalError)
        if missing > 0 and not self.dropped:
            self.dropped = 1
            self.told.append(f"{self.path}: its last record is not there any more")
        if after and not known:
            self.told.append(
                f"{self.path}: nothing says how far it went; what came after {self.last} is lost, if any did"
            )
        self._write_mark()

    def _write_mark(self) -> None:
        number = b"%020d" % self.last
        with suppress(OSError):  # the records themselves are on disk
            os.lseek(self._mark, 0, os.SEEK_SET)
            os.write(self._mark, number + b" %08x" % crc32(number))

    def _first(self) -> int:
        (first,) = self._do("to read", "SELECT min(seq) FROM records")[0]
        return self.last + 1 if first is None else first


def _refuse_strange_files(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal", f"{path.name}{MARK}"):
        file = path.with_name(name)
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise fault(file, "a file of this folder", "a link or no file", "move it away", JournalError)
        if file.exists() and file.stat().st_size > MOST_BYTES:
            raise fault(file, f"at most {MOST_BYTES} bytes", file.stat().st_size, "it is no journal", JournalError)


def _open_mark(path: Path) -> int:
    return os.open(path.with_name(f"{path.name}{MARK}"), os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)


def _fingerprint(seq: int, kind: bytes, data: bytes) -> bytes:
    return hashlib.sha256(b"%d %s " % (seq, kind) + data).digest()


def _sound(row: tuple) -> bool:
    seq, kind, data, expected = row
    return bool(KIND.fullmatch(kind or b"")) and _fingerprint(seq, kind, data or b"") == expected
