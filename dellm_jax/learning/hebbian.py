"""Hebbian learning through the optax contract."""

from typing import Any

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
