"""Homeostasis: thresholds that hold every unit near a target firing rate."""

import jax.numpy as jnp

from dellm_jax.types import Array

RATE_DECAY = 0.99


def firing(values: Array, weight: Array) -> Array:
    """P(a > 0) of each unit: outputs [B, U], or [B, T, P, U] in time, and weights [B] -> [U]."""
    total = jnp.maximum(weight.sum(), 1e-6)
    fires = (values > 0).astype(values.dtype)
    return weight @ (fires if fires.ndim == 2 else fires.mean((1, 2))) / total


def adapt(
    homeostasis: dict,
    values: dict[str, Array],
    presence: dict[str, Array],
    weight: Array,
    speed: Array,
    target: Array,
) -> dict:
    """theta += speed (P(a > 0) - target) and a running firing rate, for the active units of every assembly.

    `values`: assembly -> [B, U] or [B, T, P, U]; `presence`: assembly -> [B] (no entry = surely there); `weight` [B].
    An example in which an assembly took no part does not count for it; without any it keeps its state.
    What is not rectified has a rate but no threshold.
    Source: intrinsic plasticity as thresholds (Turrigiano & Nelson, 2004).
    """
    after = dict(homeostasis)
    for node, state in homeostasis.items():
        if node not in values or "rate" not in state:
            continue
        here = weight * presence[node] if node in presence else weight
        fires = firing(values[node], here)
        alive = state["active"] * (here.sum() > 0)
        after[node] = state | {"rate": state["rate"] + alive * (1 - RATE_DECAY) * (fires - state["rate"])}
        if "threshold" in state:
            after[node]["threshold"] = state["threshold"] + alive * speed * (fires - target)
    return after
