"""Episodic memory is put in order: what was kept twice is merged, and room goes to the concepts that need it."""

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.memory import episodic
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

SLACK = 2  # a concept that never filled its run may see as much again before the next night


def reorganise() -> Stage:
    """Duplicates are merged, and slots that rare concepts leave empty go to those that had to choose what to keep.

    Two episodes of a concept whose codes are equal byte for byte are one, so nothing is lost; what is set apart stays.
    Rooms fill like communicating vessels: room_c = min(wanted_c, level) with sum_c room_c = capacity, where a full run
    wants everything and any other twice what it keeps. The next birth of a concept makes all runs equal again.
    Codes need no refreshing: what encodes them never learns.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del mind
        memory = state.memory.episodic
        if not episodic.capacity(memory) or not int(episodic.born(memory)):
            return state, {}
        twice, start, room = duplicates(memory), *fair_runs(memory)
        merged, moved = int(twice.sum()), int(jnp.abs(room - memory.room).sum()) // 2
        if merged or moved:
            memory = _relaid(memory, start, room, twice, key)
        report = {"merged": float(merged), "moved": float(moved), "episodes": float(memory.kept.sum())}
        return state.replace(memory=state.memory.replace(episodic=memory)), report

    return stage


_relaid = jax.jit(episodic.relaid)


@jax.jit
def duplicates(memory: episodic.Episodic) -> Array:
    """Which slots [M] may be learned from and hold what another such slot of the same concept holds too."""
    owner, learnable = episodic.learnable(memory)
    held = jnp.concatenate([*memory.codes.values(), *([memory.present[:, None]] if memory.present.size else [])], 1)
    weights = jax.random.bits(jax.random.key(0), (2, held.shape[1]), jnp.uint32)
    fingerprint = held.astype(jnp.uint32) @ weights.T
    order = jnp.lexsort((fingerprint[:, 1], fingerprint[:, 0], owner, ~learnable))
    follows = (held[order] == jnp.roll(held[order], 1, axis=0)).all(1) & (owner[order] == jnp.roll(owner[order], 1))
    follows = follows.at[0].set(False) & learnable[order] & jnp.roll(learnable[order], 1)
    return jnp.zeros_like(learnable).at[order].set(follows)


def fair_runs(memory: episodic.Episodic) -> tuple[Array, Array]:
    """Where the run of every concept should start [C], and how long it should be [C]."""
    start, room = np.asarray(memory.start), np.array(memory.room)
    kept, seen, born = np.asarray(memory.kept), np.asarray(memory.seen), start >= 0
    everything = episodic.capacity(memory)
    chose = born & (seen > room)
    if chose.any():
        wanted = np.where(chose, everything, SLACK * np.maximum(kept, 1))
        left, several = everything, np.flatnonzero(born)
        for before, concept in enumerate(several[np.argsort(wanted[several], kind="stable")]):
            room[concept] = min(wanted[concept], left // (several.size - before))
            left -= room[concept]
        order = several[np.argsort(start[several])]
        start = np.full_like(start, -1)
        start[order] = np.cumsum(room[order]) - room[order]
    return jnp.asarray(start), jnp.asarray(room)
