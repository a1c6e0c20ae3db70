"""Every array axis has a name, and the name alone decides how it grows, is pruned, is sharded and is saved.

Names are declared once, where a leaf is made, and derived for the whole life when asked. They are never stored beside
the leaves: a stored tree of names goes stale with the first growth.
"""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
from flax import linen as nn
from flax import struct
from flax.core import meta

from dellm_jax.architecture import Architecture
from dellm_jax.errors import SurgeryError
from dellm_jax.trees import flat
from dellm_jax.types import Dellm, Mind

Names = tuple[str, ...]
UNNAMED = ""


def named(init: Any, *names: str) -> Any:
    """A Linen initialiser that declares one name per axis of what it makes."""
    return nn.with_logical_partitioning(init, names)


def leaf(*names: str) -> Any:
    """A dataclass field that declares its axes; `{}` stands for the dictionary key the dataclass is found under."""
    return struct.field(metadata={"axes": names})


def names(mind: Mind, state: Dellm) -> dict[str, Names]:
    """The axis names of every array of a life, by path; rank-0 leaves have the empty tuple.

    Raises SurgeryError on a leaf of rank >= 1 that nobody named.
    """
    modules = module_names(mind, state)
    of_params = {path.removeprefix("params/"): axes for path, axes in modules.items() if path.startswith("params/")}
    shapes = {path: leaf.shape for path, leaf in flat(state.params).items()}
    declared = modules | _of_fields(state.memory, "memory")
    declared |= {f"learner/{path}": axes for path, axes in inherited(state.learner, of_params, shapes).items()}
    every = {}
    for path, array in flat(state).items():
        axes = declared.get(path, ())
        if len(axes) != array.ndim:
            raise SurgeryError(
                f"leaf {path!r} has shape {array.shape} but the axis names {axes}; name it where it is made"
            )
        every[path] = axes
    return every


def module_names(mind: Mind, state: Dellm) -> dict[str, Names]:
    """Names of `params/...` and `homeostasis/...`, read from the boxes that the initialisers leave."""
    return _boxed_names(mind.module, state.architecture.smallest())


@cache
def _boxed_names(module: Callable[[Architecture], nn.Module], architecture: Architecture) -> dict[str, Names]:
    """Names do not depend on sizes, so one trace of the smallest body of this wiring serves every size."""
    boxed = jax.eval_shape(lambda: module(architecture).init(jax.random.key(0)))
    leaves = flat(boxed, is_leaf=lambda node: isinstance(node, meta.AxisMetadata))
    return {path: tuple(getattr(box, "names", ())) for path, box in leaves.items()}


def inherited(learner: Any, of_params: dict[str, Names], shapes: dict[str, tuple[int, ...]]) -> dict[str, Names]:
    """Names of optimizer leaves: those of the parameter whose path ends theirs, if the shape agrees.

    A leaf that lacks one axis of its parameter (adafactor's factored moments) is named by the axes it kept; where two
    equal sizes leave that open, the first such leaf dropped the last axis, which is the order optax writes them in.
    A leaf of one element that stands for "nothing here" is unnamed.
    """
    found, seen = {}, {}
    for path, leaf in flat(learner).items():
        owner = max((p for p in of_params if path == p or path.endswith("/" + p)), key=len, default=None)
        found[path] = ()
        if leaf.ndim == 0:
            continue
        if owner is not None and leaf.shape == shapes[owner]:
            found[path] = of_params[owner]
        elif leaf.size == 1:
            found[path] = (UNNAMED,) * leaf.ndim
        elif owner is not None:
            found[path] = _factored(leaf.shape, of_params[owner], shapes[owner], seen.setdefault(owner, []))
    return found


def _factored(shape: tuple[int, ...], axes: Names, full: tuple[int, ...], taken: list[int]) -> Names:
    for dropped in reversed(range(len(full))):
        if dropped not in taken and full[:dropped] + full[dropped + 1 :] == shape:
            taken.append(dropped)
            return axes[:dropped] + axes[dropped + 1 :]
    return ()


def _of_fields(node: Any, path: str, key: str = "") -> dict[str, Names]:
    """Names declared by `leaf` on the fields of nested dataclasses."""
    if isinstance(node, dict):
        return {p: n for name, child in node.items() for p, n in _of_fields(child, f"{path}/{name}", name).items()}
    if not dataclasses.is_dataclass(node):
        return {}
    out: dict[str, Names] = {}
    for field in dataclasses.fields(node):
        child, where = getattr(node, field.name), f"{path}/{field.name}"
        axes = field.metadata.get("axes")
        if axes is None:
            out |= _of_fields(child, where, key)
        elif isinstance(child, dict):
            out |= {f"{where}/{name}": tuple(a.format(name) for a in axes) for name in child}
        else:
            out[where] = tuple(a.format(key) for a in axes)
    return out


def place(mind: Mind, state: Dellm, mesh: jax.sharding.Mesh, rules: dict[str, str]) -> Dellm:
    """The same life with every array sharded over `mesh`: `rules` maps axis names to mesh axes, the rest replicate."""
    axes = flat(state)
    known = names(mind, state)
    shardings = {
        path: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*(rules.get(name) for name in known[path])))
        for path in axes
    }
    leaves, structure = jax.tree.flatten(state)
    return jax.tree.unflatten(
        structure, [jax.device_put(x, s) for x, s in zip(leaves, shardings.values(), strict=True)]
    )
