"""Whether, where and by how much a body has to grow, as its evening shows it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dellm_jax.architecture import CONCEPTS
from dellm_jax.rest.judge import judge
from dellm_jax.rest.statistics import activity, effective_rank
from dellm_jax.surgery import living
from dellm_jax.types import Array, Dellm, Mind


class Signs(NamedTuple):
    """`error`: share of the held-out episodes that the cortex answers wrongly; `falling`: 1 - loss_fast / loss_slow, by
    which share the awake loss has fallen of late; `new_concepts` met since the last night; and of every assembly its
    effective `rank` and its `saturation`, rank / living units, in (0, 1]."""

    error: float
    falling: float
    new_concepts: int
    rank: dict[str, float]
    saturation: dict[str, float]


def signs(mind: Mind, state: Dellm, key: Array) -> Signs:
    """What the held-out episodes, the clock and the activity on memory say of a life this evening."""
    concepts, verdict = state.homeostasis[CONCEPTS], judge(mind, state)
    values, weight = activity(mind, state, key)
    rank = {name: float(effective_rank(v, weight)) for name, v in values.items()}
    many = living(state)
    return Signs(
        error=1 - verdict.accuracy(verdict.cortex),
        falling=1 - float(state.clock.loss_fast) / max(float(state.clock.loss_slow), 1e-6),
        new_concepts=int(((np.asarray(concepts["active"]) > 0) & (np.asarray(concepts["age"]) == 0)).sum()),
        rank=rank,
        saturation={name: rank[name] / max(many[name], 1) for name in rank},
    )


def shared_out(many: Mapping[str, int], saturation: Mapping[str, float], focus: float) -> dict[str, int]:
    """sum(many) units in proportion to saturation^focus: 0 = alike, 1 = in proportion, inf = all to the fullest."""
    if not many:
        return {}
    fullest = max(max(saturation[name] for name in many), 1e-12)
    share = {name: (saturation[name] / fullest) ** focus for name in many}
    return {name: int(sum(many.values()) * share[name] / sum(share.values()) + 0.5) for name in many}
