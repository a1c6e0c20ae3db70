"""Specialisation: what recurs and no assembly explains recruits one; assemblies that say the same become one."""

from itertools import combinations
from typing import NamedTuple

import jax
import numpy as np

from dellm_jax import metrics, wiring
from dellm_jax.architecture import CONCEPTS, Assembly
from dellm_jax.errors import ScheduleError
from dellm_jax.rest.statistics import activity, contemplate
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

Group = tuple[str, ...]


class Thoughts(NamedTuple):
    """Of replayable episodes [B]: `values` {node: [B, N]} and `presence` {node: [B]}, their concepts, whether the
    cortex named them `wrong`, and `missed` {assembly: [B]}: |x - a V|^2 over its sources; empty without feedback."""

    values: dict[str, np.ndarray]
    presence: dict[str, np.ndarray]
    target: np.ndarray
    wrong: np.ndarray
    missed: dict[str, np.ndarray]

    def of(self, group: Group) -> np.ndarray:
        """The episodes in which a group of siblings took part, a mask [B]."""
        return self.presence.get(group[0], np.ones(self.target.size)) > 0


def specialise(
    most: int = 8,
    enough: float = 0.04,
    few: float = 0.7,
    high: float = 2.0,
    redundant: float = 0.95,
    like: float = 0.995,
    min_age: int = 3,
    units: int = 0,
) -> Stage:
    """At most one assembly is recruited a night, and two are merged, among siblings: same sources, same readers.

    **Unexplained** is an episode that the cortex names wrongly, or that every sibling's top-down prediction misses by
    more than `high` times their mean. It **recurs** if at least `enough` of the episodes are unexplained, and spread as
    among at most `few` of the concepts born (exp of the entropy). The newborn has `units` (0: a quantum), each tuned to
    one such episode: w = sqrt(2) x_c / |x_c|, x_c the input less its mean, and a bias with which it fires as often as
    its firing target asks. It says nothing yet, so the function is kept. The body keeps to `most` assemblies.
    **Redundant** are siblings whose activity has a linear CKA of at least `redundant`, both `min_age` nights old; units
    of the merged that have a twin (a cosine above `like`) are folded into it.
    Reports I(assembly; concept) in bits of every group, by whoever is most active relative to its own mean.
    Source: recruitment for what is novel (ART: Carpenter & Grossberg, 1987); linear CKA (Kornblith et al., 2019).
    """
    if most < 1 or not 0 < few <= 1 or min(enough, high, redundant, like) <= 0 or min(min_age, units) < 0:
        raise ScheduleError(
            f"specialise has most={most}, enough={enough}, few={few}, high={high}, redundant={redundant}, like={like}, "
            f"min_age={min_age}, units={units}; expected most of at least 1, few up to 1, the other shares above 0"
        )

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        thoughts = _thoughts(mind, state, named_key(key, "thoughts"))
        if not thoughts.target.size:
            return state, {"recruits": 0.0, "merges": 0.0, "assemblies": float(len(state.architecture.assemblies))}
        groups = wiring.siblings(state.architecture)
        report = specialisation(groups, thoughts)
        alike, pair = most_alike(state, groups, thoughts, min_age)
        merges = folded = recruits = 0
        if pair and alike >= redundant:
            state, folded = _merged(mind, state, *pair, like, named_key(key, "twins"))
            merges = 1
        group, unexplained = max(
            ((group, unexplained_by(group, thoughts, high)) for group in groups), key=lambda found: found[1].sum()
        )
        born = max(1, int(np.asarray(state.homeostasis[CONCEPTS]["active"]).sum()))
        spread = metrics.effective_number(np.bincount(thoughts.target[unexplained], minlength=1))
        recurs = unexplained.mean() >= enough and spread <= few * born
        if recurs and not merges and len(state.architecture.assemblies) < most:
            state = _recruited(mind, state, group, thoughts, unexplained, units, named_key(key, "newborn"))
            recruits = 1
        return state, report | {
            "recruits": float(recruits),
            "merges": float(merges),
            "folded": float(folded),
            "assemblies": float(len(state.architecture.assemblies)),
            "unexplained": float(unexplained.mean()),
            "unexplained_concepts": spread,
            "alike": alike,
        }

    return stage


def _thoughts(mind: Mind, state: Dellm, key: Array) -> Thoughts:
    """What the life thinks of the episodes that are there, as far as it is finite."""
    recalled, thought, missed = jax.device_get(contemplate(mind, state, key))
    there = np.all([recalled.weight > 0, *(np.isfinite(value).all(1) for value in thought.values.values())], axis=0)
    return Thoughts(
        {node: value[there] for node, value in thought.values.items()},
        {node: value[there] for node, value in thought.presence.items()},
        recalled.target[there],
        (thought.logits.argmax(1) != recalled.target)[there],
        {assembly: squares[there] for assembly, squares in missed.items()},
    )


