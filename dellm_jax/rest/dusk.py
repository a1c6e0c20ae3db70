"""What methods that are told of boundaries do when a task is over: hand over to an elder, settle what mattered."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS
from dellm_jax.learning.protection import Elastic, Intelligent, anchored, fisher_diagonal, settled
from dellm_jax.learning.selves import Elder
from dellm_jax.memory import episodic
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def hand_over() -> Stage:
    """Today's self becomes the elder that teaches tomorrow, and today's generator the one that imagines."""

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del mind, key
        today = Elder(state.params, {CONCEPTS: {"bias": state.homeostasis[CONCEPTS]["active"]}})
        learner = _edited(state.learner, Elder, lambda _: jax.tree.map(jnp.copy, today))
        memory = state.memory
        if memory.generator is not None:
            elder = jax.tree.map(jnp.copy, memory.generator.weights)
            memory = memory.replace(generator=memory.generator.replace(elder=elder))
        return state.replace(learner=learner, memory=memory), {}

    return stage


def settle_synapses(damping: float = 0.1) -> Stage:
    """Synaptic intelligence at the end of a task: what each synapse did for today's loss becomes its importance."""

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del mind, key
        learner = _edited(state.learner, Intelligent, lambda node: settled(node, state.params, damping))
        return state.replace(learner=jax.tree.map(jnp.copy, learner)), {}

    return stage


def estimate_importance(samples: int = 1000, decay: float = 1.0) -> Stage:
    """Online EWC at the end of a task: the Fisher information of today's synapses on `samples` of today's episodes.

    Labels are drawn from what the life itself answers, as the Fisher information asks. Follow it by `forget`, so that
    no episode outlives its day. Source: Kirkpatrick et al. (2017), Schwarz et al. (2018).
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        fisher = _fisher(mind, state, key, samples)
        learner = _edited(state.learner, Elastic, lambda node: anchored(node, state.params, fisher, decay))
        mean = sum(float(leaf.sum()) for leaf in jax.tree.leaves(fisher))
        return state.replace(learner=jax.tree.map(jnp.copy, learner)), {"fisher_trace": mean}

    return stage


@partial(jax.jit, static_argnums=(0, 3))
def _fisher(mind: Mind, state: Dellm, key: Array, samples: int) -> Any:
    for_recall, for_label = jax.random.split(key)
    recalled = episodic.recall(state.memory.episodic, for_recall, samples)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    module = mind.module(state.architecture)

    def logits(params: Any, seen: Any) -> Array:
        return module.apply({"params": params, "homeostasis": state.homeostasis}, *seen).logits

    drawn = jax.random.categorical(for_label, logits(state.params, percepts))

    def log_p(params: Any, n: Array) -> Array:
        one = jax.tree.map(lambda x: x[n][None], percepts)
        return jax.nn.log_softmax(logits(params, one))[0, drawn[n]]

    return fisher_diagonal(log_p, state.params, recalled.weight)


def forget() -> Stage:
    """Every episode is forgotten: for methods that may keep none overnight."""

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del mind, key
        kept = state.memory.episodic
        nothing = jax.tree.map(jnp.zeros_like, kept).replace(start=kept.start, room=kept.room)
        return state.replace(memory=state.memory.replace(episodic=nothing)), {}

    return stage


def _edited(learner: Any, kind: type, change: Any) -> Any:
    """A learner's state with every node of a kind changed."""
    return jax.tree.map(
        lambda node: change(node) if isinstance(node, kind) else node, learner, is_leaf=lambda n: isinstance(n, kind)
    )
