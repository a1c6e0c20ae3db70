"""Ways of being told: the life's own, and those it is compared with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import corrections, trees
from dellm_jax.memory import semantic
from dellm_jax.mind import awake
from dellm_jax.types import Dellm, Experience
from experiments.corrections.pupil import Pupil, schooled_on

GRACE_RADIUS = 0.5
Told = Callable[[Pupil, Dellm, Experience], Dellm]


def _as_it_is(pupil: Pupil, state: Dellm, *_: Any) -> Dellm:
    del pupil
    return state


class Teacher(NamedTuple):
    """How it is to `tell` a life one thing (a batch of 1); what is done to it `first`; and what to the copy that is
    `examined`, when these rows of the training split were told."""

    tell: Told
    first: Callable[[Pupil, Dellm], Dellm] = _as_it_is
    examined: Callable[[Pupil, Dellm, np.ndarray], Dellm] = _as_it_is


def _correct(pupil: Pupil, state: Dellm, one: Experience) -> Dellm:
    return corrections.correct(pupil.plan.mind, state, one)[0]


def _live(pupil: Pupil, state: Dellm, one: Experience) -> Dellm:
    """One waking moment: a gradient step with rehearsal, semantic and episodic memory, and no rule."""
    return awake(pupil.plan.mind, trees.copy(state), jax.tree.map(lambda leaf: leaf[None], one))[0]


def _correct_and_live(pupil: Pupil, state: Dellm, one: Experience) -> Dellm:
    return _live(pupil, _correct(pupil, state, one), one)


def _remember(pupil: Pupil, state: Dellm, one: Experience) -> Dellm:
    """A rule for the instance and nothing else: keys and values around a body that does not move.

    Source: GRACE (Hartvigsen et al., 2023), whose radius is of the size of a neighbourhood.
    """
    told = _correct(pupil, state, one)
    return state.replace(memory=state.memory.replace(procedural=told.memory.procedural))


def _wide(pupil: Pupil, state: Dellm) -> Dellm:
    del pupil
    return state.replace(hyper=dict(state.hyper) | {"radius": jnp.float32(GRACE_RADIUS)})


def _observe(pupil: Pupil, state: Dellm, one: Experience) -> Dellm:
    """Semantic memory alone observes, with the weight of what is lived."""
    told = dict(_live(pupil, state, one).memory.semantic)
    return state.replace(memory=state.memory.replace(semantic=told))


def _solved(pupil: Pupil, state: Dellm, rows: np.ndarray) -> Dellm:
    del pupil, rows
    solved = {sense: semantic.solve(known) for sense, known in state.memory.semantic.items()}
    return state.replace(memory=state.memory.replace(semantic=solved))


def _schooled_again(pupil: Pupil, state: Dellm, rows: np.ndarray) -> Dellm:
    """Another life that has lived from the start what was told, too."""
    del state
    return schooled_on(pupil.plan, pupil.config.seed, np.concatenate([pupil.knows, rows]))


TEACHERS: dict[str, Teacher] = {
    "dellm": Teacher(_correct),
    "dellm_living": Teacher(_correct_and_live),
    "awake_step": Teacher(_live),
    "nearest": Teacher(_remember, first=_wide),
    "lda": Teacher(_observe, examined=_solved),
    "oracle": Teacher(_as_it_is, examined=_schooled_again),
}
