"""How good a life is, judged on the episodes it holds out and never replays."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic, procedural, semantic
from dellm_jax.mind import respond_to
from dellm_jax.obey import amended, keys
from dellm_jax.rest.rules import obedience, taught
from dellm_jax.types import Array, Dellm, Mind, Response

EPISODES = 512


def held_out_responses(mind: Mind, state: Dellm, left_out: bool = False) -> tuple[list[Response], Array, Array]:
    """Responses to the held-out episodes through each sense alone, their concepts [B] and weights [S, B].

    One sense at a time, because a written word beside a picture would answer for it. Semantic memory has observed these
    episodes too; with `left_out` it answers as if it had not.
    """

    def recognise(known: semantic.Semantic, features: Array) -> Array:
        if left_out:
            return semantic.log_evidence_left_out(known, features, recalled.target)
        return semantic.log_evidence(known, features)

    recalled = episodic.held_out(state.memory.episodic, EPISODES)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    responses, weights = [], []
    for sense, values in percepts.values.items():
        there = percepts.presence.get(sense, jnp.ones_like(recalled.weight))
        alone = experiences.Percepts({sense: values}, {})
        response = respond_to(mind, state, alone, recognise)
        if state.memory.fast and not left_out:  # as it would be said
            response = amended(state, keys(state, alone, experiences.features_of(state, alone)), response)
        responses.append(response)
        weights.append(there * recalled.weight)
    return responses, recalled.target, jnp.stack(weights)


class Verdict(NamedTuple):
    """Of the held-out episodes: which were answered rightly by the `whole` and by the `cortex` alone, [S, B] in {0, 1}
    (S senses asked one at a time); `weight` [S, B]; and `loss`, the mean -log p of the cortex. Of what was taught:
    which rules count, and are `obeyed` [R] in {0, 1}; None where there are none."""

    whole: Array
    cortex: Array
    weight: Array
    loss: Array
    obeyed: Array | None = None

    def accuracy(self, right: Array) -> float:
        """Share of the episodes that are there."""
        return float((right * self.weight).sum() / jnp.maximum(self.weight.sum(), 1))


def judge(mind: Mind, state: Dellm) -> Verdict:
    """Ask a life about what it holds out, and about everything that it was taught."""
    verdict = _asked(mind, state)
    if not taught(state):
        return verdict
    return verdict._replace(obeyed=obedience(mind, state, False) * procedural.counting(state.memory.procedural))


@partial(jax.jit, static_argnums=0)
def _asked(mind: Mind, state: Dellm) -> Verdict:
    responses, target, weight = held_out_responses(mind, state)
    own = jnp.stack([jnp.take_along_axis(r.by["cortex"], target[:, None], axis=1)[:, 0] for r in responses])

    def right(named: list[Array]) -> Array:
        return jnp.stack([concept == target for concept in named]).astype(jnp.float32)

    return Verdict(
        whole=right([r.concept for r in responses]),
        cortex=right([r.by["cortex"].argmax(1) for r in responses]),
        weight=weight,
        loss=-(own * weight).sum() / jnp.maximum(weight.sum(), 1),
    )


def harmed(before: Verdict, after: Verdict) -> list[str]:
    """In what a life is worse than it was: the `whole` or its `cortex`, where they now fail episodes they knew by more
    than chance, lost - won > 2 sqrt(lost + won); and `obeyed`, where fewer rules are.

    The same episodes are asked twice, so only those that changed count. Source: McNemar (1947).
    """

    def by_more_than_chance(was: Array, now: Array) -> bool:
        lost, won = (was * (1 - now) * after.weight).sum(), ((1 - was) * now * after.weight).sum()
        return bool(lost - won > 2 * jnp.sqrt(lost + won))

    pairs = {"whole": (before.whole, after.whole), "cortex": (before.cortex, after.cortex)}
    found = [what for what, (was, now) in pairs.items() if by_more_than_chance(was, now)]
    if before.obeyed is not None and (after.obeyed is None or after.obeyed.sum() < before.obeyed.sum()):
        found.append("obeyed")
    return found


def known(verdict: Verdict, of: list[str]) -> float:
    """How much is known of these: the accuracies of the `whole` and the `cortex`, the share of rules `obeyed`."""
    rules = 0.0 if verdict.obeyed is None else float(verdict.obeyed.mean())
    shares = {"whole": verdict.accuracy(verdict.whole), "cortex": verdict.accuracy(verdict.cortex), "obeyed": rules}
    return sum(shares[what] for what in of)
