"""What is wrong with a saved life, said in one line."""

from typing import Any

from dellm_jax.errors import DellmError, SnapshotError

MOST_CHARACTERS = 400


class Misfit(SnapshotError):
    """A saved life that is whole, but of another mind or another version: going back to an older save is no remedy."""


def fault(where: Any, expected: Any, found: Any, fix: str, kind: type[DellmError] = SnapshotError) -> DellmError:
    """`where: expected ..., found ...; fix`, on one line whatever was found."""
    parts = (" ".join(str(part).split())[:MOST_CHARACTERS] for part in (where, expected, found, fix))
    return kind("{}: expected {}, found {}; {}".format(*parts))


def named(error: BaseException) -> str:
    """Kind and message of an error."""
    return f"{type(error).__name__}: {error}"
