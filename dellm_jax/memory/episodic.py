"""Episodic memory: a class-balanced reservoir of packed codes, bounded in bytes, that lives inside jit.

Every born concept owns a run of slots, and inside its run a uniform sample of all it ever saw (Vitter, 1985). When
concepts are born all runs become equal, and each keeps a random part of itself; a night may give the slots that a rare
concept does not need to the others, and merge duplicates. One slot in `held_out` is set apart: what is in it was never
learned from, awake or asleep, so that nights can be judged and experts trusted by it; with 0 all are replayed.
"""

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.errors import ArchitectureError
from dellm_jax.types import Array

UNBORN = -1e9


@struct.dataclass
class Episodic:
    """`codes`: sense -> [M, bytes] uint8; `present` [M] a bit per sense (size 0 when there is one sense); `answers`
    [M, C] uint8 the logits that episodes were answered with (size 0 when they are not kept); of every concept [C] the
    first slot of its run, `start` (-1 unborn), how many slots it owns, `room`, how many are filled, `kept`, and how
    many it ever `seen`."""

    codes: dict[str, Array] = leaf("episodes", "{}.code")
    present: Array = leaf("episodes")
    answers: Array = leaf("episodes", "concepts")
    start: Array = leaf("concepts")
    room: Array = leaf("concepts")
    kept: Array = leaf("concepts")
    seen: Array = leaf("concepts")
    held_out: int = struct.field(pytree_node=False, default=10)


class Places(struct.PyTreeNode):
    """Where a batch goes: `slot` [B] (the capacity where it is not kept), and whether it is set `apart` [B]."""

    slot: Array
    apart: Array


class Recalled(struct.PyTreeNode):
    """Episodes taken out: codes and presence bits [B, ...], their concept [B], weight [B] (0 = the slot was empty), and
    the logits [B, C] that they were answered with, or None."""

    codes: dict[str, Array]
    present: Array
    target: Array
    weight: Array
    answers: Array | None = None


def empty(
    code_bytes: dict[str, int], budget: int, concepts: int, answers: bool = False, held_out: int = 10
) -> Episodic:
    """An empty memory of at most `budget` bytes of episodes, 0 for none at all; `answers`: keep logits with each.

    Raises ArchitectureError if it cannot hold an episode of each of `concepts`.
    """
    per_episode = sum(code_bytes.values()) + (len(code_bytes) > 1) + concepts * answers
    capacity = budget // per_episode
    if budget > 0 and capacity < concepts:
        raise ArchitectureError(
            f"episodic_bytes={budget} holds {capacity} episodes of {per_episode} bytes, fewer than the {concepts} "
            f"concepts there is room for; give at least {per_episode * concepts} bytes or smaller codes"
        )
    return Episodic(
        codes={sense: jnp.zeros((capacity, size), jnp.uint8) for sense, size in code_bytes.items()},
        present=jnp.zeros((capacity if len(code_bytes) > 1 else 0,), jnp.uint8),
        answers=jnp.zeros((capacity if answers else 0, concepts), jnp.uint8),
        start=jnp.full((concepts,), -1, jnp.int32),
        room=jnp.zeros((concepts,), jnp.int32),
        kept=jnp.zeros((concepts,), jnp.int32),
        seen=jnp.zeros((concepts,), jnp.int32),
        held_out=held_out,
    )


def capacity(memory: Episodic) -> int:
    """How many episodes fit."""
    return next(iter(memory.codes.values())).shape[0]


def born(memory: Episodic) -> Array:
    """How many concepts have a run of slots."""
    return (memory.start >= 0).sum()


def judges(memory: Episodic) -> bool:
    """Whether there is room for episodes that are held out."""
    return capacity(memory) > 0 and memory.held_out > 0


def _set_apart(memory: Episodic, have: Array) -> Array:
    """How many of the first `have` places of a run are set apart."""
    return have // memory.held_out if memory.held_out else jnp.zeros_like(have)


def _is_apart(memory: Episodic, place: Array) -> Array:
    return place % memory.held_out == memory.held_out - 1 if memory.held_out else jnp.zeros(place.shape, bool)


