"""Waking: one night older, and nothing left to compile."""

import jax

from dellm_jax.mind import awake
from dellm_jax.rest.night import aged
from dellm_jax.trees import copy
from dellm_jax.types import Array, Dellm, Experience, Mind, Report, Stage


def wake(tomorrow: Experience) -> Stage:
    """Live `tomorrow`'s shapes once on a copy that is thrown away, so that awake never waits for a compiler.

    `tomorrow`: a stretch of experiences [T, B, ...] of the shapes that come next; its values do not matter.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del key
        state = aged(state)
        jax.block_until_ready(awake(mind, copy(state), tomorrow))
        return state, {}

    return stage
