"""Memory systems: episodic (what was lived, bounded in bytes) and semantic (what each concept is like, closed form)."""

from dellm_jax.memory import episodic, generative, semantic
from dellm_jax.memory.episodic import Episodic
from dellm_jax.memory.semantic import Semantic
from dellm_jax.memory.store import Memory

__all__ = ["Episodic", "Memory", "Semantic", "episodic", "generative", "semantic"]
