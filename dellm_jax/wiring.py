"""Surgery on the wiring of a life: whole assemblies join the body, become one, or fold their twins.

All else stays what it was, bit for bit, learner included: a leaf is known by its path, and those of others stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta

from dellm_jax import axes, surgery
from dellm_jax.architecture import CONCEPTS, Architecture, Assembly
from dellm_jax.errors import ArchitectureError, SurgeryError
from dellm_jax.trees import flat, map_named
from dellm_jax.types import Array, Dellm, Mind


def siblings(architecture: Architecture) -> list[tuple[str, ...]]:
    """Assemblies that read the same sources and are read by the same readers, eldest first; none in time."""
    groups: dict[Any, list[str]] = {}
    for assembly in (assembly for assembly in architecture.assemblies if not assembly.in_time):
        groups.setdefault((frozenset(assembly.reads), readers_of(architecture, assembly.name)), []).append(
            assembly.name
        )
    return [tuple(group) for group in groups.values()]


def readers_of(architecture: Architecture, name: str) -> tuple[str, ...]:
    """Who reads an assembly: other assemblies or the concepts."""
    return tuple(reader for reader, sources in architecture.reads.items() if name in sources)


def recruit(
    mind: Mind,
    state: Dellm,
    assembly: Assembly,
    key: Array,
    own: Mapping[str, np.ndarray] | None = None,
    readers: Sequence[str] | None = None,
) -> Dellm:
    """A new assembly joins the body: He weights in, zero weights out, so that the function is kept.

    It is read by `readers`, or by those that read its eldest sibling (an assembly with the same sources). `own`
    {leaf: [..., units]} gives leaves such as `from_image` or `bias` other values. Its leaves of the learner are as the
    rule makes them. Raises SurgeryError where it cannot join.
    """
    architecture = _joined(state.architecture, assembly, readers)
    params, homeostasis = _laid_out(mind, state, architecture)
    # Without a learner: the rule shall see the newborn's weights, for it may keep copies of them.
    body = state.replace(architecture=architecture, params=params, homeostasis=homeostasis, learner=())
    body = surgery.awaken(mind, body, f"{assembly.name}.units", range(assembly.units), key)
    if own:
        body = body.replace(params=dict(body.params) | {assembly.name: _given(body.params[assembly.name], own)})
    return body.replace(learner=_carried(mind.rule.init(body.params), state.learner))


def merge(mind: Mind, state: Dellm, one: str, other: str) -> Dellm:
    """Two siblings become one: the living units of `other` take idle places of `one`, with all that is known of them.

    a_one W_one + a_other W_other = [a_one a_other] [W_one; W_other]. Capacity grows in whole quanta where it must.
    Statistics that have lost the axis of units (adafactor's) are averaged, living units weighing alike.
    Raises SurgeryError unless both read the same sources and are read by the same readers.
    """
    _check_siblings(state.architecture, one, other)
    axis, quantum = f"{one}.units", state.architecture.quantum
    moving = np.flatnonzero(np.asarray(state.homeostasis[other]["active"]) > 0)
    here = surgery.living(state)[one]
    needed = quantum * -(-(here + moving.size) // quantum)
    if needed > state.architecture.sizes()[axis]:
        state = surgery.resize(mind, state, axis, needed)
    room = np.flatnonzero(np.asarray(state.homeostasis[one]["active"]) == 0)[: moving.size]
    named, leaves = axes.names(mind, state), flat(state)

    def joined(path: str, leaf: Any) -> Any:
        if path.startswith("memory") or _of(path, one, other) == path or not leaf.ndim or leaf.size == 1:
            return leaf
        twin = np.asarray(leaves[_twin(path, one, other, named)])
        if axis not in named[path]:
            share = moving.size / max(here + moving.size, 1)
            return jnp.asarray((1 - share) * np.asarray(leaf) + share * twin, leaf.dtype)
        out, along = np.array(leaf), named[path].index(axis)
        out[(*[slice(None)] * along, room)] = np.take(twin, moving, along)
        return jnp.asarray(out)

    filled = map_named(joined, state)
    architecture = _without(filled.architecture, one, other, here + moving.size)
    params, homeostasis = _laid_out(mind, filled, architecture)
    learner = _carried(mind.rule.init(params), filled.learner)
    return filled.replace(architecture=architecture, params=params, homeostasis=homeostasis, learner=learner)


def fold(mind: Mind, state: Dellm, name: str, pairs: Mapping[int, tuple[int, float]]) -> Dellm:
    """Units die and their twins speak for them: W_out[twin] += slope W_out[unit], for what they say up and down."""
    params = {node: dict(leaves) for node, leaves in state.params.items()}
    if not pairs:
        return state
    dying = np.array(sorted(pairs))
    heirs, slopes = np.array([pairs[unit][0] for unit in dying]), np.array([pairs[unit][1] for unit in dying])
    spoken = [(reader, f"from_{name}") for reader in readers_of(state.architecture, name)]
    for node, leaf in [*spoken, *((name, leaf) for leaf in params[name] if leaf.startswith("to_"))]:
        weights = np.array(params[node][leaf])
        np.add.at(weights, heirs, (slopes[:, None] * weights[dying]).astype(weights.dtype))
        params[node][leaf] = jnp.asarray(weights)
    return surgery.silence(mind, state.replace(params=params), f"{name}.units", dying)


def _joined(architecture: Architecture, assembly: Assembly, readers: Sequence[str] | None) -> Architecture:
    """The architecture with the new assembly after its siblings and sources, and before its readers."""
    name, places = assembly.name, {a.name: place for place, a in enumerate(architecture.assemblies)}
    akin = [a.name for a in architecture.assemblies if set(a.reads) == set(assembly.reads)]
    if readers is None:
        if not akin:
            raise SurgeryError(f"assembly {name!r} has no sibling that reads {assembly.reads}; name its readers")
        readers = readers_of(architecture, akin[0])
    readers = [reader for reader in readers if reader != CONCEPTS]  # who is read by no assembly is read by them
    after = [places[other] for other in (*akin, *assembly.reads) if other in places]
    place = 1 + max(after, default=-1)
    late = [assembly.name for assembly in architecture.assemblies[place:]]
    wrong = sorted(set(readers) - set(late))
    if wrong:
        raise SurgeryError(f"assembly {name!r} cannot be read by {wrong}; expected some of {late}, which come after it")
    told = sorted(set(assembly.reads) & set(architecture.readers))
    if told:
        raise SurgeryError(f"assembly {name!r} reads {told}, which the concepts would then read no more; read others")
    body = [replace(a, reads=(*a.reads, name)) if a.name in readers else a for a in architecture.assemblies]
    try:
        return replace(architecture, assemblies=(*body[:place], assembly, *body[place:]))
    except ArchitectureError as error:
        raise SurgeryError(f"assembly {name!r} cannot be recruited: {error}") from error


def _without(architecture: Architecture, one: str, other: str, living: int) -> Architecture:
    rest = [replace(a, reads=tuple(source for source in a.reads if source != other)) for a in architecture.assemblies]
    body = [replace(a, max_units=max(a.max_units, living)) if a.name == one else a for a in rest if a.name != other]
    return replace(architecture, assemblies=tuple(body))


def _check_siblings(architecture: Architecture, one: str, other: str) -> None:
    known = [assembly.name for assembly in architecture.assemblies]
    for name in (one, other):
        if name not in known:
            raise SurgeryError(f"assembly {name!r} is not there to be merged; expected one of {known}")
    if one == other or not any({one, other} <= set(group) for group in siblings(architecture)):
        raise SurgeryError(
            f"assemblies {one!r} and {other!r} cannot merge; expected two that read the same sources and are read by "
            f"the same readers, as in {[group for group in siblings(architecture) if len(group) > 1]}"
        )


def _laid_out(mind: Mind, state: Dellm, architecture: Architecture) -> tuple[Any, Any]:
    """Params and homeostasis of another wiring: what was there stays, what is new is zero, which is silent."""
    forms = meta.unbox(jax.eval_shape(mind.module(architecture).init, jax.random.key(0)))
    known = flat({"params": state.params, "homeostasis": state.homeostasis})
    laid = map_named(lambda path, form: known.get(path, jnp.asarray(np.zeros(form.shape, form.dtype))), forms)
    return laid["params"], laid["homeostasis"]


def _carried(learner: Any, before: Any) -> Any:
    """The learner of the new body, with every leaf that the old one had."""
    known = flat(before)
    return map_named(lambda path, leaf: known.get(path, leaf), learner)


def _given(leaves: Mapping[str, Array], own: Mapping[str, np.ndarray]) -> dict[str, Array]:
    """Leaves of a newborn assembly with other values for its units, which come first on the last axis."""
    out = {name: np.array(leaf) for name, leaf in leaves.items()}
    for name, value in own.items():
        if name not in out or name.startswith("to_"):
            raise SurgeryError(f"own[{name!r}]: no such leaf; expected some of {sorted(out)} but what it predicts")
        if value.shape[:-1] != out[name].shape[:-1] or value.shape[-1] > out[name].shape[-1]:
            raise SurgeryError(f"own[{name!r}] has shape {value.shape}; expected {out[name].shape} or fewer units")
        out[name][..., : value.shape[-1]] = value
    return {name: jnp.asarray(leaf) for name, leaf in out.items()}


def _of(path: str, one: str, other: str) -> str:
    """The path of what belongs to `other` as this belongs to `one`; only its last two parts name nodes."""
    theirs = {prefix + one: prefix + other for prefix in ("", "from_", "to_")}
    *first, node, leaf = path.split("/") if "/" in path else ("", path)
    return "/".join([*first, theirs.get(node, node), theirs.get(leaf, leaf)])


def _twin(path: str, one: str, other: str, named: Mapping[str, axes.Names]) -> str:
    """The leaf of `other` with the same axes. (Adafactor's row and column statistics change places with the sizes.)"""
    renamed, wanted = _of(path, one, other), tuple(n.replace(f"{one}.units", f"{other}.units") for n in named[path])
    root, owner = path.split("/")[0], "/".join(renamed.split("/")[-2:])
    for candidate in (renamed, *named):
        if candidate.startswith(root) and candidate.endswith("/" + owner) and named.get(candidate) == wanted:
            return candidate
    raise SurgeryError(
        f"{path!r} has the axes {named[path]}, and {other!r} has no such leaf to merge with it; use a rule whose form "
        "does not depend on sizes"
    )
