"""How good a life is, judged on the episodes it holds out and never replays."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic
from dellm_jax.mind import respond_to
from dellm_jax.types import Array, Dellm, Mind, Response

EPISODES = 512


def held_out_responses(mind: Mind, state: Dellm) -> tuple[list[Response], Array, Array]:
    """Responses to the held-out episodes through each sense alone, their concepts [B] and weights [S, B].

    One sense at a time, because a written word beside a picture would answer for it.
    """
    recalled = episodic.held_out(state.memory.episodic, EPISODES)
    percepts = experiences.decode(state.architecture, recalled)
    responses, weights = [], []
    for sense, values in percepts.values.items():
        there = percepts.presence.get(sense, jnp.ones_like(recalled.weight))
        responses.append(respond_to(mind, state, experiences.Percepts({sense: values}, {})))
        weights.append(there * recalled.weight)
    return responses, recalled.target, jnp.stack(weights)


@partial(jax.jit, static_argnums=0)
def judge(mind: Mind, state: Dellm) -> dict[str, Array]:
    """On held-out episodes, in [0, 1]: `accuracy` of the whole and `cortex_accuracy`; `loss`, mean -log p of the cortex."""
    responses, target, weights = held_out_responses(mind, state)
    many = jnp.maximum(weights.sum(), 1)
    own = [jnp.take_along_axis(r.by["cortex"], target[:, None], axis=1)[:, 0] for r in responses]

    def share(named: list[Array]) -> Array:
        return (jnp.stack([(concept == target).astype(jnp.float32) for concept in named]) * weights).sum() / many

    return {
        "loss": -(jnp.stack(own) * weights).sum() / many,
        "accuracy": share([r.concept for r in responses]),
        "cortex_accuracy": share([r.by["cortex"].argmax(1) for r in responses]),
    }
