"""What the memories of a life are at birth, and what a waking moment leaves in them."""

from typing import Any

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax import rehearsal
from dellm_jax.architecture import Architecture
from dellm_jax.memory import (
    Memory,
    binding,
    episodic,
    fast_weights,
    imagery,
    lexicon,
    moments,
    procedural,
    semantic,
)
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Experience, Lesson, Mind

APART = 10


def newborn(mind: Mind, architecture: Architecture, key: Array) -> Memory:
    """Empty memories, of what this architecture has."""
    senses, concepts = architecture.senses, architecture.concepts
    code_bytes = {sense.name: sense.code_bytes for sense in senses}
    features = {sense.name: sense.features for sense in senses}
    known = {
        sense.name: semantic.empty(
            sense.draw_filters(named_key(key, f"filters/{sense.name}")),
            sense.features,
            concepts,
            architecture.semantic_chunk,
        )
        for sense in senses
        if architecture.semantic
    }
    memory = Memory(
        episodic.empty(code_bytes, architecture.episodic_bytes, concepts, architecture.answers, architecture.held_out),
        known,
        {sense.name: imagery.empty(sense.latents, concepts) for sense in senses if sense.name in architecture.imagery},
        mind.imagination.create(architecture, named_key(key, "imagination")) if mind.imagination else None,
    )
    if architecture.rules:
        memory = memory.replace(
            procedural=procedural.empty(code_bytes, architecture.rules, concepts),
            lexicon=lexicon.empty(architecture.rules + concepts),
            fast={sense: fast_weights.empty(many, concepts) for sense, many in features.items()},
        )
    if architecture.binding:
        kept = moments.empty(code_bytes, architecture.episodic_bytes)
        memory = memory.replace(
            binding=binding.empty(
                features, architecture.binding, architecture.semantic_chunk, kept, named_key(key, "binding")
            )
        )
    return memory


def observed(
    state: Dellm, batch: Experience, percepts: experiences.Percepts, valid: Array
) -> dict[str, semantic.Semantic]:
    """Semantic memory of every sense that took part observes what was lived."""
    known, weight = dict(state.memory.semantic), valid.astype(jnp.float32)
    lived = _features(state, batch, percepts)
    return known | {sense: semantic.observe(known[sense], x, batch.target, weight) for sense, x in lived.items()}


def pictured(state: Dellm, batch: Experience, codes: dict[str, Array], valid: Array) -> dict[str, imagery.Imagery]:
    """So does imagery."""
    after = dict(state.memory.imagery)
    for sense in state.architecture.senses:
        if sense.name in after and sense.name in batch.senses:
            latents = sense.latent(codes[sense.name])
            after[sense.name] = imagery.observe(after[sense.name], latents, batch.target, valid.astype(jnp.float32))
    return after


def imagined(mind: Mind, state: Dellm, percepts: experiences.Percepts, lesson: Lesson, key: Array) -> Any:
    """What makes up percepts learns from the lesson; of a mind without imagination, nothing."""
    if mind.imagination is None:
        return state.memory.generator
    (seen,) = percepts.values.values()
    return mind.imagination.learn(state.memory.generator, seen, rehearsal.shares(lesson), key)


def bound(
    state: Dellm,
    batch: Experience,
    percepts: experiences.Percepts,
    codes: dict[str, Array],
    present: Array,
    lived: Array,
    key: Array,
) -> binding.Binding | None:
    """What was perceived through several senses goes together, whether it has a name or not.

    One moment in APART is remembered as it was, and not learned from.
    """
    known = state.memory.binding
    if known is None or len(batch.senses) < 2:
        return known
    for_choice, for_place = jax.random.split(key)
    apart = lived & (jax.random.uniform(for_choice, lived.shape) < 1 / APART)
    known = binding.observe(known, _features(state, batch, percepts), (lived & ~apart).astype(jnp.float32))
    return known.replace(moments=moments.keep(known.moments, codes, present, apart, for_place))


def _features(state: Dellm, batch: Experience, percepts: experiences.Percepts) -> dict[str, Array]:
    """Of the senses that took part."""
    return experiences.features_of(state, experiences.Percepts({s: percepts.values[s] for s in batch.senses}, {}))
