"""NREM: interleaved, class-balanced learning on episodic memory, short and slow, keeping the best of its chunks."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic
from dellm_jax.rest import gated
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Lesson, Mind, Stage


def replay(
    rule: optax.GradientTransformationExtraArgs,
    steps: int,
    batch: int = 64,
    chunk: int = 50,
    taught: float = 0.0,
    doubt: float = 0.0,
    dropout: float = 0.0,
    average: float = 0.0,
) -> Stage:
    """`steps` updates by `rule` on `batch` episodes each, every one seen a little differently each time.

    Known invariances are used: see the senses' `augment`. What the numbers mean, and how it is judged: see `gated`.
    """
    course = gated.Course("replay", rule, steps, batch, chunk, taught, doubt, dropout, average)
    learnt = gated.school(episodes(batch), course)

    return in_pieces(lambda mind, state, key: learnt(mind, state, None, key))


@cache
def episodes(batch: int) -> gated.Material:
    """`batch` episodes, their percepts varied; the same function for the same number, so that it is compiled once."""
    return partial(_recalled, batch)


def _recalled(batch: int, mind: Mind, state: Dellm, prepared: Any, key: Array) -> tuple[experiences.Percepts, Lesson]:
    del mind, prepared
    for_recall, for_view = jax.random.split(key)
    recalled = episodic.recall(state.memory.episodic, for_recall, batch)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    lesson = Lesson(
        jnp.zeros((batch, state.architecture.concepts)),
        recalled.target,
        recalled.weight,
        jnp.zeros((batch,)),
        state.clock.nights.astype(jnp.float32),
        recalled.answers,
    )
    return varied(state, percepts, for_view), lesson


def varied(state: Dellm, percepts: experiences.Percepts, key: Array) -> experiences.Percepts:
    """The same percepts as they might have come another time, by the known invariances of every sense."""
    seen = {
        sense.name: sense.augment(named_key(key, sense.name), percepts.values[sense.name])
        for sense in state.architecture.senses
    }
    return experiences.Percepts(seen, percepts.presence)
