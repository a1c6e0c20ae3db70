"""What is meant by what is said, in the light of what was said last. Pure functions; nothing here knows a life.

| said | meant |
| --- | --- |
| no, X | the last is X, where something is called so; else, if it was unknown, it is new, and called X; else do X |
| no, that is X | the last is X, new if need be |
| no | tell me what it is: what is said next is X |
| the other one | the last is what it would have been taken for second |
| yes | the last was right, and is lived |
| undo | the last correction counts no more |
| anything else | X, where it had asked what the last is (`never mind` drops it); else something to be answered |
"""

import re
from typing import NamedTuple

from dellm_jax.corrections import AS_IT_THOUGHT
from dellm_jax.errors import ConversationError
from dellm_jax.memory.lexicon import LONGEST
from dellm_jax.types import Experience

NO = r"(?:no|nope|wrong|that is wrong|that's wrong)"
IT_IS = r"(?:it is|it's|its|that is|that's|thats|this is) (?:called |an? )?"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


DENY = _pattern(rf"{NO}[.!]*")
CONFIRM = _pattern(r"(?:yes|yep|yeah|right|correct|that is right|that's right)[.!]*")
OTHER = _pattern(rf"(?:{NO}[,.;:!]? )?(?:i (?:mean|meant) )?(?:the )?other(?: one)?[.!]*")
NAMED = _pattern(rf"{NO}[,.;:!]? {IT_IS}(.+)")
INSTEAD = _pattern(rf"{NO}[,;:] ?(.+)")
SPOKEN = _pattern(r"(?:no|nope) (.+)")  # who transcribes leaves out commas: only where a name is known
CALLED = _pattern(rf"{IT_IS}(.+)")
UNDO = _pattern(r"(?:undo|undo that|take (?:that|it) back)[.!]*")
DROP = _pattern(r"(?:never ?mind|forget it|skip)[.!]*")


class Exchange(NamedTuple):
    """What was last perceived, how it is called, and whether it was `known`, as which `concept`; the `other` concept it
    would have been taken for second (-1: there is none)."""

    heard: str
    experience: Experience
    known: bool
    concept: int
    other: int


class Context(NamedTuple):
    """Where the conversation stands: the last exchange, and whether it was asked what that is."""

    last: Exchange | None = None
    asking: bool = False


class Names(NamedTuple):
    """What concepts are called, in small letters, and the first that is free (-1: there is no room)."""

    known: dict[str, int]
    free: int


class Ask(NamedTuple):
    """To be answered."""

    text: str


class Tell(NamedTuple):
    """A correction of the last: its `concept` (AS_IT_THOUGHT: only the `answer` is new); a new one has a `name`."""

    concept: int
    answer: str | None = None
    name: str | None = None


class Confirm(NamedTuple):
    """The last was right."""


class Wonder(NamedTuple):
    """The last was wrong, and it is not said how."""


class Undo(NamedTuple):
    """The last correction was wrong."""


class Drop(NamedTuple):
    """What the last is does not matter."""


Move = Ask | Tell | Confirm | Wonder | Undo | Drop


def meant(context: Context, text: str, names: Names) -> Move:
    """What to do about a text. Raises ConversationError where it is about something that is not there."""
    text = " ".join(text.split())
    if UNDO.fullmatch(text):
        return Undo()
    if DENY.fullmatch(text):
        _last(context)
        return Wonder()
    if context.last and CONFIRM.fullmatch(text):
        if not context.last.known:
            raise ConversationError("there is nothing to say yes to: the last is not known; say what it is")
        return Confirm()
    if context.last and OTHER.fullmatch(text):
        return other(context)
    if match := NAMED.fullmatch(text):
        return naming(context, match[1], names, new=True)
    if match := INSTEAD.fullmatch(text):
        return naming(context, match[1], names)
    if context.last and (match := SPOKEN.fullmatch(text)) and _called(match[1], names) is not None:
        return naming(context, match[1], names)
    if context.asking and DROP.fullmatch(text):
        return Drop()
    if context.asking:
        match = CALLED.fullmatch(text)
        return naming(context, match[1] if match else text, names, new=match is not None)
    return Ask(text)


def naming(context: Context, text: str, names: Names, new: bool = False) -> Tell:
    """The last is `text`; a name never heard is that of a `new` concept, or says what to do about one it knew."""
    text = text.strip().rstrip(".!") or text
    last, concept = _last(context), _called(text, names)
    if concept is not None and not (last.known and concept == last.concept):
        return Tell(concept)
    if concept is not None or (last.known and not new):
        return Tell(AS_IT_THOUGHT, answer=text)
    return Tell(_room(names, text), name=text)


def doing(context: Context, text: str, names: Names) -> Tell:
    """Do `text` about what the last is; what is unknown becomes a concept that is called as it was heard."""
    last = _last(context)
    if last.known:
        return Tell(AS_IT_THOUGHT, answer=text)
    if (concept := _called(last.heard, names)) is not None:
        return Tell(concept, answer=text)
    return Tell(_room(names, text), answer=text, name=last.heard if 0 < len(last.heard.encode()) <= LONGEST else text)


def other(context: Context) -> Tell:
    """The last is what it would have been taken for second."""
    last = _last(context)
    if last.other < 0:
        raise ConversationError("there is no other one: nothing else is known; say what it is")
    return Tell(last.other)


def _last(context: Context) -> Exchange:
    if context.last is None:
        raise ConversationError("nothing was said, seen or heard yet that this could be about; begin with that")
    return context.last


def _called(text: str, names: Names) -> int | None:
    return names.known.get(text.strip().casefold())


def _room(names: Names, text: str) -> int:
    if names.free < 0:
        raise ConversationError(
            f"there is no room for a new concept {text[:40]!r}: all are in use; raise architecture.concepts at birth, "
            "or name one that is known"
        )
    return names.free
