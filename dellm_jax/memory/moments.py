"""Moments lived through several senses, named or not: a uniform sample of all there ever were (Vitter, 1985)."""

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.types import Array


@struct.dataclass
class Moments:
    """`codes`: sense -> [M, bytes] uint8; `present` [M] a bit a sense, 0 where there is no moment; how many were ever
    `seen`."""

    codes: dict[str, Array] = leaf("moments", "{}.code")
    present: Array = leaf("moments")
    seen: Array = leaf()


def empty(code_bytes: dict[str, int], budget: int) -> Moments:
    """No moment yet; at most `budget` bytes of them."""
    room = budget // (sum(code_bytes.values()) + 1)
    return Moments(
        codes={sense: jnp.zeros((room, size), jnp.uint8) for sense, size in code_bytes.items()},
        present=jnp.zeros((room,), jnp.uint8),
        seen=jnp.zeros((), jnp.int32),
    )


def keep(memory: Moments, codes: dict[str, Array], present: Array, valid: Array, key: Array) -> Moments:
    """Add a batch: codes {sense: [B, bytes]}, presence bits [B], valid [B] bool. Moment n (from 0) takes the next free
    place, afterwards place j ~ U{0..n} if there is such a place."""
    room = memory.present.size
    if not room:
        return memory
    nth = memory.seen + jnp.cumsum(valid) - 1
    place = jnp.where(nth < room, nth, jax.random.randint(key, valid.shape, 0, jnp.maximum(nth + 1, 1)))
    kept = valid & (place < room)
    # Of two writes to one place the later wins, whatever order the scatter runs in.
    overwritten = (jnp.triu(place[:, None] == place[None, :], 1) & kept[None, :]).any(1)
    place = jnp.where(kept & ~overwritten, place, room)
    return memory.replace(
        codes={sense: known.at[place].set(codes[sense], mode="drop") for sense, known in memory.codes.items()},
        present=memory.present.at[place].set(present, mode="drop"),
        seen=memory.seen + valid.sum(dtype=jnp.int32),
    )


def some(memory: Moments, most: int) -> tuple[dict[str, Array], Array]:
    """Codes {sense: [most, bytes]} and presence bits [most] of up to `most` moments, evenly from all that are kept.

    The same for the same memory; a bit pattern of 0 where there are not so many.
    """
    room = memory.present.size
    if not room:
        codes = {sense: jnp.zeros((most, known.shape[1]), jnp.uint8) for sense, known in memory.codes.items()}
        return codes, jnp.zeros((most,), jnp.uint8)
    have, nth = jnp.minimum(memory.seen, room), jnp.arange(most)
    between = jnp.maximum(have, most)
    place = nth * (between // most) + nth * (between % most) // most
    there = place < have
    place = jnp.where(there, place, 0)
    return {sense: known[place] for sense, known in memory.codes.items()}, memory.present[place] * there
