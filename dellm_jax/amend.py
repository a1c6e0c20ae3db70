"""The fast weights of a life: edited by every correction, and made anew of those that are obeyed by a rule alone."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax import obey
from dellm_jax.memory import fast_weights, procedural, semantic
from dellm_jax.memory.fast_weights import FastWeights
from dellm_jax.memory.sketches import sketch, sketch_gram
from dellm_jax.mind import respond_to
from dellm_jax.types import Array, Dellm, Mind

TOGETHER = 32
RIGHT = 3.0  # how many were right, for one that is told to be wrong
FEW = 16  # experiences are no curvature


def edited(
    mind: Mind, state: Dellm, percepts: experiences.Percepts, features: obey.Features, concept: Array
) -> dict[str, FastWeights]:
    """The fast weights after one edit: what is perceived (a batch of 1) is of this concept."""
    keys = obey.keys(state, percepts, features)
    thought = obey.amended(state, {}, respond_to(mind, state, percepts))
    push = fast_weights.push(thought.log_probability, concept[None])
    return fast_weights.edit(state.memory.fast, {sense: key[0] for sense, key in keys.items()}, push[0])


@partial(jax.jit, static_argnums=0)
def anew(mind: Mind, state: Dellm) -> Dellm:
    """The same life with fast weights made of what it thinks now, and of every living rule that named a concept.

    One edit for all at once, in the curvature of everything that semantic memory has observed.
    """
    memory, fast = state.memory.procedural, state.memory.fast
    rules = memory.concept.size
    counts = procedural.unlearned(memory).astype(jnp.float32)

    def some(places: Array) -> tuple[dict[str, Array], Array]:
        percepts = instances(state, places)
        found = obey.keys(state, percepts, experiences.features_of(state, percepts))
        thought = obey.amended(state, {}, respond_to(mind, state, percepts))
        pushes = fast_weights.push(thought.log_probability, memory.concept[places])
        return {sense: key * counts[places, None] for sense, key in found.items()}, pushes * counts[places, None]

    everywhere = jnp.arange(-(-rules // TOGETHER) * TOGETHER)
    parts = jax.lax.map(some, jnp.minimum(everywhere, rules - 1).reshape(-1, TOGETHER))
    keys, pushes = jax.tree.map(lambda part: part.reshape(-1, part.shape[-1])[:rules], parts)
    known = state.memory.semantic
    made = fast_weights.edited(
        {sense: _curvature(known[sense], own.ease.shape[0]) for sense, own in fast.items()},
        weighed(state),
        keys,
        pushes,
    )
    return state.replace(memory=state.memory.replace(fast=made))


def stale(state: Dellm) -> bool:
    """Whether much was lived since the curvature was taken: more than three times what it was of.

    To take it is slow (tenths of a second), so a newborn's first few corrections do without.
    """
    now = weighed(state)
    return any(float(now[sense]) > 3 * max(float(own.lived), FEW) for sense, own in state.memory.fast.items())


def weighed(state: Dellm) -> dict[str, Array]:
    """N + 3 R {sense: []}: how many experiences count beside R corrections: nobody says what was right."""
    unsaid = RIGHT * procedural.unlearned(state.memory.procedural).sum()
    return {sense: state.memory.semantic[sense].count.sum() + unsaid for sense in state.memory.fast}


def instances(state: Dellm, places: Array) -> experiences.Percepts:
    """What the rules at `places` [B] were taught on, as percepts."""
    memory = state.memory.procedural
    codes = {sense: known[places] for sense, known in memory.codes.items()}
    return experiences.decode(state.architecture, codes, memory.present[places])


def _curvature(known: semantic.Semantic, size: int) -> Array:
    """Second moments [K, K] of the sketches of all that was observed, around `obey.centre`."""
    middle, pending = sketch(obey.centre(known)[None, :], size)[0], sketch(known.pending, size)
    about_zero = sketch_gram(known.gram, known.total.shape[1], size) + pending.T @ pending
    return about_zero - known.count.sum() * jnp.outer(middle, middle)
