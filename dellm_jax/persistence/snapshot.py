"""Snapshots: a life in one portable safetensors file that is checked, leaf by leaf, before it is believed."""

import stat
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from dellm_jax import axes
from dellm_jax.architecture import Architecture
from dellm_jax.persistence import leaves, manifest, tensors
from dellm_jax.persistence.faults import fault
from dellm_jax.persistence.files import Committing, write_atomically
from dellm_jax.persistence.leaves import Newborn
from dellm_jax.types import Dellm, Mind

MOST_BYTES = 16 << 30
FIELDS = {"format", "architecture", "leaves", "keys", "axes", "note", "seal"}


def save(
    path: str | Path,
    mind: Mind,
    state: Dellm,
    note: Mapping[str, str] | None = None,
    committing: Committing = nullcontext,
) -> Path:
    """Write a life to `path`, atomically; `note` is free text that travels with it, `committing` as in
    `files.write_atomically`.

    Raises SnapshotError on NaN or infinity (it would never load again), an unknown kind of number, or a full disk.
    """
    path = Path(path)
    arrays, keys = leaves.on_host(state)
    tensors.refuse_unsound(path, arrays)
    metadata = manifest.write(state.architecture, arrays, keys, axes=axes.names(mind, state), note=dict(note or {}))
    write_atomically(path, tensors.pack(path, arrays, metadata), committing)
    return path


def load(path: str | Path, newborn: Newborn, most_bytes: int = MOST_BYTES) -> Dellm:
    """The life saved at `path`, in the form that `newborn(architecture)` has: `partial(create, mind, key=key)`.

    Raises SnapshotError naming file, leaf, expected, found and fix if anything about it is wrong.
    """
    path = Path(path)
    metadata, arrays = _whole(path, most_bytes)
    architecture = manifest.architecture(path, metadata)
    return leaves.rebuild(path, newborn, architecture, arrays, manifest.field(path, metadata, "keys"))


def verify(path: str | Path, most_bytes: int = MOST_BYTES) -> None:
    """Read a snapshot back, and believe it or raise SnapshotError. Whether it fits a mind is not asked."""
    _whole(Path(path), most_bytes)


def read_architecture(path: str | Path) -> Architecture:
    """The body that a snapshot holds; its arrays are not read. Raises SnapshotError."""
    return manifest.architecture(path, _read(Path(path))[0])


def read_note(path: str | Path) -> dict[str, str]:
    """The note that a snapshot carries; its arrays are not read. Raises SnapshotError."""
    return manifest.field(path, _read(Path(path))[0], "note")


def _whole(path: Path, most_bytes: int) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Manifest and arrays, every fingerprint compared."""
    metadata, data = _read(path, most_bytes, whole=True)
    arrays = tensors.unpack(path, data)
    manifest.verify(path, metadata, arrays)
    tensors.refuse_unsound(path, arrays)
    return metadata, arrays


def _read(path: Path, most_bytes: int = MOST_BYTES, whole: bool = False) -> tuple[dict[str, str], bytes]:
    """The manifest, and all bytes if `whole`; sizes are checked before anything is read."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise fault(path, "a snapshot file", "no regular file", "check the path")
        if status.st_size > most_bytes:
            raise fault(path, f"at most {most_bytes} bytes", status.st_size, "raise most_bytes if you trust it")
        with path.open("rb") as file:
            length = tensors.header_bytes(path, file.read(8), status.st_size)
            found = tensors.read_header(path, file.read(length))
            file.seek(0)
            data = file.read() if whole else b""
    except OSError as error:
        raise fault(path, "a snapshot", error.strerror, "check the path") from error
    return manifest.read(path, found, FIELDS), data
