"""Shape-changing transforms of a whole life. `take` is the only function that changes a shape.

Two tempi. Inside a capacity, `awaken` and `silence` turn units on and off: no new shape, nothing recompiles. Beyond it,
`take` re-allocates to another multiple of the quantum. All of it runs on the host in numpy, where an event costs
milliseconds. A silent unit is zero in every leaf, so that `take` may add or drop it without a trace.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import axes
from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import SurgeryError
from dellm_jax.trees import flat, map_named, named_key
from dellm_jax.types import Array, Dellm, Mind

SECOND_MOMENTS = frozenset({"nu", "v", "v_row", "v_col"})
NOWHERE = frozenset({"memory/episodic/start", "memory/procedural/named", "memory/procedural/habit"})
Fill = Callable[[str, np.ndarray, int], np.ndarray | float]


def silent(path: str, leaf: np.ndarray, along: int) -> float:
    """Fill of `take`: newborn positions are silent, zero in every leaf."""
    del path, leaf, along
    return 0.0


def take(mind: Mind, state: Dellm, axis: str, index: Sequence[int], fill: Fill = silent) -> Dellm:
    """Re-lay one axis of the whole life: position i of the result is position `index[i]` of `state`, or newborn if -1.

    `fill(path, leaf, along)` gives the value of newborn positions. Grow, prune and permute are all `take`. Concepts may
    only be appended, because memories are filed under their numbers.
    Raises SurgeryError on an unknown axis, a position that is not there, or a learner that the new body would not make.
    """
    index = np.asarray(index, np.int64)
    size = _size(state, axis)
    wrong = index[(index < -1) | (index >= size)].tolist()
    if index.ndim != 1 or index.size == 0 or wrong:
        asked = wrong or f"an index of shape {index.shape}"
        raise SurgeryError(f"axis {axis!r} has positions 0 to {size - 1} (-1 = newborn), not {asked}")
    if axis == CONCEPTS:
        _check_appended(state, index)
    named = axes.names(mind, state)

    def relaid(path: str, leaf: Any) -> Any:
        for along, name in enumerate(named[path]):
            if name == axis:
                leaf = np.asarray(leaf)
                leaf = _take(leaf, index, along, -1 if path in NOWHERE else fill(path, leaf, along))
        return leaf

    after = map_named(relaid, state).replace(architecture=state.architecture.resized(axis, index.size))
    after = after.replace(learner=_follow_names(mind, after, {p.removeprefix("learner/"): n for p, n in named.items()}))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, after)


def _check_appended(state: Dellm, index: np.ndarray) -> None:
    size, room = state.architecture.concepts, next(iter(state.memory.episodic.codes.values())).shape[0]
    if not np.array_equal(index[:size], np.arange(size)) or (index[size:] >= 0).any():
        raise SurgeryError(
            f"axis {CONCEPTS!r} can only be appended to, because memories are filed under their numbers: "
            f"keep 0 to {size - 1} in order, then -1 for each new one"
        )
    if state.architecture.answers and index.size > size:
        raise SurgeryError(
            f"axis {CONCEPTS!r}: episodes that keep their answers have no room for more than {size} concepts; "
            "give the life enough concepts at birth"
        )
    if 0 < room < index.size:
        raise SurgeryError(
            f"axis {CONCEPTS!r}: {index.size} concepts do not fit the {room} episodes that memory holds; "
            f"raise architecture.episodic_bytes"
        )


def _take(leaf: np.ndarray, index: np.ndarray, along: int, fill: Any) -> np.ndarray:
    shape = list(leaf.shape)
    shape[along] = index.size
    out = np.empty(shape, leaf.dtype)
    kept = int(np.argmax(index != np.arange(index.size))) if (index != np.arange(index.size)).any() else index.size
    kept = min(kept, leaf.shape[along])
    where: list[Any] = [slice(None)] * leaf.ndim

    def at(position: Any) -> tuple[Any, ...]:
        return (*where[:along], position, *where[along + 1 :])

    out[at(slice(0, kept))] = leaf[at(slice(0, kept))]  # the common case, growth at the end, is one block copy
    rest = index[kept:]
    if (rest >= 0).any():
        out[at(kept + np.flatnonzero(rest >= 0))] = leaf[at(rest[rest >= 0])]
    if (rest < 0).any():
        out[at(kept + np.flatnonzero(rest < 0))] = fill
    return out


def _follow_names(mind: Mind, state: Dellm, before: dict[str, axes.Names]) -> Any:
    """The learner in the form that the rule makes for the new body; each statistic goes where its axis names are.

    (Adafactor swaps its row and column statistics when growth makes another side the longer one.)
    """
    expected = jax.eval_shape(mind.rule.init, state.params)
    if jax.tree.structure(expected) != jax.tree.structure(state.learner):
        raise SurgeryError(
            "the rule makes a learner of another structure for the new body; use one that does not depend on sizes"
        )
    shapes = {path: leaf.shape for path, leaf in flat(state.params).items()}
    of_params = {
        p.removeprefix("params/"): n for p, n in axes.module_names(mind, state).items() if p.startswith("params/")
    }
    wanted = axes.inherited(expected, of_params, shapes)
    old = flat(state.learner)

    def settle(path: str, leaf: Any, form: jax.ShapeDtypeStruct) -> Any:
        if before.get(path) == wanted[path] and leaf.shape == form.shape:
            return leaf
        owner = max((p for p in of_params if path.endswith("/" + p)), key=len, default="")
        for other, value in old.items():
            if (
                owner
                and other.endswith("/" + owner)
                and before.get(other) == wanted[path]
                and value.shape == form.shape
            ):
                return value
        raise SurgeryError(
            f"optimizer leaf {path!r} has shape {leaf.shape} but the rule expects {form.shape} for the new body, and "
            f"no leaf has the axes {wanted[path]}; use a rule whose form does not depend on sizes"
        )

    return map_named(settle, state.learner, expected)


def resize(mind: Mind, state: Dellm, axis: str, capacity: int) -> Dellm:
    """Another capacity: silent positions are added at the end or dropped wherever they are; the living keep order."""
    size = _size(state, axis)
    living = np.flatnonzero(np.asarray(_homeostasis(state, axis)["active"]) > 0)
    if capacity >= size:
        return take(mind, state, axis, [*range(size), *[-1] * (capacity - size)])
    if living.size > capacity:
        raise SurgeryError(f"axis {axis!r} has {living.size} living units; they do not fit a capacity of {capacity}")
    idle = np.setdiff1d(np.arange(size), living)[: capacity - living.size]
    return take(mind, state, axis, np.sort(np.concatenate([living, idle])).tolist())


def silence(mind: Mind, state: Dellm, axis: str, positions: Sequence[int]) -> Dellm:
    """Death inside the capacity: the units become zero in body and learner, as if never born."""
    positions = _positions(state, axis, positions)
    named = axes.names(mind, state)

    def quiet(path: str, leaf: Any) -> Any:
        if axis not in named[path] or path.startswith("memory"):
            return leaf
        out = np.array(leaf)
        for along, name in enumerate(named[path]):
            if name == axis:
                out[(*[slice(None)] * along, positions)] = 0
        return jnp.asarray(out)

    return map_named(quiet, state)


def awaken(mind: Mind, state: Dellm, axis: str, positions: Sequence[int], key: Array, warm: bool = True) -> Dellm:
    """Birth inside the capacity: silent units come alive with He weights in and zero weights out, so that the function
    is kept. Their threshold is the median of the living, their firing rate the mean. With `warm`, second moments start
    at the mean of the living, which spares newborns Adam's first steps of up to 6.5 times the learning rate.
    """
    positions = _positions(state, axis, positions)
    named = axes.names(mind, state)
    alive = np.asarray(_homeostasis(state, axis)["active"]) > 0
    if alive[positions].any():
        raise SurgeryError(f"axis {axis!r}: positions {positions[alive[positions]].tolist()} are alive already")
    node = axis.removesuffix(".units")

    def born(path: str, leaf: Any) -> Any:
        if axis not in named[path] or path.startswith("memory"):
            return leaf
        out, along = np.array(leaf), named[path].index(axis)
        at = (*[slice(None)] * along, positions)
        out[at] = _newborn(path, node, out, named[path], alive, positions, key, state, warm)
        return jnp.asarray(out)

    return map_named(born, state)


def _newborn(
    path: str,
    node: str,
    leaf: np.ndarray,
    names: axes.Names,
    alive: np.ndarray,
    positions: np.ndarray,
    key: Array,
    state: Dellm,
    warm: bool,
) -> Any:
    parts, along = path.split("/"), names.index(f"{node}.units" if node != CONCEPTS else node)
    living = np.compress(alive, leaf, axis=along)
    if parts[0] == "learner":
        if warm and SECOND_MOMENTS & set(parts[:-2]) and living.size:  # the last two are assembly and weight
            return living.mean(along, keepdims=True)
        return 0.0
    if parts[-1] == "active":
        return 1.0
    if parts[-1] == "threshold" and living.size:
        return np.median(living)
    if parts[-1] == "rate" and living.size:
        return living.mean()
    incoming = parts[0] == "params" and parts[1] == node and node != CONCEPTS
    if not incoming or parts[-1] == "bias" or leaf.ndim < 2:
        return 0.0
    heard, kin = sum(_living_inputs(state, node).values()), alive.sum() or positions.size
    source = parts[-1].split("_", 1)[1]
    other = _living_mask(state, source) if state.architecture.axis(source) in names else np.ones(leaf.shape[-2])
    if leaf.ndim > 2:  # [kernel, reach, source, units] in time, [kernel, 2, bands, units] of a filterbank
        heard = leaf.shape[0] * leaf.shape[1] * (heard if state.architecture.axis(source) in names else 1)
    scale = (2 / heard if parts[-1].startswith("from_") else 1 / kin) ** 0.5
    # Drawn in numpy: jax would compile a program for every number of births.
    seed = np.asarray(jax.random.key_data(named_key(key, path)))
    shape = [positions.size if i == along else size for i, size in enumerate(leaf.shape)]
    draw = scale * np.random.default_rng(seed).standard_normal(shape, np.float32)
    return draw * (other[:, None] if parts[-1].startswith("from_") else other[None, :])


def _living_mask(state: Dellm, node: str) -> np.ndarray:
    if node in state.homeostasis:
        return np.asarray(state.homeostasis[node]["active"])
    return np.ones(state.architecture.sizes()[f"{node}.inputs"], np.float32)


def _living_inputs(state: Dellm, node: str) -> dict[str, float]:
    return {source: float(_living_mask(state, source).sum()) for source in state.architecture.reads[node]}


def _homeostasis(state: Dellm, axis: str) -> Any:
    _size(state, axis)
    return state.homeostasis[axis.removesuffix(".units")]


def _positions(state: Dellm, axis: str, positions: Sequence[int]) -> np.ndarray:
    positions, size = np.asarray(positions, np.int64), _size(state, axis)
    wrong = positions[(positions < 0) | (positions >= size)].tolist()
    if wrong:
        raise SurgeryError(f"axis {axis!r} has positions 0 to {size - 1}, not {wrong}")
    return positions


def _size(state: Dellm, axis: str) -> int:
    sizes = {a: n for a, n in state.architecture.sizes().items() if not a.endswith(".inputs")}
    if axis not in sizes:
        raise SurgeryError(f"axis {axis!r} cannot change; those that can: {sorted(sizes)}")
    return sizes[axis]


def living(state: Dellm) -> dict[str, int]:
    """Living units of every assembly."""
    return {a.name: int(np.asarray(state.homeostasis[a.name]["active"]).sum()) for a in state.architecture.assemblies}
