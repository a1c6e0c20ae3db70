"""Experiences on their way in: checked on the host, perceived inside jit, mixed with what is remembered."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dellm_jax.architecture import Architecture
from dellm_jax.errors import ExperienceError
from dellm_jax.types import UNNAMED, Array, Dellm, Experience


class Percepts(NamedTuple):
    """What the cortex reads: `values` {sense: [B, inputs]}, `presence` {sense: [B]} (no entry = surely there)."""

    values: dict[str, Array]
    presence: dict[str, Array]


def validate(architecture: Architecture, experience: Experience) -> None:
    """Refuse, on the host, what must not be learned from. Leaves are [B, ...] or stacked [T, B, ...].

    Raises ExperienceError naming the field, what was expected and the fix.
    """
    senses = {sense.name: sense for sense in architecture.senses}
    target = np.asarray(experience.target)
    if not experience.senses:
        raise ExperienceError(f"experience.senses is empty; give at least one of {sorted(senses)}")
    for name, raw in experience.senses.items():
        if name not in senses:
            raise ExperienceError(f"experience.senses[{name!r}]: this body has no such sense; it has {sorted(senses)}")
        sense, where = senses[name], f"experience.senses[{name!r}]"
        if np.issubdtype(raw.dtype, np.floating) and not np.isfinite(raw).all():
            raise ExperienceError(
                f"{where} holds NaN or infinite values; drop or repair those samples before they are lived"
            )
        if raw.dtype != sense.raw_dtype:
            raise ExperienceError(
                f"{where} has dtype {raw.dtype}; expected {sense.raw_dtype} in its full range, so scale and cast it"
            )
        if raw.shape != (*target.shape, *sense.raw_shape):
            raise ExperienceError(
                f"{where} has shape {raw.shape}; expected {(*target.shape, *sense.raw_shape)}: of target, then "
                f"{sense.raw_shape} of this sense"
            )
    if not np.issubdtype(target.dtype, np.integer) or target.size == 0:
        raise ExperienceError(
            f"experience.target has dtype {target.dtype} and {target.size} entries; expected integers, at least one"
        )
    least = UNNAMED if architecture.binding else 0
    if target.min() < least or target.max() >= architecture.concepts:
        raise ExperienceError(
            f"experience.target goes from {target.min()} to {target.max()}; expected {least} to "
            f"{architecture.concepts - 1}: raise architecture.concepts (now {architecture.concepts}); {UNNAMED}, what "
            f"nobody named, is for lives with architecture.binding (now {architecture.binding})"
        )
    weight = np.asarray(experience.weight)
    if weight.shape != target.shape or not np.isfinite(weight).all() or weight.min() < 0:
        raise ExperienceError(
            f"experience.weight must be finite, >= 0 and of shape {target.shape}; got shape {weight.shape}"
        )
    if experience.value is not None:
        value = np.asarray(experience.value)
        if value.shape != target.shape or not np.isfinite(value).all():
            raise ExperienceError(
                f"experience.value must be finite and of shape {target.shape}; got shape {value.shape}: drop or repair "
                "those samples before they are lived"
            )


def perceive(architecture: Architecture, experience: Experience) -> Percepts:
    """Raw arrays -> percepts of the senses there are.

    What is perceived is what can be remembered: percepts are decoded from the codes of episodic memory, so that a life
    lives, replays and is asked in one and the same world.
    """
    there = [sense for sense in architecture.senses if sense.name in experience.senses]
    return Percepts({sense.name: sense.decode(sense.encode(experience.senses[sense.name])) for sense in there}, {})


def unnamed_aside(experience: Experience) -> Experience:
    """The same batch, in which what nobody named weighs nothing: it is as padding is."""
    named = experience.target >= 0
    return experience.replace(
        target=jnp.where(named, experience.target, 0), weight=jnp.where(named, experience.weight, 0.0)
    )


def encode(architecture: Architecture, experience: Experience) -> tuple[dict[str, Array], Array]:
    """What episodic memory keeps: codes of every sense (zero where absent) and presence bits [B]."""
    batch = experience.target.shape[0]
    codes, bits = {}, 0
    for place, sense in enumerate(architecture.senses):
        if sense.name in experience.senses:
            codes[sense.name] = sense.encode(experience.senses[sense.name])
            bits |= 1 << place
        else:
            codes[sense.name] = jnp.zeros((batch, sense.code_bytes), jnp.uint8)
    return codes, jnp.full((batch,), bits, jnp.uint8)


def decode(architecture: Architecture, codes: dict[str, Array], bits: Array) -> Percepts:
    """Codes and presence bits [B] -> percepts, absent senses zero."""
    if len(architecture.senses) == 1:
        (sense,) = architecture.senses
        return Percepts({sense.name: sense.decode(codes[sense.name])}, {})
    values, presence = {}, {}
    for place, sense in enumerate(architecture.senses):
        there = ((bits >> place) & 1).astype(jnp.float32)
        values[sense.name] = sense.decode(codes[sense.name]) * there[:, None]
        presence[sense.name] = there
    return Percepts(values, presence)


def features_of(state: Dellm, percepts: Percepts) -> dict[str, Array]:
    """The frozen features [B, n] that semantic memory knows each sense by, of every sense that is there."""
    known = state.memory.semantic
    return {
        sense.name: sense.expand(known[sense.name].filters, percepts.values[sense.name])
        for sense in state.architecture.senses
        if sense.name in percepts.values and sense.name in known
    }


def drop_senses(chance: Array, percepts: Percepts) -> Percepts:
    """Learn with a random non-empty part of the senses, so that each one alone is enough.

    `chance` [B] uniform in [0, 1): below one half every sense stays; otherwise one sense, evenly drawn, stays. A sense
    that was not there is never drawn in: the example then keeps what it has.
    """
    names = list(percepts.values)
    if len(names) < 2:
        return percepts
    only = jnp.floor((2 * chance - 1) * len(names)).astype(jnp.int32)
    there = {name: percepts.presence.get(name, jnp.ones_like(chance)) for name in names}
    chosen = {name: (chance < 0.5) | (only == place) for place, name in enumerate(names)}
    left = jnp.stack([there[name] * chosen[name] for name in names]).max(0)
    presence = {name: jnp.where(left > 0, there[name] * chosen[name], there[name]) for name in names}
    return Percepts({name: x * presence[name][:, None] for name, x in percepts.values.items()}, presence)
