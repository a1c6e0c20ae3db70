"""Synaptic homeostasis: every unit's strength is shared evenly between what it hears and what it says."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from dellm_jax.architecture import Architecture
from dellm_jax.trees import inward, outward
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def rescale(most: float = 1.25) -> Stage:
    """Least total synaptic strength for the same function.

    A rectified unit answers the same if w_in, b, theta are multiplied by s and w_out divided by it; the sum
    |w_in|^2 + |w_out|^2 is least at s = sqrt(|w_out| / |w_in|). `most` bounds s and 1/s in one night.
    Source: synaptic homeostasis (Tononi & Cirelli, 2003); balanced rectifier nets (Neyshabur et al., 2015).
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del mind, key
        params, homeostasis = _balance(state.architecture, state.params, state.homeostasis, most)
        return state.replace(params=params, homeostasis=homeostasis), {
            "strength_before": float(_strength(state.architecture, state.params)),
            "strength_after": float(_strength(state.architecture, params)),
        }

    return stage


@partial(jax.jit, static_argnums=0)
def _balance(architecture: Architecture, params: Any, homeostasis: Any, most: float) -> tuple[Any, Any]:
    reads = architecture.reads
    params = {node: dict(leaves) for node, leaves in params.items()}
    homeostasis = {node: dict(kept) for node, kept in homeostasis.items()}
    for node in params:
        readers = [reader for reader, sources in reads.items() if node in sources]
        if not readers or "threshold" not in homeostasis[node]:  # a filterbank tells logarithms: it is no rectifier
            continue
        w_in = sum(inward(params[node][f"from_{source}"] ** 2) for source in reads[node]) ** 0.5
        w_out = sum(outward(params[reader][f"from_{node}"] ** 2) for reader in readers) ** 0.5
        talks = (w_in > 0) & (w_out > 0)  # a newborn that says nothing yet keeps its ears
        s = jnp.where(talks, jnp.clip(jnp.sqrt(w_out / jnp.where(w_in > 0, w_in, 1.0)), 1 / most, most), 1.0)
        for source in reads[node]:
            params[node][f"from_{source}"] = params[node][f"from_{source}"] * s
            if f"to_{source}" in params[node]:
                params[node][f"to_{source}"] = params[node][f"to_{source}"] / s[:, None]
        params[node]["bias"] = params[node]["bias"] * s
        homeostasis[node]["threshold"] = homeostasis[node]["threshold"] * s
        for reader in readers:
            params[reader][f"from_{node}"] = params[reader][f"from_{node}"] / s[:, None]
            if f"to_{node}" in params[reader]:
                params[reader][f"to_{node}"] = params[reader][f"to_{node}"] * s
    return params, homeostasis


@partial(jax.jit, static_argnums=0)
def _strength(architecture: Architecture, params: Any) -> Array:
    """Sum of squares of all forward weights."""
    reads = architecture.reads
    return sum((params[node][f"from_{source}"] ** 2).sum() for node, sources in reads.items() for source in sources)
