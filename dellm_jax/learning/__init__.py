"""Learning rules: optax transformations that may ask for `activity=` and `error=`, and the losses they descend."""

from dellm_jax.learning.hebbian import oja, soft_hebb
from dellm_jax.learning.losses import (
    agreeing,
    asymmetric_cross_entropy,
    by_days,
    cross_entropy,
    dark_experience,
    squared_error,
    without_forgetting,
)
from dellm_jax.learning.plasticity import continual_backprop, perturb, toward_birth
from dellm_jax.learning.predictive import Errors, predictive_coding, relaxation, top_down
from dellm_jax.learning.protection import elastic, synaptic_intelligence
from dellm_jax.learning.rules import by_pathway
from dellm_jax.learning.selves import (
    better_of_slow_selves,
    better_of_then_and_now,
    elder,
    keep_elder,
    last_evening,
    slow_selves,
    stable_self,
)

__all__ = [
    "Errors",
    "agreeing",
    "asymmetric_cross_entropy",
    "better_of_slow_selves",
    "better_of_then_and_now",
    "by_days",
    "by_pathway",
    "continual_backprop",
    "cross_entropy",
    "dark_experience",
    "elastic",
    "elder",
    "keep_elder",
    "last_evening",
    "oja",
    "perturb",
    "predictive_coding",
    "relaxation",
    "slow_selves",
    "soft_hebb",
    "squared_error",
    "stable_self",
    "synaptic_intelligence",
    "top_down",
    "toward_birth",
    "without_forgetting",
]
