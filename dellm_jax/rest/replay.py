"""NREM: interleaved, class-balanced learning on episodic memory, short and slow, keeping the best of its chunks."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.errors import ScheduleError
from dellm_jax.memory import episodic
from dellm_jax.mind import learn, respond_to
from dellm_jax.rest.judge import held_out_responses
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Lesson, Mind, Report, Stage

UNBORN = -1e8


def replay(
    rule: optax.GradientTransformationExtraArgs, steps: int, batch: int = 64, chunk: int = 50, taught: float = 0.0
) -> Stage:
    """`steps` updates by `rule`, whose state is born and dies with the night, on `batch` episodes each.

    After every `chunk` steps the held-out episodes judge; the chunk with the least loss is kept, which may be none.
    Known invariances are used: every episode is seen a little differently each time. With `taught` > 0 the cortex also
    learns what the whole self of the evening, semantic memory included, believes of what it sees:
    loss + taught H(belief, softmax(logits)).
    Source: knowledge distillation (Hinton et al., 2015), from the fast system to the slow (McClelland et al., 1995).
    """
    if min(steps, batch, chunk) < 1:
        raise ScheduleError(f"replay has steps={steps}, batch={batch}, chunk={chunk}; expected 1 or more of each")
    chunk = min(chunk, steps)
    laws = cache(partial(_night_laws, taught))

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        learner = rule.init(state.params)
        belief = _held_out_belief(mind, state)
        best, least = state.params, float(_held_out_loss(mind, state, belief, taught))
        report = {"held_out_loss_before": least, "kept_step": 0.0, "updates": 0.0}
        params, last = state.params, 0.0
        for turn in range(-(-steps // chunk)):
            params, learner, loss = _rehearse(
                laws(mind), rule, chunk, batch, taught > 0, state, params, learner, named_key(key, f"chunk {turn}")
            )
            held_out = float(_held_out_loss(mind, state.replace(params=params), belief, taught))
            report["updates"] += chunk
            if held_out <= least:
                best, least, report["kept_step"] = params, held_out, report["updates"]
            last = float(loss)
        return state.replace(params=best), report | {"held_out_loss_after": least, "loss": last}

    return stage


@partial(jax.jit, static_argnums=0)
def _held_out_belief(mind: Mind, state: Dellm) -> Array:
    """log p(concept) of the held-out episodes by the whole, through each sense alone [S, B, C]."""
    return jnp.stack([response.log_probability for response in held_out_responses(mind, state)[0]])


@partial(jax.jit, static_argnums=(0, 3))
def _held_out_loss(mind: Mind, state: Dellm, belief: Array, taught: float) -> Array:
    """Mean over held-out episodes of what is learned at night, (-log p[target] + taught H(belief, p)) / (1 + taught).

    p is the cortex's answer. Without the second term a cortex that is taught to doubt would seem to have got worse.
    """
    responses, target, weight = held_out_responses(mind, state)
    log_p = jnp.stack([response.by["cortex"] for response in responses])
    own = jnp.take_along_axis(log_p, target[None, :, None], axis=2)[..., 0]
    believed = jnp.where(belief > UNBORN, jnp.exp(belief) * log_p, 0.0).sum(-1) if taught else 0.0
    return -((own + taught * believed) / (1 + taught) * weight).sum() / jnp.maximum(weight.sum(), 1)


def _night_laws(taught: float, mind: Mind) -> Mind:
    """At night nobody teaches but, perhaps, semantic memory; one mind for one, so that it is compiled once."""
    if not taught:
        return mind._replace(teacher=None)

    def loss(lesson: Lesson) -> Array:
        believed = -(jnp.exp(lesson.belief) * jax.nn.log_softmax(lesson.logits)).sum(1)
        return mind.loss(lesson) + taught * (lesson.weight * believed).sum() / jnp.maximum(lesson.weight.sum(), 1e-6)

    return mind._replace(teacher=None, loss=loss)


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _rehearse(
    mind: Mind,
    rule: optax.GradientTransformationExtraArgs,
    steps: int,
    batch: int,
    taught: bool,
    state: Dellm,
    params: Any,
    learner: Any,
    key: Array,
) -> tuple[Any, Any, Array]:
    architecture = state.architecture

    def step(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Array]:
        for_recall, for_view, for_senses = jax.random.split(key, 3)
        recalled = episodic.recall(state.memory.episodic, for_recall, batch)
        percepts = experiences.decode(architecture, recalled.codes, recalled.present)
        seen = {
            sense.name: sense.augment(named_key(for_view, sense.name), percepts.values[sense.name])
            for sense in architecture.senses
        }
        whole = experiences.Percepts(seen, percepts.presence)
        percepts = experiences.drop_senses(jax.random.uniform(for_senses, (batch,)), whole)
        lesson = Lesson(
            jnp.zeros((batch, architecture.concepts)),
            recalled.target,
            recalled.weight,
            jnp.zeros((batch,)),
            state.clock.nights.astype(jnp.float32),
            recalled.answers,
            belief=respond_to(mind, state, whole).log_probability if taught else None,
        )
        params, learner, loss, _ = learn(
            mind,
            architecture,
            carry[0],
            state.homeostasis,
            carry[1],
            rule,
            percepts,
            lesson,
        )
        return (params, learner), loss

    (params, learner), losses = jax.lax.scan(step, (params, learner), jax.random.split(key, steps))
    return params, learner, losses.mean()
