"""Hebbian learning through the optax contract."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax.learning.synapses import on_forward
from dellm_jax.types import Thought


def oja(rate: float) -> optax.GradientTransformationExtraArgs:
    """Oja's rule on every forward weight: dW_iu = rate * mean_b a_bu (x_bi - a_bu W_iu); needs `activity=`.

    Each unit's incoming weights stay bounded (norm -> 1) and, for a linear unit, turn to the leading principal
    component of its input. Biases and feedback weights rest. Source: Oja (1982).
    """

    def update(updates: Any, state: optax.EmptyState, params: Any, *, activity: Thought, **_: Any) -> Any:
        def change(weights: Any, pre: Any, post: Any) -> Any:
            batch = pre.shape[0]
            return rate * (pre.T @ post / batch - weights * jnp.mean(post**2, axis=0))

        return on_forward(change, updates, params, activity.values, activity.values), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def soft_hebb(rate: float, temperature: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """Oja's rule among competitors: dW_iu = rate mean_b y_bu (x_bi - a_bu W_iu), y_b = softmax(a_b / temperature).

    The softmax goes over the living units of an assembly, so that each comes to stand for inputs of its own, where
    units under Oja's rule all turn to one. Needs `activity=`. Biases and feedback weights rest.
    Source: Moraitis et al. (2022).
    """

    def update(updates: Any, state: optax.EmptyState, params: Any, *, activity: Thought, **_: Any) -> Any:
        def change(weights: Any, pre: Any, post: Any) -> Any:
            alive = (weights != 0).any(0)
            won = jax.nn.softmax(jnp.where(alive, post / temperature, -jnp.inf), axis=1) * alive
            return rate * (pre.T @ won - weights * (won * post).sum(0)) / pre.shape[0]

        return on_forward(change, updates, params, activity.values, activity.values), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
