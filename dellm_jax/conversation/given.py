"""What is said, shown or played, as an experience of one; and the least that must be compiled before a turn."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from dellm_jax import mind as laws
from dellm_jax.acts import experience_payload, moment
from dellm_jax.architecture import Architecture
from dellm_jax.conversation.familiar import familiarity, limits
from dellm_jax.conversation.turns import Exchange, Tell
from dellm_jax.corrections import AS_IT_THOUGHT, correct, undo
from dellm_jax.errors import ConversationError, DellmError, ExperienceError
from dellm_jax.persistence import Payload
from dellm_jax.senses import Text
from dellm_jax.types import Dellm, Experience, Mind


def read(architecture: Architecture, text: str) -> Experience:
    """As much of a text as can be read, in whole characters. Raises ExperienceError: it is empty, or nothing reads."""
    sense = _reader(architecture)
    if sense is None:
        have = [sense.name for sense in architecture.senses]
        raise ExperienceError(
            f"this body cannot read: it has {have}; show or play it something, and correct it in words"
        )
    raw = text[: sense.width].encode()[: sense.width].decode(errors="ignore").encode()
    if not raw:
        raise ExperienceError("the text is empty; say something")
    return _one({sense.name: np.frombuffer(raw.ljust(sense.width, b"\0"), np.uint8)})


def perceived(architecture: Architecture, text: str, **senses: Any) -> Experience:
    """Files, or (samples, rate), by the sense they are for, and the `text` that came with them, if it can be read.

    Raises ConversationError where what reads files is not installed, and what that raises.
    """
    try:
        from dellm_jax.media import experience_from
    except ImportError as error:
        raise ConversationError("pictures and sounds need dellm_jax.media, which is not installed here") from error
    reader = _reader(architecture)
    written = {reader.name: text} if reader and text else {}
    return experience_from(architecture, **written, **senses).replace(weight=np.ones(1, np.float32))


def _reader(architecture: Architecture) -> Text | None:
    return next((sense for sense in architecture.senses if isinstance(sense, Text)), None)


def alone(experience: Experience) -> Experience:
    """The same, if it is one. Raises ExperienceError."""
    if np.shape(experience.target) != (1,):
        raise ExperienceError(f"experience.target has shape {np.shape(experience.target)}; give one at a time: (1,)")
    return experience


def correction(move: Tell, last: Exchange, when: int, teacher: int) -> Payload:
    """What is written down of a correction of the `last` by a `teacher` in a conversation, at `when`, in seconds.

    That it is what it was taken for is written down as what that was: whoever does this again may think otherwise.
    """
    meta = {"answer": move.answer, "name": move.name, "general": True, "teacher": teacher, "when": when % (1 << 32)}
    meta |= {"taken_for": last.concept} if move.concept == AS_IT_THOUGHT else {}
    return experience_payload(last.experience.replace(target=np.int32([move.concept])), **meta)


def lived(experience: Experience, target: int) -> Payload:
    """What is written down of an experience that was confirmed."""
    return experience_payload(experience.replace(target=np.int32([target])), batch=1)


def file(path: str | Path) -> Path:
    """A file that is there. Raises ConversationError."""
    path = Path(path).expanduser()
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name that is too long, or with NUL in it
        there = False
    if not there:
        raise ConversationError(f"there is no file {str(path)!r}; check the path")
    return path


def example(architecture: Architecture, senses: tuple[str, ...]) -> Experience:
    """Something that comes through these senses."""
    known = {sense.name: sense for sense in architecture.senses}
    return _one({name: np.ones(known[name].raw_shape, known[name].raw_dtype) for name in senses})


def prepare(mind: Mind, state: Dellm, forms: list[tuple[str, ...]]) -> None:
    """Compile what a turn needs through these sets of senses: answer, learn, correct, undo. Changes nothing."""
    least = limits(state)
    following = {
        sense: known.replace(fill=known.fill * 0 + known.pending.shape[0])
        for sense, known in state.memory.semantic.items()
    }
    full = state.replace(memory=state.memory.replace(semantic=following))
    for senses in forms:
        one = example(state.architecture, senses)
        response = laws.respond(mind, state, one)
        jax.block_until_ready((familiarity(state, one, response.concept, least), moment(mind, state, one)))
        for life, target in ((state, 0), (full, 0), (state, AS_IT_THOUGHT)):
            try:
                told, _ = correct(mind, life, one.replace(target=np.int32([target])), "...")
                jax.block_until_ready(undo(mind, told)[0])
            except DellmError:  # no room left: then there is nothing to compile for
                return


def _one(senses: dict[str, np.ndarray]) -> Experience:
    return Experience({name: raw[None] for name, raw in senses.items()}, np.zeros(1, np.int32), np.ones(1, np.float32))
