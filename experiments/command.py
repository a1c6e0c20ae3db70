"""What every command shares: bad input ends in one clear line and exit code 2."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from dellm_jax.types import DellmError, SnapshotError

Result = TypeVar("Result")


def guarded(main: Callable[[], Result]) -> Result:
    """Run `main`; an error the user caused is told in one line."""
    try:
        return main()
    except (DellmError, HydraException, OmegaConfBaseException) as error:
        print(f"{Path(sys.argv[0]).stem}: {one_line(error)}", file=sys.stderr)
        sys.exit(2)


def one_line(error: BaseException) -> str:
    """The innermost cause that is the user's, its lines joined."""
    while isinstance(error.__cause__, DellmError | OmegaConfBaseException):
        error = error.__cause__
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def resumed(arguments: Sequence[str]) -> Path | None:
    """The folder of `resume=<folder>`, which must be a run's and comes alone."""
    named = [a.split("=", 1)[1] for a in arguments if a.startswith("resume=")]
    if not named:
        return None
    if len(arguments) > 1:
        raise SnapshotError("resume= goes on with a run as it was configured; give no other argument beside it")
    return run_folder(named[0])


def run_folder(name: str) -> Path:
    """A folder that holds a run."""
    folder = Path(name)
    if not (folder / "config.yaml").is_file():
        raise SnapshotError(
            f"{folder} holds no config.yaml, so it is no run folder; give the folder a run printed at its end"
        )
    return folder
