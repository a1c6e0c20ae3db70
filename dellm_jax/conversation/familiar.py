"""Whether what is perceived is anything that is known, or should be asked about."""

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS
from dellm_jax.memory import episodic, semantic
from dellm_jax.memory.sketches import unit
from dellm_jax.rest.novelty import threshold
from dellm_jax.senses import Text
from dellm_jax.types import Array, Dellm, Experience

LEAST, LEAST_READ = 0.7, 0.2  # until there are enough held-out episodes to tell; measured in LOG, 2026-11-23
ENOUGH = 40
EPISODES = 512


@jax.jit
def familiarity(state: Dellm, experience: Experience, concept: Array, limits: dict[str, Array]) -> Array:
    """How much more like its `concept` [B] than `limits` {sense} ask for a batch is [B], a mean over the senses there.

    Likeness through a sense: the cosine of frozen features to the mean m of all that was observed of the concept,
    around sum_k m_k / (K + 1) of the K concepts that were.
    """
    percepts = experiences.perceive(state.architecture, experience)
    rows = jnp.arange(concept.size)
    margins = [alike[rows, concept] - limits[sense] for sense, alike in _likeness(state, percepts).items()]
    return jnp.stack(margins).mean(0)


@jax.jit
def limits(state: Dellm) -> dict[str, Array]:
    """The likeness {sense} below which something is unknown: LEAST, or what tells held-out episodes best from others.

    Known: an episode beside its own concept; unknown: the same beside the likest of the others, as if its own had never
    been met.
    """
    senses = state.architecture.senses
    found = {sense.name: jnp.float32(LEAST_READ if isinstance(sense, Text) else LEAST) for sense in senses}
    recalled = episodic.held_out(state.memory.episodic, EPISODES)
    if not recalled.target.size:  # there is no room for any
        return found
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    born = state.homeostasis[CONCEPTS]["active"] > 0
    rows = jnp.arange(recalled.target.size)
    for sense, alike in _likeness(state, percepts).items():
        weight = recalled.weight * percepts.presence.get(sense, jnp.ones_like(recalled.weight))
        others = jnp.where(born, alike, -1.0).at[rows, recalled.target].set(-1.0).max(1)
        least = threshold(alike[rows, recalled.target], others, weight, weight)
        found[sense] = jnp.where((weight.sum() >= ENOUGH) & jnp.isfinite(least), least, found[sense])
    return found


def _likeness(state: Dellm, percepts: experiences.Percepts) -> dict[str, Array]:
    """Cosines [B, C] through every sense that is there; 0 for concepts of which nothing was observed."""
    alike = {}
    for sense, features in experiences.features_of(state, percepts).items():
        known = state.memory.semantic[sense]
        means, met = semantic.means(known), (known.count > 0).astype(jnp.float32)
        centre = means.sum(0) / (met.sum() + 1)
        alike[sense] = unit(features - centre) @ unit((means - centre) * met[:, None]).T
    return alike
