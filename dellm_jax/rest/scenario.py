"""Scenarios that never came: concepts pictured in every sense, blended, kept in one sense and dreamt anew in others."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import ExperienceError
from dellm_jax.memory import episodic, imagery
from dellm_jax.mind import respond_to
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Mind

FEW = 4


def preparing(state: Dellm, rank: int) -> Iterator[dict[str, imagery.Gaussians]]:
    """What every sense that has imagery dreams from: `rank` axes a concept, or as many as there are latents.

    A few concepts at a time, because the axes of all take long; what is yielded last is whole.
    """
    likely: dict[str, imagery.Gaussians] = {}
    for sense, kept in state.memory.imagery.items():
        parts = []
        for first in range(0, kept.count.size, FEW):
            few = kept.replace(**{of: getattr(kept, of)[first : first + FEW] for of in ("count", "total", "gram")})
            parts.append(jax.block_until_ready(_gaussians(few, min(rank, kept.total.shape[1]))))
            yield likely
        mean, spread = (jnp.concatenate([part[which] for part in parts]) for which in (0, 1))
        likely[sense] = imagery.Gaussians(mean, spread, kept.lowest, kept.highest)
    yield likely


_gaussians = jax.jit(imagery.gaussians, static_argnums=1)


def prepared(state: Dellm, rank: int) -> dict[str, imagery.Gaussians]:
    """The same at once."""
    *_, likely = preparing(state, rank)
    return likely


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


class Associated(NamedTuple):
    """What another sense might have met: `percepts` [B, inputs], of which `concept` [B], and how `sure` [B] the whole
    self is of that concept, p(concept | what was perceived)."""

    percepts: Array
    concept: Array
    sure: Array


def associated(
    mind: Mind,
    state: Dellm,
    likely: dict[str, imagery.Gaussians],
    perceived: experiences.Percepts,
    sense: str,
    key: Array,
) -> Associated:
    """What `perceived` would be like through `sense`: c ~ p(c | perceived), then x ~ p(x | c) from imagery.

    The whole self names what was perceived, without looking at `sense` itself; concepts that `sense` never met are not
    dreamt of. Raises ExperienceError if `sense` has no imagery, or nothing else was perceived.
    Source: ancestral sampling through the posterior, as in multimodal generative models (Suzuki et al., 2016).
    """
    if sense not in likely:
        raise ExperienceError(
            f"sense is {sense!r}, which is not dreamt of; expected one of {sorted(likely)}: live with imagery=[{sense}]"
        )
    rest = experiences.Percepts(*({s: x for s, x in of.items() if s != sense} for of in perceived))
    if not rest.values:
        raise ExperienceError(
            f"perceived.values holds {sorted(perceived.values)}; expected a sense other than {sense!r} to begin from"
        )
    for_concept, for_dream = jax.random.split(key)
    pictured = (state.memory.imagery[sense].count > 0) & (state.homeostasis[CONCEPTS]["active"] > 0)
    log_p = respond_to(mind, state, rest).log_probability
    concept = jax.random.categorical(for_concept, jnp.where(pictured, log_p, -jnp.inf))
    sure = jnp.exp(jnp.take_along_axis(log_p, concept[:, None], axis=1)[:, 0])
    (depicts,) = (known for known in state.architecture.senses if known.name == sense)
    return Associated(depicts.depict(imagery.dream(likely[sense], concept, for_dream)), concept, sure)


class Lived(NamedTuple):
    """Episodes of which one sense is kept: their percepts, concept [B], which sense is `kept` {sense: [B] bool}, and
    whether they are `fit` [B] for it: there, of several senses, with another one to be dreamt."""

    values: dict[str, Array]
    concept: Array
    kept: dict[str, Array]
    fit: Array


def partly_lived(state: Dellm, likely: dict[str, imagery.Gaussians], many: int, key: Array) -> Lived:
    """`many` replayable episodes, of each one sense that was there, evenly drawn: a known voice for a new image."""
    for_recall, for_sense = jax.random.split(key)
    recalled = episodic.recall(state.memory.episodic, for_recall, many)
    values, presence = experiences.decode(state.architecture, recalled.codes, recalled.present)
    names = list(values)
    there = jnp.stack([presence.get(name, recalled.weight) for name in names], axis=1)
    place = jax.random.categorical(for_sense, jnp.log(there))
    kept = {name: place == own for own, name in enumerate(names)}
    pictured = {name: state.memory.imagery[name].count[recalled.target] > 0 for name in likely}
    dreamt = sum((pictured[name] & ~kept[name]).astype(jnp.int32) for name in likely)
    return Lived(values, recalled.target, kept, (recalled.weight > 0) & (there.sum(1) > 1) & (dreamt > 0))


def recombined(dreamt: experiences.Percepts, lived: Lived, chosen: Array) -> experiences.Percepts:
    """Where `chosen` [B], the kept sense of an episode as it was lived, beside what was dreamt of its other senses."""
    values, presence = {}, {}
    for sense, x in dreamt.values.items():
        kept = chosen & lived.kept[sense]
        values[sense] = jnp.where(kept[:, None], lived.values[sense], x)
        presence[sense] = jnp.where(kept, 1.0, dreamt.presence[sense])
    return experiences.Percepts(values, presence)


class Dreams(NamedTuple):
    """Percepts of B dreams; `concept` [B] that each began with, whether it is `blended` [B] with another; what it is
    `named` [B], which is what it teaches, whether it `counts` [B], and the `confidence` [B] of the whole self; whether
    it is `recombined` [B] of something lived."""

    percepts: experiences.Percepts
    concept: Array
    blended: Array
    named: Array
    counts: Array
    confidence: Array
    recombined: Array


def recombines(state: Dellm) -> bool:
    """Whether a life could keep a sense of an episode and dream another: it has several senses, and room for some."""
    return len(state.architecture.senses) > 1 and episodic.capacity(state.memory.episodic) > 0


def checked(
    mind: Mind,
    state: Dellm,
    likely: dict[str, imagery.Gaussians],
    many: int,
    blends: float,
    agreement: float,
    key: Array,
    share_recombined: float = 0.0,
) -> Dreams:
    """Dreams of all concepts that were ever perceived, drawn evenly, named and checked by the self of `state`.

    Of what is recombined the senses that were dreamt are checked, not the one that was lived.
    """
    for_concept, for_other, for_blend, for_share, for_scene = jax.random.split(key, 5)
    pictured = sum(kept.count for kept in state.memory.imagery.values()) > 0
    even = jnp.where(pictured & (state.homeostasis[CONCEPTS]["active"] > 0), 0.0, -jnp.inf)
    concept = jax.random.categorical(for_concept, even, shape=(many,))
    other = jax.random.categorical(for_other, even, shape=(many,))
    blended = jax.random.uniform(for_blend, (many,)) < blends
    chosen, lived = jnp.zeros((many,), bool), None
    if share_recombined > 0 and recombines(state):
        lived = partly_lived(state, likely, many, named_key(key, "episodes"))
        chosen = (jax.random.uniform(named_key(key, "recombined"), (many,)) < share_recombined) & lived.fit
        concept, blended = jnp.where(chosen, lived.concept, concept), blended & ~chosen
    share = jnp.where(blended, jax.random.uniform(for_share, (many,), minval=0.2, maxval=0.8), 1.0)
    percepts = scenario(state, likely, concept, other, share, for_scene)
    percepts = percepts if lived is None else recombined(percepts, lived, chosen)
    response = respond_to(mind, state, percepts)
    named = jnp.where(blended, response.concept, concept)
    known = {sense: response.by[sense] for sense in state.memory.semantic if sense in response.by}
    if lived is not None:
        known = {sense: jnp.where((chosen & lived.kept[sense])[:, None], 0.0, x) for sense, x in known.items()}
    if known:
        meant = jax.nn.softmax(sum(known.values()))
        sure = jnp.take_along_axis(meant, named[:, None], axis=1)[:, 0] > agreement
        counts = jnp.where(blended, sure, meant.argmax(1) == named)
    else:
        counts = ~blended
    return Dreams(percepts, concept, blended, named, counts, response.confidence, chosen)
