"""Losses of published methods, by hand or worked again in numpy, one example at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import body, experiences, live_step, newborn

from dellm_jax.assemblies import Cortex
from dellm_jax.errors import ScheduleError
from dellm_jax.learning import (
    agreeing,
    asymmetric_cross_entropy,
    by_days,
    cross_entropy,
    dark_experience,
    squared_error,
    without_forgetting,
)
from dellm_jax.types import Lesson, Mind

UNBORN = -1e9
RANDOM = np.random.default_rng(0)
LOGITS, TAUGHT = RANDOM.normal(0, 2, (2, 9, 5)).astype(np.float32)
LOGITS[:, 4] = TAUGHT[:, 4] = UNBORN  # nobody has met concept 4
TAUGHT[:, 3] = UNBORN  # concept 3 was met after the teacher answered
TARGET = np.asarray([0, 1, 0, 1, 2, 3, 0, 1, 2], np.int32)
WEIGHT = np.asarray([1, 0.5, 1, 1, 2, 1, 1, 0, 1], np.float32)
LIVED = np.asarray([1, 1, 1, 0, 0, 0, 0, 0, 0], np.float32)
NIGHTS = 3.0
LESSON = Lesson(LOGITS, TARGET, WEIGHT, LIVED, jnp.asarray(NIGHTS), TAUGHT)
again = np.flatnonzero(LIVED == 0)
lived = np.flatnonzero(LIVED)


def surprise(row, among=range(4)):
    """-log p(target) of one example that competes among some concepts."""
    z = LOGITS[row].astype(float)
    return np.log(sum(np.exp(z[c]) for c in among)) - z[TARGET[row]]


def mean(rows, what):
    """sum_i w_i what(i) / sum_i w_i."""
    return sum(WEIGHT[i] * what(i) for i in rows) / sum(WEIGHT[i] for i in rows)


def apart(row):
    """Mean over the concepts that both know of (z - z')^2."""
    return np.mean([(float(LOGITS[row, c]) - TAUGHT[row, c]) ** 2 for c in range(3)])


def yesterdays(row, temperature):
    """T^2 H(softmax(z'/T), softmax(z/T)) over the concepts 0, 1, 2, which the teacher knew."""
    own, elder = (np.exp(z[row, :3].astype(float) / temperature) for z in (LOGITS, TAUGHT))
    return -(temperature**2) * sum(e / elder.sum() * np.log(o / own.sum()) for e, o in zip(elder, own, strict=True))


everyone = range(9)
EQUATIONS = {
    "ER-ACE": (
        asymmetric_cross_entropy,
        mean(everyone, lambda i: surprise(i, (0, 1) if LIVED[i] else range(4))),
    ),
    "DER++": (
        dark_experience(0.7, 0.3),
        mean(lived, surprise) + 0.7 * mean([4, 6, 8], apart) + 0.3 * mean([3, 5, 7], surprise),
    ),
    "agreeing": (agreeing(cross_entropy, 0.4), mean(everyone, surprise) + 0.4 * mean(again, apart)),
    "LwF": (
        without_forgetting(3.0),
        mean(everyone, surprise) / 4 + 3 / 4 * mean(everyone, partial(yesterdays, temperature=3.0)),
    ),
    "generative replay": (by_days, mean(lived, surprise) / 4 + 3 / 4 * mean(again, surprise)),
}


@pytest.mark.parametrize("method", EQUATIONS)
def test_a_loss_is_its_equation(method):
    """The loss equals the paper's, summed example by example, and is differentiable whatever is unborn."""
    loss, expected = EQUATIONS[method]
    found, slope = jax.jit(jax.value_and_grad(lambda z: loss(LESSON.replace(logits=z))))(LOGITS)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(slope).all() and not np.asarray(slope)[:, 4].any(), "the unborn learn nothing"


@pytest.mark.parametrize("loss", [without_forgetting(2.0), by_days], ids=["LwF", "generative replay"])
def test_before_the_first_night_only_the_new_counts(loss):
    """On day 1 nobody teaches and nothing is rehearsed: the loss is the cross-entropy of what is lived."""
    first = LESSON.replace(
        nights=jnp.asarray(0.0), taught=jnp.full_like(TAUGHT, UNBORN), weight=jnp.asarray(WEIGHT * LIVED)
    )
    found, slope = jax.jit(jax.value_and_grad(lambda z: loss(first.replace(logits=z))))(LOGITS)
    assert float(found) == pytest.approx(mean(lived, surprise), rel=1e-5) and np.isfinite(slope).all()


def test_yesterday_does_not_teach_what_it_had_not_met():
    """LwF pulls no logit of a concept that the teacher did not know; the labels alone do."""
    whole, labels = (
        jax.jit(jax.grad(lambda z, f=f: f(LESSON.replace(logits=z))))(LOGITS)
        for f in (without_forgetting(2.0), cross_entropy)
    )
    np.testing.assert_allclose(whole[:, 3], labels[:, 3] / 4, atol=1e-7)
    assert (np.abs(whole[:, :3] - labels[:, :3] / 4) > 1e-4)[WEIGHT > 0].all()


@pytest.mark.parametrize(
    ("loss", "needs"),
    [
        (dark_experience(1.0, 1.0), "lesson.taught.*architecture.answers=true"),
        (agreeing(cross_entropy, 1.0), "lesson.taught.*a teacher"),
        (without_forgetting(), "lesson.taught.*a teacher"),
        (squared_error, "lesson.value.*experiences with a value"),
    ],
)
def test_a_loss_says_what_it_misses(loss, needs):
    """Without a teacher, or without values, the error names what to give the life."""
    with pytest.raises(ScheduleError, match=needs):
        loss(LESSON.replace(taught=None))


def test_quantities_are_learned_by_squared_error():
    """A newborn says 0, so its loss is the mean of value^2 and a gradient step of 1 moves bias c by 2 mean value_c."""
    mind = Mind(Cortex, squared_error, optax.with_extra_args_support(optax.sgd(1.0)), rehearse=0)
    value, weight = np.float32([1, -2, 0.5, 3]), np.float32([1, 1, 2, 0])
    batch = experiences((4,)).replace(target=np.int32([0, 1, 0, 1]), weight=weight, value=value)
    after, report = live_step(mind, newborn(mind, body()), batch)
    assert float(report["loss"]) == pytest.approx((1 + 4 + 2 * 0.25) / 4)
    np.testing.assert_allclose(after.params["concepts"]["bias"], [2 * (1 + 2 * 0.5) / 4, 2 * -2 / 4, 0, 0], rtol=1e-6)
