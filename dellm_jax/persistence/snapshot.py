"""Snapshots: a life in one portable safetensors file that is checked, leaf by leaf, before it is believed."""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from dellm_jax import axes
from dellm_jax.architecture import Architecture
from dellm_jax.persistence import leaves, manifest
from dellm_jax.persistence.blueprint import OLDER
from dellm_jax.persistence.faults import fault, named
from dellm_jax.persistence.files import write_atomically
from dellm_jax.persistence.leaves import Newborn
from dellm_jax.types import Dellm, Mind

MOST_BYTES = 16 << 30
MOST_HEADER_BYTES = 16 << 20
MOST_LEAVES = 10_000
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip


def save(path: str | Path, mind: Mind, state: Dellm, note: Mapping[str, str] | None = None) -> Path:
    """Write a life to `path`, atomically; `note` is free text that travels with it.

    Raises SnapshotError on NaN or infinity (it would never load again), an unknown kind of number, or a full disk.
    """
    path = Path(path)
    arrays, keys = leaves.on_host(state)
    leaves.refuse_unsound(path, arrays)
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES.values():
            raise fault(f"{path}: leaf {name!r}", f"one of {sorted(DTYPES.values())}", array.dtype, "cast it")
    metadata = manifest.write(state.architecture, arrays, keys, axes=axes.names(mind, state), note=dict(note or {}))
    write_atomically(path, safetensors.numpy.save(arrays, metadata))
    return path


def load(path: str | Path, newborn: Newborn, most_bytes: int = MOST_BYTES) -> Dellm:
    """The life saved at `path`, in the form that `newborn(architecture)` has: `partial(create, mind, key=key)`.

    Raises SnapshotError naming file, leaf, expected, found and fix if anything about it is wrong.
    """
    path = Path(path)
    metadata, data = _read(path, most_bytes, whole=True)
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise fault(path, "a whole safetensors file", named(error), OLDER) from error
    arrays = {name: _array(path, name, tensor) for name, tensor in tensors.items()}
    manifest.verify(path, metadata, arrays)
    leaves.refuse_unsound(path, arrays)
    architecture = manifest.architecture(path, metadata)
    return leaves.rebuild(path, newborn, architecture, arrays, manifest.field(path, metadata, "keys"))


def read_architecture(path: str | Path) -> Architecture:
    """The body that a snapshot holds; its arrays are not read. Raises SnapshotError."""
    return manifest.architecture(path, _read(Path(path))[0])


def read_note(path: str | Path) -> dict[str, str]:
    """The note that a snapshot carries; its arrays are not read. Raises SnapshotError."""
    return manifest.field(path, _read(Path(path))[0], "note")


def _read(path: Path, most_bytes: int = MOST_BYTES, whole: bool = False) -> tuple[dict[str, str], bytes]:
    """The manifest, and all bytes if `whole`; sizes are checked before anything is read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise fault(path, "a snapshot file", "no regular file", "check the path")
        if status.st_size > most_bytes:
            raise fault(path, f"at most {most_bytes} bytes", status.st_size, "raise most_bytes if you trust it")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            most = min(max(status.st_size - 8, 0), MOST_HEADER_BYTES)
            if length > most:
                raise fault(f"{path}: header", f"at most {most} bytes", length, f"cut short or no snapshot: {OLDER}")
            header = _header(path, file.read(length))
            file.seek(0)
            data = file.read() if whole else b""
    except OSError as error:
        raise fault(path, "a snapshot", error.strerror, "check the path") from error
    found = header.pop("__metadata__", None)
    if len(header) > MOST_LEAVES:
        raise fault(path, f"at most {MOST_LEAVES} leaves", len(header), "it is no saved life")
    return manifest.read(path, found), data


def _header(path: Path, text: bytes) -> dict[str, Any]:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):  # safetensors itself accepts this
            raise ValueError("a name that is used twice")
        return dict(pairs)

    try:
        header = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise fault(f"{path}: header", "JSON", named(error), OLDER) from error
    if not isinstance(header, dict):
        raise fault(f"{path}: header", "a JSON object", repr(header), OLDER)
    return header


def _array(path: Path, name: str, tensor: dict[str, Any]) -> np.ndarray:
    if tensor["dtype"] not in DTYPES:
        raise fault(f"{path}: leaf {name!r}", f"one of {sorted(DTYPES)}", tensor["dtype"], OLDER)
    return np.frombuffer(tensor["data"], jnp.dtype(DTYPES[tensor["dtype"]])).reshape(tensor["shape"])
