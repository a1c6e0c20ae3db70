"""What binds the senses is solved anew, and kept if moments set apart are told from each other no worse by it."""

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

    What moments set apart do not bear out counts as chance. The evening's directions stay where they tell these moments
    from each other better, by more than chance (twice the standard error of the paired difference).
    """

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        del mind, key
        if state.memory.binding is None:
            yield state, {}
            return
        solved = state.replace(memory=state.memory.replace(binding=_solve(state)))
        (evening, weight), (morning, _) = told_apart(state), told_apart(solved)
        many = jnp.maximum(weight.sum(), 1)
        gain = ((morning - evening) * weight).sum() / many
        error = jnp.sqrt(((morning - evening - gain) ** 2 * weight).sum()) / many
        kept = bool(gain >= -2 * error)
        yield (
            solved if kept else state,
            {
                "told_apart_before": float((evening * weight).sum() / many),
                "told_apart_after": float((morning * weight).sum() / many),
                "chance": float(solved.memory.binding.chance),
                "kept": float(kept),
            },
        )

    return in_pieces(pieces)


@jax.jit
def _solve(state: Dellm) -> binding.Binding:
    known = binding.solve(state.memory.binding)
    percepts = _apart(state)
    told = {sense: binding.told(known, sense, x) for sense, x in agreement.expanded(state, percepts).items()}
    return binding.sobered(known, told, percepts.presence)


def _apart(state: Dellm) -> experiences.Percepts:
    """What moments that are set apart were like."""
    return experiences.decode(state.architecture, *moments.some(state.memory.binding.moments, MOMENTS))


@jax.jit
def told_apart(state: Dellm) -> tuple[Array, Array]:
    """Of moments n that are set apart, through every sense: the share of the others whose other sense belongs less with
    it than its own does, [K], and the weight [K] in {0, 1} of each.

    Of c things that come evenly, 1 - 1 / 2c is all there can be. (The contrastive loss itself punishes a few sure
    errors more than it rewards many answers.)
    """
    percepts = _apart(state)
    several = agreement.beliefs(state, percepts)
    shares, weights = [], []
    for one, other in combinations(several, 2):
        there = percepts.presence[one] * percepts.presence[other]
        score = belong(several[one], several[other])
        for way in (score, score.T):
            less = (way < jnp.diagonal(way)[:, None]) * there
            shares.append(less.sum(1) / jnp.maximum(there.sum() - 1, 1))
            weights.append(there)
    return jnp.concatenate(shares), jnp.concatenate(weights)
