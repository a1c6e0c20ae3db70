"""Slow selves (CLS-ER) and elders (LwF, generative replay), by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import assert_same, body, experiences, laws, live_step, lived, newborn
from test_methods_losses import LESSON

from dellm_jax.errors import ScheduleError
from dellm_jax.learning import (
    better_of_slow_selves,
    better_of_then_and_now,
    elder,
    keep_elder,
    last_evening,
    slow_selves,
    stable_self,
)
from dellm_jax.learning.selves import SlowSelves, find
from dellm_jax.mind import respond
from dellm_jax.rest import hand_over
from dellm_jax.surgery import resize

WORD = jax.random.key(0)


def followed(rule, steps, start=0.0, step=1.0):
    """Slow selves {name: [steps]} of a synapse that moves by `step` a time."""

    def one(carry, _):
        param, state = carry
        updates, state = rule.update(jnp.asarray(-step), state, param)
        return (param + updates, state), find(state, SlowSelves).copies

    param = jnp.asarray(start)
    return jax.device_get(jax.lax.scan(one, (param, rule.init(param)), None, length=steps)[1])


def test_slow_selves_follow_at_their_pace():
    """a = min(1 - 1/(step + 1), decay) = 1/2, 0.6, 0.6 while the params are 1, 2, 3: 0.5, 1.1, 1.86."""
    rule = optax.chain(optax.sgd(1.0), slow_selves(0.6, (("stable", 0.0), ("plastic", 1.0))))
    copies = followed(rule, 3)
    np.testing.assert_allclose(copies["plastic"], [0.5, 0.6 * 0.5 + 0.4 * 2, 0.6 * 1.1 + 0.4 * 3], rtol=1e-6)
    assert not copies["stable"].any()


def test_until_the_ramp_meets_the_decay_a_slow_self_is_the_mean():
    """With a = 1 - 1/(step + 1) = step / (step + 1) the copy is the plain mean of all params since birth."""
    copies = followed(optax.chain(optax.sgd(1.0), slow_selves(1.0, (("all", 1.0),))), 20)
    np.testing.assert_allclose(copies["all"], [np.mean(np.arange(n + 2)) for n in range(20)], rtol=1e-5)


def test_each_slow_self_has_its_chance():
    """With decay 0 a copy that moves is the params, one that does not stays: moves are Bernoulli, and independent."""
    copies = followed(optax.chain(optax.sgd(1.0), slow_selves(0.0, (("a", 0.2), ("b", 0.7)), seed=1)), 2000)
    moved = {name: copies[name] == np.arange(1, 2001) for name in copies}
    for name, chance in (("a", 0.2), ("b", 0.7)):
        assert abs(moved[name].mean() - chance) < 4 * (chance * (1 - chance) / 2000) ** 0.5
    assert abs(np.corrcoef(moved["a"], moved["b"])[0, 1]) < 4 / 2000**0.5


def test_the_better_slow_self_teaches():
    """The self of higher softmax probability teaches, example by example, not the one of the higher logit."""
    stable = jnp.asarray([[5.0, 5, 0], [0, 0, 0], [1, 0, 0]])
    plastic = jnp.asarray([[1.0, 0, -4], [0, 3, 0], [1, 0, -1]])
    learner = (optax.EmptyState(), SlowSelves(jnp.asarray(0), WORD, {"stable": stable, "plastic": plastic}))
    lesson = LESSON.replace(target=jnp.asarray([0, 0, 2]))
    taught = better_of_slow_selves(lambda copy: copy, learner, lesson)
    np.testing.assert_array_equal(taught, [plastic[0], stable[1], stable[2]])


def test_then_or_now_teaches():
    """Of a remembered answer and the stable self the one of higher softmax probability teaches, example by example."""
    then = jnp.asarray([[5.0, 5, 0], [0, 3, 0], [1, 0, -1]])
    now = jnp.asarray([[1.0, 0, -4], [0, 0, 0], [1, 0, 0]])
    learner = (optax.EmptyState(), SlowSelves(jnp.asarray(0), WORD, {"stable": now}))
    lesson = LESSON.replace(target=jnp.asarray([0, 1, 2]), taught=then)
    np.testing.assert_array_equal(better_of_then_and_now(lambda copy: copy, learner, lesson), [now[0], then[1], now[2]])
    with pytest.raises(ScheduleError, match="answers=true"):
        better_of_then_and_now(lambda copy: copy, learner, lesson.replace(taught=None))


def test_the_stable_self_answers():
    """With `stable_self` as voice a life responds as one whose params are its stable copy."""
    rule, still = slow_selves(), laws(optax.identity())
    state = lived(still, body(), 0)
    params = jax.tree.map(lambda leaf: -2 * leaf, state.params)
    speaking = laws(rule)._replace(voice=stable_self)
    asked = experiences((4,))
    found = respond(speaking, state.replace(params=params, learner=rule.init(state.params)), asked)
    assert_close(found, respond(still, state, asked))
    apart = np.abs(found.log_probability - respond(still, state.replace(params=params), asked).log_probability)
    assert apart.max() > 0.01


def assert_close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)


def test_what_no_rule_keeps_is_missed_by_name():
    """The error says which node the learning rule would have to keep."""
    with pytest.raises(ScheduleError, match="keeps no SlowSelves"):
        stable_self({}, optax.adam(1.0).init(jnp.zeros(2)))
    with pytest.raises(ScheduleError, match="keeps no Elder"):
        elder(optax.EmptyState())


# elders


@pytest.fixture(scope="module")
def evening():
    """A mind with an elder, and a life of it that has met the concepts 0 and 1 of four."""
    mind = laws(optax.chain(optax.sgd(0.1), keep_elder()))
    state = newborn(mind, body())
    state, _ = live_step(mind, state, experiences((4,)).replace(target=np.int32([0, 1, 0, 0])))
    return mind, state


def says(mind, state, params, senses):
    """Logits [B, C] of these params in this life, every concept born."""
    homeostasis = dict(state.homeostasis)
    homeostasis["concepts"] = homeostasis["concepts"] | {"active": jnp.ones(state.architecture.concepts)}
    variables = {"params": params, "homeostasis": homeostasis}
    think = jax.jit(mind.module(state.architecture).apply)
    return np.asarray(think(variables, {"image": senses.reshape(4, -1) / 255.0}).logits)


def test_before_the_first_night_the_elder_names_nothing(evening):
    """A newborn's elder is silent on every concept, and learning does not touch it."""
    mind, state = evening
    assert (says(mind, state, elder(state.learner), experiences((4,)).senses["image"]) < -1e8).all()
    assert np.abs(state.params["concepts"]["bias"][:2]).max() > 0


