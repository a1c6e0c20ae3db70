"""What the journal acknowledged is there, in order, whatever happens to its files; or it is said that it is not."""

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from dellm_jax.errors import JournalError
from dellm_jax.persistence import Journal, Payload, journal

MANY = 5


def payload(seq: int) -> Payload:
    return Payload({"of": seq, "words": ["a", {"b": None}]}, {"x": np.arange(seq * 300, dtype=np.int16).reshape(-1, 3)})


def write(path: Path, many: int = MANY) -> Journal:
    book = Journal(path)
    assert [book.append("experience", payload(seq)) for seq in range(1, many + 1)] == list(range(1, many + 1))
    return book


def as_killed(path: Path, folder: Path) -> Path:
    """The files of a journal as a process that was killed now would leave them."""
    shutil.copytree(path.parent, folder)
    return folder / path.name


def seqs(path: Path, after: int = 0) -> list[int]:
    """What a journal holds; every record must be the one that was written."""
    book = Journal(path, after)
    try:
        records = list(book.tail(after))
    finally:
        book.close()
    for record in records:
        expected = payload(record.seq)
        assert record.kind == "experience" and record.payload.meta == expected.meta
        assert record.payload.arrays["x"].dtype == np.int16
        np.testing.assert_array_equal(record.payload.arrays["x"], expected.arrays["x"])
    return [record.seq for record in records]


