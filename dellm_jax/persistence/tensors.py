"""Named arrays as safetensors, checked before they are believed: what snapshots and journals are written in."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from dellm_jax.errors import DellmError, SnapshotError
from dellm_jax.persistence.blueprint import OLDER
from dellm_jax.persistence.faults import fault, named

MOST_HEADER_BYTES = 16 << 20
MOST_LEAVES = 10_000
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip
FIELDS = {"dtype", "shape", "data_offsets"}


def pack(
    where: Any, arrays: dict[str, np.ndarray], metadata: dict[str, str], kind: type[DellmError] = SnapshotError
) -> bytes:
    """Arrays, C-contiguous, as safetensors. Raises `kind` on a sort of number that could not be read back."""
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES.values():
            raise fault(f"{where}: leaf {name!r}", f"one of {sorted(DTYPES.values())}", array.dtype, "cast it", kind)
    return safetensors.numpy.save(arrays, metadata)


def header_bytes(where: Any, start: bytes, size: int, kind: type[DellmError] = SnapshotError) -> int:
    """How long the header of `size` bytes of safetensors is, from its first eight. Raises `kind` if it cannot be."""
    length = int.from_bytes(start[:8], "little")
    most = min(max(size - 8, 0), MOST_HEADER_BYTES)
    if len(start) < 8 or length > most:
        raise fault(f"{where}: header", f"at most {most} bytes", length, f"cut short or no snapshot: {OLDER}", kind)
    return length


def read_header(where: Any, text: bytes, kind: type[DellmError] = SnapshotError) -> Any:
    """The `__metadata__` of a header in which no name is used twice and every leaf has the known fields and no other.

    safetensors itself accepts both. Raises `kind`.
    """
    header = read_json(f"{where}: header", text, kind)
    if not isinstance(header, dict):
        raise fault(f"{where}: header", "a JSON object", repr(header), OLDER, kind)
    metadata = header.pop("__metadata__", None)
    if len(header) > MOST_LEAVES:
        raise fault(where, f"at most {MOST_LEAVES} leaves", len(header), "it is no saved life", kind)
    for name, leaf in header.items():
        if not isinstance(leaf, dict) or leaf.keys() != FIELDS:
            raise fault(f"{where}: leaf {name!r}", f"the fields {sorted(FIELDS)}", repr(leaf), OLDER, kind)
    return metadata


def read_json(where: Any, text: bytes | str, kind: type[DellmError] = SnapshotError) -> Any:
    """JSON in which no name is used twice and no number is NaN or infinite. Raises `kind`."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name that is used twice")
        return dict(pairs)

    def infinite(name: str) -> None:
        raise ValueError(f"the number {name}")

    try:
        return json.loads(text, object_pairs_hook=distinct, parse_constant=infinite)
    except (ValueError, RecursionError) as error:
        raise fault(where, "JSON", named(error), OLDER, kind) from error


def unpack(where: Any, data: bytes, kind: type[DellmError] = SnapshotError) -> dict[str, np.ndarray]:
    """The arrays of safetensors whose header was read. Raises `kind` if they are not whole."""
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise fault(where, "a whole safetensors file", named(error), OLDER, kind) from error
    for name, tensor in tensors.items():
        if tensor["dtype"] not in DTYPES:
            raise fault(f"{where}: leaf {name!r}", f"one of {sorted(DTYPES)}", tensor["dtype"], OLDER, kind)
    return {
        name: np.frombuffer(tensor["data"], jnp.dtype(DTYPES[tensor["dtype"]])).reshape(tensor["shape"])
        for name, tensor in tensors.items()
    }


def refuse_unsound(where: Any, arrays: dict[str, np.ndarray], kind: type[DellmError] = SnapshotError) -> None:
    """Raises `kind` on the first array that holds NaN or infinity."""
    for path, array in arrays.items():
        if jnp.issubdtype(array.dtype, jnp.floating) and not np.isfinite(array).all():
            raise fault(
                f"{where}: leaf {path!r}", "finite numbers", "NaN or infinity", "go back to a sound state", kind
            )
