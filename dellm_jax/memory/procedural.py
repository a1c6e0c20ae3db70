"""Procedural memory: "do it this way". A rule is bound to the instance it was taught on, and its answer to the concept.

An instance is recognised by a sketch of its frozen features, within a radius; so a rule acts on the very next call,
whatever the rest of the life believes of it. What a rule says holds for its whole concept, through every sense. Of two
rules about one thing the newer counts, and the older is kept only to be brought back by `undo`. Nights make habits of
answers, and retire rules that are obeyed without them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.memory.sketches import SKETCH
from dellm_jax.types import Array

RADIUS = 0.97
FREE, ALIVE, RETIRED, SUPERSEDED = range(4)
NONE = -1


@struct.dataclass
class Procedural:
    """Of R rules: the `codes` and `present` senses of the instance, `sketches` of its features, and the `weight` with
    which semantic memory observed it (0: it did not); the `concept` it is of; the `answer` taught, a place in the
    lexicon (-1: the concept's own); whether that is `general` or of the instance only; the `standing` (free, alive,
    retired, superseded) and by whom it was `replaced` (-1); its `number` from 1, the `teacher`, and `when`, in seconds.
    Of C concepts: `named`, its name in the lexicon, and `habit`, the answer that nights made of rules (-1: none).
    `taught`: how many rules there ever were."""

    codes: dict[str, Array] = leaf("rules", "{}.code")
    present: Array = leaf("rules")
    sketches: dict[str, Array] = leaf("rules", "{}.sketch")
    weight: Array = leaf("rules")
    concept: Array = leaf("rules")
    answer: Array = leaf("rules")
    general: Array = leaf("rules")
    standing: Array = leaf("rules")
    replaced: Array = leaf("rules")
    number: Array = leaf("rules")
    teacher: Array = leaf("rules")
    when: Array = leaf("rules")
    named: Array = leaf("concepts")
    habit: Array = leaf("concepts")
    taught: Array = leaf()


class Instance(NamedTuple):
    """What a rule is taught on: `codes` {sense: [bytes]}, `present` bits, `sketches` {sense: [SKETCH]}, `weight`."""

    codes: dict[str, Array]
    present: Array
    sketches: dict[str, Array]
    weight: Array


class Saying(NamedTuple):
    """What a rule says of its instance: its `concept`, the `answer` (-1: that one's own) and whether it is `general`;
    the `teacher` who says so, and `when`, in seconds."""

    concept: Array
    answer: Array
    general: Array
    teacher: Array
    when: Array


class Verdict(NamedTuple):
    """Of a batch: the `concept` [B] and `answer` [B] (-1: none was taught) that rules and habits lead to, the `rule`
    [B] that did (-1: none), and how like its instance this is, `likeness` [B] (0 where the instance is another)."""

    concept: Array
    answer: Array
    rule: Array
    likeness: Array


def empty(code_bytes: dict[str, int], rules: int, concepts: int) -> Procedural:
    """Nothing was taught yet."""

    def integers(many: int, value: int) -> Array:
        return jnp.full((many,), value, jnp.int32)

    return Procedural(
        codes={sense: jnp.zeros((rules, size), jnp.uint8) for sense, size in code_bytes.items()},
        present=jnp.zeros((rules,), jnp.uint8),
        sketches={sense: jnp.zeros((rules, SKETCH)) for sense in code_bytes},
        weight=jnp.zeros((rules,)),
        concept=integers(rules, NONE),
        answer=integers(rules, NONE),
        general=jnp.zeros((rules,), bool),
        standing=integers(rules, FREE),
        replaced=integers(rules, NONE),
        number=integers(rules, 0),
        teacher=integers(rules, NONE),
        when=jnp.zeros((rules,), jnp.uint32),
        named=integers(concepts, NONE),
        habit=integers(concepts, NONE),
        taught=jnp.zeros((), jnp.int32),
    )


def counting(memory: Procedural) -> Array:
    """Which rules are alive or retired [R]: those that are obeyed, by themselves or by what nights made of them."""
    return (memory.standing == ALIVE) | (memory.standing == RETIRED)


def unlearned(memory: Procedural) -> Array:
    """Which rules [R] named a concept and are alive: nights have not yet made them what the life thinks by itself."""
    return (memory.standing == ALIVE) & (memory.weight > 0)


def said(memory: Procedural) -> Array:
    """The answer [R] that each rule still gives: a general one no longer where a newer counts for the same concept."""
    general = counting(memory) & memory.general & (memory.answer >= 0)
    latest = jnp.zeros_like(memory.habit).at[memory.concept].max(jnp.where(general, memory.number, 0))
    return jnp.where(general & (memory.number < latest[memory.concept]), NONE, memory.answer)


def _speaking(memory: Procedural) -> Array:
    """Which rules say something of their whole concept [R]."""
    return (memory.standing == ALIVE) & memory.general & (said(memory) >= 0)


def judge(memory: Procedural, alike: Array, concept: Array, radius: Array) -> Verdict:
    """What to think and say of a batch that is `alike` [B, R] and taken for `concept` [B].

    The nearest living rule that is at least as like as `radius` decides what it is. What is said of that is what this
    rule says, else the newest living rule of the concept, else habit, else nothing but its name.
    """
    alive = memory.standing == ALIVE
    near = jnp.where(alive & (alike >= radius), alike, -jnp.inf)
    own = near.argmax(1)
    fired = near.max(1) > 0
    concept = jnp.where(fired, memory.concept[own], concept)
    newest = jnp.where(_speaking(memory) & (memory.concept == concept[:, None]), memory.number, 0)
    of_concept, applies = newest.argmax(1), newest.max(1) > 0
    answer, of_own = jnp.where(applies, memory.answer[of_concept], memory.habit[concept]), said(memory)[own]
    answer = jnp.where(fired & (of_own >= 0), of_own, answer)
    rule = jnp.where(fired, own, jnp.where(applies, of_concept, NONE))
    return Verdict(concept, answer, rule, jnp.where(fired, near.max(1), 0.0))


def teach(
    memory: Procedural, instance: Instance, alike: Array, radius: Array, saying: Saying, again: Array
) -> tuple[Procedural, Array, Array]:
    """One more rule; its place, which is that of the one that is said `again` (-1: none is); whether a living one is
    lost by it. `alike` [R]: how like the instance those of the other rules are.

    It supersedes those within `radius`, which are about the same instance, and if it gives a general answer those that
    do no more than give one to the same concept; who also said what its instance is goes on saying that. A place is
    taken from the free, then the superseded, these too, the retired, the living, of each the oldest.
    """
    same = alike >= radius
    both = saying.general & (saying.answer >= 0) & memory.general & (memory.answer >= 0)
    rival = both & (memory.concept == saying.concept)
    gone = counting(memory) & (same | rival & (memory.weight == 0)) & (jnp.arange(memory.number.size) != again)
    standing = jnp.where(gone, SUPERSEDED, memory.standing)
    precedence = jnp.array([0, 3, 2, 1])[standing]
    place = jnp.where(again >= 0, again, jnp.lexsort((memory.number, precedence))[0])
    lost = (standing[place] == ALIVE) & (again < 0)
    # An answer that was given up for the one that goes does not come back.
    goes = counting(memory)[place] & (again < 0)
    older = goes & (memory.concept == memory.concept[place]) & (memory.number < memory.number[place])
    memory = memory.replace(
        answer=jnp.where(older, said(memory), memory.answer),
        standing=standing,
        replaced=jnp.where(gone, place, jnp.where((memory.replaced == place) & (again < 0), NONE, memory.replaced)),
    )

    def put(many: Array, one: Array) -> Array:
        return many.at[place].set(one)

    return (
        memory.replace(
            codes={sense: put(memory.codes[sense], code) for sense, code in instance.codes.items()},
            sketches={
                sense: put(known, instance.sketches.get(sense, jnp.zeros(SKETCH)))
                for sense, known in memory.sketches.items()
            },
            present=put(memory.present, instance.present),
            weight=put(memory.weight, instance.weight),
            concept=put(memory.concept, saying.concept),
            answer=put(memory.answer, saying.answer),
            general=put(memory.general, saying.general),
            standing=put(memory.standing, ALIVE),
            replaced=put(memory.replaced, NONE),
            number=put(memory.number, memory.taught + 1),
            teacher=put(memory.teacher, saying.teacher),
            when=put(memory.when, saying.when),
            taught=memory.taught + 1,
        ),
        place,
        lost,
    )


def repeated(memory: Procedural, instance: Instance, saying: Saying) -> Array:
    """The place of a rule that counts and says the very same already; -1 if there is none."""
    same = counting(memory) & (memory.concept == saying.concept) & (memory.present == instance.present)
    same = same & (memory.answer == saying.answer) & (memory.general == saying.general)
    for sense, code in instance.codes.items():
        same = same & (memory.codes[sense] == code).all(1)
    return jnp.where(same.any(), same.argmax(), NONE)


def silenced(memory: Procedural) -> Array:
    """Which rules [R] are superseded, or give no longer the answer they gave."""
    return (memory.standing == SUPERSEDED) | (said(memory) != memory.answer)


def newest(memory: Procedural) -> Array:
    """The place of the rule taught last that counts still, alive or retired; -1 if there is none."""
    number = jnp.where(counting(memory), memory.number, 0)
    return jnp.where(number.max() > 0, number.argmax(), NONE)


def forget(memory: Procedural, place: Array) -> Procedural:
    """Without the rule at `place`, of which nothing is left, and the habit it became; those that it superseded count
    again."""
    own = (jnp.arange(memory.habit.size) == memory.concept[place]) & (memory.habit == memory.answer[place])
    codes = {sense: known.shape[1] for sense, known in memory.codes.items()}
    blank = empty(codes, 1, memory.habit.size)
    back = memory.replaced == place
    kept = {name: getattr(memory, name) for name in ("named", "taught")} | {"habit": jnp.where(own, NONE, memory.habit)}
    memory = memory.replace(
        standing=jnp.where(back, ALIVE, memory.standing), replaced=jnp.where(back, NONE, memory.replaced)
    )
    without = jax.tree.map(lambda many, one: many.at[place].set(one[0]) if one.ndim else many, memory, blank)
    return without.replace(**kept)


def alone(memory: Procedural, place: Array) -> Array:
    """Whether no other rule, and no habit, is of the concept of the rule at `place`."""
    concept = memory.concept[place]
    of_it = (memory.standing != FREE) & (memory.concept == concept)
    return (of_it.sum() == 1) & (memory.habit[concept] < 0)


@jax.jit
def habits(memory: Procedural) -> Procedural:
    """What living rules say of their concepts becomes the habit of these: the newest of each."""
    mine = _speaking(memory)[:, None] & (memory.concept[:, None] == jnp.arange(memory.habit.size))
    number = jnp.where(mine, memory.number[:, None], 0)
    return memory.replace(habit=jnp.where(number.max(0) > 0, memory.answer[number.argmax(0)], memory.habit))
