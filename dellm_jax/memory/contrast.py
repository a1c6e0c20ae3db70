"""What is thought, apart from how sure a life is of it: log-probabilities in units of their own spread.

How sure a pool of experts is depends on how far each is trusted, and on how many concepts there are. What is to be as
strong in every life, an edit or a lesson, goes by the contrast instead.
"""

import jax
import jax.numpy as jnp

from dellm_jax.types import LEAST_BORN, Array

TAUGHT = 6.0  # spread of a belief that teaches


def contrast(log_probability: Array) -> tuple[Array, Array]:
    """(log p - m) / S [..., C] and S [..., 1], of the mean m and the root S of one and the sum of squares around it.

    Over the concepts that live; the others have -inf. With the one, what says nothing has no contrast.
    """
    born = log_probability > LEAST_BORN
    log_p = jnp.where(born, log_probability, 0.0)
    middle = log_p.sum(-1, keepdims=True) / jnp.maximum(born.sum(-1, keepdims=True), 1)
    around = jnp.where(born, log_p - middle, 0.0)
    spread = jnp.sqrt(1 + (around**2).sum(-1, keepdims=True))
    return jnp.where(born, around / spread, -jnp.inf), spread


def as_taught(log_probability: Array) -> Array:
    """The log-probabilities [..., C] of the same thought as it is taught: of a spread of TAUGHT, whatever it was.

    The sure are softened, so that they tell how the concepts that were not meant compare, too: calibrated, they say
    little but the name. The doubtful are made to choose, but for those whose spread is well below a nat, who teach
    nothing.
    Source: soft targets (Hinton et al., 2015), of standardised logits (Sun et al., 2024).
    """
    return jax.nn.log_softmax(TAUGHT * contrast(log_probability)[0])
