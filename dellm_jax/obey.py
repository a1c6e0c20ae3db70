"""Obedience: what a life thinks is overruled by what it was told."""

import jax.numpy as jnp

from dellm_jax.experience import Percepts
from dellm_jax.memory import procedural
from dellm_jax.types import Array, Dellm, Response


def obeyed(state: Dellm, percepts: Percepts, response: Response) -> Response:
    """The response [B] of a life, corrected by its rules and habits; as it was, if it cannot be corrected."""
    memory = state.memory.procedural
    if memory is None:
        return response
    verdict = procedural.judge(memory, likeness(state, percepts), response.concept, state.hyper["radius"])
    answer = jnp.where(verdict.answer >= 0, verdict.answer, memory.named[verdict.concept])
    sure = jnp.where(verdict.likeness > 0, verdict.likeness, response.confidence)
    return response._replace(
        concept=verdict.concept, confidence=sure, answer=answer, rule=verdict.rule, likeness=verdict.likeness
    )


def likeness(state: Dellm, percepts: Percepts) -> Array:
    """How like the instances of the rules what is perceived is [B, R].

    The mean of all that was perceived counts one blank beside it: else the first instance of a life would be its own
    centre, and like nothing.
    """
    centres = {
        sense: procedural.sketch(known.total.sum(0)[None, :] / (known.count.sum() + 1))[0]
        for sense, known in state.memory.semantic.items()
    }
    senses = [sense.name for sense in state.architecture.senses]
    return procedural.likeness(
        state.memory.procedural, senses, sketches(state, percepts), centres, bits(state, percepts)
    )


def sketches(state: Dellm, percepts: Percepts) -> dict[str, Array]:
    """Sketches [B, SKETCH] of the frozen features through every sense that is there."""
    return {
        sense.name: procedural.sketch(
            sense.expand(state.memory.semantic[sense.name].filters, percepts.values[sense.name])
        )
        for sense in state.architecture.senses
        if sense.name in percepts.values
    }


def bits(state: Dellm, percepts: Percepts) -> Array:
    """Which senses are there: a bit a sense in the order of the architecture [B] uint8."""
    batch = next(iter(percepts.values.values())).shape[0]
    there = jnp.zeros((batch,), jnp.uint8)
    for place, sense in enumerate(state.architecture.senses):
        if sense.name in percepts.values:
            own = percepts.presence.get(sense.name, jnp.ones((batch,)))
            there = there | ((own > 0).astype(jnp.uint8) << place)
    return there
