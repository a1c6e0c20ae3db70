"""Checkpoints: Orbax in the background, for experiments that resume bit for bit where they stopped."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from dellm_jax.errors import SnapshotError
from dellm_jax.persistence import leaves, manifest
from dellm_jax.persistence.blueprint import OLDER
from dellm_jax.persistence.faults import Misfit, fault, named
from dellm_jax.persistence.leaves import Newborn
from dellm_jax.types import Dellm

CHECK_DISK = "check room and permissions there"


class Restored(NamedTuple):
    """A life, what was saved with it, its step, and one line for each newer step that could not be read."""

    state: Dellm
    extra: dict[str, Any]
    step: int
    skipped: list[str]


class Checkpoints:
    """The last `keep` checkpoints of a run, in `folder`; a context manager. One process a folder.

    Orbax alone restores a flipped bit without a word and casts dtypes to those asked for, so every leaf is restored as
    it was stored and compared with a fingerprint. A run killed while saving loses that step only.
    """

    def __init__(self, folder: str | Path, keep: int = 3) -> None:
        import orbax.checkpoint as orbax  # slow to import, needed only by experiments

        if keep < 1:
            raise fault("keep", "at least 1", keep, "else nothing would be kept")
        self.folder = Path(folder).absolute()
        self._args = orbax.args
        options = orbax.CheckpointManagerOptions(
            preservation_policy=orbax.checkpoint_managers.LatestN(keep),
            step_format_fixed_length=9,
            cleanup_tmp_directories=True,
        )
        self._manager = orbax.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._manager.close()
        except Exception as error:
            raise fault(self.folder, "checkpoints on disk", named(error), CHECK_DISK) from error

    def save(self, step: int, state: Dellm, extra: dict[str, Any] | None = None) -> None:
        """Begin to save and return; the state may be donated at once. `extra`: JSON, e.g. the stream's cursor.

        Raises SnapshotError if this step is not after the newest, or if an earlier save failed in the background.
        """
        arrays, keys = leaves.on_host(state)
        # Orbax refuses arrays without elements: their form is kept in the manifest.
        empty = {path: [array.dtype.name, array.shape] for path, array in arrays.items() if not array.size}
        fields = manifest.write(state.architecture, arrays, keys, empty=empty, extra=extra or {})
        arguments = self._args.Composite(
            manifest=self._args.JsonSave(fields),
            life=self._args.StandardSave({path: array for path, array in arrays.items() if array.size}),
        )
        try:
            saved = self._manager.save(step, args=arguments)
        except Exception as error:
            raise fault(f"{self.folder}: step {step}", "to save it", named(error), CHECK_DISK) from error
        if not saved:
            newest = self._manager.latest_step()
            raise fault(f"{self.folder}: step", f"more than the newest, {newest}", step, "go on from the step restored")

    def wait(self) -> None:
        """Return when everything saved so far is on disk. Raises SnapshotError if it could not be written."""
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except Exception as error:
            raise fault(self.folder, "checkpoints on disk", named(error), CHECK_DISK) from error

    def restore_latest(self, newborn: Newborn) -> Restored | None:
        """The newest checkpoint that verifies; None if there is none. `newborn`: `partial(create, mind, key=key)`.

        Newer steps that are damaged are named in `skipped` and set aside as `damaged-<step>`, so that the run can save
        those steps again. Raises SnapshotError if all are damaged, Misfit if a sound one does not fit the mind.
        """
        self.wait()
        steps = sorted(self._manager.all_steps(), reverse=True)
        skipped: list[str] = []
        for tried, step in enumerate(steps):
            where = self.folder / f"{step:09d}"
            try:
                state, extra = self._restore(where, step, newborn)
            except Misfit:
                raise
            except Exception as error:  # Orbax, tensorstore and JSON each have errors of their own
                known = isinstance(error, SnapshotError)
                skipped.append(str(error if known else fault(where, "a whole checkpoint", named(error), OLDER)))
                continue
            for damaged in steps[:tried]:
                self._set_aside(damaged)
            return Restored(state, extra, step, skipped)
        if not skipped:
            return None
        reasons = " | ".join(skipped)
        raise SnapshotError(f"{self.folder}: expected a checkpoint that verifies, found none; skipped: {reasons}")

    def _restore(self, where: Path, step: int, newborn: Newborn) -> tuple[Dellm, dict[str, Any]]:
        args = self._args
        both = args.Composite(manifest=args.JsonRestore(), life=args.StandardRestore())
        stored = self._manager.restore(step, args=both)
        fields = manifest.read(where, stored["manifest"])
        empty = manifest.field(where, fields, "empty")
        arrays = {path: np.zeros(shape, jnp.dtype(name)) for path, (name, shape) in empty.items()} | stored["life"]
        manifest.verify(where, fields, arrays)
        architecture, keys = manifest.architecture(where, fields), manifest.field(where, fields, "keys")
        return leaves.rebuild(where, newborn, architecture, arrays, keys), json.loads(fields["extra"])

    def _set_aside(self, step: int) -> None:
        aside = self.folder / f"damaged-{step:09d}"
        shutil.rmtree(aside, ignore_errors=True)
        (self.folder / f"{step:09d}").rename(aside)
        self._manager.reload()
