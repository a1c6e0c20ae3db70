"""What is written down of an act: JSON and arrays, as bytes that are checked before they are believed."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dellm_jax.errors import JournalError
from dellm_jax.persistence import tensors
from dellm_jax.persistence.faults import fault, named

MOST_BYTES = 64 << 20
MOST_META_CHARACTERS = 1 << 20
FIX = "write down numbers, text, lists and dictionaries with text as names"


class Payload(NamedTuple):
    """`meta`: whatever JSON holds, by name; `arrays` by name."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def pack(where: Any, payload: Payload) -> bytes:
    """A payload as bytes. Raises JournalError on what could not be read back: no JSON, not finite, too much."""
    arrays = {name: np.array(array, order="C") for name, array in payload.arrays.items()}
    if sum(array.nbytes for array in arrays.values()) > MOST_BYTES:
        raise fault(where, f"at most {MOST_BYTES} bytes", "more", "write it down in parts", JournalError)
    tensors.refuse_unsound(where, arrays, JournalError)
    try:
        meta = json.dumps(payload.meta, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise fault(f"{where}: meta", "JSON", named(error), FIX, JournalError) from error
    if len(meta) > MOST_META_CHARACTERS:
        expected = f"at most {MOST_META_CHARACTERS} characters"
        raise fault(f"{where}: meta", expected, len(meta), "write it down in parts", JournalError)
    data = tensors.pack(where, arrays, {"meta": meta}, JournalError)
    if len(data) > MOST_BYTES:
        raise fault(where, f"at most {MOST_BYTES} bytes", len(data), "write it down in parts", JournalError)
    return data


def unpack(where: Any, data: bytes) -> Payload:
    """The payload that `pack` made. Raises JournalError."""
    length = tensors.header_bytes(where, data, len(data), JournalError)
    metadata = tensors.read_header(where, data[8 : 8 + length], JournalError)
    text = metadata.get("meta") if isinstance(metadata, dict) and metadata.keys() == {"meta"} else None
    meta = tensors.read_json(f"{where}: meta", text, JournalError) if isinstance(text, str) else None
    if not isinstance(meta, dict):
        raise fault(f"{where}: meta", "a JSON object", repr(metadata), "the journal is damaged", JournalError)
    arrays = tensors.unpack(where, data, JournalError)
    tensors.refuse_unsound(where, arrays, JournalError)
    return Payload(meta, arrays)
