"""What a life makes of something, and whether it knows it; what it acknowledges in words. Pure functions."""

from typing import Any, NamedTuple

import jax
import numpy as np

from dellm_jax import corrections
from dellm_jax.architecture import CONCEPTS
from dellm_jax.conversation.familiar import familiarity
from dellm_jax.conversation.turns import Exchange, Tell
from dellm_jax.conversation.words import called, rules
from dellm_jax.corrections import AS_IT_THOUGHT
from dellm_jax.types import Array, Dellm, Experience, Mind, Report, Response

DOUBT = 0.3  # less confident than this, it asks
DISPUTED = 0.5  # of conflict between its senses; more than this, it says so


class Thought(NamedTuple):
    """The exchange that it makes, the `answer` (None: there is none), how `confident` it is, `because` of what, and how
    far its senses are in `conflict`."""

    exchange: Exchange
    answer: str | None
    confidence: float
    because: str
    conflict: float


def thought(state: Dellm, heard: str, experience: Experience, response: Response, limits: dict[str, Array]) -> Thought:
    """What a `response` to one `experience` comes to.

    It is known if it is like the instance of a rule; or if what it is taken for is alive, believed with DOUBT or more,
    and familiar within the `limits` of `familiar`.
    """
    born = np.flatnonzero(np.asarray(state.homeostasis[CONCEPTS]["active"]) > 0)
    concept, confidence = int(response.concept[0]), float(response.confidence[0])
    known = bool(born.size) and (
        bool(response.likeness[0] > 0)
        or (confidence >= DOUBT and bool(familiarity(state, experience, response.concept, limits)[0] >= 0))
    )
    ranked = born[np.argsort(-response.log_probability[0, born])]
    others = [int(other) for other in ranked if other != concept or not known]
    exchange = Exchange(heard, experience, known, concept, others[0] if others else -1)
    answer = corrections.said(state, jax.tree.map(np.asarray, response))[0] or None
    conflict = float(corrections.conflict(response)[0])
    return Thought(exchange, answer, confidence, corrections.because(state, response), conflict)


def understood(state: Dellm, what: Thought) -> str:
    """As what it takes it, and whether its senses tell it otherwise."""
    told = "; what came together does not belong together" if what.conflict > DISPUTED else ""
    if what.exchange.known:
        return called(state, what.exchange.concept) + told
    perhaps = f"; perhaps {called(state, what.exchange.other)}" if what.exchange.other >= 0 else ""
    return f"nothing that I know{perhaps}{told}"


def promise(state: Dellm, move: Tell, taken_for: int, report: Report) -> str:
    """What will be done from now on, and how far that reaches, after a correction of what was `taken_for` a concept."""
    concept = taken_for if move.concept == AS_IT_THOUGHT else move.concept
    name, many = called(state, concept), int(state.memory.episodic.kept[concept])
    all_of_it = f"everything taken for {name}" + (f", such as {many} remembered" if many else "")
    if move.concept == AS_IT_THOUGHT:
        did = f"from now on: {move.answer}; applies to {all_of_it}"
    else:
        new = "a new thing, " if move.name else ""
        did = f"from now on this is {new}{name}; applies to this and what is very like it"
        did += f": {move.answer}; that applies to {all_of_it}" if move.answer else ", and to more after a night"
    if gone := int(report["superseded"]):
        did += f"; {gone} earlier correction{'s' * (gone > 1)} count{'s' * (gone == 1)} no longer"
    if report["forgotten"]:
        did += "; there was no room: the oldest correction is forgotten; let it rest, which makes room"
    return f"{did} (undo takes it back)"


def forgotten(report: Report) -> str:
    """What undoing a correction came to."""
    did = "forget the last correction"
    if report["unborn"]:
        return f"{did}, and the new thing that it was about"
    return did + ("; what nights have learned of it stays" if report["retired"] else "")


def evidence(mind: Mind, state: Dellm, last: Exchange, now: int) -> dict[str, Any]:
    """`corrections.why` of an exchange, `by` concepts' names; what was `heard`, whether that is `known`, its `name`.

    And what bears on it of what was `told`: the rule that answers first, then the others of its concept, the newest
    first; of each what `words.rules` says of it, and its `age_s` at `now`, in seconds.
    """
    found = corrections.why(mind, state, last.experience)
    by = {who: [(called(state, concept), p) for concept, p in best] for who, best in found["by"].items()}
    name, rule = called(state, found["concept"]), found.get("rule")
    of_it = [one for one in rules(state) if one["place"] == rule or (last.known and one["concept"] == name)]
    told = [one | {"age_s": now - one["when"]} for one in sorted(of_it, key=lambda one: one["place"] != rule)]
    return found | {
        "heard": last.heard,
        "known": last.known,
        "name": name if last.known else None,
        "by": by,
        "told": told,
    }
