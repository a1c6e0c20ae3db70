"""Generative replay: the autoencoder against numpy, and when what it makes up is rehearsed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import TEXT, assert_same, body, experiences, laws, live_step, newborn

from dellm_jax.errors import ArchitectureError
from dellm_jax.learning import by_days, cross_entropy, keep_elder
from dellm_jax.learning.selves import Elder
from dellm_jax.memory import generative
from dellm_jax.rest import hand_over
from dellm_jax.types import Imagination

HIDDEN, LATENT = 5, 3
VAE = generative.autoencoder(HIDDEN, LATENT, rate=0.01)
MIND = laws(optax.chain(optax.sgd(0.1), keep_elder()), rehearse=3)._replace(loss=by_days, imagination=VAE)
X = np.random.default_rng(0).uniform(size=(4, 16)).astype(np.float32)
SHARE = jnp.asarray([0.4, 0.1, 0.5, 0.0])
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def generator():
    """An autoencoder with random biases too, whose elder is another."""
    born = generative.empty(HIDDEN, LATENT, body(), jax.random.key(0))
    random = np.random.default_rng(1)
    shaken = lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype(np.float32)  # noqa: E731
    return born.replace(weights=jax.tree.map(shaken, born.weights), elder=jax.tree.map(shaken, born.elder))


def layer(x, matrix):
    """x W + b, with the bias in the last row."""
    return np.append(x, 1.0) @ np.asarray(matrix, float)


def shown(weights, z):
    """Percept [N] in [0, 1] of one latent."""
    h = np.maximum(layer(np.maximum(layer(z, weights.think), 0), weights.shape), 0)
    return 1 / (1 + np.exp(-layer(h, weights.show)))


def bound(weights, x, noise):
    """-log p(x|z) + KL(N(mean, variance) | N(0, 1)) of one example, as Kingma and Welling (2014) write it."""
    h = np.maximum(layer(np.maximum(layer(x, weights.see), 0), weights.grasp), 0)
    mean, spread = layer(h, weights.mean), np.exp(layer(h, weights.spread) / 2)
    p = shown(weights, mean + spread * noise)
    missed = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum()
    return missed - 0.5 * (1 + np.log(spread**2) - mean**2 - spread**2).sum()


def test_the_evidence_bound_is_its_equation(generator):
    """sum_b share_b (missed + divergence), worked example by example in numpy."""
    noise = np.random.default_rng(2).normal(size=(4, LATENT))
    found = generative.evidence_bound(generator.weights, X, SHARE, jnp.asarray(noise, jnp.float32))
    expected = sum(s * bound(generator.weights, x, n) for s, x, n in zip(SHARE, X, noise, strict=True))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_it_learns_by_adam(generator):
    """Two steps are two steps of `optax.adam` on the bound divided by the inputs; the elder stays."""
    adam, weights, slope = optax.adam(0.01), generator.weights, jax.jit(jax.grad(generative.evidence_bound))
    state, after, learn = adam.init(weights), generator, jax.jit(VAE.learn)
    for turn in range(2):
        key = jax.random.fold_in(KEY, turn)
        noise = jax.random.normal(key, (4, LATENT))
        updates, state = adam.update(jax.tree.map(lambda g: g / 16, slope(weights, X, SHARE, noise)), state)
        weights, after = optax.apply_updates(weights, updates), learn(after, X, SHARE, key)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), after.weights, weights)
    jax.tree.map(np.testing.assert_array_equal, after.elder, generator.elder)
    assert int(after.steps) == 2


def test_only_the_elder_imagines(generator):
    """What is imagined is what the elder shows of N(0, I), whatever was learned since."""
    z = jax.random.normal(KEY, (6, LATENT))
    expected = [shown(generator.elder, each) for each in np.asarray(z, float)]
    imagined = VAE.imagine(generator, KEY, 6)
    np.testing.assert_allclose(imagined, expected, rtol=1e-5)
    other = generator.replace(weights=jax.tree.map(jnp.zeros_like, generator.weights))
    np.testing.assert_array_equal(VAE.imagine(other, KEY, 6), imagined)


def test_nothing_is_rehearsed_before_the_first_night():
    """On day 1 body and thresholds learn from what is lived alone, as a mind that does not rehearse."""
    state, day = newborn(MIND, body()), experiences((4,))
    state = state.replace(memory=state.memory.replace(generator=VAE.create(body(), KEY)))
    after, report = live_step(MIND, state, day)
    alone = MIND._replace(rehearse=0, imagination=None, loss=cross_entropy)
    bare, expected = live_step(alone, state.replace(memory=state.memory.replace(generator=None)), day)
    assert_same(after.replace(memory=bare.memory), bare, atol=1e-6)
    assert float(report["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)


def test_what_is_imagined_is_named_by_the_elder_and_counts_for_the_days_before():
    """On day 4 the rehearsed weigh 1 each and bear the elder's name; the generator learns 1/4 from what is lived."""
    peek = Imagination(
        create=lambda architecture, key: jnp.zeros(7),
        imagine=lambda generator, key, count: jnp.full((count, 16), 0.5),
        learn=lambda generator, percepts, weight, key: weight * (percepts[:, 0] + 1),
    )
    again = lambda lesson: (1 - lesson.lived) * lesson.weight  # noqa: E731
    said = lambda lesson: (again(lesson) * (10 + lesson.target)).sum() + 0 * lesson.logits.sum()  # noqa: E731
    mind = MIND._replace(imagination=peek, loss=said)
    state = newborn(MIND, body())
    home = dict(state.homeostasis) | {"concepts": {"active": jnp.ones(4), "age": jnp.zeros(4)}}
    named = lambda c: dict(state.params) | {"concepts": state.params["concepts"] | {"bias": jnp.eye(4)[c]}}  # noqa: E731
    learner = (state.learner[0], Elder(named(2), {"concepts": {"bias": jnp.ones(4)}}))
    nights = state.clock.replace(nights=jnp.asarray(3))
    state = state.replace(params=named(1), homeostasis=home, learner=learner, clock=nights)
    day = experiences((4,)).replace(weight=np.float32([1, 1, 0, 1]))
    day.senses["image"][:] = 0
    after, report = live_step(mind, state.replace(memory=state.memory.replace(generator=jnp.zeros(7))), day)
    assert float(report["loss"]) == 3 * (10 + 2)
    np.testing.assert_allclose(after.memory.generator, [1 / 12, 1 / 12, 0, 1 / 12, *[3 / 4 / 3 * 1.5] * 3], rtol=1e-6)


def test_the_generator_of_today_imagines_tomorrow(generator):
    """`hand_over` makes today's weights the elder's, in memory of their own."""
    state = newborn(MIND, body())
    state = state.replace(memory=state.memory.replace(generator=generator))
    after, _ = hand_over()(MIND, state, KEY)
    jax.tree.map(np.testing.assert_array_equal, after.memory.generator.elder, generator.weights)
    jax.tree.map(np.testing.assert_array_equal, after.memory.generator.weights, generator.weights)
    both = (after.memory.generator.weights, after.memory.generator.elder)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(both)]
    assert len(set(pointers)) == len(pointers)


def test_imagination_is_for_one_sense():
    """A body that sees and reads is refused in words."""
    both = body(senses=(*body().senses, TEXT))
    with pytest.raises(ArchitectureError, match="one sense, this one has 2"):
        VAE.create(both, KEY)
