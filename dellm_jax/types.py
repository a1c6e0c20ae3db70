"""The few types that every other file is written in.

A `Dellm` is one frozen pytree; an `Architecture` is what is static about it; a `Mind` is the laws it lives by.
Nothing here computes: functions elsewhere move a `Dellm` through time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import optax
from flax import linen as nn
from flax import struct

from dellm_jax.architecture import Architecture
from dellm_jax.errors import ScheduleError

Array = jax.Array
Report = dict[str, float]
UNNAMED = -1
LEAST_BORN = -1e8  # log-probabilities below are of concepts that nobody met


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

    A target of UNNAMED is of what nobody named: a life that binds its senses learns what goes together in it, and
    nothing else.
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
    log-probabilities that the whole gave in the evening, of one spread, in nights in which it teaches.
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
    `moments`: outputs [B, T, P, U] of the assemblies in time, whose values are the means.
    """

    logits: Array
    values: dict[str, Array]
    presence: dict[str, Array]
    moments: dict[str, Array] = struct.field(default_factory=dict)


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
    """What a life thinks of a batch: concept [B], confidence [B], log-probabilities [B, C] by each way of knowing.

    Of a life that can be corrected also the `answer` [B] it gives, a place in its lexicon (-1: nothing to say), the
    `rule` [B] it obeys (-1: none), and the `likeness` [B] to the instance of the rule that overrules what it knows (0:
    none does). Of one that binds its senses also the `conflict` [B] between them, from 0 to 1, where there are several;
    the confidence is the lower for it.
    """

    concept: Array
    confidence: Array
    log_probability: Array
    by: dict[str, Array]
    answer: Array | None = None
    rule: Array | None = None
    likeness: Array | None = None
    conflict: Array | None = None


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
