"""From one sense to another: what something would look, sound or read like, and which of many things goes with it."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.agreement import belief, beliefs
from dellm_jax.architecture import CONCEPTS, Sense
from dellm_jax.errors import ExperienceError
from dellm_jax.experience import decode, perceive
from dellm_jax.memory import moments, semantic
from dellm_jax.memory.belief import belong
from dellm_jax.mind import respond
from dellm_jax.types import Array, Dellm, Experience, Mind

MOST = 64  # episodes of a concept, drawn evenly from all of it, among which the most typical is looked for
MOMENTS = 512  # moments that nobody named, drawn evenly from all of them, among which the most fitting is looked for


class Recalled(NamedTuple):
    """Of a batch: the `percepts` [B, inputs] and `codes` [B, bytes] that come to mind (the bytes of a text are its
    letters), of which `concept` [B] (-1: nobody named it), how `sure` [B] of it, and whether there was anything to
    recall, `found` [B]."""

    percepts: Array
    codes: np.ndarray
    concept: np.ndarray
    sure: np.ndarray
    found: np.ndarray


def recall(mind: Mind, state: Dellm, experience: Experience, sense: str) -> Recalled:
    """What each of a batch would be like through `sense`: the most typical episode of what it is taken for.

    argmax over episodes x of c with that sense of log p(x | c) by semantic memory, c what is answered without looking
    at `sense` itself. Of a life that binds its senses, and was told no name yet: the moment whose `sense` belongs with
    it most, surely as far as p(both) / (p(one) p(other)) is 1 or more. Zero where there is no such episode. Raises
    ExperienceError if this body has no such sense or no semantic memory of it, or if the experience has no other.
    """
    known = {one.name: one for one in state.architecture.senses}
    if sense not in known or sense not in state.memory.semantic:
        raise ExperienceError(f"sense is {sense!r}; expected one of {sorted(state.memory.semantic)}")
    others = {name: raw for name, raw in experience.senses.items() if name != sense}
    if not others:
        raise ExperienceError(
            f"experience.senses holds {sorted(experience.senses)}; expected a sense other than {sense!r} to begin from"
        )
    if _nameless(state):
        return _recall_unnamed(state, experience.replace(senses=others), known[sense])
    response = jax.device_get(respond(mind, state, experience.replace(senses=others)))
    codes = np.zeros((response.concept.size, known[sense].code_bytes), np.uint8)
    found = np.zeros(response.concept.size, bool)
    for concept in np.unique(response.concept):
        typical = _most_typical(state, int(concept), sense)
        if typical is not None:
            codes[response.concept == concept], found[response.concept == concept] = typical, True
    percepts = known[sense].decode(jnp.asarray(codes)) * found[:, None]
    return Recalled(percepts, codes, response.concept, response.confidence, found)


def _nameless(state: Dellm) -> bool:
    """Whether what this life knows is what goes together, and no name of anything."""
    return state.memory.binding is not None and not (np.asarray(state.homeostasis[CONCEPTS]["active"]) > 0).any()


def _recall_unnamed(state: Dellm, experience: Experience, sense: Sense) -> Recalled:
    codes, sure = jax.device_get(_most_fitting(state, experience, sense))
    percepts = sense.decode(jnp.asarray(codes)) * (sure > 0)[:, None]
    return Recalled(percepts, codes, np.full(sure.size, -1), sure, sure > 0)


@partial(jax.jit, static_argnums=2)
def _most_fitting(state: Dellm, experience: Experience, sense: Sense) -> tuple[Array, Array]:
    """Codes [B, bytes] of the remembered moments that belong most with an experience, and how sure that is [B]."""
    codes, present = moments.some(state.memory.binding.moments, MOMENTS)
    percepts = decode(state.architecture, codes, present)
    there = percepts.presence[sense.name]
    ratio = belong(belief(state, perceive(state.architecture, experience)), beliefs(state, percepts)[sense.name])
    best = jnp.where(there > 0, ratio, -jnp.inf).argmax(1)
    sure = jnp.exp(jnp.minimum(ratio[jnp.arange(best.size), best], 0)) * there[best]
    return codes[sense.name][best] * (sure > 0)[:, None].astype(jnp.uint8), sure


def _most_typical(state: Dellm, concept: int, sense: str) -> np.ndarray | None:
    """The code of the episode that semantic memory finds most like its concept; None if there is none."""
    memory, senses = state.memory.episodic, state.architecture.senses
    start, kept = int(memory.start[concept]), int(memory.kept[concept])
    slots = np.arange(start, start + kept) if start >= 0 else np.zeros(0, int)
    place = [one.name for one in senses].index(sense)
    if memory.present.size:
        slots = slots[(np.asarray(memory.present)[slots] >> place & 1) > 0]
    if not slots.size:
        return None
    slots = slots[np.linspace(0, slots.size - 1, MOST).astype(int)]  # one shape, whatever there is: compiled once
    codes = memory.codes[sense][slots]
    likely = _likelihood(state.memory.semantic[sense], senses[place], codes, concept)
    return np.asarray(codes[int(likely.argmax())])


@partial(jax.jit, static_argnums=1)
def _likelihood(known: semantic.Semantic, sense: Sense, codes: Array, concept: int) -> Array:
    return semantic.log_evidence(known, sense.expand(known.filters, sense.decode(codes)))[:, concept]


def retrieve(mind: Mind, state: Dellm, query: Experience, collection: Experience) -> np.ndarray:
    """Which things of a collection [N] go with each query [B], best first: places [B, N].

    By the chance that both are the same, sum_c p(c | query) p(c | thing), where either may come through any sense. Of
    a life that binds its senses, and was told no name yet: by p(both) / (p(query) p(thing)).
    """
    if _nameless(state):
        return np.asarray(_fitting(state, query, collection))
    asked, there = (jnp.exp(respond(mind, state, some).log_probability) for some in (query, collection))
    return np.asarray(jnp.argsort(-asked @ there.T, axis=1, stable=True))


@jax.jit
def _fitting(state: Dellm, query: Experience, collection: Experience) -> Array:
    asked, there = (belief(state, perceive(state.architecture, some)) for some in (query, collection))
    return jnp.argsort(-belong(asked, there), axis=1, stable=True)
