"""What is static about a life: its senses, its assemblies, and the size of every named axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from jax import Array

from dellm_jax.errors import ArchitectureError, SurgeryError

CONCEPTS = "concepts"
DENSE, FILTERBANK, CONVOLUTION = KINDS = ("dense", "filterbank", "convolution")


class Sense(Protocol):
    """How one modality enters: raw array -> percept for the cortex, code for memory, frozen features for meaning.

    The numbers that a code holds are its latent; decode(code) = depict(latent(code)). A sense whose percept is a row of
    `moments` can be read by convolutions; one whose percept is a waveform gives filterbanks their filters at birth by
    `quadrature(kernel, filters)` -> [kernel, 2, filters], and the share of the mean in time they take away, `colour`.
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
    """A group of units that reads senses or other assemblies; `units` live at birth, `capacity` are allocated.

    `kind`: "dense" units say one number. Units in time say one in every moment and band, and their mean to dense
    readers. Those of a "filterbank" hear `kernel` samples of a waveform every `stride` samples, stretched to `moments`,
    through a filter in each of `bands`; those of a "convolution" hear `kernel` moments every `stride` and `reach` bands
    every `step` (0 = all there are), of a sense or of assemblies in time.
    """

    name: str
    reads: tuple[str, ...]
    units: int
    capacity: int = 0
    max_units: int = 0
    kind: str = DENSE
    kernel: int = 0
    stride: int = 1
    moments: int = 0
    bands: int = 1
    reach: int = 0
    step: int = 1

    @property
    def in_time(self) -> bool:
        return self.kind != DENSE


@dataclass(frozen=True)
class Architecture:
    """What a body is made of: senses, assemblies in reading order, and the size of every named axis.

    `quantum`: capacities are multiples of it. `episodic_bytes`: budget of lived episodes, 0 for none; with `answers`,
    each keeps the logits it was answered with, and one in `held_out` is never learned from at night but judges it, 0
    for none. `semantic_chunk`: experiences gathered before the closed-form memory is refreshed. `imagery`: the senses
    that are dreamt of, at n^2 / 2 numbers a concept for codes of n. `feedback`: whether assemblies carry top-down
    weights. `rules`: how many corrections can be held until nights have made them its own, 0 for a life that cannot be
    corrected; they are recognised by the features of semantic memory. `binding`: of how many numbers the one
    representation is of what several senses perceive together, named or not (one more than concepts to be told apart is
    enough), 0 where they are not bound; as many bytes of such moments are kept as of episodes.
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
    rules: int = 0
    binding: int = 0

    def __post_init__(self) -> None:
        if self.quantum < 1:
            raise ArchitectureError(f"architecture.quantum is {self.quantum}; capacities are multiples of at least 1")
        if self.held_out < 0 or self.held_out == 1:
            raise ArchitectureError(
                f"architecture.held_out is {self.held_out}; hold out one episode in 2 or more, or 0 for none"
            )
        if self.rules < 0 or (self.rules and not self.semantic):
            raise ArchitectureError(
                f"architecture.rules is {self.rules} with semantic={self.semantic}; expected 0 or more, and 0 without "
                "semantic memory, by whose features instances are recognised"
            )
        if self.rules and self.answers:
            raise ArchitectureError(
                f"architecture.rules is {self.rules} with answers=True; what retired rules become has no logits it was "
                "answered with: choose one of the two"
            )
        if self.binding < 0 or self.binding == 1 or (self.binding and not (self.semantic and len(self.senses) > 1)):
            raise ArchitectureError(
                f"architecture.binding is {self.binding} with semantic={self.semantic} and {len(self.senses)} senses; "
                "expected 2 or more numbers for two or more senses, whose features semantic memory has, or 0"
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
            rounded.append(_in_time(_rounded(assembly, self.quantum), self.senses, rounded))
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

    @property
    def maps(self) -> dict[str, tuple[int, int]]:
        """Over how many moments and bands a sense or an assembly in time tells what it tells."""
        return _maps(self.senses, self.assemblies)

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
            | {f"{assembly.name}.kernel": assembly.kernel for assembly in self.assemblies if assembly.in_time}
            | {f"{assembly.name}.reach": assembly.reach for assembly in self.assemblies if assembly.kind == CONVOLUTION}
            | {f"{assembly.name}.bands": assembly.bands for assembly in self.assemblies if assembly.kind == FILTERBANK}
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


def _maps(senses: tuple[Any, ...], assemblies: Sequence[Assembly]) -> dict[str, tuple[int, int]]:
    found = {
        sense.name: (sense.moments, sense.inputs // sense.moments) for sense in senses if hasattr(sense, "moments")
    }
    for a in assemblies:
        if a.kind == CONVOLUTION:
            moments, bands = found[a.reads[0]]
            found[a.name] = (moments - a.kernel) // a.stride + 1, (bands - a.reach) // a.step + 1
        elif a.kind == FILTERBANK:
            found[a.name] = a.moments, a.bands
    return found


def _in_time(assembly: Assembly, senses: tuple[Any, ...], before: Sequence[Assembly]) -> Assembly:
    """An assembly in time whose sources are told moment by moment, all over as many, with its kernel in numbers."""
    where, least = f"assembly {assembly.name!r}", min(assembly.stride, assembly.step, assembly.bands)
    if assembly.kind not in KINDS:
        raise ArchitectureError(f"{where} has kind={assembly.kind!r}; choose one of {KINDS}")
    if min(assembly.kernel, assembly.reach, assembly.moments, least - 1) < 0:
        raise ArchitectureError(f"{where}: stride, step and bands must be 1 or more, other sizes 0 or more: {assembly}")
    if assembly.kind == DENSE:
        return assembly
    known = _maps(senses, before)
    if assembly.kind == FILTERBANK:
        waveforms = [sense.name for sense in senses if hasattr(sense, "quadrature")]
        if len(assembly.reads) != 1 or assembly.reads[0] not in waveforms or not assembly.kernel * assembly.moments:
            raise ArchitectureError(
                f"{where} is a filterbank: it reads one waveform ({waveforms or 'no sense is one'}, not "
                f"{assembly.reads}) through a kernel of at least 1 sample to at least 1 moment, got {assembly}"
            )
        return assembly
    told = {known.get(source, (0, 0)) for source in assembly.reads}
    moments, bands = min(told, default=(0, 0))
    if len(told) != 1 or moments < max(assembly.kernel, 1) or bands < assembly.reach:
        raise ArchitectureError(
            f"{where} is a convolution of {assembly.kernel} moments and {assembly.reach} bands, which its sources must "
            f"have, all alike: {assembly.reads} are told over {sorted(told)}, and all there are: {known}"
        )
    return replace(assembly, kernel=assembly.kernel or moments, reach=assembly.reach or bands)