def place(memory: Episodic, target: Array, valid: Array, key: Array) -> tuple[Episodic, Places]:
    """Where a batch of concepts [B], valid [B] bool, will be written, in a memory with runs for those that are new.

    Item n (from 0) that a concept sees takes the next slot while there is room, afterwards place j ~ U{0..n} of the run
    if there is such a place. Order within the batch counts. What is set apart must not be learned from.
    """
    if not capacity(memory):
        return memory, Places(jnp.zeros(target.shape, jnp.int32), jnp.zeros(target.shape, bool))
    for_birth, for_slot = jax.random.split(key)
    memory = _give_birth(memory, target, valid, for_birth)
    same_before = (jnp.tril(target[:, None] == target[None, :], -1) & valid[None, :]).sum(1)
    nth, room = memory.seen[target] + same_before, memory.room[target]
    following = memory.kept[target] + same_before
    draw = jax.random.randint(for_slot, target.shape, 0, nth + 1)
    inside = jnp.where(following < room, following, draw)
    kept = valid & (inside < room)
    slot = memory.start[target] + inside
    # Of two writes to one slot the later wins, whatever order the scatter runs in.
    overwritten = (jnp.triu(slot[:, None] == slot[None, :], 1) & kept[None, :]).any(1)
    slot = jnp.where(kept & ~overwritten, slot, capacity(memory))
    return memory, Places(slot, kept & _is_apart(memory, inside))


def write(
    memory: Episodic,
    places: Places,
    codes: dict[str, Array],
    present: Array,
    target: Array,
    valid: Array,
    answers: Array | None = None,
) -> Episodic:
    """Keep a batch where `place` said: codes {sense: [B, bytes]}, presence bits [B], concepts [B], valid [B] bool.

    `answers` [B, C] are kept if the memory keeps any. A memory without room stays as it is.
    """
    if not capacity(memory):
        return memory
    slot, came = places.slot, jnp.zeros_like(memory.seen).at[target].add(valid.astype(jnp.int32))
    return memory.replace(
        codes={sense: kept_codes.at[slot].set(codes[sense], mode="drop") for sense, kept_codes in memory.codes.items()},
        present=memory.present.at[slot].set(present, mode="drop") if memory.present.size else memory.present,
        answers=memory.answers.at[slot].set(_written(answers), mode="drop") if memory.answers.size else memory.answers,
        kept=jnp.minimum(memory.kept + came, memory.room),
        seen=memory.seen + came,
    )


def _give_birth(memory: Episodic, target: Array, valid: Array, key: Array) -> Episodic:
    """Give new concepts runs, as long as those of the old ones. A loop of no or one turn, which XLA runs in place."""
    here = jnp.zeros_like(memory.seen).at[target].add(valid.astype(jnp.int32)) > 0
    new = here & (memory.start < 0)
    rank = jnp.where(new, born(memory) + jnp.cumsum(new) - 1, jnp.argsort(_order(memory.start)))
    room = capacity(memory) // jnp.maximum(born(memory) + new.sum(), 1)
    alive = new | (memory.start >= 0)

    def equal(before: Episodic) -> Episodic:
        return relaid(
            before, jnp.where(alive, rank * room, -1), jnp.where(alive, room, 0), jnp.zeros(capacity(memory), bool), key
        )

    return jax.lax.while_loop(lambda m: ((m.start < 0) & alive).any(), equal, memory)


def learnable(memory: Episodic) -> tuple[Array, Array]:
    """Of every slot [M]: whose it is, and whether it holds an episode that may be learned from."""
    slots = jnp.arange(capacity(memory))
    _, owner = _owner(slots, memory.start)
    inside = slots - memory.start[owner]
    filled = (memory.start[owner] >= 0) & (inside < memory.kept[owner])
    return owner, filled & ~_is_apart(memory, inside)


