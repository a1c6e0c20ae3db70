"""Experiences on their way in: checked on the host, perceived inside jit, mixed with what is remembered."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dellm_jax.memory.episodic import Recalled
from dellm_jax.types import Architecture, Array, Experience, ExperienceError


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
                f"{where} has shape {raw.shape}; expected {(*target.shape, *sense.raw_shape)}: the shape of target, then "
                f"{sense.raw_shape} of this sense"
            )
    if not np.issubdtype(target.dtype, np.integer) or target.size == 0:
        raise ExperienceError(
            f"experience.target has dtype {target.dtype} and {target.size} entries; expected integers, at least one"
        )
    if target.min() < 0 or target.max() >= architecture.concepts:
        raise ExperienceError(
            f"experience.target goes from {target.min()} to {target.max()}; expected 0 to {architecture.concepts - 1}: "
            f"raise architecture.concepts (now {architecture.concepts})"
        )
    weight = np.asarray(experience.weight)
    if weight.shape != target.shape or not np.isfinite(weight).all() or weight.min() < 0:
        raise ExperienceError(
            f"experience.weight must be finite, >= 0 and of shape {target.shape}; got shape {weight.shape}"
        )


def perceive(architecture: Architecture, experience: Experience) -> tuple[Percepts, dict[str, Array], Array]:
    """Raw arrays -> percepts of the senses there are, and what episodic memory keeps of them: codes of every sense
    (zero where absent) and presence bits [B].

    What is perceived is what can be remembered: percepts are decoded from the codes, so that a life lives, replays and
    is asked in one and the same world. (Told apart, replayed codes taught it 0.4 points less.)
    """
    batch = experience.target.shape[0]
    codes, values, bits = {}, {}, 0
    for place, sense in enumerate(architecture.senses):
        if sense.name in experience.senses:
            codes[sense.name] = sense.encode(experience.senses[sense.name])
            values[sense.name] = sense.decode(codes[sense.name])
            bits |= 1 << place
        else:
            codes[sense.name] = jnp.zeros((batch, sense.code_bytes), jnp.uint8)
    return Percepts(values, {}), codes, jnp.full((batch,), bits, jnp.uint8)


def decode(architecture: Architecture, recalled: Recalled) -> Percepts:
    """Remembered codes -> percepts, absent senses zero."""
    if len(architecture.senses) == 1:
        (sense,) = architecture.senses
        return Percepts({sense.name: sense.decode(recalled.codes[sense.name])}, {})
    values, presence = {}, {}
    for place, sense in enumerate(architecture.senses):
        there = ((recalled.present >> place) & 1).astype(jnp.float32)
        values[sense.name] = sense.decode(recalled.codes[sense.name]) * there[:, None]
        presence[sense.name] = there
    return Percepts(values, presence)


def join(architecture: Architecture, first: Percepts, second: Percepts) -> Percepts:
    """One batch of two, over the senses of both."""
    sizes = [len(next(iter(p.values.values()))) for p in (first, second)]
    values, presence = {}, {}
    for sense in architecture.senses:
        if sense.name not in first.values and sense.name not in second.values:
            continue
        parts, there = [], []
        for percepts, size in zip((first, second), sizes, strict=True):
            has = sense.name in percepts.values
            parts.append(percepts.values[sense.name] if has else jnp.zeros((size, sense.inputs)))
            there.append(percepts.presence.get(sense.name, jnp.full((size,), float(has))))
        values[sense.name] = jnp.concatenate(parts)
        if len(architecture.senses) > 1:
            presence[sense.name] = jnp.concatenate(there)
    return Percepts(values, presence)


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
