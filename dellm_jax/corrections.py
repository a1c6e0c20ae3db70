"""Do it this way: `correct` a life and it obeys from the next call on; `undo` what was said last; ask it `why`."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import amend, obey
from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import CorrectionError
from dellm_jax.memory import lexicon, procedural, semantic
from dellm_jax.memory.procedural import NONE, Instance, Saying
from dellm_jax.mind import respond, respond_to
from dellm_jax.types import LEAST_BORN, Array, Dellm, Experience, Mind, Report, Response

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
    taken_for: int = AS_IT_THOUGHT,
) -> tuple[Dellm, Report]:
    """The same life, told that one `experience` (a batch of 1) is of the concept `experience.target`, and what to say.

    With a target of AS_IT_THOUGHT the concept is what it was `taken_for`, or else is taken for now, and only the
    `answer` is new, which holds for the whole concept through every sense, unless it is not `general`: then for this
    instance. No step of learning is taken; the next `respond` obeys. `teacher` (who) and `when` (seconds) are kept with
    the rule. The report says at which place of procedural memory the `rule` is, how many others are `superseded`, and
    whether the oldest that counted is `forgotten`: there was no room.
    Raises CorrectionError or ExperienceError, and the life stays as it was.
    """
    memory = _procedural(state)
    target = np.asarray(experience.target)
    if target.shape != (1,):
        raise CorrectionError(f"experience.target has shape {target.shape}; correct one instance at a time: shape (1,)")
    known = target[0] != AS_IT_THOUGHT
    experiences.validate(state.architecture, experience.replace(target=target if known else np.zeros_like(target)))
    if not known and answer is None:
        raise CorrectionError("answer is missing, and experience.target says it was right; say what should change")
    if not AS_IT_THOUGHT <= taken_for < (room := state.architecture.concepts):
        raise CorrectionError(f"taken_for is {taken_for}; expected a concept, 0 to {room - 1}, or {AS_IT_THOUGHT}")
    said = NONE
    if answer is not None:
        held, said = lexicon.add(state.memory.lexicon, answer, _needed(memory))
        state = state.replace(memory=state.memory.replace(lexicon=held))
    if known and amend.stale(state):
        state = amend.anew(mind, state)
    saying = Saying(jnp.int32(taken_for), jnp.int32(said), jnp.asarray(general), jnp.int32(teacher), jnp.uint32(when))
    gathers, full = experience.senses if known else (), state.architecture.semantic_chunk
    state = _solved(state, gathers, full)  # it may have been lived to the brim
    state, report = _correct(mind, state, experience, bool(known), saying)
    state = _solved(state, gathers, full)
    return state, dict(zip(("rule", "superseded", "forgotten"), map(float, report), strict=True))


_solve = jax.jit(semantic.solve)


def _solved(state: Dellm, senses: Iterable[str], waiting: int) -> Dellm:
    """Semantic memory solved anew in those of the senses in which so many experiences wait to be absorbed.

    Awake it follows by a few steps only. Where concepts are many it is no slower to solve it, and a correction then
    speaks for more that is like it; where they are few this is one in a chunk of corrections.
    """
    known = state.memory.semantic
    due = {sense: _solve(known[sense]) for sense in senses if int(known[sense].fill) == waiting}
    return state.replace(memory=state.memory.replace(semantic=dict(known) | due)) if due else state


@partial(jax.jit, static_argnums=(0, 3))
def _correct(
    mind: Mind, state: Dellm, experience: Experience, known: bool, saying: Saying
) -> tuple[Dellm, tuple[Array, ...]]:
    percepts = experiences.perceive(state.architecture, experience)
    features = experiences.features_of(state, percepts)
    memory, semantics, homeostasis = state.memory.procedural, state.memory.semantic, state.homeostasis
    fast = state.memory.fast
    codes, present = experiences.encode(state.architecture, experience)
    codes, sketches = jax.tree.map(lambda leaf: leaf[0], (codes, obey.sketches(features)))
    concept = experience.target[0]
    if not known:
        now = obey.obeyed(state, percepts, respond_to(mind, state, percepts)).concept[0]
        concept = jnp.where(saying.concept >= 0, saying.concept, now)
    saying, instance = saying._replace(concept=concept), Instance(codes, present[0], sketches, jnp.zeros(()))
    again = procedural.repeated(memory, instance, saying)
    had = jnp.where(again >= 0, memory.weight[again], 0.0)  # what is said again was observed
    instance = instance._replace(weight=had)
    if known:
        concepts = homeostasis[CONCEPTS]
        weight = jnp.where(concepts["active"][concept] > 0, WEIGHT, 1.0) * (had == 0)
        semantics = _told(semantics, features, percepts.presence, experience.target, weight, semantic.gather)
        edited = amend.edited(mind, state, percepts, features, concept)
        fast = jax.tree.map(partial(jnp.where, had > 0), fast, edited)
        active = concepts["active"].at[concept].set(1.0)
        homeostasis = dict(homeostasis) | {CONCEPTS: concepts | {"active": active}}
        instance = instance._replace(weight=had + weight)
    alike = obey.likeness(state, percepts, features)[0]
    before = procedural.silenced(memory).sum()
    memory, place, lost = procedural.teach(memory, instance, alike, state.hyper["radius"], saying, again)
    gone = procedural.silenced(memory).sum() - before
    held = state.memory.replace(procedural=memory, semantic=semantics, fast=fast)
    return state.replace(memory=held, homeostasis=homeostasis), (place, gone, lost)


def _told(
    known: dict[str, semantic.Semantic],
    features: dict[str, Array],
    presence: dict[str, Array],
    target: Array,
    weight: Array,
    how: Callable[..., semantic.Semantic],
) -> dict[str, semantic.Semantic]:
    """Semantic memory of every sense that is there after it observed one instance, or forgot it: `how`."""
    there = {sense: presence.get(sense, jnp.ones((1,))) for sense in features}
    return dict(known) | {sense: how(known[sense], x, target, weight * there[sense]) for sense, x in features.items()}


def undo(mind: Mind, state: Dellm) -> tuple[Dellm, Report]:
    """Without the correction that was given last: semantic memory forgets it, and what it superseded counts again.

    A concept that it brought to life, and of which nothing else was learned, has never been: its place is free, and so
    is its name. What nights taught the network by it stays: contradict it instead. The report says at which place the
    `rule` was, whether it was `retired`, and whether its concept is `unborn`. Raises CorrectionError if there is none.
    """
    memory = _procedural(state)
    place = int(procedural.newest(memory))
    if place < 0:
        raise CorrectionError("there is no correction left to undo")
    retired = memory.standing[place] == procedural.RETIRED
    through = [sense.name for bit, sense in enumerate(state.architecture.senses) if memory.present[place] >> bit & 1]
    said = {int(memory.answer[place]), int(memory.named[memory.concept[place]])}
    of_a_concept = float(memory.weight[place]) > 0
    state, unborn = _undo(state, jnp.int32(place))
    idle = said - _needed(state.memory.procedural) - {NONE}
    state = state.replace(memory=state.memory.replace(lexicon=lexicon.drop(state.memory.lexicon, idle)))
    if of_a_concept:  # where nothing waits, the readout was of it too
        state = amend.anew(mind, _solved(state, through, 0))
    return state, {"rule": float(place), "retired": float(retired), "unborn": float(unborn)}


@jax.jit
def _undo(state: Dellm, place: Array) -> tuple[Dellm, Array]:
    memory, architecture = state.memory.procedural, state.architecture
    codes = {sense: known[place][None] for sense, known in memory.codes.items()}
    percepts = experiences.decode(architecture, codes, memory.present[place][None])
    features, concept = experiences.features_of(state, percepts), memory.concept[place]
    weight, known = memory.weight[place], state.memory.semantic
    semantics = _told(known, features, percepts.presence, concept[None], weight, semantic.forget)
    # A concept that lived already would have been told with less weight.
    own = (weight == 1) & (memory.standing[place] == procedural.ALIVE)
    unborn = own & procedural.alone(memory, place) & ~_learned(state, semantics, concept)
    concepts = state.homeostasis[CONCEPTS]
    active = concepts["active"].at[concept].multiply(1.0 - unborn)
    memory = procedural.forget(memory, place)
    memory = memory.replace(named=memory.named.at[concept].set(jnp.where(unborn, NONE, memory.named[concept])))
    return state.replace(
        memory=state.memory.replace(procedural=memory, semantic=semantics),
        homeostasis=dict(state.homeostasis) | {CONCEPTS: concepts | {"active": active}},
    ), unborn


def _learned(state: Dellm, semantics: dict[str, semantic.Semantic], concept: Array) -> Array:
    """Whether a concept was ever lived, or semantic memory holds more than rounding of it."""
    held = [known.count[concept] > 1e-3 for known in semantics.values()]
    return jnp.stack([*held, state.memory.episodic.seen[concept] > 0]).any()


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


def conflict(response: Response) -> np.ndarray:
    """How far the senses of a batch [B] are in conflict, from 0 to 1; 0 where a life cannot tell."""
    return np.zeros(np.shape(response.concept)) if response.conflict is None else np.asarray(response.conflict)


def why(mind: Mind, state: Dellm, experience: Experience, most: int = 3) -> dict[str, Any]:
    """Why it answers as it does (a batch of 1): `because` of an "instance", a "rule", a "habit" or "knowledge".

    Beside it the `answer`; the `concept`, `likeness` and `confidence`; the `conflict` between its senses; of a rule its
    `rule`, `teacher` and `when`; and the `most` probable concepts `by` each way of knowing, as (concept, probability).
    """
    memory = _procedural(state)
    response = jax.device_get(respond(mind, state, experience))
    rule, concept = int(response.rule[0]), int(response.concept[0])
    by = {}
    for expert, log_p in response.by.items():
        if expert == "corrections" and not np.ptp(log_p[0][log_p[0] > LEAST_BORN]):
            continue  # nothing that is alike was corrected
        best = np.argsort(-log_p[0])[:most]
        by[expert] = [(int(c), float(np.exp(log_p[0, c]))) for c in best]
    evidence = {
        "answer": said(state, response)[0],
        "because": because(state, response),
        "concept": concept,
        "likeness": float(response.likeness[0]),
        "confidence": float(response.confidence[0]),
        "conflict": float(conflict(response)[0]),
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
