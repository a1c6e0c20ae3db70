"""What is known of the one representation h ~ N(0, I) of all senses, and how far two things belong together by it.

Evidence adds up: what one sense tells and what another tells, or no sense at all.
"""

from typing import NamedTuple

import jax.numpy as jnp

from dellm_jax.types import Array


class Belief(NamedTuple):
    """What is known of h [B, d]: its density is N(0, I) times exp(toward h - sure h^2 / 2); `sure` [d]."""

    toward: Array
    sure: Array


def together(one: Belief, other: Belief) -> Belief:
    """What both tell of the same h."""
    return Belief(one.toward + other.toward, one.sure + other.sure)


def weight(known: Belief) -> Array:
    """log of the integral of a belief, up to what its senses have alone: sum_k toward^2 / (1 + sure) / 2 - log(1 +
    sure) / 2, [B]."""
    return 0.5 * (known.toward**2 / (1 + known.sure) - jnp.log1p(known.sure)).sum(-1)


def belong(one: Belief, other: Belief) -> Array:
    """log p(one, other) / (p(one) p(other)) of every one [B] and every other [N]: [B, N]."""
    sure = 1 + one.sure + other.sure
    return (
        (one.toward / sure) @ other.toward.T
        + 0.5 * ((one.toward**2) / sure - jnp.log(sure)).sum(-1)[:, None]
        + 0.5 * ((other.toward**2) / sure).sum(-1)
        - weight(one)[:, None]
        - weight(other)
    )
