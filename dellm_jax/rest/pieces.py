"""Stages that can be interrupted: they say what they have so far after every piece of bounded length."""

from collections.abc import Callable, Iterator

from dellm_jax.types import Array, Dellm, Mind, Report, Stage

Pieces = Callable[[Mind, Dellm, Array], Iterator[tuple[Dellm, Report]]]


def in_pieces(pieces: Pieces) -> Stage:
    """The stage that goes through `pieces` to the end; `pieces_of` finds them again.

    Every piece yields the whole state and report as they would be if it were the last.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        *_, last = pieces(mind, state, key)
        return last

    stage.pieces = pieces
    return stage


def pieces_of(stage: Stage) -> Pieces:
    """The pieces of a stage; one, if it cannot be interrupted."""

    def whole(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        yield stage(mind, state, key)

    return getattr(stage, "pieces", whole)
