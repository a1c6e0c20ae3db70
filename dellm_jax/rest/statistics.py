"""What pruning and growth read of each unit: measured on memory when asked, never stored."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.learning import top_down
from dellm_jax.memory import episodic
from dellm_jax.trees import inward, outward
from dellm_jax.types import Array, Dellm, Mind, Thought

EPISODES = 512


@partial(jax.jit, static_argnums=0)
def activity(mind: Mind, state: Dellm, key: Array) -> tuple[dict[str, Array], Array]:
    """Outputs of every assembly on replayable episodes {assembly: [B, U]}, with their weights [B]."""
    recalled = episodic.recall(state.memory.episodic, key, EPISODES)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    variables = {"params": state.params, "homeostasis": state.homeostasis}
    thought = mind.module(state.architecture).apply(variables, *percepts)
    return {a.name: thought.values[a.name] for a in state.architecture.assemblies}, recalled.weight


@jax.jit
def utility(state: Dellm) -> dict[str, Array]:
    """u = |w_in| |w_out| min(1, rate / 0.001) of every unit {assembly: [U]}; a unit that never fires has none."""
    reads = state.architecture.reads
    out = {}
    for assembly in state.architecture.assemblies:
        leaves = state.params[assembly.name]
        w_in = sum(inward(leaves[f"from_{source}"] ** 2) for source in assembly.reads) ** 0.5
        w_out = sum(
            outward(state.params[reader][f"from_{assembly.name}"] ** 2)
            for reader, sources in reads.items()
            if assembly.name in sources
        )
        rate = state.homeostasis[assembly.name]["rate"]
        out[assembly.name] = w_in * w_out**0.5 * jnp.minimum(1.0, rate / 1e-3)
    return out


@jax.jit
def effective_rank(values: Array, weight: Array) -> Array:
    """exp of the entropy of the normalised singular values of [B, U]. Source: Roy & Vetterli (2007)."""
    s = jnp.linalg.svd(values * weight[:, None], compute_uv=False)
    p = s / jnp.maximum(s.sum(), 1e-12)
    return jnp.exp(-(p * jnp.log(jnp.maximum(p, 1e-12))).sum())


@partial(jax.jit, static_argnums=0)
def contemplate(mind: Mind, state: Dellm, key: Array) -> tuple[episodic.Recalled, Thought, dict[str, Array]]:
    """Replayable episodes, what is thought of them, and how far each assembly's prediction of its sources misses them.

    {assembly: sum_s |x_s - a V_s|^2 [B]}, empty for a body without feedback.
    """
    recalled = episodic.recall(state.memory.episodic, key, EPISODES)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    module, variables = mind.module(state.architecture), {"params": state.params, "homeostasis": state.homeostasis}
    thought = module.apply(variables, *percepts)
    errors = top_down(module, variables, thought)
    return recalled, thought, {name: sum((e**2).sum(1) for e in of.values()) for name, of in errors.items() if of}
