"""What newborn units hear and say: nothing is said yet, or what would make the loss fall most steeply."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic
from dellm_jax.types import Array, Dellm, Lesson, Mind, Thought

EPISODES = 512
AWAKE = 0.1  # what a steep newborn fires before it has learned to hear: on the slope of its rectifier for most inputs
LOUDNESS = 0.5
# (mind, state, assembly, positions of its newborns, key) -> state. They hear by He weights and say nothing when given.
Newborns = Callable[[Mind, Dellm, str, np.ndarray, Array], Dellm]


def silent(mind: Mind, state: Dellm, name: str, born: np.ndarray, key: Array) -> Dellm:
    """He weights in, nothing out: they hear, and learn to speak."""
    del mind, name, born, key
    return state


def steepest(mind: Mind, state: Dellm, name: str, born: np.ndarray, key: Array) -> Dellm:
    """Newborns that speak but do not hear, in pairs that contradict each other, so that the function is kept.

    Fan-in 0; fan-out +v and -v of a pair, v the singular vectors of M = E[h (dL/dz)^T] on memory, largest first: h [I]
    what the assembly hears, z [O] the drives of all who hear it. Of all fan-outs of one length v_1 makes the gradient
    of the fan-in largest, for |dL/dw_in| = |M v|. A unit that fires exactly 0 has no slope, so each fires `AWAKE`;
    |v| is `LOUDNESS` times the mean of the living. There are rank(M) pairs at most, the other newborns stay silent;
    so do those in time, and those heard by assemblies in time.
    Source: GradMax (Evci et al., 2022), whose newborns come alone and change the function by their bias.
    """
    reads = state.architecture.reads
    readers = [reader for reader, sources in reads.items() if name in sources]
    if {name, *readers} & {assembly.name for assembly in state.architecture.assemblies if assembly.in_time}:
        return state
    params = {node: dict(leaves) for node, leaves in state.params.items()}
    ends = np.cumsum([params[reader]["bias"].size for reader in readers])[:-1]
    said = np.concatenate([np.asarray(params[reader][f"from_{name}"]) for reader in readers], axis=1)
    loudness = LOUDNESS * np.linalg.norm(said[np.any(said != 0, axis=1)], axis=1).mean() if said.any() else 0.0
    _, strength, directions = np.linalg.svd(np.asarray(_slope(mind, state, name, key)), full_matrices=False)
    pairs = min(born.size // 2, int((strength > 1e-5 * strength[0]).sum())) if loudness else 0
    if pairs == 0:
        return state
    voices = loudness * np.concatenate([directions[:pairs], -directions[:pairs]])
    speakers = born[: 2 * pairs]
    for source in reads[name]:
        params[name][f"from_{source}"] = params[name][f"from_{source}"].at[:, speakers].set(0.0)
    threshold = state.homeostasis[name]["threshold"][speakers]
    params[name]["bias"] = params[name]["bias"].at[speakers].set(threshold + AWAKE)
    for reader, voice in zip(readers, np.split(voices, ends, axis=1), strict=True):
        heard = voice * np.asarray(state.homeostasis[reader]["active"])
        params[reader][f"from_{name}"] = params[reader][f"from_{name}"].at[speakers].set(heard)
    return state.replace(params=params)


@partial(jax.jit, static_argnums=(0, 2))
def _slope(mind: Mind, state: Dellm, name: str, key: Array) -> Array:
    """M = E[h (dL/dz)^T] over replayable episodes [I, O]; a drive z has the slope of the bias that it contains."""
    reads, module = state.architecture.reads, mind.module(state.architecture)
    readers = [reader for reader, sources in reads.items() if name in sources]
    recalled = episodic.recall(state.memory.episodic, key, EPISODES)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)

    def think(biases: dict[str, Array], percepts: experiences.Percepts) -> Thought:
        params = dict(state.params) | {r: dict(state.params[r]) | {"bias": bias} for r, bias in biases.items()}
        return module.apply({"params": params, "homeostasis": state.homeostasis}, *percepts)

    def of_one(percepts: experiences.Percepts, target: Array, answers: Array | None) -> Array:
        alone = jax.tree.map(lambda leaf: leaf[None], percepts)

        def loss(biases: dict[str, Array]) -> tuple[Array, Array]:
            thought = think(biases, alone)
            taught = None if answers is None else answers[None]
            nights = state.clock.nights.astype(jnp.float32)
            return mind.loss(Lesson(thought.logits, target[None], jnp.ones(1), jnp.zeros(1), nights, taught)), thought

        slope, thought = jax.grad(loss, has_aux=True)({reader: state.params[reader]["bias"] for reader in readers})
        heard = [
            thought.values[s][0] * thought.presence.get(s, jnp.ones(1)) for s in reads[name] if s in thought.values
        ]
        return jnp.concatenate(heard), jnp.concatenate([slope[reader] for reader in readers])

    heard, slope = jax.vmap(of_one)(percepts, recalled.target, recalled.answers)
    return (heard * recalled.weight[:, None]).T @ slope / jnp.maximum(recalled.weight.sum(), 1)
