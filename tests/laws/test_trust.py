"""Laws of trust: what is fitted is the optimum, whatever scale an expert speaks on, and nobody is worse for company."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dellm_jax.memory.contrast import TAUGHT, as_taught, contrast
from dellm_jax.rest.trust import PRIOR, trust

CONCEPTS, MANY = 6, 400
BORN = jnp.arange(CONCEPTS + 2) < CONCEPTS
ONE_WAY = jnp.ones((1, MANY))
BEFORE = jnp.float32([0.7, 0.8, 0.9])


@pytest.fixture
def asked():
    """Concepts [B], and what three experts say of them [1, 3, B, C]: a good one far too sure of itself, one that is
    often right, and one that guesses."""
    random = np.random.default_rng(0)
    target = random.integers(0, CONCEPTS, MANY)
    meant = np.eye(CONCEPTS)[target]
    logits = [40 * (meant + 0.45 * random.normal(size=meant.shape)), 2 * meant + random.normal(size=meant.shape)]
    said = np.full((1, 3, MANY, BORN.size), -1e9)
    said[0, :, :, :CONCEPTS] = [*logits, random.normal(size=meant.shape)]
    return jnp.asarray(target), jax.nn.log_softmax(jnp.asarray(said, jnp.float32))


def pooled(log_p, w):
    """log p [B, C] of the whole."""
    return jax.nn.log_softmax(jnp.einsum("e,ebc->bc", w, jnp.where(BORN, log_p[0], 0))[:, :CONCEPTS])


def surprise(log_p, target, w):
    """What `trust` minimises, written anew: the mean over episodes, by the doubted truth."""
    doubt = 1 / (MANY + 2)
    own = pooled(log_p, w)
    told = jnp.take_along_axis(own, target[:, None], axis=1)[:, 0]
    scale = jnp.sqrt((log_p[0, :, :, :CONCEPTS] ** 2).mean((1, 2)))
    missed = -((1 - doubt) * told + doubt * own.mean(1)).mean()
    return float(missed + PRIOR / MANY * (w * scale - jnp.log(w * scale)).sum())


@pytest.mark.parametrize("loud", [1.0, 1e-3, 1e6])
def test_no_other_trust_surprises_less(asked, loud):
    """More or less of any expert, or of all: the fit is the optimum, be the best expert faint or loud."""
    target, log_p = asked
    log_p = log_p.at[0, 0].multiply(loud)
    w = trust(log_p, target, ONE_WAY, BORN, BEFORE)
    least = surprise(log_p, target, w)
    for which in (*jnp.eye(3), jnp.ones(3)):
        for by in (0.9, 1.1):
            assert surprise(log_p, target, w * (1 + (by - 1) * which)) > least - 1e-6


def test_the_whole_is_not_worse_than_its_parts_and_knows_how_sure_it_is(asked):
    """An expert far too sure is brought to measure, and who guesses takes nothing from who knows."""
    target, log_p = asked
    w = trust(log_p, target, ONE_WAY, BORN, BEFORE)
    own, alone = pooled(log_p, w), jnp.float32([1, 0, 0])
    right = (own.argmax(1) == target).mean()
    assert right >= max((log_p[0, expert].argmax(1) == target).mean() for expert in range(3))
    assert abs(float(jnp.exp(own.max(1)).mean() - right)) < 0.03
    assert -pooled(log_p, alone)[jnp.arange(MANY), target].mean() > 5 * surprise(log_p, target, w)


def test_trust_is_of_what_is_said_and_not_of_its_scale(asked):
    """Who speaks a million times as loud is trusted a millionth as much."""
    target, log_p = asked
    loud = log_p.at[0, 0].multiply(1e6)
    w, of_loud = (trust(said, target, ONE_WAY, BORN, BEFORE) for said in (log_p, loud))
    assert np.allclose(of_loud * jnp.float32([1e6, 1, 1]), w, rtol=1e-3, atol=1e-6)


def test_what_is_not_there_and_who_is_not_born_say_nothing(asked):
    """Episodes of weight 0 may hold anything; so may concepts that nobody met."""
    target, log_p = asked
    half = ONE_WAY.at[0, ::2].set(0.0)
    noise = log_p.at[0, :, ::2].set(jnp.nan).at[..., CONCEPTS:].set(jnp.nan)
    assert np.allclose(*(trust(said, target, half, BORN, BEFORE) for said in (log_p, noise)), rtol=1e-4)


def test_who_was_not_asked_is_trusted_as_before(asked):
    """A sense through which no episode came; everybody, where there is one concept to name, or no episode."""
    target, log_p = asked
    silent = trust(log_p.at[0, 2].set(0.0), target, ONE_WAY, BORN, BEFORE)
    assert silent[2] == BEFORE[2] and (silent[:2] != BEFORE[:2]).all()
    only = jnp.where(jnp.arange(BORN.size) == 0, 0.0, log_p)
    assert (trust(only, 0 * target, ONE_WAY, jnp.arange(BORN.size) == 0, BEFORE) == BEFORE).all()
    assert (trust(log_p, target, 0 * ONE_WAY, BORN, BEFORE) == BEFORE).all()


def test_where_nobody_knows_anything_all_still_have_a_say(asked):
    """One episode, and all are wrong about it: they are hardly believed, but not silenced."""
    target, _ = asked
    wrong = jnp.where(jnp.arange(BORN.size) == target[:, None], -9.0, -0.2)
    one = jnp.zeros((1, MANY)).at[0, 0].set(1.0)
    w = trust(jnp.stack([wrong, wrong])[None], target, one, BORN, jnp.ones(2))
    assert (w > 0.01).all() and (w < 0.5).all()


def test_a_contrast_is_of_what_is_thought_and_not_of_how_sure_one_is_of_it():
    """Of one length whatever the temperature, up to a nat; unborn concepts have no part in it."""
    sure, modest = contrast(thought(30.0)), contrast(thought(10.0))
    assert np.allclose(sure[0], modest[0], atol=0.01) and np.allclose(
        sure[1] ** 2 - 1, 9 * (modest[1] ** 2 - 1), rtol=0.01
    )
    assert np.allclose((sure[0][:, :CONCEPTS] ** 2).sum(1), 1, atol=0.01) and (sure[0][:, CONCEPTS:] == -jnp.inf).all()


def test_what_is_taught_is_of_one_spread_and_names_the_same():
    """The sure are softened and the doubtful made to choose; who says nothing teaches nothing."""
    sure, doubtful = as_taught(thought(30.0)), as_taught(thought(1.0))
    assert np.allclose(sure, as_taught(thought(10.0)), atol=0.1)
    own = sure[:, :CONCEPTS]
    assert (own.argmax(1) == thought(30.0).argmax(1)).all() and np.allclose(jnp.exp(own).sum(1), 1, atol=1e-5)
    assert np.allclose(jnp.linalg.norm(own - own.mean(1, keepdims=True), axis=1), TAUGHT, atol=0.1)
    assert own.max() < thought(30.0).max() and doubtful.max() > thought(1.0).max()
    assert np.allclose(as_taught(thought(0.0))[:, :CONCEPTS], -np.log(CONCEPTS), atol=1e-5)


def thought(sureness):
    """Log-probabilities of the living concepts [5, C] that differ by `sureness` times as much."""
    logits = sureness * jnp.asarray(np.random.default_rng(1).normal(size=(5, BORN.size)), jnp.float32)
    return jnp.where(BORN, jax.nn.log_softmax(jnp.where(BORN, logits, -1e9)), -1e9)
