"""Whether what the senses tell is of one thing: a conflict between them lowers the confidence, and is told."""

from functools import reduce

import jax.numpy as jnp

from dellm_jax.experience import Percepts, features_of
from dellm_jax.memory import binding
from dellm_jax.memory.belief import Belief, together, weight
from dellm_jax.types import Array, Dellm, Response


def beliefs(state: Dellm, percepts: Percepts) -> dict[str, Belief]:
    """What every sense that is there tells of the one representation of all of them."""
    return {sense: binding.belief(state.memory.binding, sense, x) for sense, x in features_of(state, percepts).items()}


def belief(state: Dellm, percepts: Percepts) -> Belief:
    """What all senses that are there tell together."""
    return reduce(together, beliefs(state, percepts).values())


def agreement(state: Dellm, percepts: Percepts) -> Array:
    """min(1, p(all senses) / prod_s p(sense s)) [B]: 0 where what they tell is never perceived together."""
    several = beliefs(state, percepts)
    ratio = weight(reduce(together, several.values()))
    return jnp.exp(jnp.minimum(ratio - sum(weight(one) for one in several.values()), 0))


def doubted(state: Dellm, percepts: Percepts, response: Response) -> Response:
    """The same response [B], less sure where its senses are in conflict; of a life that binds them, and more than one.

    confidence <- agreement * confidence; `conflict` = 1 - agreement.
    """
    if state.memory.binding is None or len(percepts.values) < 2:
        return response
    agreed = agreement(state, percepts)
    return response._replace(confidence=response.confidence * agreed, conflict=1 - agreed)
