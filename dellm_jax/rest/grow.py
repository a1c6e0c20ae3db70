"""Growth: new concepts and unexplained episodes recruit new, silent units."""

import numpy as np

from dellm_jax import surgery
from dellm_jax.architecture import CONCEPTS
from dellm_jax.rest.judge import judge
from dellm_jax.rest.statistics import activity, effective_rank
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def grow(per_concept: int = 8, error: float = 0.01, warm: bool = True) -> Stage:
    """Every assembly gains `per_concept` units for each concept met since the last night, if the cortex errs.

    "Errs": it answers more than `error` of the held-out episodes wrongly. Newborns are silent, so the function is
    kept; an assembly stops at its `max_units`. Capacity is re-allocated in whole quanta, for all assemblies together.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        concepts = state.homeostasis[CONCEPTS]
        newly = int(((np.asarray(concepts["active"]) > 0) & (np.asarray(concepts["age"]) == 0)).sum())
        verdict = judge(mind, state)
        wrong = 1 - verdict.accuracy(verdict.cortex)
        values, weight = activity(mind, state, key)
        report = {f"effective_rank_{name}": float(effective_rank(v, weight)) for name, v in values.items()}
        births = 0
        if wrong > error:
            for assembly in state.architecture.assemblies:
                room = assembly.max_units - surgery.living(state)[assembly.name]
                many = max(0, min(per_concept * newly, room))
                births += many
                state = _recruit(mind, state, assembly.name, many, named_key(key, assembly.name), warm)
        return state, report | {"births": float(births), "new_concepts": float(newly), "cortex_error": wrong}

    return stage


def _recruit(mind: Mind, state: Dellm, name: str, many: int, key: Array, warm: bool) -> Dellm:
    if many == 0:
        return state
    axis, quantum = f"{name}.units", state.architecture.quantum
    needed = surgery.living(state)[name] + many
    if needed > state.architecture.sizes()[axis]:
        state = surgery.resize(mind, state, axis, quantum * -(-needed // quantum))
    idle = np.flatnonzero(np.asarray(state.homeostasis[name]["active"]) == 0)[:many]
    return surgery.awaken(mind, state, axis, idle, key, warm)
