"""Local learning sees a weight by its two ends: what came in and what went out."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from dellm_jax.trees import map_named
from dellm_jax.types import Array


def on_forward(change: Callable[..., Array], updates: Any, params: Any, pre: dict, post: dict) -> Any:
    """`change(weights, pre [B, I], post [B, U])` on each leaf `<assembly>/from_<source>`; every other update is zero.

    A weight whose source or assembly took no part in the experience stays as it is, and so do weights in time, of which
    the means that are left of their two ends say too little.
    """

    def one(path: str, update: Any, weights: Any) -> Any:
        if isinstance(update, optax.MaskedNode):
            return update
        *_, assembly, leaf = path.split("/")
        source = leaf.removeprefix("from_")
        if source == leaf or source not in pre or assembly not in post or weights.ndim > 2:
            return jnp.zeros_like(weights)
        return change(weights, pre[source], post[assembly])

    return map_named(one, updates, params)


def on_feedback(change: Callable[..., Array], updates: Any, params: Any, post: dict, error: dict) -> Any:
    """`change(weights, post [B, U], error [B, I])` on leaves `<assembly>/to_<source>`; all other updates are zero."""

    def one(path: str, update: Any, weights: Any) -> Any:
        if isinstance(update, optax.MaskedNode):
            return update
        *_, assembly, leaf = path.split("/")
        source = leaf.removeprefix("to_")
        if source == leaf or source not in error.get(assembly, {}):
            return jnp.zeros_like(weights)
        return change(weights, post[assembly], error[assembly][source])

    return map_named(one, updates, params)
