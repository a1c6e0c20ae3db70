"""One update of the cortex: think, compare with the lesson, and change by the rule."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax.architecture import Architecture
from dellm_jax.experience import Percepts
from dellm_jax.learning import Errors, top_down
from dellm_jax.types import Array, Lesson, Mind


def learn(
    mind: Mind,
    architecture: Architecture,
    params: Any,
    homeostasis: Any,
    learner: Any,
    rule: optax.GradientTransformationExtraArgs,
    percepts: Percepts,
    lesson: Lesson,
) -> tuple[Any, Any, Array, Any]:
    """One update of the cortex by `rule` -> params, learner, loss, thought. What no rule asks for costs nothing.

    `lesson` comes without logits: they are what is learned.
    """
    module = mind.module(architecture)

    def think(params: Any) -> Any:
        return module.apply({"params": params, "homeostasis": homeostasis}, *percepts)

    if mind.teacher is not None:
        taught = mind.teacher(lambda params: think(params).logits, learner, lesson)
        lesson = lesson.replace(taught=jax.lax.stop_gradient(taught))

    def objective(params: Any) -> tuple[Array, Any]:
        thought = think(params)
        return mind.loss(lesson.replace(logits=thought.logits)), thought

    (loss, thought), slope = jax.value_and_grad(objective, has_aux=True)(params)
    variables = {"params": params, "homeostasis": homeostasis}
    bottom_up, values = {}, thought.values
    if mind.error is not None:
        bottom_up, values = mind.error(
            module, variables, thought, lambda logits: mind.loss(lesson.replace(logits=logits)) * lesson.target.size
        )
    # An example counts by its weight at both ends of a synapse, so that local rules learn the same weighted mean.
    share = jnp.sqrt(lesson.weight * lesson.weight.size / jnp.maximum(lesson.weight.sum(), 1e-6))[:, None]
    felt = thought.replace(values={node: value * share for node, value in thought.values.items()})
    error = Errors(top_down(module, variables, felt), bottom_up, values)
    updates, learner = rule.update(slope, learner, params, activity=felt, error=error)
    return optax.apply_updates(params, updates), learner, loss, thought
