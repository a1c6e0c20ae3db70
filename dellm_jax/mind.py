"""A life from moment to moment: `create` it, let it `respond`, let it live an `awake_step` or a whole `awake` day."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax.core import meta

from dellm_jax import experience as experiences
from dellm_jax import rehearsal, remember
from dellm_jax.agreement import doubted
from dellm_jax.architecture import CONCEPTS, Architecture
from dellm_jax.assemblies import adapt
from dellm_jax.memory import episodic, procedural, semantic
from dellm_jax.obey import obeyed
from dellm_jax.study import learn
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Clock, Dellm, Experience, Lesson, Mind, Response

Recognise = Callable[[semantic.Semantic, Array], Array]

FIRING_TARGET = 0.15


@partial(jax.jit, static_argnums=(0, 1))
def create(mind: Mind, architecture: Architecture, key: Array) -> Dellm:
    """A newborn life: body, learner, empty memories. The same key gives the same life, bit for bit."""
    module = mind.module(architecture)
    variables = meta.unbox(module.init(named_key(key, "body")))
    scalar = partial(jnp.asarray, dtype=jnp.float32)
    whole = partial(jnp.zeros, (), jnp.int32)
    memory = remember.newborn(mind, architecture, key)
    return Dellm(
        architecture=architecture,
        params=variables["params"],
        homeostasis=variables["homeostasis"],
        learner=mind.rule.init(variables["params"]),
        memory=memory,
        hyper={
            "threshold_speed": scalar(mind.threshold_speed),
            "firing_target": scalar(FIRING_TARGET),
            "trust": {expert: scalar(1.0) for expert in ("cortex", *memory.semantic)},
        }
        | ({"radius": scalar(procedural.RADIUS)} if architecture.rules else {}),
        key=named_key(key, "life"),
        clock=Clock(whole(), whole(), whole(), whole(), whole(), scalar(0.0), scalar(0.0)),
    )


@partial(jax.jit, static_argnums=0)
def respond(mind: Mind, state: Dellm, experience: Experience) -> Response:
    """What it thinks of a batch of raw senses [B, ...]; changes nothing. Targets are not looked at.

    A life that was corrected obeys; one that binds its senses is less sure where they are in conflict.
    """
    percepts = experiences.perceive(state.architecture, experience)
    return doubted(state, percepts, obeyed(state, percepts, respond_to(mind, state, percepts)))


def respond_to(
    mind: Mind, state: Dellm, percepts: experiences.Percepts, recognise: Recognise = semantic.log_evidence
) -> Response:
    """log p(concept) = log softmax sum_e trust_e log p_e: the cortex, and semantic memory through each sense there is.

    Every expert is normalised over the born concepts; an absent sense has no say. `recognise(memory, features)` gives
    the evidence [B, C] of one sense.
    """
    params = mind.voice(state.params, state.learner) if mind.voice else state.params
    variables = {"params": params, "homeostasis": state.homeostasis}
    thought = mind.module(state.architecture).apply(variables, *percepts)
    born = state.homeostasis[CONCEPTS]["active"] > 0
    by = {"cortex": _normalised(thought.logits, born)}
    for sense, features in experiences.features_of(state, percepts).items():
        evidence, there = recognise(state.memory.semantic[sense], features), percepts.presence.get(sense)
        by[sense] = _normalised(evidence if there is None else evidence * there[:, None], born)
    trust = state.hyper["trust"]
    combined = _normalised(sum(trust[expert] * jnp.where(born, log_p, 0.0) for expert, log_p in by.items()), born)
    return Response(combined.argmax(1), jnp.exp(combined.max(1)), combined, by)


def _normalised(logits: Array, born: Array) -> Array:
    return jax.nn.log_softmax(jnp.where(born, logits, -1e9))


def awake_step(mind: Mind, state: Dellm, batch: Experience) -> tuple[Dellm, dict[str, Array]]:
    """Live one batch [B, ...]: perceive, rehearse a little, learn from both at once, remember. Shapes stay.

    What episodic memory sets apart to judge nights is remembered, but not learned by the cortex. The report's accuracy
    is prequential: the cortex answered before it learned. What nobody named binds the senses, and does nothing else.
    """
    architecture, lived = state.architecture, batch.weight > 0
    batch = experiences.unnamed_aside(batch) if architecture.binding else batch
    target = batch.target
    key, for_rehearsal, for_senses, for_write, for_imagination = jax.random.split(state.key, 5)
    valid = batch.weight > 0
    homeostasis = _name_concepts(state.homeostasis, target, valid)
    codes, present = experiences.encode(architecture, batch)
    percepts = experiences.decode(architecture, codes, present)
    remembered, places = episodic.place(state.memory.episodic, target, valid, for_write)
    state = state.replace(memory=state.memory.replace(episodic=remembered))
    lesson = Lesson(
        jnp.zeros((target.size, architecture.concepts)),
        target,
        jnp.where(places.apart, 0.0, batch.weight),
        jnp.ones_like(batch.weight),
        state.clock.nights.astype(jnp.float32),
        value=batch.value,
    )
    mixed, lesson = rehearsal.join(mind, state, percepts, lesson, for_rehearsal)
    heard = experiences.drop_senses(jax.random.uniform(for_senses, lesson.target.shape), mixed)
    params, learner, loss, thought = learn(
        mind, architecture, state.params, homeostasis, state.learner, mind.rule, heard, lesson
    )
    logits = thought.logits[: target.size]
    correct = (logits.argmax(1) == target) & valid
    lived_many = lived.sum(dtype=jnp.int32)
    clock = state.clock
    after = state.replace(
        params=params,
        homeostasis=adapt(
            homeostasis,
            thought.values | thought.moments,
            thought.presence,
            lesson.weight,
            state.hyper["threshold_speed"],
            state.hyper["firing_target"],
        ),
        learner=learner,
        memory=state.memory.replace(
            episodic=episodic.write(remembered, places, codes, present, target, valid, logits),
            semantic=remember.observed(state, batch, percepts, valid),
            imagery=remember.pictured(state, batch, codes, valid),
            generator=remember.imagined(mind, state, mixed, lesson, for_imagination),
            binding=remember.bound(state, batch, percepts, codes, present, lived, named_key(for_write, "moments")),
        ),
        key=key,
        clock=clock.replace(
            steps=clock.steps + 1,
            experiences=clock.experiences + lived_many,
            since_rest=clock.since_rest + lived_many,
            loss_fast=clock.loss_fast + 0.1 * (loss - clock.loss_fast),
            loss_slow=clock.loss_slow + 0.01 * (loss - clock.loss_slow),
        ),
    )
    named_many = valid.sum(dtype=jnp.int32)
    return after, {"loss": loss, "accuracy": correct.sum() / jnp.maximum(named_many, 1), "lived": lived_many}


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def awake(mind: Mind, state: Dellm, batches: Experience) -> tuple[Dellm, dict[str, Array]]:
    """A stretch of waking life: `awake_step` over batches [T, B, ...] in one loop; reports [T]. Donates `state`."""
    return jax.lax.scan(partial(awake_step, mind), state, batches)


def _name_concepts(homeostasis: Any, target: Array, valid: Array) -> Any:
    """A concept met for the first time becomes a living unit at once."""
    concepts = homeostasis[CONCEPTS]
    active = concepts["active"].at[target].max(valid.astype(jnp.float32))
    return dict(homeostasis) | {CONCEPTS: concepts | {"active": active}}
