"""What binds the senses is solved anew, and kept if remembered moments are told from each other no worse by it."""

from collections.abc import Iterator
from itertools import combinations

import jax
import jax.numpy as jnp

from dellm_jax import agreement
from dellm_jax import experience as experiences
from dellm_jax.memory import binding, moments
from dellm_jax.memory.belief import belong
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

MOMENTS = 256


def bind() -> Stage:
    """The directions that bind the senses, solved exactly; no name is asked for. Of a life that binds none, nothing.

    The evening's are kept where the `matching_loss` of the morning's is greater.
    """

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        del mind, key
        if state.memory.binding is None:
            yield state, {}
            return
        solved = state.replace(memory=state.memory.replace(binding=_solve(state.memory.binding)))
        before, after = float(matching_loss(state)), float(matching_loss(solved))
        report = {"loss_before": before, "loss_after": after, "kept": float(after <= before)}
        yield (solved if after <= before else state), report

    return in_pieces(pieces)


_solve = jax.jit(binding.solve)


@jax.jit
def matching_loss(state: Dellm) -> Array:
    """The mean of -log p(n | what another sense perceived in moment n), n among the moments that are remembered.

    p ~ how far both belong together: the loss of contrastive learning, both ways, for every two senses.
    Source: InfoNCE (van den Oord et al., 2018), symmetric as in CLIP (Radford et al., 2021).
    """
    codes, present = moments.some(state.memory.binding.moments, MOMENTS)
    percepts = experiences.decode(state.architecture, codes, present)
    several = agreement.beliefs(state, percepts)
    missed = many = jnp.zeros(())
    for one, other in combinations(several, 2):
        there = percepts.presence[one] * percepts.presence[other]
        score = belong(several[one], several[other])
        for way in (score, score.T):
            own = jnp.diagonal(jax.nn.log_softmax(jnp.where(there > 0, way, -1e9), axis=1))
            missed, many = missed - (own * there).sum(), many + there.sum()
    return missed / jnp.maximum(many, 1)
