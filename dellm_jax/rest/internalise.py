"""The cortex learns what it was told: corrected instances among episodes, until it would say so by itself."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.amend import instances
from dellm_jax.memory import procedural
from dellm_jax.rest import gated
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.rest.replay import episodes, varied
from dellm_jax.types import Array, Dellm, Lesson, Mind, Report, Stage

SHARE = (0.25, 0.5)  # least and most that rules weigh beside episodes
MANY = 100  # corrections, from which on what they teach may weigh as much as what episodes lose


def internalise(
    rule: optax.GradientTransformationExtraArgs,
    steps: int,
    batch: int = 64,
    chunk: int = 50,
    taught: float = 0.0,
    doubt: float = 0.0,
    dropout: float = 0.0,
) -> Stage:
    """`steps` updates by `rule`, each on `batch` examples: half instances of living rules that named a concept, half
    episodes.

    R rules weigh R / (R + N) of the whole, as they would among N episodes, but a quarter at least and half at most: few
    are learned too, and many do not drown what was lived. Without such rules nothing is done: an answer is a habit of
    what the instance was taken for anyway. What the numbers mean, and how it is judged: see `gated`; R / (R + 100) of
    the doubt counts, for who was told little may lose little by it.
    """
    course = gated.Course("internalise", rule, steps, batch, chunk, taught, doubt, dropout)
    learnt = gated.school(told_among_episodes(batch), course)

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        memory = state.memory.procedural
        told = 0 if memory is None else int(procedural.unlearned(memory).sum())
        if not told:
            yield state, {}
            return
        yield from learnt(mind, state, None, key, told / (told + MANY))

    return in_pieces(pieces)


@cache
def told_among_episodes(batch: int) -> gated.Material:
    """Half instances of living rules, half episodes, weighed as `internalise` says."""
    return partial(_told_among_episodes, batch)


def _told_among_episodes(
    batch: int, mind: Mind, state: Dellm, prepared: Any, key: Array
) -> tuple[experiences.Percepts, Lesson]:
    for_rules, for_view, for_episodes = jax.random.split(key, 3)
    memory = state.memory.procedural
    many = batch - batch // 2
    unlearned = procedural.unlearned(memory)
    places = jax.random.categorical(for_rules, jnp.where(unlearned, 0.0, -jnp.inf), shape=(many,))
    percepts = varied(state, instances(state, places), for_view)
    recalled, lesson = episodes(batch // 2)(mind, state, prepared, for_episodes)
    together = partial(jax.tree.map, lambda a, b: jnp.concatenate([a, b]))
    told, lived = unlearned.sum(), state.memory.episodic.kept.sum()
    share = jnp.clip(told / (told + lived), *SHARE)
    # What an episode was once answered with does not exist for a rule: labels and beliefs teach at night.
    return together(percepts, recalled), lesson.replace(
        logits=jnp.zeros((batch, state.architecture.concepts)),
        target=together(memory.concept[places], lesson.target),
        weight=together(jnp.full(many, share), (1 - share) * lesson.weight),
        lived=jnp.zeros((batch,)),
        taught=None,
    )
