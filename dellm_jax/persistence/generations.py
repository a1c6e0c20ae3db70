"""The last few snapshots of a life in one folder: the newest that verifies is the life."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from dellm_jax.errors import SnapshotError
from dellm_jax.persistence import snapshot
from dellm_jax.persistence.faults import Misfit, fault
from dellm_jax.persistence.files import sweep
from dellm_jax.persistence.leaves import Newborn
from dellm_jax.types import Dellm, Mind

NAME = re.compile(r"life-(\d{9,})\.safetensors")


class Loaded(NamedTuple):
    """A life, the file it came from, and one line for each newer file that could not be believed."""

    state: Dellm
    path: Path
    skipped: list[str]


def generations(folder: str | Path) -> list[tuple[int, Path]]:
    """Number and path of every snapshot in the folder, newest first."""
    named = [(NAME.fullmatch(path.name), path) for path in Path(folder).glob("life-*.safetensors")]
    return sorted(((int(match[1]), path) for match, path in named if match), reverse=True)


def save_generation(
    folder: str | Path,
    mind: Mind,
    state: Dellm,
    keep: int = 3,
    note: Mapping[str, str] | None = None,
    number: int | None = None,
    committing: Callable[[], AbstractContextManager] = nullcontext,
) -> Path:
    """Write `life-<number>.safetensors`, read it back, then keep the newest `keep` and sweep what saves left behind.

    `number`: the steps lived, unless it is given. It takes its name, and is the life, within `committing()`; what that
    raises, it never was. Generations of higher numbers belong to a life that was not gone on
    with (it was damaged, or rolled back): they are set aside as `*.abandoned`, so that the newest was saved last.
    Nothing older is given up before the new one verifies. One process a folder. Raises SnapshotError.
    """
    if keep < 1:
        raise fault("keep", "at least 1", keep, "else nothing would be kept")
    folder = Path(folder)
    number = int(state.clock.steps) if number is None else number

    @contextmanager
    def verified(temporary: Path) -> Iterator[None]:
        snapshot.verify(temporary)
        with committing():
            yield

    path = folder / f"life-{number:09d}.safetensors"
    try:
        sweep(folder, "life-*.safetensors")
        snapshot.save(path, mind, state, note, verified)
        known = generations(folder)
        for later, other in known:
            if later > number:
                other.replace(other.with_name(f"{other.name}.abandoned"))
        for _, old in [one for one in known if one[0] <= number][keep:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise fault(folder, "to tidy up old generations", error.strerror, "check permissions there") from error
    return path


def load_newest(folder: str | Path, newborn: Newborn, most_bytes: int = snapshot.MOST_BYTES) -> Loaded:
    """The newest snapshot that verifies, and why newer ones were skipped; `newborn` as in `snapshot.load`.

    Raises SnapshotError if there is none, or (as Misfit) at once if a sound one does not fit the mind.
    """
    skipped: list[str] = []
    for _, path in generations(folder):
        try:
            if path.is_symlink():
                raise fault(path, "a file of this folder", "a link", "copy the file itself there")
            return Loaded(snapshot.load(path, newborn, most_bytes), path, skipped)
        except Misfit:
            raise
        except SnapshotError as error:
            skipped.append(str(error))
    fix = f"skipped: {' | '.join(skipped)}" if skipped else "save a life there first"
    raise SnapshotError(f"{folder}: expected a life-<steps>.safetensors that verifies, found none; {fix}")
