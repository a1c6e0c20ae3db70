"""What is gone over again while something new is lived: episodes, or percepts that an imagination makes up."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.errors import ArchitectureError
from dellm_jax.learning import elder
from dellm_jax.memory import episodic
from dellm_jax.types import Array, Dellm, Lesson, Mind


def join(
    mind: Mind, state: Dellm, percepts: experiences.Percepts, lesson: Lesson, key: Array
) -> tuple[experiences.Percepts, Lesson]:
    """What is lived, then what is rehearsed: episodes, or percepts made up and named by an older self."""
    if not mind.rehearse:
        return percepts, lesson
    if mind.imagination is not None:
        again, target, weight, answers = imagined(mind, state, key)
    elif episodic.capacity(state.memory.episodic):
        recalled = episodic.recall(state.memory.episodic, key, mind.rehearse)
        again = experiences.decode(state.architecture, recalled.codes, recalled.present)
        target, weight, answers = recalled.target, recalled.weight, recalled.answers
    else:
        raise ArchitectureError(
            f"mind.rehearse is {mind.rehearse}, but architecture.episodic_bytes is 0; remember something, or rehearse 0"
        )
    if lesson.value is not None:
        raise ArchitectureError("experience.value is not remembered, so it cannot be rehearsed: set mind.rehearse to 0")
    together = partial(jax.tree.map, lambda lived, rehearsed: jnp.concatenate([lived, rehearsed]))
    return together(percepts, again), lesson.replace(
        logits=jnp.zeros((lesson.target.size + mind.rehearse, lesson.logits.shape[1])),
        target=together(lesson.target, target),
        weight=together(lesson.weight, weight),
        lived=together(lesson.lived, jnp.zeros_like(weight)),
        taught=None if answers is None else together(lesson.logits, answers),
    )


def imagined(mind: Mind, state: Dellm, key: Array) -> tuple[experiences.Percepts, Array, Array, None]:
    """Percepts made up by the generator, named by the self of the last evening; nothing before the first night."""
    seen = mind.imagination.imagine(state.memory.generator, key, mind.rehearse)
    (sense,) = state.architecture.senses
    percepts = experiences.Percepts({sense.name: seen}, {})
    variables = {"params": elder(state.learner), "homeostasis": state.homeostasis}
    target = mind.module(state.architecture).apply(variables, *percepts).logits.argmax(1)
    return percepts, target, jnp.broadcast_to((state.clock.nights > 0).astype(jnp.float32), target.shape), None


def shares(lesson: Lesson) -> Array:
    """Weights [B] by which a generator learns on day t: 1/t of the whole for what is lived, the rest for the others."""
    share = 1 / (lesson.nights + 1)
    lived, again = lesson.weight * lesson.lived, lesson.weight * (1 - lesson.lived)
    return share * lived / jnp.maximum(lived.sum(), 1) + (1 - share) * again / jnp.maximum(again.sum(), 1)
