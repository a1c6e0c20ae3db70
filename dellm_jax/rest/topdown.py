"""What the feedback weights make of an activity at the top: predicted sources, their sources, and so on to the senses.

A second way to imagine beside imagery, which needs neither covariance nor codes; measured, not learned from.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic
from dellm_jax.mind import respond_to
from dellm_jax.types import Array, Dellm, Mind

EPISODES = 512


class Evoked(NamedTuple):
    """Of every concept and reader, the mean and the deviation of what its episodes evoke: {reader: [C, U]}."""

    mean: dict[str, Array]
    deviation: dict[str, Array]


def activity(mind: Mind, state: Dellm, percepts: experiences.Percepts) -> dict[str, Array]:
    """What the readers, the assemblies at the top, make of percepts: {reader: [B, U]}."""
    thought = mind.module(state.architecture).apply(_variables(state), *percepts)
    return {reader: thought.values[reader] for reader in state.architecture.readers if reader in thought.values}


def evoked(mind: Mind, state: Dellm, key: Array) -> Evoked:
    """Mean and deviation over `EPISODES` recalled episodes of each concept's activity; zero for the unknown."""
    recalled = episodic.recall(state.memory.episodic, key, EPISODES)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    of = jax.nn.one_hot(recalled.target, state.architecture.concepts) * recalled.weight[:, None]
    share = of / jnp.maximum(of.sum(0), 1)
    outputs = activity(mind, state, percepts)
    mean = {reader: share.T @ a for reader, a in outputs.items()}
    square = {reader: share.T @ a**2 for reader, a in outputs.items()}
    return Evoked(mean, {reader: jnp.sqrt(jnp.maximum(square[reader] - mean[reader] ** 2, 0)) for reader in outputs})


def likely_activity(of: Evoked, concept: Array, key: Array) -> dict[str, Array]:
    """a = relu(mean_c + eps deviation_c), eps ~ N(0, I): what `concept` [B] might evoke, {reader: [B, U]}."""
    drawn = {}
    for place, (reader, mean) in enumerate(of.mean.items()):
        chance = jax.random.normal(jax.random.fold_in(key, place), (concept.size, mean.shape[1]))
        drawn[reader] = jax.nn.relu(mean[concept] + chance * of.deviation[reader][concept])
    return drawn


def imagined(mind: Mind, state: Dellm, at_the_top: dict[str, Array]) -> dict[str, Array]:
    """Percepts {sense: [B, inputs]} that the feedback weights predict from {reader: [B, U]}; none without feedback."""
    module = mind.module(state.architecture)
    guesses = module.apply(_variables(state), at_the_top, method="descend")
    return {sense.name: guesses[sense.name] for sense in state.architecture.senses if sense.name in guesses}


def _variables(state: Dellm) -> dict:
    return {"params": state.params, "homeostasis": state.homeostasis}


def meant(mind: Mind, state: Dellm, values: dict[str, Array]) -> Array:
    """The concept [B] that semantic memory, which learned from real life alone, sees in percepts {sense: [B, inputs]}.

    The life must have semantic memory of one of the senses.
    """
    by = respond_to(mind, state, experiences.Percepts(values, {})).by
    return sum(by[sense] for sense in values if sense in by).argmax(1)
