"""Homeostasis: thresholds that hold every unit near a target firing rate."""

import jax.numpy as jnp

from dellm_jax.types import Array

RATE_DECAY = 0.99


def firing(values: Array, weight: Array) -> Array:
    """P(a > 0) of each unit: [B, U] outputs and [B] weights -> [U]."""
    total = jnp.maximum(weight.sum(), 1e-6)
    return weight @ (values > 0).astype(values.dtype) / total


def adapt(homeostasis: dict, values: dict[str, Array], weight: Array, speed: Array, target: Array) -> dict:
    """theta += speed (P(a > 0) - target) and a running firing rate, for the active units of every assembly.

    `values`: assembly -> [B, U]; `weight` [B]. An assembly that did not take part keeps its state.
    Source: intrinsic plasticity as thresholds (Turrigiano & Nelson, 2004).
    """
    happened = (weight.sum() > 0).astype(jnp.float32)
    after = dict(homeostasis)
    for node, state in homeostasis.items():
        if node not in values or "threshold" not in state:
            continue
        fires = firing(values[node], weight)
        alive = state["active"] * happened
        after[node] = state | {
            "threshold": state["threshold"] + alive * speed * (fires - target),
            "rate": state["rate"] + alive * (1 - RATE_DECAY) * (fires - state["rate"]),
        }
    return after