def test_tonights_self_teaches_tomorrow_what_it_had_met(evening):
    """After `hand_over` the elder says what the life says, but of concepts not yet met nothing; the rest stays."""
    mind, state = evening
    after, report = hand_over()(mind, state, WORD)
    assert report == {}
    assert_same(after.replace(learner=state.learner), state)
    seen = experiences((4,), seed=3).senses["image"]
    own, old = (says(mind, after, params, seen) for params in (after.params, elder(after.learner)))
    np.testing.assert_allclose(old[:, :2], own[:, :2], rtol=1e-6)
    assert (old[:, 2:] < -1e8).all() and (np.abs(own[:, 2:]) < 10).all()
    taught = last_evening(lambda params: says(mind, after, params, seen), after.learner, LESSON)
    np.testing.assert_array_equal(taught, old)


def test_an_elder_stays_silent_when_room_for_concepts_is_made(evening):
    """Room for more concepts does not put names into the mouth of an older self."""
    mind, state = evening
    state, _ = hand_over()(mind, state, WORD)
    grown = resize(mind, state, "concepts", 6)
    old = says(mind, grown, elder(grown.learner), experiences((4,)).senses["image"])
    assert (old[:, 2:] < -1e8).all() and (np.abs(old[:, :2]) < 10).all()
