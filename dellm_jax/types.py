"""The few types that every other file is written in.

A `Dellm` is one frozen pytree; an `Architecture` is what is static about it; a `Mind` is the laws it lives by.
Nothing here computes: functions elsewhere move a `Dellm` through time.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax
from flax import linen as nn
from flax import struct

from dellm_jax.errors import ArchitectureError, ScheduleError, SurgeryError

Array = jax.Array
Report = dict[str, float]

CONCEPTS = "concepts"


class Sense(Protocol):
    """How one modality enters: raw array -> percept for the cortex, code for memory, frozen features for meaning.

    The numbers that a code holds are its latent; decode(code) = depict(latent(code)).
    """

    name: str

    @property
    def raw_shape(self) -> tuple[int, ...]: ...
    @property
    def raw_dtype(self) -> np.dtype: ...
    @property
    def inputs(self) -> int: ...
    @property
    def code_bytes(self) -> int: ...
    @property
    def features(self) -> int: ...
    def sharpest(self) -> "Sense": ...
    def perceive(self, raw: Array) -> Array: ...
    def encode(self, raw: Array) -> Array: ...
    def decode(self, code: Array) -> Array: ...
    @property
    def latents(self) -> int: ...
    def latent(self, code: Array) -> Array: ...
    def depict(self, latent: Array) -> Array: ...
    def augment(self, key: Array, percept: Array) -> Array: ...
    def draw_filters(self, key: Array) -> Array: ...
    def expand(self, filters: Array, percept: Array) -> Array: ...


@dataclass(frozen=True)
class Assembly:
    """A group of units that reads senses or other assemblies; `units` live at birth, `capacity` are allocated."""

    name: str
    reads: tuple[str, ...]
    units: int
    capacity: int = 0
    max_units: int = 0


@dataclass(frozen=True)
class Architecture:
    """What a body is made of: senses, assemblies in reading order, and the size of every named axis.

    `quantum`: capacities are multiples of it. `episodic_bytes`: budget of lived episodes, 0 for none; with `answers`,
    each keeps the logits it was answered with, and one in `held_out` is never learned from at night but judges it, 0
    for none. `semantic_chunk`: experiences gathered before the closed-form memory is refreshed. `imagery`: the senses
    that are dreamt of, at n^2 / 2 numbers a concept for codes of n. `feedback`: whether assemblies carry top-down
    weights.
    """

    senses: tuple[Any, ...]
    assemblies: tuple[Assembly, ...]
    concepts: int = 32
    quantum: int = 32
    episodic_bytes: int = 392_000
    answers: bool = False
    held_out: int = 10
    semantic: bool = True
    semantic_chunk: int = 64
    imagery: tuple[str, ...] = ()
    feedback: bool = True

    def __post_init__(self) -> None:
        if self.quantum < 1:
            raise ArchitectureError(f"architecture.quantum is {self.quantum}; capacities are multiples of at least 1")
        if self.held_out < 0 or self.held_out == 1:
            raise ArchitectureError(
                f"architecture.held_out is {self.held_out}; hold out one episode in 2 or more, or 0 for none"
            )
        known: set[str] = set()
        for sense in self.senses:
            _unique(known, sense.name)
        unknown = sorted(set(self.imagery) - known)
        if unknown:
            raise ArchitectureError(f"architecture.imagery names {unknown}; the senses are {sorted(known)}")
        rounded = []
        for assembly in self.assemblies:
            for source in assembly.reads:
                if source not in known:
                    raise ArchitectureError(
                        f"assembly {assembly.name!r} reads {source!r}, which is no sense and no assembly before it; "
                        f"it may read {sorted(known)}"
                    )
            _unique(known, assembly.name)
            rounded.append(_rounded(assembly, self.quantum))
        if not self.assemblies:
            raise ArchitectureError("architecture.assemblies is empty; a body needs at least one assembly")
        if self.concepts < 2:
            raise ArchitectureError(f"architecture.concepts is {self.concepts}; a life needs room for at least 2")
        object.__setattr__(self, "assemblies", tuple(rounded))

    @property
    def readers(self) -> tuple[str, ...]:
        """Assemblies that no other assembly reads: what the concepts read."""
        read = {source for assembly in self.assemblies for source in assembly.reads}
        return tuple(assembly.name for assembly in self.assemblies if assembly.name not in read)

    @property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """Who reads whom, the concepts included."""
        return {a.name: a.reads for a in self.assemblies} | {CONCEPTS: self.readers}

    def axis(self, node: str) -> str:
        """The name of the axis on which a sense, an assembly or the concepts lay their outputs."""
        if node == CONCEPTS:
            return CONCEPTS
        return f"{node}.inputs" if any(node == sense.name for sense in self.senses) else f"{node}.units"

    def sizes(self) -> dict[str, int]:
        """Size of every axis that a parameter can have."""
        return (
            {f"{sense.name}.inputs": sense.inputs for sense in self.senses}
            | {f"{assembly.name}.units": assembly.capacity for assembly in self.assemblies}
            | {CONCEPTS: self.concepts}
        )

    def smallest(self) -> "Architecture":
        """The same wiring with one unit in every assembly."""
        return replace(self, assemblies=tuple(replace(a, units=1, capacity=self.quantum) for a in self.assemblies))

    def resized(self, axis: str, size: int) -> "Architecture":
        """The same body with another capacity on one axis (assembly units or concepts)."""
        if axis == CONCEPTS:
            return replace(self, concepts=size)
        names = [f"{assembly.name}.units" for assembly in self.assemblies]
        if axis not in names:
            raise SurgeryError(f"axis {axis!r} cannot change its size; those that can: {[*names, CONCEPTS]}")
        return replace(
            self,
            assemblies=tuple(
                replace(a, capacity=size, units=min(a.units, size)) if f"{a.name}.units" == axis else a
                for a in self.assemblies
            ),
        )


def _unique(known: set[str], name: str) -> None:
    if name in known or name == CONCEPTS or not name.isidentifier():
        raise ArchitectureError(
            f"name {name!r} is taken, reserved or no identifier; give each sense and assembly its own"
        )
    known.add(name)


def _rounded(assembly: Assembly, quantum: int) -> Assembly:
    """Capacity as the least multiple of the quantum that holds the units, or as given when it is one."""
    if assembly.units < 1:
        raise ArchitectureError(f"assembly {assembly.name!r} has units={assembly.units}; give it at least 1")
    capacity = assembly.capacity or quantum * math.ceil(assembly.units / quantum)
    if capacity < assembly.units:
        raise ArchitectureError(f"assembly {assembly.name!r}: {assembly.units} units in a capacity of {capacity}")
    if 0 < assembly.max_units < assembly.units:
        raise ArchitectureError(
            f"assembly {assembly.name!r} is born with units={assembly.units}, above max_units={assembly.max_units}; "
            "raise max_units or lower units"
        )
    return replace(assembly, capacity=capacity, max_units=assembly.max_units or 4 * capacity)


@struct.dataclass
class Clock:
    """How long a life has lived: scalars; the losses are running means of the awake loss (fast 0.9, slow 0.99).

    `stage`: where in its stages the next night begins, 0 unless the last one was interrupted.
    """

    steps: Array
    experiences: Array
    since_rest: Array
    nights: Array
    stage: Array
    loss_fast: Array
    loss_slow: Array


@struct.dataclass
class Experience:
    """A batch of what was perceived: raw arrays [B, ...] of the senses present, `target` [B] int32, `weight` [B].

    `value` [B] says how much, for concepts that are quantities to be predicted; None where concepts are named.
    Leaves carry a leading [T] when the batches of a day are stacked for `awake`. Which senses are there is static.
    """

    senses: dict[str, Array]
    target: Array
    weight: Array
    value: Array | None = None


@struct.dataclass
class Lesson:
    """What a loss sees of a batch: `logits` [B, C], `target` [B], `weight` [B], `lived` [B] (1 lived, 0 rehearsed).

    `nights` lived so far (scalar); `taught` [B, C]: logits of whoever teaches (an older self, or what was answered when
    an episode was lived), or None; `value` [B]: how much, where concepts are quantities, or None; `belief` [B, C]: the
    log-probabilities that the whole gave in the evening, in nights in which it teaches.
    """

    logits: Array
    target: Array
    weight: Array
    lived: Array
    nights: Array
    taught: Array | None = None
    value: Array | None = None
    belief: Array | None = None


@struct.dataclass
class Thought:
    """`logits` [B, C]; `values`: outputs [B, N] of every sense and assembly; `presence`: [B] in {0, 1} of each.

    A source whose presence is known to be one everywhere (a body with a single sense) has no entry in `presence`.
    """

    logits: Array
    values: dict[str, Array]
    presence: dict[str, Array]


@struct.dataclass
class Dellm:
    """A life. `architecture` is static; everything else is arrays, named axis by axis by `axes.names`."""

    architecture: Architecture = struct.field(pytree_node=False)
    params: Mapping[str, Any]
    homeostasis: Mapping[str, Any]
    learner: Any
    memory: Any
    hyper: Mapping[str, Any]
    key: Array
    clock: Clock


class Mind(NamedTuple):
    """The laws of a life, static under jit.

    `module(architecture)` builds the body; `loss(lesson)` is a scalar; `rule` is the optax transformation that learns
    while awake; `rehearse` episodes are mixed into every awake batch; `error(module, variables, thought, objective)`
    gives predictive-coding errors to rules that ask for them.
    `teacher(answer, learner, lesson)` -> logits [B, C], with `answer(params)` what a body would say, teaches the loss;
    `voice(params, learner)` -> the params that answer, when not those that learn; `imagination` rehearses what is made
    up instead of remembered; thresholds move at `threshold_speed`.
    """

    module: Callable[[Architecture], nn.Module]
    loss: Callable[[Lesson], Array]
    rule: optax.GradientTransformationExtraArgs
    rehearse: int = 10
    error: Callable[..., Any] | None = None
    teacher: Callable[[Callable[[Any], Array], Any, Lesson], Array] | None = None
    voice: Callable[[Any, Any], Any] | None = None
    imagination: "Imagination | None" = None
    threshold_speed: float = 1e-4


class Imagination(NamedTuple):
    """A generator of percepts that learns awake: `create(architecture, key)`, `imagine(generator, key, count)` ->
    percepts [count, N], `learn(generator, percepts [B, N], weight [B], key)` -> generator."""

    create: Callable[[Architecture, Array], Any]
    imagine: Callable[[Any, Array, int], Array]
    learn: Callable[[Any, Array, Array, Array], Any]


class Response(NamedTuple):
    """What a life thinks of a batch: concept [B], confidence [B], log-probabilities [B, C] by each way of knowing."""

    concept: Array
    confidence: Array
    log_probability: Array
    by: dict[str, Array]


Stage = Callable[[Mind, Dellm, Array], tuple[Dellm, Report]]


@dataclass(frozen=True)
class Schedule:
    """When to rest, and the stages of a night in order.

    Rest comes after `rest_every` experiences, or when sleep pressure (which `full` experiences fill) passes `pressure`,
    or after `inactivity_s` seconds of silence (monotonic); 0 turns a trigger off, and nothing comes before `min_awake`
    experiences. `at_pauses`: also whenever the stream yields None, for methods that need to be told of task boundaries.
    The stages of the `night` are named so that reports read `<stage>/<what>`.
    """

    rest_every: int = 0
    pressure: float = 0.0
    full: int = 10_000
    inactivity_s: float = 0.0
    min_awake: int = 0
    at_pauses: bool = False
    night: tuple[tuple[str, Stage], ...] = ()

    def __post_init__(self) -> None:
        for field in ("rest_every", "pressure", "full", "inactivity_s", "min_awake"):
            if getattr(self, field) < 0:
                raise ScheduleError(f"schedule.{field} is {getattr(self, field)}; expected 0 (off) or more")
        if self.pressure and not self.full:
            raise ScheduleError("schedule.full is 0; resting by pressure needs at least 1 experience that fills it")
