"""What a life says of itself in words, and what of it may be shown."""

from typing import Any, NamedTuple

import numpy as np

from dellm_jax.architecture import CONCEPTS
from dellm_jax.conversation.turns import Names
from dellm_jax.memory import lexicon, procedural
from dellm_jax.senses import Text
from dellm_jax.types import Dellm

STANDING = {procedural.ALIVE: "alive", procedural.RETIRED: "retired", procedural.SUPERSEDED: "superseded"}


class Reply(NamedTuple):
    """What a turn came to: what was `heard` and `understood`, what it `did`; its `answer` (None: it has none), for
    which `concept` (-1: unknown), its `confidence`, `because` of what; after how many `ms`; and how far what came
    through several senses is in `conflict`, from 0 to 1."""

    heard: str
    understood: str
    did: str
    answer: str | None
    concept: int
    confidence: float
    because: str
    ms: float
    conflict: float = 0.0


class State(NamedTuple):
    """`phase`: listening, thinking or resting; of a night the `stage` that goes on and the `share` of stages behind."""

    phase: str
    stage: str = ""
    share: float = 0.0

    def __str__(self) -> str:
        return f"{self.phase}: {self.stage}, {self.share:.0%}" if self.stage else self.phase


def clean(text: str) -> str:
    """A text as it may be read: no NUL, which would end it, and no halves of surrogate pairs."""
    return text.replace("\0", " ").encode(errors="replace").decode()


def called(state: Dellm, concept: int) -> str:
    """The name of a concept, or its number."""
    name = lexicon.text(state.memory.lexicon, int(state.memory.procedural.named[concept]))
    return name or f"concept {concept}"


def names(state: Dellm) -> Names:
    """What concepts are called, and the first that is neither called anything nor alive."""
    texts, named = lexicon.texts(state.memory.lexicon), np.asarray(state.memory.procedural.named)
    free = np.flatnonzero((named < 0) & (np.asarray(state.homeostasis[CONCEPTS]["active"]) == 0))
    known = {texts[place].casefold(): concept for concept, place in enumerate(named) if place >= 0}
    return Names(known, int(free[0]) if free.size else -1)


def health(state: Dellm) -> dict[str, int]:
    """How old it is, and how much of its room is taken."""
    standing = np.asarray(state.memory.procedural.standing)
    return {
        "experiences": int(state.clock.experiences),
        "nights": int(state.clock.nights),
        "concepts": int((np.asarray(state.homeostasis[CONCEPTS]["active"]) > 0).sum()),
        "room_for_concepts": state.architecture.concepts,
        "corrections_alive": int((standing == procedural.ALIVE).sum()),
        "corrections_retired": int((standing == procedural.RETIRED).sum()),
        "room_for_corrections": int(standing.size),
    }


def concepts(state: Dellm) -> list[dict[str, Any]]:
    """Every concept that is known: its `name`, the `habit` that nights made of it, and how many `episodes` are kept."""
    habit = np.asarray(state.memory.procedural.habit)
    kept = np.asarray(state.memory.episodic.kept)
    return [
        {
            "concept": int(concept),
            "name": called(state, concept),
            "habit": lexicon.text(state.memory.lexicon, int(habit[concept])) or None,
            "episodes": int(kept[concept]),
        }
        for concept in np.flatnonzero(np.asarray(state.homeostasis[CONCEPTS]["active"]) > 0)
    ]


def rules(state: Dellm) -> list[dict[str, Any]]:
    """Every correction that is remembered, the newest first: what it was about, and what it says."""
    memory = state.memory.procedural
    standing, number, said = (np.asarray(leaf) for leaf in (memory.standing, memory.number, procedural.said(memory)))
    order = [place for place in np.argsort(-number) if standing[place] != procedural.FREE]
    return [
        {
            "number": int(number[place]),
            "place": int(place),
            "about": _about(state, int(place)),
            "concept": called(state, int(memory.concept[place])),
            "answer": lexicon.text(state.memory.lexicon, int(said[place])) or None,
            "general": bool(memory.general[place]),
            "standing": STANDING[int(standing[place])],
            "teacher": int(memory.teacher[place]),
            "when": int(memory.when[place]),
        }
        for place in order
    ]


def _about(state: Dellm, place: int) -> str:
    """The instance of a rule: the text, where there is one, else the senses it came through."""
    memory, there = state.memory.procedural, []
    for bit, sense in enumerate(state.architecture.senses):
        if int(memory.present[place]) >> bit & 1:
            if isinstance(sense, Text):
                return bytes(np.asarray(memory.codes[sense.name][place])).rstrip(b"\0").decode(errors="replace")
            there.append(sense.name)
    return " and ".join(there)
