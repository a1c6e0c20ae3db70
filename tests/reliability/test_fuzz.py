"""Whatever the bytes of a saved life are, it is the life that was saved, or it is refused in one line."""

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lives import bits
from test_home import opened, seen

from dellm_jax.errors import DellmError, JournalError, SnapshotError
from dellm_jax.persistence import Payload, generations, payload, read_architecture, read_note, verify

bounded = settings(max_examples=80, deadline=None, derandomize=True, database=None)
fewer = settings(bounded, max_examples=30)
# What is done to a file: from a place (a part of its length) so many bytes are replaced by others, or it is cut there.
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 64), st.one_of(st.none(), st.binary(max_size=64)))
EDITS = st.lists(EDIT, min_size=1, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**65) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def edited(data: bytes, edits: list[tuple[float, int, bytes | None]]) -> bytes:
    for part, many, others in edits:
        place = int(part * len(data))
        data = data[:place] if others is None else data[:place] + others + data[place + many :]
    return data


def one_line(error: BaseException) -> None:
    assert "\n" not in str(error) and len(str(error)) < 2000


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[dict]]]:
    """A folder as kill -9 left it: two snapshots, and acts in the log of the journal; and the life after every act."""
    logging.disable()  # what is damaged is told hundreds of times
    folder = tmp_path_factory.mktemp("fuzz")
    with opened(folder / "own") as home:
        states = [bits(home.state)]
        for seed in range(6):
            home.experience(seen(seed))
            states.append(bits(home.state))
            if seed == 2:
                home.save()
        shutil.copytree(folder / "own", folder / "life")
    yield folder / "life", states
    logging.disable(logging.NOTSET)


@bounded
@given(edits=EDITS)
def test_bytes_of_a_snapshot(edits: list, life: tuple, tmp_path_factory: pytest.TempPathFactory) -> None:
    path, good = tmp_path_factory.getbasetemp() / "bytes", generations(life[0])[0][1].read_bytes()
    path.write_bytes(edited(good, edits))
    if path.read_bytes() == good:
        return
    with pytest.raises(SnapshotError) as caught:
        verify(path)
    one_line(caught.value)


@bounded
@given(data=st.data())
def test_headers_of_a_snapshot(data: st.DataObject, life: tuple, tmp_path_factory: pytest.TempPathFactory) -> None:
    """JSON that is well formed, but not what was written."""
    path, good = tmp_path_factory.getbasetemp() / "header", generations(life[0])[0][1].read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    entry = header[data.draw(st.sampled_from(sorted(header)))]
    name, value = data.draw(st.sampled_from([*sorted(entry), "another"])), data.draw(JSON)
    if name in entry and json.dumps(entry[name]) == json.dumps(value):
        return
    entry[name] = value
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + good[8 + length :])
    for read in (verify, read_note, read_architecture):
        try:
            read(path)
            assert read is not verify
        except SnapshotError as error:
            one_line(error)


@bounded
@given(meta=st.dictionaries(st.text(max_size=8), JSON, max_size=3), edits=EDITS)
def test_payloads(meta: dict, edits: list) -> None:
    """What can be written is read back as it was; anything else is refused."""
    what = Payload(meta, {"x": np.arange(6, dtype=np.float32), "é": np.zeros((0, 3), np.uint8)})
    try:
        good = payload.pack("record", what)
    except JournalError as error:  # NaN or infinity
        one_line(error)
        return
    back = payload.unpack("record", good)
    assert back.meta == meta and list(back.arrays) == sorted(back.arrays, key=list(back.arrays).index)
    for name, array in what.arrays.items():
        assert back.arrays[name].dtype == array.dtype and np.array_equal(back.arrays[name], array)
    try:
        payload.unpack("record", edited(good, edits))
    except JournalError as error:
        one_line(error)


@bounded
@given(data=st.binary(max_size=200))
def test_bytes_that_never_were_a_payload(data: bytes) -> None:
    with pytest.raises(JournalError) as caught:
        payload.unpack("record", data)
    one_line(caught.value)


@fewer
@given(
    which=st.sampled_from(
        ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-last", "life-000000001.safetensors"]
    ),
    edits=EDITS,
)
def test_a_folder_with_a_damaged_file(which: str, edits: list, life: tuple, tmp_path_factory) -> None:
    """It is the life as it was, or an earlier moment of it and that is said, or it is refused; it can go on."""
    good, states = life
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(good, folder, dirs_exist_ok=True)
    (folder / which).write_bytes(edited((good / which).read_bytes(), edits))
    try:
        with opened(folder) as home:
            assert bits(home.state) == states[home.seq]
            assert home.seq == len(states) - 1 or home.told
            assert home.experience(seen(9)).seq == home.seq
            after = bits(home.state)
        with opened(folder) as home:
            assert bits(home.state) == after
    except DellmError as error:
        one_line(error)
