"""The rules of procedural memory at night: what a life says of the instances they were taught on."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax.amend import instances
from dellm_jax.memory import procedural
from dellm_jax.memory.procedural import ALIVE, RETIRED
from dellm_jax.mind import respond_to
from dellm_jax.obey import obeyed
from dellm_jax.types import Array, Dellm, Mind

TOGETHER = 32


@partial(jax.jit, static_argnums=(0, 2))
def obedience(mind: Mind, state: Dellm, by_itself: bool) -> Array:
    """Of which rules [R] a life says what they say, in {0, 1}: with all rules, or `by_itself`, with habits alone.

    By itself, an answer for an instance only is never obeyed: nothing but its rule knows it.
    """
    memory = state.memory.procedural
    rules, said = memory.concept.size, procedural.said(memory)

    def some(places: Array) -> Array:
        percepts = instances(state, places)
        response = respond_to(mind, state, percepts)
        if by_itself:
            right = response.concept == memory.concept[places]
            habit = memory.habit[jnp.maximum(memory.concept[places], 0)]
            return right & ((said[places] < 0) | memory.general[places] & (habit == said[places]))
        response = obeyed(state, percepts, response)
        return (response.concept == memory.concept[places]) & ((said[places] < 0) | (response.answer == said[places]))

    everywhere = jnp.arange(-(-rules // TOGETHER) * TOGETHER) % rules
    return jax.lax.map(some, everywhere.reshape(-1, TOGETHER)).reshape(-1)[:rules].astype(jnp.float32)


def taught(state: Dellm) -> bool:
    """Whether there is a rule that counts."""
    memory = state.memory.procedural
    return memory is not None and int(procedural.newest(memory)) >= 0


def recalled(mind: Mind, state: Dellm) -> tuple[Dellm, float]:
    """Retired rules that are obeyed no longer, by habit and knowledge alone or in truth, are alive again -> the life,
    and how many they are.

    In truth the living rules and their fast weights have a say too, and may speak against what knowledge would answer.
    """
    memory = state.memory.procedural
    if memory is None or not bool((memory.standing == RETIRED).any()):
        return state, 0.0
    still = obedience(mind, state, True) * obedience(mind, state, False)
    back = (memory.standing == RETIRED) & (still == 0)
    memory = memory.replace(standing=jnp.where(back, ALIVE, memory.standing))
    return state.replace(memory=state.memory.replace(procedural=memory)), float(back.sum())
