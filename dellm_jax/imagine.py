"""What if: a scenario is lived on a copy of the self, and what would change is told; the life itself is not touched."""

import jax
import jax.numpy as jnp

from dellm_jax.experience import validate
from dellm_jax.memory import episodic
from dellm_jax.mind import awake, respond
from dellm_jax.rest.judge import judge
from dellm_jax.trees import copy
from dellm_jax.types import Dellm, Experience, Mind, Report


def imagine(mind: Mind, state: Dellm, scenario: Experience) -> tuple[Dellm, Report]:
    """The self that would have lived `scenario` [T, B, ...], and what it would be: `state` stays as it is.

    The report: `known_before` and `known_after`, the share of the scenario's experiences that the whole names;
    `confidence_before` and `confidence_after`, its mean confidence; and, of a life that holds episodes out,
    `held_out_before` and `held_out_after`, the share of them that it answers rightly.
    Raises ExperienceError if the scenario is not fit to be lived.
    """
    validate(state.architecture, scenario)
    other, _ = awake(mind, copy(state), scenario)
    report = {}
    for when, self in (("before", state), ("after", other)):
        known, confidence = _known(mind, self, scenario)
        report |= {f"known_{when}": known, f"confidence_{when}": confidence}
        if episodic.judges(state.memory.episodic):
            verdict = judge(mind, self)
            report[f"held_out_{when}"] = verdict.accuracy(verdict.whole)
    return other, report


def _known(mind: Mind, state: Dellm, scenario: Experience) -> tuple[float, float]:
    """Share of a stretch that the whole names, and its mean confidence; what weighs nothing does not count."""
    responses = jax.lax.map(lambda moment: respond(mind, state, moment), scenario)
    weight = jnp.asarray(scenario.weight)
    many = jnp.maximum(weight.sum(), 1e-6)
    right = (responses.concept == scenario.target) * weight
    return float(right.sum() / many), float((responses.confidence * weight).sum() / many)
