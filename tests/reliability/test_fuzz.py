"""Whatever comes, it is taken as what it is, or refused in one line, and then nothing has changed.

The short version of `scripts/bench/fuzz.py`, whose surfaces these are, and what is below them.
"""

import logging
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import JSON, damaged
from surfaces import SURFACES, Bench, bench, reopened, run

from dellm_jax.errors import JournalError
from dellm_jax.persistence import Payload, payload

bounded = settings(max_examples=80, deadline=None, derandomize=True, database=None)
EXAMPLES = {"snapshot": 80, "journal": 30, "image": 60, "audio": 60, "text": 25, "console": 15}


def one_line(error: BaseException) -> None:
    assert "\n" not in str(error) and len(str(error)) < 2000


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A life that is talked to, and one that was killed."""
    logging.disable()  # what is damaged is told hundreds of times
    at = bench(tmp_path_factory.mktemp("fuzz"), nights=False)
    yield at
    at.talk.close()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("surface", SURFACES)
def test_bad_input_is_taken_or_refused_and_changes_nothing(surface: str, life: Bench) -> None:
    run(life, surface, EXAMPLES[surface], 0)
    assert life.taken[surface] > 0 and (life.refused[surface] > 0 or surface == "console")


def test_what_was_acknowledged_meanwhile_is_there(life: Bench) -> None:
    assert life.talk.home.seq > 1
    reopened(life)


@bounded
@given(meta=st.dictionaries(st.text(max_size=8), JSON, max_size=3), data=st.data())
def test_payloads(meta: dict, data: st.DataObject) -> None:
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
        payload.unpack("record", data.draw(damaged([good])))
    except JournalError as error:
        one_line(error)


@bounded
@given(data=st.binary(max_size=200))
def test_bytes_that_never_were_a_payload(data: bytes) -> None:
    with pytest.raises(JournalError) as caught:
        payload.unpack("record", data)
    one_line(caught.value)
