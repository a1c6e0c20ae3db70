"""What can be done to a life, written down as it is done, so that doing it again gives the same life bit for bit."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from dellm_jax import corrections
from dellm_jax import mind as laws
from dellm_jax.errors import CorrectionError, ExperienceError, JournalError
from dellm_jax.experience import validate
from dellm_jax.persistence import Payload, Record
from dellm_jax.persistence.faults import fault
from dellm_jax.trees import finite
from dellm_jax.types import Dellm, Experience, Mind, Report

Act = Callable[[Mind, Dellm, Payload], tuple[Dellm, Report]]
moment = jax.jit(laws.awake_step, static_argnums=0)  # donates nothing: what it was is there still if this goes wrong
all_finite = jax.jit(finite)
SENSE = "senses/"


def experience_payload(experience: Experience, **meta: Any) -> Payload:
    """An experience [B, ...] as it is written down, and whatever else belongs to the act."""
    senses = {f"{SENSE}{name}": raw for name, raw in experience.senses.items()}
    rest = {"target": experience.target, "weight": experience.weight, "value": experience.value}
    arrays = senses | {name: leaf for name, leaf in rest.items() if leaf is not None}
    return Payload(meta, {name: np.asarray(leaf) for name, leaf in arrays.items()})


def experience_of(payload: Payload) -> Experience:
    """The experience in a payload. Raises ExperienceError if there is none."""
    arrays = dict(payload.arrays)
    senses = {name.removeprefix(SENSE): arrays.pop(name) for name in list(arrays) if name.startswith(SENSE)}
    if not {"target", "weight"} <= arrays.keys() <= {"target", "weight", "value"}:
        raise ExperienceError(f"payload.arrays holds {sorted(payload.arrays)}; expected senses/*, target and weight")
    return Experience(senses, arrays["target"], arrays["weight"], arrays.get("value"))


def moments(experience: Experience, batch: int) -> Iterator[Experience]:
    """Experiences [B, ...] in batches of `batch` exactly, the last filled up with weight 0: one shape, one program."""
    many = len(experience.target)
    for start in range(0, many, batch):
        missing = max(start + batch - many, 0)

        def part(leaf: Any, start: int = start, missing: int = missing) -> np.ndarray:
            leaf = np.asarray(leaf)[start : start + batch]
            return np.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))

        yield jax.tree.map(part, experience)


def live_through(mind: Mind, state: Dellm, payload: Payload) -> tuple[Dellm, Report]:
    """The act "experience": live [B, ...] in moments of meta["batch"]; the report is a mean over what was lived.

    Raises ExperienceError on what must not be learned from.
    """
    experience = experience_of(payload)
    batch = payload.meta.get("batch")
    if type(batch) is not int or not 1 <= batch <= state.architecture.semantic_chunk:
        most = state.architecture.semantic_chunk
        raise ExperienceError(f"payload.meta['batch'] is {batch!r}; expected 1 to {most} (semantic_chunk)")
    if np.ndim(experience.target) != 1:
        raise ExperienceError(f"experience.target has shape {np.shape(experience.target)}; expected [B], not a stretch")
    validate(state.architecture, experience)
    lived, sums = 0, {}
    for part in moments(experience, batch):
        state, report = moment(mind, state, part)
        report = {what: float(value) for what, value in jax.device_get(report).items()}
        many = report.pop("lived")
        lived += many
        sums = {what: sums.get(what, 0.0) + many * value for what, value in report.items()}
    return state, {what: total / max(lived, 1) for what, total in sums.items()} | {"lived": lived}


def evening(mind: Mind, state: Dellm, payload: Payload) -> tuple[Dellm, Report]:
    """The act "rest": a night begins. What comes of it is in the snapshot that ends it, or nowhere."""
    del mind, payload
    return state, {}


def taught(mind: Mind, state: Dellm, payload: Payload) -> tuple[Dellm, Report]:
    """The act "correct": `corrections.correct` with meta "answer", "general", "teacher" and "when", all of them there.

    With a meta "name" the concept, `target`, is called so from now on; with "taken_for", what it was taken for is not
    asked again: a night may have changed its mind by the time that this is done again. Raises CorrectionError,
    ExperienceError.
    """
    experience, meta = experience_of(payload), dict(payload.meta)
    called = _meta(meta, "name", str) if meta.get("name") is not None else None
    answer = _meta(meta, "answer", str) if meta.get("answer") is not None else None
    general, teacher, when = _meta(meta, "general", bool), _meta(meta, "teacher", int), _meta(meta, "when", int)
    if not 0 <= teacher < 1 << 31 or not 0 <= when < 1 << 32:
        raise CorrectionError(f"payload.meta: teacher {teacher}, when {when}; expected 31 and 32 bits, 0 or more")
    if called is not None:
        state = corrections.name(state, {int(target): called for target in experience.target})
    taken_for = _meta(meta, "taken_for", int) if "taken_for" in meta else corrections.AS_IT_THOUGHT
    return corrections.correct(mind, state, experience, answer, general, teacher, when, taken_for)


def untaught(mind: Mind, state: Dellm, payload: Payload) -> tuple[Dellm, Report]:
    """The act "undo": `corrections.undo`. Raises CorrectionError."""
    del payload
    return corrections.undo(mind, state)


def named(mind: Mind, state: Dellm, payload: Payload) -> tuple[Dellm, Report]:
    """The act "name": `corrections.name` with meta "names", {concept in digits: name}. Raises CorrectionError."""
    del mind
    names = _meta(dict(payload.meta), "names", dict)
    if not all(place.isascii() and place.isdigit() and isinstance(said, str) for place, said in names.items()):
        raise CorrectionError("payload.meta['names']: expected texts by the numbers of concepts, written in digits")
    return corrections.name(state, {int(place): said for place, said in names.items()}), {"named": float(len(names))}


def _meta(meta: dict[str, Any], what: str, kind: type) -> Any:
    if type(meta.get(what)) is not kind:
        raise CorrectionError(f"payload.meta[{what!r}] is {meta.get(what)!r:.80}; expected {kind.__name__}")
    return meta[what]


ACTS: Mapping[str, Act] = {
    "experience": live_through,
    "rest": evening,
    "correct": taught,
    "undo": untaught,
    "name": named,
}


def do(acts: Mapping[str, Act], mind: Mind, state: Dellm, kind: str, payload: Payload) -> tuple[Dellm, Report]:
    """One act -> the life after it, and its report. Raises JournalError on an unknown kind or a life that is spoilt."""
    if kind not in acts:
        raise fault(f"act {kind!r}", f"one of {sorted(acts)}", "another", "open the life with acts={...}", JournalError)
    after, report = acts[kind](mind, state, payload)
    if after is not state and not bool(all_finite(after)):
        fix = "nothing was learned from it; give it other values"
        raise fault(f"act {kind!r}", "a life of finite numbers", "NaN or infinity", fix, JournalError)
    return after, report


def replay(acts: Mapping[str, Act], mind: Mind, state: Dellm, records: Iterable[Record]) -> Dellm:
    """The life after these acts, bit for bit as it was on the same machine. Raises what the acts raise."""
    for record in records:
        state, _ = do(acts, mind, state, record.kind, record.payload)
    return state
