"""Learning at night: in chunks, judged by what is held out, keeping the best."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import ScheduleError
from dellm_jax.memory import episodic
from dellm_jax.memory.contrast import as_taught
from dellm_jax.mind import respond_to
from dellm_jax.rest.judge import held_out_responses
from dellm_jax.study import learn
from dellm_jax.trees import named_key
from dellm_jax.types import LEAST_BORN, Array, Dellm, Lesson, Mind, Report

PIECE = 10  # updates between two moments at which an input may wake the sleeper
# (mind, the state of the evening, what the stage prepared, key) -> percepts through all senses, and their lesson.
Material = Callable[[Mind, Dellm, Any, Array], tuple[experiences.Percepts, Lesson]]


@dataclass(frozen=True)
class Course:
    """How a stage learns: `steps` updates by `rule` on `batch` examples each, judged after every `chunk` of them.

    With `taught` > 0 the cortex also learns what the whole self of the evening, semantic memory included, believes of
    what it sees, as `as_taught` says it: loss + taught H(belief, p). `doubt`, in standard errors, is how much worse
    than the best the last may look (`school`). In every update a share `dropout` of the units of every assembly is
    silent, drawn anew and the same for the batch; the others are raised by 1 / (1 - dropout). What is judged and kept
    is the running mean of the params since the evening, m <- average m + (1 - average) theta; 0 is the params
    themselves. ScheduleError if a number cannot be.
    Source: knowledge distillation (Hinton et al., 2015), from the fast system to the slow (McClelland et al., 1995);
    dropout (Srivastava et al., 2014); averaged iterates (Polyak & Juditsky, 1992).
    """

    stage: str
    rule: optax.GradientTransformationExtraArgs
    steps: int
    batch: int
    chunk: int
    taught: float
    doubt: float
    dropout: float = 0.0
    average: float = 0.0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.chunk) < 1:
            raise ScheduleError(
                f"{self.stage} has steps={self.steps}, batch={self.batch}, chunk={self.chunk}; "
                "expected 1 or more of each"
            )
        if not self.doubt >= 0:
            raise ScheduleError(f"{self.stage} has doubt={self.doubt}; expected 0 or more standard errors")
        for share in ("dropout", "average"):
            if not 0 <= getattr(self, share) < 1:
                raise ScheduleError(
                    f"{self.stage} has {share}={getattr(self, share)}; expected a share from 0 to below 1"
                )


def school(material: Material, course: Course) -> Callable[..., Iterator[tuple[Dellm, Report]]]:
    """(mind, state, prepared, key, share = 1) -> what `course` makes of `state` by `material`; a report.

    The state of the rule is born and dies here. After every chunk the held-out episodes judge; the chunk with the least
    loss is kept, which may be none. Where nothing is held out, the last is kept. With `doubt` > 0 it is the last that
    is at most `share` of `doubt` standard errors of the paired difference above the least: of few episodes the least is
    the luckiest, and where the rate falls the last steps are the best.
    Source: the rule of one standard error (Breiman et al., 1984).
    """
    rule, taught, chunk = course.rule, course.taught, min(course.chunk, course.steps)
    laws = cache(partial(_night_laws, taught))

    def learnt(
        mind: Mind, state: Dellm, prepared: Any, key: Array, share: float = 1.0
    ) -> Iterator[tuple[Dellm, Report]]:
        learner = rule.init(state.params)
        judged = episodic.judges(state.memory.episodic)
        belief = held_out_belief(mind, state) if judged else None
        report = {"updates": 0.0}
        if judged:
            least, weight = held_out_losses(mind, state, belief, taught)
            evening = _mean(least, weight)
            report |= {"held_out_loss_before": evening, "held_out_loss_after": evening, "kept_step": 0.0}
        best = params = mean = state.params
        for turn in range(-(-course.steps // chunk)):
            keys = jax.random.split(named_key(key, f"chunk {turn}"), chunk)
            for part in range(0, chunk, PIECE):
                if part:
                    yield state.replace(params=best), dict(report)
                some = keys[part : part + PIECE]
                params, mean, learner, loss = _attend(
                    laws(mind), course, material, state, prepared, params, mean, learner, some
                )
                report |= {"updates": report["updates"] + some.size, "loss": float(loss)}
            if judged:
                now, _ = held_out_losses(mind, state.replace(params=mean), belief, taught)
                above, error = _compared(now, least, weight)
                least = now if above <= 0 else least
                if above <= share * course.doubt * error:
                    best, report["kept_step"] = mean, report["updates"]
                    report["held_out_loss_after"] = _mean(now, weight)
            else:
                best = mean
            yield state.replace(params=best), dict(report)

    return learnt


@partial(jax.jit, static_argnums=0)
def held_out_belief(mind: Mind, state: Dellm) -> Array:
    """What the whole believes of the held-out episodes through each sense alone, as it teaches it: log p [S, B, C]."""
    return jnp.stack([as_taught(response.log_probability) for response in held_out_responses(mind, state)[0]])


@partial(jax.jit, static_argnums=(0, 3))
def held_out_losses(mind: Mind, state: Dellm, belief: Array, taught: float) -> tuple[Array, Array]:
    """What is learned at night, (-log p[target] + taught H(belief, p)) / (1 + taught), of held-out episodes; weights.

    p is the cortex's answer. Without the second term a cortex that is taught to doubt would seem to have got worse.
    """
    responses, target, weight = held_out_responses(mind, state)
    log_p = jnp.stack([response.by["cortex"] for response in responses])
    own = jnp.take_along_axis(log_p, target[None, :, None], axis=2)[..., 0]
    believed = jnp.where(belief > LEAST_BORN, jnp.exp(belief) * log_p, 0.0).sum(-1) if taught else 0.0
    return -(own + taught * believed) / (1 + taught), weight


def _mean(losses: Array, weight: Array) -> float:
    return float(_compared(losses, jnp.zeros_like(losses), weight)[0])


@jax.jit
def _compared(losses: Array, others: Array, weight: Array) -> tuple[Array, Array]:
    """How much higher the one are than the others in the mean, and the standard error of that; all [S, B]."""
    more, many = losses - others, jnp.maximum(weight.sum(), 1)
    mean = (more * weight).sum() / many
    return mean, jnp.sqrt(((more - mean) ** 2 * weight).sum()) / many


def _night_laws(taught: float, mind: Mind) -> Mind:
    """At night nobody teaches but, perhaps, the whole; one mind for one, so that it is compiled once."""
    if not taught:
        return mind._replace(teacher=None)

    def loss(lesson: Lesson) -> Array:
        believed = -(jnp.exp(lesson.belief) * jax.nn.log_softmax(lesson.logits)).sum(1)
        return mind.loss(lesson) + taught * (lesson.weight * believed).sum() / jnp.maximum(lesson.weight.sum(), 1e-6)

    return mind._replace(teacher=None, loss=loss)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _attend(
    mind: Mind,
    course: Course,
    material: Material,
    state: Dellm,
    prepared: Any,
    params: Any,
    mean: Any,
    learner: Any,
    keys: Array,
) -> tuple[Any, Any, Any, Array]:
    """One update a key -> params, their running mean, the state of the rule, the mean loss."""

    def step(carry: tuple[Any, Any, Any], key: Array) -> tuple[tuple[Any, Any, Any], Array]:
        params, mean, learner = carry
        for_material, for_senses = jax.random.split(key)
        whole, lesson = material(mind, state, prepared, for_material)
        if course.taught:
            lesson = lesson.replace(belief=as_taught(respond_to(mind, state, whole).log_probability))
        heard = experiences.drop_senses(jax.random.uniform(for_senses, lesson.target.shape), whole)
        body = _without(course.dropout, state.homeostasis, named_key(key, "dropout"))
        params, learner, loss, _ = learn(mind, state.architecture, params, body, learner, course.rule, heard, lesson)
        return (params, _followed(course.average, mean, params), learner), loss

    (params, mean, learner), losses = jax.lax.scan(step, (params, mean, learner), keys)
    return params, mean, learner, losses.mean()


def _followed(average: float, mean: Any, params: Any) -> Any:
    """The running mean of the params, one update later."""
    if not average:
        return params
    return jax.tree.map(lambda before, now: average * before + (1 - average) * now, mean, params)


def _without(share: float, homeostasis: Any, key: Array) -> Any:
    """The same body with a `share` of the units of every assembly silent, and the others as much louder."""
    if not share:
        return homeostasis

    def thinned(node: str, active: Array) -> Array:
        return active * jax.random.bernoulli(named_key(key, node), 1 - share, active.shape) / (1 - share)

    return {
        node: own if node == CONCEPTS else dict(own) | {"active": thinned(node, own["active"])}
        for node, own in homeostasis.items()
    }