def specialisation(groups: list[Group], thoughts: Thoughts) -> Report:
    """I(A; C) of every group of two siblings or more, named by the eldest: in bits, and as a share of log2 K."""
    report = {}
    for group in (group for group in groups if len(group) > 1):
        here = thoughts.of(group)
        if not here.any():
            continue
        total = np.stack([thoughts.values[name][here].sum(1) for name in group], axis=1)
        loudest = (total / np.maximum(total.mean(0), 1e-12)).argmax(1)
        bits = metrics.mutual_information(loudest, thoughts.target[here])
        report |= {f"bits_{group[0]}": bits, f"specialisation_{group[0]}": bits / float(np.log2(len(group)))}
    return report


def most_alike(
    state: Dellm, groups: list[Group], thoughts: Thoughts, min_age: int
) -> tuple[float, tuple[str, str] | None]:
    """The greatest CKA of two siblings that are old enough, and who they are, the elder first."""
    age = {a.name: float(np.max(state.homeostasis[a.name]["age"])) for a in state.architecture.assemblies}
    found: tuple[float, tuple[str, str] | None] = (0.0, None)
    for group in groups:
        here = thoughts.of(group)
        for pair in combinations([name for name in group if age[name] >= min_age], 2):
            one, other = (thoughts.values[name][here] for name in pair)
            alike = metrics.linear_cka(one, other) if here.any() else 0.0
            found = max(found, (alike, pair), key=lambda match: match[0])
    return found


def _merged(mind: Mind, state: Dellm, one: str, other: str, like: float, key: Array) -> tuple[Dellm, int]:
    state = wiring.merge(mind, state, one, other)
    values, weight = activity(mind, state, key)
    pairs = metrics.twins(np.asarray(values[one] * weight[:, None]), like)
    return wiring.fold(mind, state, one, pairs), len(pairs)


def unexplained_by(group: Group, thoughts: Thoughts, high: float) -> np.ndarray:
    """Episodes that the cortex names wrongly or that no sibling foretells, a mask [B]."""
    here = thoughts.of(group)
    surprising = np.zeros(here.size, bool)
    if group[0] in thoughts.missed and here.any():
        missed = np.min([thoughts.missed[name] for name in group], axis=0)
        surprising = missed > high * missed[here].mean()
    return here & (thoughts.wrong | surprising)


def _recruited(
    mind: Mind, state: Dellm, group: Group, thoughts: Thoughts, unexplained: np.ndarray, units: int, key: Array
) -> Dellm:
    """A younger sibling of the group whose units are each tuned to an unexplained episode."""
    (eldest,) = [a for a in state.architecture.assemblies if a.name == group[0]]
    units = units or state.architecture.quantum
    taken = {*state.architecture.reads, *(sense.name for sense in state.architecture.senses)}
    name = next(f"{eldest.name}_{n}" for n in range(2, len(taken) + 3) if f"{eldest.name}_{n}" not in taken)
    heard = np.concatenate([thoughts.values[source] for source in eldest.reads], axis=1)[thoughts.of(group)]
    odd = unexplained[thoughts.of(group)]
    seed = np.asarray(jax.random.key_data(named_key(key, name)))
    weights, bias = tuned(heard, odd, units, float(state.hyper["firing_target"]), np.random.default_rng(seed))
    ends = np.cumsum([thoughts.values[source].shape[1] for source in eldest.reads])[:-1]
    own = {f"from_{source}": rows for source, rows in zip(eldest.reads, np.split(weights, ends), strict=True)}
    return wiring.recruit(mind, state, Assembly(name, eldest.reads, units), key, own | {"bias": bias})


def tuned(
    heard: np.ndarray, odd: np.ndarray, units: int, firing: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [N, units] and biases [units] of units that each fire for what resembles one odd example.

    `heard` [B, N]; `odd` [B], a mask. w = sqrt(2) d / |d|, d an odd example less the mean (and, where there are fewer
    than units, a little noise, so that no two are the same); each fires for a share of `firing` of all examples.
    """
    mean = heard.mean(0)
    drawn = random.choice(np.flatnonzero(odd), units, replace=odd.sum() < units)
    direction = heard[drawn] - mean
    spread = np.linalg.norm(direction, axis=1, keepdims=True)
    varies = heard.std(0) > 0
    noise = random.standard_normal(direction.shape) * varies / np.sqrt(max(varies.sum(), 1))
    direction = direction + 0.3 * np.maximum(spread, 1e-3) * noise
    weights = np.sqrt(2) * direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    bias = -np.quantile(heard @ weights.T, 1 - firing, axis=0)
    return weights.T.astype(np.float32), bias.astype(np.float32)