def test_what_was_acknowledged_outlasts_the_process(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    book = Journal(tmp_path / "own" / "j")
    for seq in range(1, 4):
        book.append("experience", payload(seq))
        assert seqs(as_killed(book.path, tmp_path / str(seq))) == list(range(1, seq + 1))
    book.close()
    assert seqs(book.path) == [1, 2, 3] and sorted(path.name for path in book.path.parent.iterdir()) == ["j", "j-last"]


def test_every_commit_is_synced(tmp_path: Path) -> None:
    book = write(tmp_path / "j", 1)
    assert book._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert book._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    book.close()


def test_what_is_forgotten_is_not_counted_again(tmp_path: Path) -> None:
    book = write(tmp_path / "j")
    book.forget(upto=MANY)
    assert list(book.tail()) == []
    book.close()
    with pytest.raises(JournalError, match="closed"):
        book.append("experience", payload(1))
    book = Journal(tmp_path / "j", after=MANY)
    assert book.append("experience", payload(MANY + 1)) == MANY + 1
    book.close()
    with pytest.raises(JournalError, match=f"record {MANY - 1}"):  # a snapshot that is too old
        Journal(tmp_path / "j", after=MANY - 2)


def test_a_log_torn_at_any_byte_loses_its_end_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    book = write(tmp_path / "own" / "j")
    path = as_killed(book.path, tmp_path / "torn")
    log, before = path.with_name("j-wal"), path.read_bytes()
    data = log.read_bytes()
    held = []
    for length in [*range(0, len(data), 1201), len(data)]:
        path.write_bytes(before)
        path.with_name("j-last").unlink(missing_ok=True)
        log.write_bytes(data[:length])
        torn = Journal(path)
        held.append(torn.last)
        assert [record.seq for record in torn.tail()] == list(range(1, torn.last + 1))
        assert torn.dropped == len(torn.told) <= 1
        torn.close()
    assert held == sorted(held) and set(held) == set(range(MANY + 1))
    book.close()


@pytest.mark.parametrize("where", ["log", "file"])
def test_no_flipped_bit_goes_unnoticed(where: str, tmp_path: Path) -> None:
    """Nothing lost, or the last record dropped and counted, or refused; never a wrong record."""
    (tmp_path / "own").mkdir()
    book = write(tmp_path / "own" / "j")
    if where == "file":
        book.close()
    path = as_killed(book.path, tmp_path / "flipped")
    log = path.with_name("j-wal")
    target, files = (log if where == "log" else path), {p: p.read_bytes() for p in (path, log) if p.exists()}
    random, refused = np.random.default_rng(0), 0
    for place in random.integers(0, len(files[target]), 100).tolist():
        for file, data in files.items():
            file.write_bytes(data)
        flipped = bytearray(files[target])
        flipped[place] ^= 1 << int(random.integers(8))
        target.write_bytes(flipped)
        try:
            flawed = Journal(path)
        except JournalError as error:
            assert "\n" not in str(error)
            refused += 1
            continue
        last, dropped = flawed.last, flawed.dropped
        flawed.close()
        assert last + dropped >= MANY, place
        assert seqs(path) == list(range(1, last + 1))
    assert refused > 20
    book.close()


def spoil(path: Path, *commands: str) -> None:
    with sqlite3.connect(path) as connection:
        for command in commands:
            connection.execute(command)
    connection.close()


def test_a_log_that_was_cut_where_a_record_ends_is_noticed(tmp_path: Path) -> None:
    """To SQLite it looks whole."""
    (tmp_path / "own").mkdir()
    book = Journal(tmp_path / "own" / "j")
    lengths = []
    for seq in range(1, MANY + 1):
        book.append("experience", payload(seq))
        lengths.append((tmp_path / "own" / "j-wal").stat().st_size)
    for number, length in enumerate([0, 20, *lengths]):
        path = as_killed(book.path, tmp_path / str(number))
        os.truncate(path.with_name("j-wal"), length)
        if number < MANY:
            with pytest.raises(JournalError, match=f"record {MANY}"):
                Journal(path)
            path.with_name("j-last").unlink()  # as it says
        cut = Journal(path)
        assert cut.last == max(number - 1, 0) and cut.dropped == (number == MANY)
        cut.close()
    book.close()


ZERO = "UPDATE records SET payload = zeroblob(99) WHERE seq = {}"


def test_damage_in_the_middle_is_refused_and_at_the_end_counted(tmp_path: Path) -> None:
    write(tmp_path / "j").close()
    shutil.copy(tmp_path / "j", tmp_path / "k")
    shutil.copy(tmp_path / "j", tmp_path / "l")
    spoil(tmp_path / "j", ZERO.format(3))
    with pytest.raises(JournalError, match="record 3"):
        Journal(tmp_path / "j")
    spoil(tmp_path / "k", ZERO.format(4), "UPDATE records SET kind = x'ff00' WHERE seq = 5")
    book = Journal(tmp_path / "k")
    assert (book.last, book.dropped, len(book.told)) == (3, 2, 1)
    book.append("experience", payload(4))
    book.close()
    assert seqs(tmp_path / "k") == [1, 2, 3, 4]
    spoil(tmp_path / "l", "DELETE FROM records WHERE seq = 2")
    with pytest.raises(JournalError, match="record 2"):
        Journal(tmp_path / "l")


def test_damage_that_a_snapshot_makes_up_for_is_told(tmp_path: Path) -> None:
    write(tmp_path / "j").close()
    spoil(tmp_path / "j", ZERO.format(2))
    book = Journal(tmp_path / "j", after=3)
    assert [record.seq for record in book.tail(3)] == [4, 5] and book.dropped == 0 and len(book.told) == 1
    book.close()
    book = Journal(tmp_path / "j", after=9)  # a snapshot that holds more than the journal ever saw
    assert book.append("experience", payload(10)) == 10 and len(book.told) == 1
    book.close()
    assert seqs(tmp_path / "j", after=9) == [10]


def test_a_full_disk_and_a_read_only_one_change_nothing(tmp_path: Path) -> None:
    book = write(tmp_path / "j")
    (pages,) = book._connection.execute("PRAGMA page_count").fetchone()
    for spell, remedy, said in (
        (f"max_page_count={pages}", "max_page_count=100000", "full"),
        ("query_only=ON", "query_only=OFF", "readonly"),
    ):
        book._connection.execute(f"PRAGMA {spell}")
        before = book.last
        with pytest.raises(JournalError, match=rf"j: .*{said}.*make room"):
            book.append("experience", Payload({}, {"x": np.zeros(9000)}))
        assert book.last == before
        book._connection.execute(f"PRAGMA {remedy}")
        assert book.append("experience", payload(before + 1)) == before + 1
    book.close()
    assert seqs(tmp_path / "j") == list(range(1, MANY + 3))


@pytest.mark.parametrize(
    ("kind", "what", "said"),
    [
        ("", Payload({}, {}), "kind"),
        ("a\nb", Payload({}, {}), "kind"),
        ("x" * 65, Payload({}, {}), "kind"),
        ("x", Payload({"a": float("nan")}, {}), "meta"),
        ("x", Payload({"a": {1, 2}}, {}), "meta"),
        ("x", Payload({}, {"a": np.array([1.0, np.inf])}), "leaf 'a'"),
        ("x", Payload({}, {"a": np.array([object()])}), "leaf 'a'"),
        ("x", Payload({}, {"a": np.broadcast_to(np.int8(0), (1 << 27,))}), "at most"),
        ("x", Payload({"a": "b" * (17 << 20)}, {}), "meta: expected at most"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(kind: str, what: Payload, said: str, tmp_path: Path) -> None:
    book = write(tmp_path / "j", 1)
    with pytest.raises(JournalError, match=said):
        book.append(kind, what)
    assert book.last == 1
    book.close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "good").close()
    (tmp_path / "text").write_bytes(b"pickle" * 1000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "good")
    (tmp_path / "waylaid").write_bytes(b"")
    (tmp_path / "waylaid-wal").symlink_to(tmp_path / "good")
    shutil.copy(tmp_path / "good", tmp_path / "trigger")
    spoil(tmp_path / "trigger", "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END")
    shutil.copy(tmp_path / "good", tmp_path / "view")
    spoil(tmp_path / "view", "ALTER TABLE records RENAME TO r", "CREATE VIEW records AS SELECT * FROM r")
    for name in ("text", "folder", "link", "waylaid", "trigger", "view", "no/such/folder"):
        with pytest.raises(JournalError) as caught:
            Journal(tmp_path / name)
        assert "\n" not in str(caught.value) and name.split("/")[0] in str(caught.value)
    assert seqs(tmp_path / "good") == list(range(1, MANY + 1))


def test_forged_records_are_refused(tmp_path: Path) -> None:
    """Sealed with a right hash, but not what `append` writes."""
    for number, data in enumerate((b"", b"\0" * 8, b"\2\0\0\0\0\0\0\0{}", b"\x80\x04\x95" * 9, b"\xff" * 40)):
        path = tmp_path / str(number)
        write(path, 1).close()
        digest = hashlib.sha256(b"1 experience " + data).hexdigest()
        spoil(path, f"UPDATE records SET payload = x'{data.hex()}', sha256 = x'{digest}'")
        book = Journal(path)
        with pytest.raises(JournalError, match="record 1"):
            list(book.tail())
        book.close()
    write(tmp_path / "far", 1).close()
    spoil(tmp_path / "far", f"UPDATE records SET seq = {2**63 - 1}")
    with pytest.raises(JournalError):
        Journal(tmp_path / "far")


def test_more_is_not_written_than_would_be_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journal, "MOST_RECORDS", MANY)
    book = write(tmp_path / "j")
    with pytest.raises(JournalError, match="save the life"):
        book.append("experience", payload(MANY + 1))
    book.forget(upto=2)
    assert book.append("experience", payload(MANY + 1)) == MANY + 1
    book.close()
    assert seqs(tmp_path / "j", after=2) == [3, 4, 5, 6]


def test_two_journals_on_one_file_are_refused(tmp_path: Path) -> None:
    book = write(tmp_path / "j", 1)
    with pytest.raises(JournalError, match="locked"):
        Journal(tmp_path / "j")
    assert os.path.exists(tmp_path / "j-wal") and book.append("experience", payload(2)) == 2
    book.close()
