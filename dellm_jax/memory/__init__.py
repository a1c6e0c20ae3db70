"""Memory systems: episodic (what was lived), semantic (what concepts mean), imagery (what they look like), procedural
(how one wants it done)."""

from dellm_jax.memory import episodic, fast_weights, generative, imagery, lexicon, procedural, semantic
from dellm_jax.memory.episodic import Episodic
from dellm_jax.memory.semantic import Semantic
from dellm_jax.memory.store import Memory

__all__ = [
    "Episodic",
    "Memory",
    "Semantic",
    "episodic",
    "fast_weights",
    "generative",
    "imagery",
    "lexicon",
    "procedural",
    "semantic",
]
