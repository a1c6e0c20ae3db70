"""Learning rules: optax transformations that may ask for `activity=` and `error=`, and the losses they descend."""

from dellm_jax.learning.hebbian import oja
from dellm_jax.learning.losses import asymmetric_cross_entropy, cross_entropy
from dellm_jax.learning.predictive import Errors, predictive_coding, relaxation, top_down
from dellm_jax.learning.rules import by_pathway

__all__ = [
    "Errors",
    "asymmetric_cross_entropy",
    "by_pathway",
    "cross_entropy",
    "oja",
    "predictive_coding",
    "relaxation",
    "top_down",
]
