"""One process a life: a lock that the system gives back when its holder dies, however it dies."""

import os
from pathlib import Path

from dellm_jax.errors import JournalError
from dellm_jax.persistence.faults import fault

try:
    import fcntl
except ImportError:  # no such lock here; the journal's own (SQLite's exclusive mode) still keeps others out
    fcntl = None


def seize(path: Path) -> int:
    """Hold the lock file at `path` until the handle returned is closed; the process id is written in it.

    Raises JournalError naming the process that holds it, or what the disk refused.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    except OSError as error:
        fix = "check permissions there, or use another folder"
        raise fault(path, "to open the lock of this life", error.strerror, fix, JournalError) from error
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
    except BlockingIOError as error:
        holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        held = f"process {holder}" + (" (this one)" if holder == str(os.getpid()) else "")
        raise fault(path, "a life that nobody lives", held, "end it, or use another folder", JournalError) from error
    except OSError as error:
        os.close(handle)
        raise fault(path, "to write the lock of this life", error.strerror, "make room there", JournalError) from error
    return handle
