"""Files that are either the old one or the new one, whole, whatever happens in between."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from dellm_jax.persistence.faults import fault

Committing = Callable[[Path], AbstractContextManager]


def temporary_name(path: Path) -> Path:
    """Where a file is written before it takes its name; the same for every attempt, so that attempts do not pile up."""
    return path.with_name(f".{path.name}.tmp")


def write_atomically(path: Path, data: bytes, committing: Committing = nullcontext) -> None:
    """Temporary file -> fsync -> rename -> fsync of the folder. One writer a folder.

    The file takes its name within `committing(temporary)`, which may look at what was written, and whatever it raises
    there never was. Raises SnapshotError if the disk refuses; what was at `path` before is then still there.
    """
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # never through a link that lies in wait under this name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with committing(temporary):
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise fault(path, f"to write {len(data)} bytes", error.strerror, "make room or use another folder") from error
    except Exception:
        with suppress(OSError):
            temporary.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlast a power cut, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path, pattern: str) -> None:
    """Remove what interrupted writes left behind: temporaries of files that match `pattern`."""
    for stale in folder.glob(temporary_name(Path(pattern)).name):
        stale.unlink(missing_ok=True)
