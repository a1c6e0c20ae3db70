"""Rules retire where they are obeyed without them."""

from functools import partial

import jax
import jax.numpy as jnp

from dellm_jax.memory import episodic, procedural
from dellm_jax.memory.procedural import ALIVE, RETIRED
from dellm_jax.rest.rules import obedience, taught
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def retire() -> Stage:
    """Answers become habits; a rule whose own instance is answered so by habit and knowledge alone retires, and is an
    episode from now on. (Should it be obeyed no longer after another night, it comes back: see `rest`.)

    The report counts the rules that are `alive` and `retired`.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        if not taught(state):
            return state, {}
        state = _with(state, procedural.habits(state.memory.procedural))
        state = _retired(state, obedience(mind, state, True) > 0, key)
        standing = state.memory.procedural.standing
        return state, {"alive": float((standing == ALIVE).sum()), "retired": float((standing == RETIRED).sum())}

    return stage


@jax.jit
def _retired(state: Dellm, obeyed: Array, key: Array) -> Dellm:
    memory = state.memory.procedural
    newly = (memory.standing == ALIVE) & obeyed
    state = _with(state, memory.replace(standing=jnp.where(newly, RETIRED, memory.standing)))

    def lived(known: episodic.Episodic, told: tuple[Array, ...]) -> tuple[episodic.Episodic, None]:
        place, new, own_key = told
        target = memory.concept[place][None]
        placed, places = episodic.place(known, target, new[None], own_key)
        valid = new[None] & ~places.apart  # the cortex has learned from it, so it cannot judge
        codes = {sense: codes[place][None] for sense, codes in memory.codes.items()}
        written = episodic.write(placed, places, codes, memory.present[place][None], target, valid)
        return jax.tree.map(partial(jnp.where, valid[0]), written, known), None

    rows = jnp.arange(newly.size)
    known, _ = jax.lax.scan(lived, state.memory.episodic, (rows, newly, jax.random.split(key, newly.size)))
    return state.replace(memory=state.memory.replace(episodic=known))


def _with(state: Dellm, memory: procedural.Procedural) -> Dellm:
    return state.replace(memory=state.memory.replace(procedural=memory))
