"""Neural assemblies: groups of ReLU units with adaptive thresholds, wired into a hierarchy with feedback."""

from dellm_jax.assemblies.cortex import Cortex
from dellm_jax.assemblies.homeostasis import adapt, firing

__all__ = ["Cortex", "adapt", "firing"]
