"""What a life has become: the health of its units, and what its updates cost."""

from functools import partial

import jax
import numpy as np

from dellm_jax import metrics
from dellm_jax.experience import perceive
from dellm_jax.learning import cross_entropy
from dellm_jax.mind import awake_step
from dellm_jax.streams import Curriculum
from dellm_jax.streams.days import stretch
from dellm_jax.types import Array, Dellm, Experience, Mind

PROBES = 512
REHEARSED = 64  # episodes of an update at night, as `replay` has it unless told otherwise


def plasticity(mind: Mind, state: Dellm, curriculum: Curriculum) -> dict[str, float]:
    """Dead and dormant share, effective rank and mean weight of the living hidden units, on the last day's examples.

    Shares and weights over all assemblies together; the effective rank is the mean over assemblies.
    """
    day = curriculum.days[-1]
    part = np.linspace(0, day.rows.size - 1, min(PROBES, day.rows.size)).astype(int)
    probes = stretch(curriculum.corpus.train, day.rows[part], 1, part.size, curriculum.views, day.view[part])
    batch = jax.tree.map(lambda leaf: leaf[0], probes)
    values = {
        assembly: np.asarray(activity)[:, np.asarray(state.homeostasis[assembly]["active"]) > 0]
        for assembly, activity in _activity(mind, state, batch).items()
    }
    sizes = [activity.shape[1] for activity in values.values()]
    weights = np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(state.params)])
    return {
        "dead_units": float(np.average([metrics.dead_units(a) for a in values.values()], weights=sizes)),
        "dormant_ratio": float(np.average([metrics.dormant_ratio(a) for a in values.values()], weights=sizes)),
        "effective_rank": float(np.mean([metrics.effective_rank(a) for a in values.values()])),
        "mean_absolute_weight": float(metrics.mean_absolute_weight(weights[weights != 0])),
    }


@partial(jax.jit, static_argnums=0)
def _activity(mind: Mind, state: Dellm, batch: Experience) -> dict[str, Array]:
    variables = {"params": state.params, "homeostasis": state.homeostasis}
    percepts = perceive(state.architecture, batch)
    thought = mind.module(state.architecture).apply(variables, *percepts)
    return {a.name: thought.values[a.name] for a in state.architecture.assemblies}


def flops(mind: Mind, state: Dellm, curriculum: Curriculum, batch: int) -> float:
    """Floating-point operations of one awake step, as XLA counts them before it optimises; rare work counts once."""
    moment = stretch(curriculum.corpus.train, curriculum.days[0].rows[:1], 1, batch)
    one = jax.tree.map(lambda leaf: leaf[0], moment)
    lowered = jax.jit(awake_step, static_argnums=0).lower(mind, state, one)
    return float((lowered.cost_analysis() or {}).get("flops", np.nan))


def flops_of_rehearsal(mind: Mind, state: Dellm, curriculum: Curriculum) -> float:
    """About those of one update at night: of living as many episodes as `replay` goes over at once, nothing else.

    Losses cost next to nothing beside the body, and some need what is only rehearsed: the plainest stands for all.
    """
    batch = min(REHEARSED, state.architecture.semantic_chunk)
    alone = mind._replace(rehearse=0, teacher=None, loss=cross_entropy)
    return flops(alone, state, curriculum, batch) * REHEARSED / batch
