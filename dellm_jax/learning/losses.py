"""Losses of a lesson that mixes lived experiences with rehearsed ones."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dellm_jax.errors import ScheduleError
from dellm_jax.types import Array, Lesson

MASKED = -1e9
Loss = Callable[[Lesson], Array]


def cross_entropy(lesson: Lesson) -> Array:
    """Weighted mean of -log softmax(logits)[target] -> scalar."""
    own = jnp.take_along_axis(jax.nn.log_softmax(lesson.logits), lesson.target[:, None], axis=1)[:, 0]
    return -_mean(own, lesson.weight)


def asymmetric_cross_entropy(lesson: Lesson) -> Array:
    """Cross-entropy in which lived examples compete only among the concepts lived in this batch.

    A new concept then does not push down the old ones that merely happen to be absent; rehearsed examples compete among
    all. Source: ER-ACE (Caccia et al., 2022).
    """
    concepts = jax.nn.one_hot(lesson.target, lesson.logits.shape[1])
    here = (concepts * (lesson.lived * lesson.weight)[:, None]).max(0) > 0
    shielded = (lesson.lived[:, None] > 0) & ~here[None, :]
    return cross_entropy(lesson.replace(logits=jnp.where(shielded, MASKED, lesson.logits)))


def squared_error(lesson: Lesson) -> Array:
    """Weighted mean of (logits[target] - value)^2, where concepts are quantities."""
    said = jnp.take_along_axis(lesson.logits, lesson.target[:, None], axis=1)[:, 0]
    return _mean((said - _there(lesson.value, "value", "experiences with a value")) ** 2, lesson.weight)


def dark_experience(alpha: float, beta: float) -> Loss:
    """CE(lived) + alpha mean |z - z'|^2 + beta CE(rehearsed), z' the logits an episode was answered with when lived.

    Every other rehearsed episode is for the second term, the rest for the third. Source: DER++ (Buzzega et al., 2020).
    """

    def loss(lesson: Lesson) -> Array:
        again = (1 - lesson.lived) * lesson.weight
        even = jnp.arange(lesson.target.size) % 2 == 0
        new = cross_entropy(lesson.replace(weight=lesson.lived * lesson.weight))
        old = cross_entropy(lesson.replace(weight=again * ~even))
        return new + alpha * _mean(_apart(lesson, "architecture.answers=true"), again * even) + beta * old

    return loss


def agreeing(loss: Loss, strength: float) -> Loss:
    """`loss` + strength mean |z - z'|^2 over what is rehearsed, z' what it was answered with, or a teacher's logits.

    Source: DER++ (Buzzega et al., 2020) where the answers are kept; CLS-ER (Arani et al., 2022) where two slow selves
    teach.
    """

    def both(lesson: Lesson) -> Array:
        apart = _apart(lesson, "architecture.answers=true or a teacher")
        return loss(lesson) + strength * _mean(apart, (1 - lesson.lived) * lesson.weight)

    return both


def without_forgetting(temperature: float = 2.0) -> Loss:
    """(1/t) CE(new) + (1 - 1/t) T^2 H(softmax(z'/T), softmax(z/T)) on day t, z' the logits of yesterday's self.

    The second term is over the concepts that yesterday's self knew. Source: LwF (Li & Hoiem, 2016), weighted by days
    as van de Ven & Tolias (2018) do.
    """

    def loss(lesson: Lesson) -> Array:
        elder = _there(lesson.taught, "taught", "a teacher")
        knew = elder > MASKED / 2
        soft = jax.nn.softmax(jnp.where(knew, elder / temperature, MASKED))
        log_p = jax.nn.log_softmax(jnp.where(knew, lesson.logits / temperature, MASKED))
        apart = -(jnp.where(knew, soft * log_p, 0.0)).sum(1) * temperature**2
        share = 1 / (lesson.nights + 1.0)
        return share * cross_entropy(lesson) + (1 - share) * _mean(apart, lesson.weight)

    return loss


def by_days(lesson: Lesson) -> Array:
    """(1/t) CE(lived) + (1 - 1/t) CE(rehearsed) on day t. Source: generative replay (Shin et al., 2017), weighted by
    days as van de Ven & Tolias (2018) do."""
    share = 1 / (lesson.nights + 1.0)
    new = cross_entropy(lesson.replace(weight=lesson.lived * lesson.weight))
    old = cross_entropy(lesson.replace(weight=(1 - lesson.lived) * lesson.weight))
    return share * new + (1 - share) * old


def _apart(lesson: Lesson, needs: str) -> Array:
    """Mean over the concepts known to both of (z - z')^2 [B]."""
    taught = _there(lesson.taught, "taught", needs)
    known = ((taught > MASKED / 2) & (lesson.logits > MASKED / 2)).astype(taught.dtype)
    return jnp.where(known > 0, (lesson.logits - taught) ** 2, 0.0).sum(1) / jnp.maximum(known.sum(1), 1)


def _mean(what: Array, weight: Array) -> Array:
    return (weight * what).sum() / jnp.maximum(weight.sum(), 1e-6)


def _there(what: Array | None, name: str, needs: str) -> Array:
    if what is None:
        raise ScheduleError(f"this loss needs lesson.{name}, which nothing provides here: give the life {needs}")
    return what
