"""Fast weights: what one correction says of all that is like it, at once and without a step of learning.

A linear readout of keys (sketches of frozen features) that is added to what a life thinks. An edit moves it from
what the instance was taken for to what was meant, in the curvature of everything that was ever lived: far where nothing
is known, hardly where much is. Nights teach the slow memories the same, and fast weights begin anew.
Source: fast weights, Hinton & Plaut (1987); closed-form edits in the covariance of what is known, MEMIT (Meng et al.,
2023).
"""

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.memory import symmetric
from dellm_jax.memory.contrast import contrast
from dellm_jax.types import Array

KEY = 1024
STEP = 0.5  # how far an edit aims, in units of the spread of what is thought
SHARPNESS = 42.0  # of what is thought, to edits, per spread
STIFFNESS = 8.0  # how much what was lived counts beside what was said; all chosen in LOG, 2026-11-23 and 30
BLANK = 0.01  # share of the curvature that is the same in all directions


@struct.dataclass
class FastWeights:
    """Of one sense with keys of K numbers: `moved` [C, K], what a key adds to the log-probability of each concept;
    `ease` [K, K], the inverse of the curvature; and as how many experiences that counted, `lived`."""

    moved: Array = leaf("concepts", "{}.key")
    ease: Array = leaf("{}.key", "{}.key")
    lived: Array = leaf()


def empty(features: int, concepts: int) -> FastWeights:
    """Nothing was said, and nothing lived."""
    size = min(KEY, features)
    return FastWeights(jnp.zeros((concepts, size)), jnp.eye(size) * size / (STIFFNESS * BLANK), jnp.zeros(()))


def said(fast: dict[str, FastWeights], keys: dict[str, Array]) -> Array:
    """What corrections add to the log-probabilities, from keys {sense: [B, K]} -> [B, C]."""
    return sum(keys[sense] @ fast[sense].moved.T for sense in keys)


def push(log_probability: Array, concept: Array) -> Array:
    """s S (e_c - softmax(t (log p - m) / S)): where edits aim [B, C], from what is thought [B, C] and the concepts [B]
    meant; S is the spread of the thought (`contrast`).

    An edit is as strong as what it has to overrule, however sure a life is of itself. Sharper than the thought, it
    lowers what the instance was taken for and leaves alone what nobody would say.
    """
    thought, spread = contrast(log_probability)
    meant = jax.nn.one_hot(concept, log_probability.shape[1])
    return STEP * spread * (meant - jax.nn.softmax(SHARPNESS * thought))


def edit(fast: dict[str, FastWeights], keys: dict[str, Array], push: Array) -> dict[str, FastWeights]:
    """W += (push - sum W k) (P k)^T / (1 + sum k^T P k), and P -= (P k)(P k)^T / (1 + k^T P k) in every sense: keys
    {sense: [K]}, push [C]. What was said already is not said again: of one sense, one by one comes to all at once.

    Source: recursive least squares (Plackett, 1950).
    """
    push = push - sum(fast[sense].moved @ key for sense, key in keys.items())
    eased = {sense: fast[sense].ease @ key for sense, key in keys.items()}
    whole = 1 + sum(keys[sense] @ own for sense, own in eased.items())
    return fast | {
        sense: fast[sense].replace(
            moved=fast[sense].moved + jnp.outer(push, own) / whole,
            ease=fast[sense].ease - jnp.outer(own, own) / (1 + keys[sense] @ own),
        )
        for sense, own in eased.items()
    }


def edited(
    curvatures: dict[str, Array], lived: dict[str, Array], keys: dict[str, Array], pushes: Array
) -> dict[str, FastWeights]:
    """Fast weights after edits all at once: keys {sense: [R, K]}, pushes [R, C], zero where there is nothing to say.

    P = (lambda N (C / tr C + b I / K) + sum k k^T)^-1 and W = (sum push k^T) P, of the second moments C [K, K] of the
    keys of all N experiences that were `lived`; a push is shared among the senses there are.
    """
    several = jnp.maximum(sum((own**2).sum(1, keepdims=True) > 0 for own in keys.values()), 1)
    found = {}
    for sense, own in keys.items():
        size, trace = own.shape[1], jnp.trace(curvatures[sense])
        share = curvatures[sense] / jnp.where(trace > 0, trace, 1.0)
        stiff = STIFFNESS * jnp.maximum(lived[sense], 1.0)
        lower = symmetric.root(stiff * share + own.T @ own, stiff * BLANK / size)
        ease = jax.scipy.linalg.cho_solve((lower, True), jnp.eye(size))
        found[sense] = FastWeights((pushes / several).T @ own @ ease, ease, lived[sense])
    return found