def relaid(memory: Episodic, start: Array, room: Array, dropped: Array, key: Array) -> Episodic:
    """The same memory with runs of other places and lengths [C], one after the other, without the slots `dropped` [M].

    A run keeps a random part of what it held, as much as fits. What was set apart may come to be learned from, never
    the other way round; so it is kept as often as the rest, but for the one episode that must fill its place. Drop
    nothing that is set apart.
    """
    slots = jnp.arange(capacity(memory))
    run, owner = _owner(slots, memory.start)
    inside = slots - memory.start[owner]
    filled = (memory.start[owner] >= 0) & (inside < memory.kept[owner]) & ~dropped
    apart = _is_apart(memory, inside)
    none = jnp.zeros_like(memory.kept)
    many, learned = none.at[owner].add(filled), none.at[owner].add(filled & ~apart)
    kept = jnp.minimum(many, room)
    # Within every run: what may be learned from, what is set apart, what is empty; each as it was, or in random order
    # where not everything fits.
    for_order, for_share = jax.random.split(key)
    chance = jnp.where((many > room)[owner], jax.random.uniform(for_order, slots.shape), 0.0)
    sequence = jnp.lexsort((chance, apart, ~filled, run))
    fair_share = kept * (many - learned) / jnp.maximum(many, 1) + jax.random.uniform(for_share, many.shape)
    taken = kept - jnp.maximum(fair_share.astype(jnp.int32), _set_apart(memory, kept))

    _, owner = _owner(slots, start)
    inside = slots - start[owner]
    aside = _set_apart(memory, inside)
    nth = inside - aside
    surplus = learned + _set_apart(memory, kept) - taken
    nth = jnp.where(nth < taken[owner], nth, nth + surplus[owner])
    nth = jnp.where(_is_apart(memory, inside), learned[owner] + aside, nth)
    source = sequence[jnp.clip(memory.start[owner] + nth, 0, capacity(memory) - 1)]
    return memory.replace(
        codes={sense: codes[source] for sense, codes in memory.codes.items()},
        present=memory.present[source] if memory.present.size else memory.present,
        answers=memory.answers[source] if memory.answers.size else memory.answers,
        start=start,
        room=room,
        kept=kept,
    )


def _order(start: Array) -> Array:
    """The concepts in the order of their runs, the unborn last [C]."""
    return jnp.argsort(jnp.where(start < 0, jnp.iinfo(start.dtype).max, start))


def _owner(slots: Array, start: Array) -> tuple[Array, Array]:
    """The number of the run that every slot [M] lies in, and whose it is."""
    order = _order(start)
    starts = jnp.where(start < 0, slots.size, start)[order]
    run = jnp.searchsorted(starts, slots, side="right") - 1
    return run, order[run]


def recall(memory: Episodic, key: Array, count: int, held_out: bool = False) -> Recalled:
    """`count` episodes, concepts drawn evenly, then episodes evenly within the concept; held-out ones if asked."""
    for_concept, for_slot = jax.random.split(key)
    concept = _order(memory.start)[jax.random.randint(for_concept, (count,), 0, jnp.maximum(born(memory), 1))]
    have = memory.kept[concept]
    out = _set_apart(memory, have)
    if held_out:
        inside = memory.held_out * (1 + jax.random.randint(for_slot, (count,), 0, jnp.maximum(out, 1))) - 1
        weight = out > 0
    else:
        inside = jax.random.randint(for_slot, (count,), 0, jnp.maximum(have - out, 1))
        inside = inside + inside // (memory.held_out - 1) if memory.held_out else inside
        weight = have > out
    return _read(memory, memory.start[concept] + inside, concept, weight)


def held_out(memory: Episodic, most: int) -> Recalled:
    """The held-out episodes, at most `most`: the first of every concept, the second of every concept, and so on.

    Always the same while memory rests; as many rows as there can be, of weight 0 where nothing is held out yet.
    """
    concepts = memory.start.size
    rows = min(most, capacity(memory) // memory.held_out) if memory.held_out else 0
    concept, turn = jnp.tile(jnp.arange(concepts), rows), jnp.repeat(jnp.arange(rows), concepts)
    there = turn < _set_apart(memory, memory.kept)[concept]
    first = jnp.argsort(~there, stable=True)[:rows]
    concept, turn = concept[first], turn[first]
    return _read(memory, memory.start[concept] + memory.held_out * (1 + turn) - 1, concept, there[first])


def _written(logits: Array) -> Array:
    """Logits in quarters from -31.75 to 31.75 as uint8; 0 stands for a concept that was unborn."""
    quarters = jnp.clip(jnp.round(logits * 4), -127, 127) + 128
    return jnp.where(logits < UNBORN / 2, 0, quarters).astype(jnp.uint8)


def _read_back(answers: Array) -> Array:
    return jnp.where(answers == 0, UNBORN, (answers.astype(jnp.float32) - 128) / 4)


def _read(memory: Episodic, slot: Array, concept: Array, weight: Array) -> Recalled:
    slot = jnp.clip(slot, 0, capacity(memory) - 1)
    bits = memory.present[slot] if memory.present.size else jnp.ones(slot.shape, jnp.uint8)
    codes = {sense: codes[slot] for sense, codes in memory.codes.items()}
    answers = _read_back(memory.answers[slot]) if memory.answers.size else None
    return Recalled(codes, bits, concept, weight.astype(jnp.float32), answers)
