"""From one sense to another: what something would look, sound or read like, and which of many things goes with it."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.architecture import Sense
from dellm_jax.errors import ExperienceError
from dellm_jax.memory import semantic
from dellm_jax.mind import respond
from dellm_jax.types import Array, Dellm, Experience, Mind

MOST = 64  # episodes of a concept, drawn evenly from all of it, among which the most typical is looked for


class Recalled(NamedTuple):
    """Of a batch: the `percepts` [B, inputs] and `codes` [B, bytes] that come to mind (the bytes of a text are its
    letters), of which `concept` [B], how `sure` [B] of it, and whether there was anything to recall, `found` [B]."""

    percepts: Array
    codes: np.ndarray
    concept: np.ndarray
    sure: np.ndarray
    found: np.ndarray


def recall(mind: Mind, state: Dellm, experience: Experience, sense: str) -> Recalled:
    """What each of a batch would be like through `sense`: the most typical episode of what it is taken for.

    argmax over episodes x of c with that sense of log p(x | c) by semantic memory, c what is answered without looking
    at `sense` itself. Zero where no such episode was lived. Raises ExperienceError if this body has no such sense or
    no semantic memory of it, or if the experience has no other.
    """
    known = {one.name: one for one in state.architecture.senses}
    if sense not in known or sense not in state.memory.semantic:
        raise ExperienceError(f"sense is {sense!r}; expected one of {sorted(state.memory.semantic)}")
    others = {name: raw for name, raw in experience.senses.items() if name != sense}
    if not others:
        raise ExperienceError(
            f"experience.senses holds {sorted(experience.senses)}; expected a sense other than {sense!r} to begin from"
        )
    response = jax.device_get(respond(mind, state, experience.replace(senses=others)))
    codes = np.zeros((response.concept.size, known[sense].code_bytes), np.uint8)
    found = np.zeros(response.concept.size, bool)
    for concept in np.unique(response.concept):
        typical = _most_typical(state, int(concept), sense)
        if typical is not None:
            codes[response.concept == concept], found[response.concept == concept] = typical, True
    percepts = known[sense].decode(jnp.asarray(codes)) * found[:, None]
    return Recalled(percepts, codes, response.concept, response.confidence, found)


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

    By the chance that both are the same, sum_c p(c | query) p(c | thing), where either may come through any sense.
    """
    asked, there = (jnp.exp(respond(mind, state, some).log_probability) for some in (query, collection))
    return np.asarray(jnp.argsort(-asked @ there.T, axis=1, stable=True))
