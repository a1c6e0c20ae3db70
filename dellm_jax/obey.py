"""Obedience: what a life thinks is overruled by what it was told."""

import jax
import jax.numpy as jnp

from dellm_jax.architecture import CONCEPTS
from dellm_jax.experience import Percepts, features_of
from dellm_jax.memory import fast_weights, procedural, semantic
from dellm_jax.memory import sketches as sketching
from dellm_jax.memory.sketches import SKETCH, sketch, unit
from dellm_jax.types import Array, Dellm, Response

Features = dict[str, Array]
LESSON = 3.0  # how many experiences a correction counts as, where the cortex has not learned it
LEAST = 0.5


def obeyed(state: Dellm, percepts: Percepts, response: Response) -> Response:
    """The response [B] of a life, corrected by its fast weights, rules and habits; as it was, if it cannot be."""
    memory = state.memory.procedural
    if memory is None:
        return response
    features = features_of(state, percepts)
    response = amended(state, keys(state, percepts, features), response)
    verdict = procedural.judge(memory, likeness(state, percepts, features), response.concept, state.hyper["radius"])
    answer = jnp.where(verdict.answer >= 0, verdict.answer, memory.named[verdict.concept])
    sure = jnp.where(verdict.likeness > 0, verdict.likeness, response.confidence)
    return response._replace(
        concept=verdict.concept, confidence=sure, answer=answer, rule=verdict.rule, likeness=verdict.likeness
    )


def amended(state: Dellm, keys: dict[str, Array], response: Response) -> Response:
    """The response with what the corrections of all that is alike have to say: log p + sum_s W_s k_s, normalised, where
    the cortex is trusted a share of `learned` as much. `by["corrections"]` is their say alone.
    """
    born = state.homeostasis[CONCEPTS]["active"] > 0
    lean = jnp.where(born, fast_weights.said(state.memory.fast, keys), -1e9)
    behind = (1 - learned(state)) * state.hyper["trust"]["cortex"] * response.by["cortex"]
    log_p = jax.nn.log_softmax(jnp.where(born, response.log_probability - behind + lean, -1e9))
    return response._replace(
        concept=log_p.argmax(1),
        confidence=jnp.exp(log_p.max(1)),
        log_probability=log_p,
        by=response.by | {"corrections": jax.nn.log_softmax(lean)},
    )


def learned(state: Dellm) -> Array:
    """max(1/2, N / (N + 3 R)): how much of its lessons the cortex learned, of N experiences and R corrections since.

    Semantic memory observes a correction at once, the cortex learns it at night; until then it speaks of yesterday. But
    corrections are all of what is hard, and of the rest yesterday knew well.
    """
    lived = state.clock.experiences + 1.0
    return jnp.maximum(LEAST, lived / (lived + LESSON * procedural.unlearned(state.memory.procedural).sum()))


def keys(state: Dellm, percepts: Percepts, features: Features) -> dict[str, Array]:
    """What fast weights read {sense: [B, K]}: unit sketches of features around the mean of all that was observed; zero
    where a sense is absent."""
    found = {}
    for sense, own in features.items():
        key = unit(sketch(own - centre(state.memory.semantic[sense]), state.memory.fast[sense].ease.shape[0]))
        there = percepts.presence.get(sense)
        found[sense] = key if there is None else key * there[:, None]
    return found


def likeness(state: Dellm, percepts: Percepts, features: Features) -> Array:
    """How like the instances of the rules what is perceived is [B, R]."""
    centres = {sense: sketch(centre(known)[None, :], SKETCH)[0] for sense, known in state.memory.semantic.items()}
    senses = [sense.name for sense in state.architecture.senses]
    known, own = state.memory.procedural, sketches(features)
    return sketching.likeness(known.sketches, known.present, senses, own, centres, bits(state, percepts))


def centre(known: semantic.Semantic) -> Array:
    """The mean features of all that was observed and one blank [n]: else the first instance of a life would be its own
    centre, and like nothing."""
    return known.total.sum(0) / (known.count.sum() + 1)


def sketches(features: Features) -> dict[str, Array]:
    """What instances are recognised by {sense: [B, SKETCH]}."""
    return {sense: sketch(own, SKETCH) for sense, own in features.items()}


def bits(state: Dellm, percepts: Percepts) -> Array:
    """Which senses are there: a bit a sense in the order of the architecture [B] uint8."""
    batch = next(iter(percepts.values.values())).shape[0]
    there = jnp.zeros((batch,), jnp.uint8)
    for place, sense in enumerate(state.architecture.senses):
        if sense.name in percepts.values:
            own = percepts.presence.get(sense.name, jnp.ones((batch,)))
            there = there | ((own > 0).astype(jnp.uint8) << place)
    return there
