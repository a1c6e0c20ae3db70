"""Growth: new concepts and unexplained episodes recruit new units."""

from math import inf

import numpy as np

from dellm_jax import surgery
from dellm_jax.errors import ScheduleError
from dellm_jax.rest.need import shared_out, signs
from dellm_jax.rest.newborns import Newborns, silent
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def grow(
    per_concept: int = 8,
    error: float = 0.01,
    warm: bool = True,
    share: float = 0.0,
    falling: float = inf,
    saturation: float = 0.0,
    focus: float = 0.0,
    newborns: Newborns = silent,
) -> Stage:
    """An assembly gains `per_concept` units for each concept met since the last night, and `share` of its own, in need.

    Need: the cortex answers more than `error` of the held-out episodes wrongly, its awake loss has fallen by less than
    the share `falling` of late (0.05: a plateau), and the assembly's effective rank is `saturation` of its living units
    or more. What all assemblies in need together gain goes to them in proportion to saturation^`focus` (0: alike, inf:
    to the fullest alone); each stops at its `max_units`. What newborns hear and say is `newborns`; by default they are
    silent, so that the function is kept. Capacity is re-allocated in whole quanta, for all assemblies together.
    ScheduleError if a number is negative.
    """
    for name, value in {"per_concept": per_concept, "share": share, "saturation": saturation, "focus": focus}.items():
        if value < 0:
            raise ScheduleError(f"grow.{name} is {value}; expected 0 or more (0 turns it off)")

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        seen, living = signs(mind, state, key), surgery.living(state)
        room = {a.name: max(0, a.max_units - living[a.name]) for a in state.architecture.assemblies}
        errs, level = seen.error > error, seen.falling < falling
        full = [name for name in room if seen.saturation[name] >= saturation]
        wanted = {
            name: per_concept * seen.new_concepts + int(share * living[name] + 0.5)
            for name in full
            if errs and level and room[name]
        }
        births = {n: min(many, room[n]) for n, many in shared_out(wanted, seen.saturation, focus).items()}
        for name, many in births.items():
            state = recruit(mind, state, name, many, named_key(key, name), warm, newborns)
        return state, {
            "births": float(sum(births.values())),
            "new_concepts": float(seen.new_concepts),
            "cortex_error": seen.error,
            "loss_falling": seen.falling,
            "because_it_errs": float(errs),
            "because_loss_is_level": float(level),
            "because_full": float(len(full)),
            **{f"births_{name}": float(births.get(name, 0)) for name in room},
            **{f"effective_rank_{name}": rank for name, rank in seen.rank.items()},
            **{f"saturation_{name}": how for name, how in seen.saturation.items()},
        }

    return stage


def recruit(
    mind: Mind, state: Dellm, name: str, many: int, key: Array, warm: bool = True, newborns: Newborns = silent
) -> Dellm:
    """`many` units are born in the assembly `name`, whose capacity grows to the next quantum where there is no room."""
    if many == 0:
        return state
    axis, quantum = f"{name}.units", state.architecture.quantum
    needed = surgery.living(state)[name] + many
    if needed > state.architecture.sizes()[axis]:
        state = surgery.resize(mind, state, axis, quantum * -(-needed // quantum))
    idle = np.flatnonzero(np.asarray(state.homeostasis[name]["active"]) == 0)[:many]
    return newborns(mind, surgery.awaken(mind, state, axis, idle, key, warm), name, idle, key)
