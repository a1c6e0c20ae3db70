"""How good tonight's dreams are, and what they say about telling the known from the unknown."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic, imagery
from dellm_jax.mind import respond_to
from dellm_jax.rest import novelty, topdown
from dellm_jax.rest.scenario import Dreams, checked, recombines
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Mind, Report

Likely = dict[str, imagery.Gaussians]
SAMPLE = 128


def quality(
    mind: Mind, state: Dellm, likely: Likely, agreement: float, recombining: bool, key: Array
) -> Iterator[Report]:
    """Of a sample of dreams, told bit by bit: `coherence`, how many semantic memory, which learned from real life only,
    names as meant; `diversity`, their variance around the concept's mean relative to that of what was lived;
    `acceptance` of blends; `recombined`, that of what is partly lived, if `recombining`; and, where episodes are left,
    `feedback_coherence`, that of what the feedback weights imagine, and what `_of_novelty` says.
    """
    plain, report = _of_plain(mind, state, likely, named_key(key, "plain"))
    yield _numbers(report)
    blends = _sample(mind, state, likely, 1.0, agreement, 0.0, named_key(key, "blends"))
    yield {"acceptance": float(blends.counts.mean())}
    if recombining and recombines(state):
        mixed = _sample(mind, state, likely, 0.0, agreement, 1.0, named_key(key, "recombined"))
        accepted = (mixed.counts & mixed.recombined).sum() / jnp.maximum(mixed.recombined.sum(), 1)
        yield {"recombined": float(accepted)}
    if not episodic.capacity(state.memory.episodic) or not state.memory.semantic:
        return
    if state.architecture.feedback:
        coherence = _of_feedback(mind, state, likely, plain.concept, named_key(key, "feedback"))
        yield {"feedback_coherence": float(coherence)}
    if episodic.judges(state.memory.episodic):
        yield _numbers(_of_novelty(mind, state, likely, plain, blends))


def _numbers(report: dict[str, Array]) -> Report:
    return {what: float(value) for what, value in report.items()}


@partial(jax.jit, static_argnums=(0, 5))
def _sample(
    mind: Mind, state: Dellm, likely: Likely, blends: Array, agreement: Array, recombined: float, key: Array
) -> Dreams:
    return checked(mind, state, likely, SAMPLE, blends, agreement, key, recombined)


@partial(jax.jit, static_argnums=0)
def _of_plain(mind: Mind, state: Dellm, likely: Likely, key: Array) -> tuple[Dreams, dict[str, Array]]:
    """Dreams that are neither blended nor recombined, their `coherence` and their `diversity`."""
    plain = checked(mind, state, likely, SAMPLE, 0.0, 0.0, key)

    def spread(sense: str, of: imagery.Gaussians) -> Array:
        drawn = imagery.dream(of, plain.concept, named_key(key, "spread"))
        apart = ((drawn - of.mean[plain.concept]) ** 2).sum(1).mean()
        return apart / jnp.maximum(imagery.variance(state.memory.imagery[sense])[plain.concept].mean(), 1e-9)

    diversity = jnp.stack([spread(sense, of) for sense, of in likely.items()]).mean()
    return plain, {"coherence": plain.counts.mean(), "diversity": diversity}


@partial(jax.jit, static_argnums=0)
def _of_feedback(mind: Mind, state: Dellm, likely: Likely, concept: Array, key: Array) -> Array:
    """Share of what the feedback weights imagine of `concept` [B] that semantic memory names so, by the same senses."""
    of_life = topdown.evoked(mind, state, named_key(key, "episodes"))
    imagined = topdown.imagined(mind, state, topdown.likely_activity(of_life, concept, key))
    return (topdown.meant(mind, state, {sense: imagined[sense] for sense in likely}) == concept).mean()


@partial(jax.jit, static_argnums=0)
def _of_novelty(mind: Mind, state: Dellm, likely: Likely, plain: Dreams, blends: Dreams) -> dict[str, Array]:
    """`novelty_threshold`, the confidence of the whole that parts dreams that were accepted from blends that were not,
    and `novelty_auroc`, how well confidence parts held-out episodes, through the senses dreamt of, from those blends.
    """
    recalled = episodic.held_out(state.memory.episodic, SAMPLE)
    real = experiences.decode(state.architecture, recalled.codes, recalled.present)
    asked = experiences.Percepts(*({sense: x for sense, x in of.items() if sense in likely} for of in real))
    there = jnp.stack([asked.presence.get(sense, jnp.ones_like(recalled.weight)) for sense in asked.values]).max(0)
    refused = (~blends.counts).astype(jnp.float32)
    confidence = respond_to(mind, state, asked).confidence
    accepted = plain.counts.astype(jnp.float32)
    return {
        "novelty_auroc": novelty.auroc(confidence, blends.confidence, recalled.weight * there, refused),
        "novelty_threshold": novelty.threshold(plain.confidence, blends.confidence, accepted, refused),
    }
