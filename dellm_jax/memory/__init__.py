"""Memory systems: episodic (what was lived), semantic (what concepts mean), imagery (what they look like), procedural
(how one wants it done), binding (what is perceived together)."""

from dellm_jax.memory import (
    binding,
    episodic,
    fast_weights,
    generative,
    imagery,
    lexicon,
    moments,
    procedural,
    semantic,
)
from dellm_jax.memory.episodic import Episodic
from dellm_jax.memory.semantic import Semantic
from dellm_jax.memory.store import Memory

__all__ = [
    "Episodic",
    "Memory",
    "Semantic",
    "binding",
    "episodic",
    "fast_weights",
    "generative",
    "imagery",
    "lexicon",
    "moments",
    "procedural",
    "semantic",
]
