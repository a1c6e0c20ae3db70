"""Episodic memory: a class-balanced reservoir of packed codes, bounded in bytes, that lives inside jit.

Every born concept owns an equal run of slots, `quota = capacity // born`; inside its run each concept keeps a uniform
sample of all it ever saw (Vitter, 1985). When concepts are born the quota shrinks and each run keeps a random part of
itself. One slot in `held_out` is never replayed, so that nights can be judged on it; with 0 all are replayed.
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
    """`codes`: sense -> [M, bytes] uint8; `present` [M] a bit per sense (size 0 when there is one sense); per concept
    its birth rank `row` (-1 unborn) and how many it `seen`; `born` how many concepts have a run of slots;
    `answers` [M, C] uint8 the logits that episodes were answered with (size 0 when they are not kept)."""

    codes: dict[str, Array] = leaf("episodes", "{}.code")
    present: Array = leaf("episodes")
    answers: Array = leaf("episodes", "concepts")
    row: Array = leaf("concepts")
    seen: Array = leaf("concepts")
    born: Array = leaf()
    held_out: int = struct.field(pytree_node=False, default=10)


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
        row=jnp.full((concepts,), -1, jnp.int32),
        seen=jnp.zeros((concepts,), jnp.int32),
        born=jnp.zeros((), jnp.int32),
        held_out=held_out,
    )


def capacity(memory: Episodic) -> int:
    """How many episodes fit."""
    return next(iter(memory.codes.values())).shape[0]


def quota(memory: Episodic) -> Array:
    """Slots each born concept owns."""
    return capacity(memory) // jnp.maximum(memory.born, 1)


def stored(memory: Episodic) -> Array:
    """Episodes kept of each concept [C]."""
    return jnp.minimum(memory.seen, quota(memory))


def judges(memory: Episodic) -> bool:
    """Whether there is room for episodes that are held out."""
    return capacity(memory) > 0 and memory.held_out > 0


def _set_apart(memory: Episodic, have: Array) -> Array:
    """How many of `have` episodes of a concept are held out."""
    return have // memory.held_out if memory.held_out else jnp.zeros_like(have)


def write(
    memory: Episodic,
    codes: dict[str, Array],
    present: Array,
    target: Array,
    valid: Array,
    key: Array,
    answers: Array | None = None,
) -> Episodic:
    """Live a batch: codes {sense: [B, bytes]}, presence bits [B], concepts [B], valid [B] bool. Order within it counts.

    `answers` [B, C] are kept if the memory keeps any. A memory without room stays as it is. Item n (from 0) of a
    concept takes slot n while there is room, afterwards slot j ~ U{0..n} if j < quota.
    """
    if not capacity(memory):
        return memory
    for_birth, for_slot = jax.random.split(key)
    memory = _give_birth(memory, target, valid, for_birth)
    same_before = jnp.tril(target[:, None] == target[None, :], -1) & valid[None, :]
    nth = memory.seen[target] + same_before.sum(1)
    draw = jax.random.randint(for_slot, target.shape, 0, nth + 1)
    inside = jnp.where(nth < quota(memory), nth, draw)
    slot = memory.row[target] * quota(memory) + inside
    kept = valid & (inside < quota(memory))
    # Of two writes to one slot the later wins, whatever order the scatter runs in.
    overwritten = (jnp.triu(slot[:, None] == slot[None, :], 1) & kept[None, :]).any(1)
    slot = jnp.where(kept & ~overwritten, slot, capacity(memory))
    return memory.replace(
        codes={sense: kept_codes.at[slot].set(codes[sense], mode="drop") for sense, kept_codes in memory.codes.items()},
        present=memory.present.at[slot].set(present, mode="drop") if memory.present.size else memory.present,
        answers=memory.answers.at[slot].set(_written(answers), mode="drop") if memory.answers.size else memory.answers,
        seen=memory.seen.at[target].add(valid.astype(jnp.int32)),
    )


def _give_birth(memory: Episodic, target: Array, valid: Array, key: Array) -> Episodic:
    """Give new concepts rows and re-lay the runs of the old ones. A loop of no or one turn, which XLA runs in place."""
    here = jnp.zeros_like(memory.seen).at[target].add(valid.astype(jnp.int32)) > 0
    new = here & (memory.row < 0)
    row = jnp.where(new, memory.born + jnp.cumsum(new) - 1, memory.row)
    born = memory.born + new.sum()

    def shrink(before: Episodic) -> Episodic:
        old, small = quota(before), capacity(before) // born
        old_row, place = jnp.arange(capacity(before)) // small, jnp.arange(capacity(before)) % small
        held = jnp.where(jnp.arange(before.row.size) < before.born, stored(before)[jnp.argsort(_rank(before))], 0)
        filled = jnp.arange(capacity(before))
        in_run, run = filled % old, jnp.minimum(filled // old, before.row.size - 1)
        # Shuffle each run (empty slots last), so that its head is a fair sample of it.
        chance = jax.random.uniform(key, (capacity(before),)) + (in_run >= held[run])
        order = jnp.lexsort((chance, filled // old))
        source = order[jnp.clip(old_row * old + place, 0, capacity(before) - 1)]
        return before.replace(
            codes={sense: codes[source] for sense, codes in before.codes.items()},
            present=before.present[source] if before.present.size else before.present,
            answers=before.answers[source] if before.answers.size else before.answers,
            row=row,
            born=born,
        )

    return jax.lax.while_loop(lambda m: m.born < born, shrink, memory)


def _rank(memory: Episodic) -> Array:
    """Birth rank of each concept, the unborn last [C]."""
    return jnp.where(memory.row < 0, memory.row.size, memory.row)


def recall(memory: Episodic, key: Array, count: int, held_out: bool = False) -> Recalled:
    """`count` episodes, concepts drawn evenly, then episodes evenly within the concept; held-out ones if asked."""
    for_concept, for_slot = jax.random.split(key)
    concept = jnp.argsort(_rank(memory))[jax.random.randint(for_concept, (count,), 0, jnp.maximum(memory.born, 1))]
    have = stored(memory)[concept]
    out = _set_apart(memory, have)
    if held_out:
        place = memory.held_out * (1 + jax.random.randint(for_slot, (count,), 0, jnp.maximum(out, 1))) - 1
        weight = out > 0
    else:
        place = jax.random.randint(for_slot, (count,), 0, jnp.maximum(have - out, 1))
        place = place + place // (memory.held_out - 1) if memory.held_out else place
        weight = have > out
    return _read(memory, memory.row[concept] * quota(memory) + place, concept, weight)


def held_out(memory: Episodic, most: int) -> Recalled:
    """Up to `most` held-out episodes, the same number of each concept, always the same while memory rests."""
    concepts = memory.row.size
    each = max(1, most // concepts)
    concept = jnp.tile(jnp.arange(concepts), each)
    turn = jnp.repeat(jnp.arange(each), concepts)
    have = _set_apart(memory, stored(memory)[concept])
    place = memory.held_out * (1 + turn) - 1
    return _read(
        memory, memory.row[concept] * quota(memory) + place, concept, (turn < have) & (memory.row[concept] >= 0)
    )


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
