"""REM: learning from what was never lived, drawn from imagery and checked by semantic memory."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import ScheduleError
from dellm_jax.memory import episodic, imagery
from dellm_jax.mind import respond_to
from dellm_jax.rest import gated
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.rest.replay import episodes, varied
from dellm_jax.types import Array, Dellm, Lesson, Mind, Report, Stage

SAMPLE = 512


def dream(
    rule: optax.GradientTransformationExtraArgs,
    steps: int,
    batch: int = 64,
    chunk: int = 50,
    rank: int = 30,
    blends: float = 0.0,
    agreement: float = 0.9,
    taught: float = 0.0,
) -> Stage:
    """`steps` updates by `rule` on `batch` examples: episodes, if there are any, and as many dreams.

    A dream is a concept seen, heard and read at once, each sense by itself: x = mean + sum_i eps_i deviation_i axis_i
    over the `rank` principal axes of the concept's latents, varied as in replay. A share `blends` of the dreams are
    hypotheses: two concepts mixed, x = lambda x_a + (1 - lambda) x_b, lambda ~ U(0.2, 0.8), which the evening's self
    names. A dream counts only where semantic memory agrees: that a dream is of its concept, and that a blend is what it
    was named, with a probability above `agreement`. Judged as replay is; a life without imagery does not dream.
    Source: class-conditional Gaussians (as in streaming LDA); a dream needs a checker (DreamCoder, Ellis et al., 2021).
    """
    chunk = gated.chunks("dream", steps, batch, chunk)
    for name, share in (("blends", blends), ("agreement", agreement)):
        if not 0 <= share <= 1:
            raise ScheduleError(f"dream has {name}={share}; expected a share from 0 to 1")
    learnt = gated.school(_material(batch, blends, agreement), rule, steps, chunk, taught)

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        if not state.memory.imagery:
            yield state, {}
            return
        for_quality, for_dreams = jax.random.split(key)
        likely = prepared(state, rank)
        quality = {k: float(v) for k, v in _quality(mind, state, likely, agreement, for_quality).items()}
        for woken, report in learnt(mind, state, likely, for_dreams):
            yield woken, report | quality

    return in_pieces(pieces)


@cache
def _material(batch: int, blends: float, agreement: float) -> gated.Material:
    return partial(_dreams_among_episodes, batch, blends, agreement)


@partial(jax.jit, static_argnums=1)
def prepared(state: Dellm, rank: int) -> dict[str, imagery.Gaussians]:
    """What every sense that has imagery dreams from: `rank` axes a concept, or as many as there are latents."""
    return {
        sense: imagery.gaussians(kept, min(rank, kept.total.shape[1])) for sense, kept in state.memory.imagery.items()
    }


def scenario(
    state: Dellm, likely: dict[str, imagery.Gaussians], concept: Array, other: Array, share: Array, key: Array
) -> experiences.Percepts:
    """Percepts of `concept` [B], mixed with those of `other` where `share` [B] is below 1; absent senses are zero."""
    values, presence = {}, {}
    for place, sense in enumerate(state.architecture.senses):
        there = sense.name in likely
        presence[sense.name] = jnp.full(concept.shape, float(there))
        values[sense.name] = jnp.zeros((concept.size, sense.inputs))
        if there:
            for_one, for_two = jax.random.split(jax.random.fold_in(key, place))
            one = imagery.dream(likely[sense.name], concept, for_one)
            two = imagery.dream(likely[sense.name], other, for_two)
            values[sense.name] = sense.depict(share[:, None] * one + (1 - share[:, None]) * two)
    return experiences.Percepts(values, presence if len(values) > 1 else {})


class Dreams(NamedTuple):
    """Percepts of B dreams; `concept` [B] that each began with, whether it is `blended` [B] with another; what it is
    `named` [B], which is what it teaches, and whether it `counts` [B]."""

    percepts: experiences.Percepts
    concept: Array
    blended: Array
    named: Array
    counts: Array


def checked(
    mind: Mind,
    state: Dellm,
    likely: dict[str, imagery.Gaussians],
    many: int,
    blends: float,
    agreement: float,
    key: Array,
) -> Dreams:
    """Dreams of all concepts that were ever perceived, drawn evenly, named and checked by the self of `state`."""
    for_concept, for_other, for_blend, for_share, for_scene = jax.random.split(key, 5)
    pictured = sum(kept.count for kept in state.memory.imagery.values()) > 0
    even = jnp.where(pictured & (state.homeostasis[CONCEPTS]["active"] > 0), 0.0, -jnp.inf)
    concept = jax.random.categorical(for_concept, even, shape=(many,))
    other = jax.random.categorical(for_other, even, shape=(many,))
    blended = jax.random.uniform(for_blend, (many,)) < blends
    share = jnp.where(blended, jax.random.uniform(for_share, (many,), minval=0.2, maxval=0.8), 1.0)
    percepts = scenario(state, likely, concept, other, share, for_scene)
    response = respond_to(mind, state, percepts)
    named = jnp.where(blended, response.concept, concept)
    known = [response.by[sense] for sense in state.memory.semantic if sense in response.by]
    if known:
        meant = jax.nn.softmax(sum(known))
        sure = jnp.take_along_axis(meant, named[:, None], axis=1)[:, 0] > agreement
        counts = jnp.where(blended, sure, meant.argmax(1) == named)
    else:
        counts = ~blended
    return Dreams(percepts, concept, blended, named, counts)


def _dreams_among_episodes(
    batch: int, blends: float, agreement: float, mind: Mind, state: Dellm, likely: Any, key: Array
) -> tuple[experiences.Percepts, Lesson]:
    for_episodes, for_dreams, for_view = jax.random.split(key, 3)
    lived = episodic.capacity(state.memory.episodic) > 0
    many = batch - batch // 2 if lived else batch
    dreams = checked(mind, state, likely, many, blends, agreement, for_dreams)
    percepts = varied(state, dreams.percepts, for_view)
    lesson = Lesson(
        jnp.zeros((many, state.architecture.concepts)),
        dreams.named,
        dreams.counts.astype(jnp.float32),
        jnp.zeros((many,)),
        state.clock.nights.astype(jnp.float32),
    )
    if not lived or batch == many:
        return percepts, lesson
    recalled, of_recalled = episodes(batch - many)(mind, state, None, for_episodes)
    together = partial(jax.tree.map, lambda a, b: jnp.concatenate([a, b]))
    # What an episode was once answered with does not exist for a dream: labels and beliefs teach at night.
    of_recalled = of_recalled.replace(taught=None)
    joined = together(lesson.replace(nights=jnp.zeros(0)), of_recalled.replace(nights=jnp.zeros(0)))
    return together(percepts, recalled), joined.replace(nights=lesson.nights)


@partial(jax.jit, static_argnums=0)
def _quality(mind: Mind, state: Dellm, likely: Any, agreement: Array, key: Array) -> Report:
    """Of a sample of dreams: `coherence`, how many semantic memory, which learned from real life alone, names as meant;
    `diversity`, their variance around the concept's mean relative to that of what was lived; `acceptance` of blends."""
    for_plain, for_blend, for_spread = jax.random.split(key, 3)
    plain = checked(mind, state, likely, SAMPLE, 0.0, 0.0, for_plain)
    blends = checked(mind, state, likely, SAMPLE, 1.0, agreement, for_blend)

    def spread(sense: str, of: imagery.Gaussians) -> Array:
        apart = ((imagery.dream(of, plain.concept, for_spread) - of.mean[plain.concept]) ** 2).sum(1).mean()
        return apart / jnp.maximum(imagery.variance(state.memory.imagery[sense])[plain.concept].mean(), 1e-9)

    return {
        "coherence": plain.counts.mean(),
        "diversity": jnp.stack([spread(sense, of) for sense, of in likely.items()]).mean(),
        "acceptance": blends.counts.mean(),
    }
