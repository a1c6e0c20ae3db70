"""Do it this way: `correct` a life and it obeys from the next call on; `undo` what was said last; ask it `why`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import amend, obey
from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS, Architecture
from dellm_jax.errors import CorrectionError
from dellm_jax.memory import lexicon, procedural, semantic
from dellm_jax.memory.procedural import NONE, Instance
from dellm_jax.mind import respond, respond_to
from dellm_jax.types import Array, Dellm, Experience, Mind, Report, Response

AS_IT_THOUGHT = -1
WEIGHT = 0.35  # of a corrected instance in semantic memory: errors lie at the borders of concepts, and would move them


def correct(
    mind: Mind,
    state: Dellm,
    experience: Experience,
    answer: str | None = None,
    general: bool = True,
    teacher: int = 0,
    when: int = 0,
) -> tuple[Dellm, Report]:
    """The same life, told that one `experience` (a batch of 1) is of the concept `experience.target`, and what to say.

    With a target of AS_IT_THOUGHT the concept is the one it takes it for now, and only the `answer` is new. An answer
    holds for the whole concept through every sense, unless it is not `general`: then for this instance. No step of
    learning is taken; the next `respond` obeys. `teacher` (who) and `when` (seconds) are kept with the rule.
    The report says at which place of procedural memory the rule is, and how many others it supersedes.
    Raises CorrectionError or ExperienceError, and the life stays as it was.
    """
    memory = _procedural(state)
    target = np.asarray(experience.target)
    if target.shape != (1,):
        raise CorrectionError(f"experience.target has shape {target.shape}; correct one instance at a time: shape (1,)")
    known = target[0] != AS_IT_THOUGHT
    experiences.validate(
        state.architecture, experience.replace(target=np.maximum(target, 0)) if not known else experience
    )
    if not known and answer is None:
        raise CorrectionError(
            "answer is missing, and experience.target says it was right; say what should be otherwise"
        )
    said = NONE
    if answer is not None:
        held, said = lexicon.add(state.memory.lexicon, answer, _needed(memory))
        state = state.replace(memory=state.memory.replace(lexicon=held))
    if known and amend.stale(state):
        state = amend.anew(mind, state)
    state, place, gone = _correct(
        mind,
        state,
        experience,
        bool(known),
        not known or _room(state, experience),
        jnp.int32(said),
        jnp.asarray(general),
        jnp.int32(teacher),
        jnp.uint32(when),
    )
    return state, {"rule": float(place), "superseded": float(gone)}


def _room(state: Dellm, experience: Experience) -> bool:
    """Whether semantic memory can take one more in without following: most of it then need not be copied."""
    memories = [state.memory.semantic[sense] for sense in experience.senses]
    return all(int(known.fill) < known.pending.shape[0] for known in memories)


@partial(jax.jit, static_argnums=(0, 3, 4))
def _correct(
    mind: Mind,
    state: Dellm,
    experience: Experience,
    known: bool,
    room: bool,
    answer: Array,
    general: Array,
    teacher: Array,
    when: Array,
) -> tuple[Dellm, Array, Array]:
    percepts = experiences.perceive(state.architecture, experience)
    features = obey.features_of(state, percepts)
    alike = obey.likeness(state, percepts, features)
    memory, semantics, homeostasis = state.memory.procedural, state.memory.semantic, state.homeostasis
    fast = state.memory.fast
    weight = jnp.zeros(())
    if known:
        concept = experience.target[0]
        fast = amend.edited(mind, state, percepts, features, concept)
        weight = jnp.where(homeostasis[CONCEPTS]["active"][concept] > 0, WEIGHT, 1.0)
        semantics = _told(
            state.architecture,
            semantics,
            percepts,
            experience.target,
            weight,
            semantic.gather if room else semantic.observe,
        )
        concepts = homeostasis[CONCEPTS]
        active = concepts["active"].at[concept].set(1.0)
        homeostasis = dict(homeostasis) | {CONCEPTS: concepts | {"active": active}}
    else:
        concept = obey.obeyed(state, percepts, respond_to(mind, state, percepts)).concept[0]
    codes, present = experiences.encode(state.architecture, experience)
    first = partial(jax.tree.map, lambda leaf: leaf[0])
    instance = Instance(first(codes), present[0], first(obey.sketches(features)), weight)
    before = (memory.standing == procedural.SUPERSEDED).sum()
    memory, place = procedural.teach(
        memory, instance, alike[0], state.hyper["radius"], concept, answer, general, teacher, when
    )
    gone = (memory.standing == procedural.SUPERSEDED).sum() - before
    held = state.memory.replace(procedural=memory, semantic=semantics, fast=fast)
    return state.replace(memory=held, homeostasis=homeostasis), place, gone


def _told(
    architecture: Architecture,
    semantics: dict[str, semantic.Semantic],
    percepts: experiences.Percepts,
    target: Array,
    weight: Array,
    how: Callable[..., semantic.Semantic],
) -> dict[str, semantic.Semantic]:
    """Semantic memory of every sense that is there after it observed one instance, or forgot it: `how`."""
    after = dict(semantics)
    for sense in architecture.senses:
        if sense.name in percepts.values:
            known = after[sense.name]
            features = sense.expand(known.filters, percepts.values[sense.name])
            there = percepts.presence.get(sense.name, jnp.ones((1,)))
            after[sense.name] = how(known, features, target, weight * there)
    return after


def undo(mind: Mind, state: Dellm) -> tuple[Dellm, Report]:
    """Without the correction that was given last: semantic memory forgets it, and what it superseded counts again.

    What nights taught the network by it stays: contradict it instead. Raises CorrectionError if there is none.
    """
    memory = _procedural(state)
    place = int(procedural.newest(memory))
    if place < 0:
        raise CorrectionError("there is no correction left to undo")
    retired = bool(memory.standing[place] == procedural.RETIRED)
    named = float(memory.weight[place]) > 0
    state = _undo(state, jnp.int32(place))
    return amend.anew(mind, state) if named else state, {"rule": float(place), "retired": float(retired)}


@jax.jit
def _undo(state: Dellm, place: Array) -> Dellm:
    memory, architecture = state.memory.procedural, state.architecture
    codes = {sense: known[place][None] for sense, known in memory.codes.items()}
    percepts = experiences.decode(architecture, codes, memory.present[place][None])
    semantics = _told(
        architecture,
        state.memory.semantic,
        percepts,
        memory.concept[place][None],
        memory.weight[place],
        semantic.forget,
    )
    return state.replace(memory=state.memory.replace(procedural=procedural.forget(memory, place), semantic=semantics))


def name(state: Dellm, names: dict[int, str]) -> Dellm:
    """The same life that calls concepts by these names. Raises CorrectionError on a concept there is no room for."""
    memory, held = _procedural(state), state.memory.lexicon
    named = np.array(memory.named)
    for concept, called in names.items():
        if not 0 <= concept < named.size:
            raise CorrectionError(f"names: concept {concept} is not between 0 and {named.size - 1}")
        held, named[concept] = lexicon.add(held, called, _needed(memory) | set(named.tolist()))
    memory = memory.replace(named=jnp.asarray(named))
    return state.replace(memory=state.memory.replace(procedural=memory, lexicon=held))


def said(state: Dellm, response: Response) -> list[str]:
    """What it says to each of a batch; empty where it knows no word."""
    return [lexicon.text(state.memory.lexicon, int(place)) for place in response.answer]


def because(state: Dellm, response: Response) -> str:
    """What the first of a batch is answered by: "instance" (a rule for it), "rule" (of its concept), "habit" or
    "knowledge"."""
    knowledge = "habit" if int(state.memory.procedural.habit[response.concept[0]]) >= 0 else "knowledge"
    return "instance" if response.likeness[0] > 0 else "rule" if response.rule[0] >= 0 else knowledge


def why(mind: Mind, state: Dellm, experience: Experience, most: int = 3) -> dict[str, Any]:
    """Why it answers as it does (a batch of 1): `because` of an "instance", a "rule", a "habit" or "knowledge".

    Beside it the `answer`; the `concept`, `likeness` and `confidence`; of a rule its `rule`, `teacher` and `when`; and
    the `most` probable concepts `by` each way of knowing, as (concept, probability).
    """
    memory = _procedural(state)
    response = jax.device_get(respond(mind, state, experience))
    rule, concept = int(response.rule[0]), int(response.concept[0])
    by = {}
    for expert, log_p in response.by.items():
        best = np.argsort(-log_p[0])[:most]
        by[expert] = [(int(c), float(np.exp(log_p[0, c]))) for c in best]
    evidence = {
        "answer": said(state, response)[0],
        "because": because(state, response),
        "concept": concept,
        "likeness": float(response.likeness[0]),
        "confidence": float(response.confidence[0]),
        "by": by,
    }
    if rule < 0:
        return evidence
    return evidence | {"rule": rule, "teacher": int(memory.teacher[rule]), "when": int(memory.when[rule])}


def _procedural(state: Dellm) -> procedural.Procedural:
    if state.memory.procedural is None:
        raise CorrectionError("this life cannot be corrected: architecture.rules is 0; give it room for rules at birth")
    return state.memory.procedural


def _needed(memory: procedural.Procedural) -> set[int]:
    """Places of the lexicon that rules, habits or names point at."""
    alive = np.asarray(memory.standing) != procedural.FREE
    return {
        *np.asarray(memory.answer)[alive].tolist(),
        *np.asarray(memory.habit).tolist(),
        *np.asarray(memory.named).tolist(),
    }
