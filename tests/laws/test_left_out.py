"""Semantic memory asked about an experience as if it had never had it."""

import jax.numpy as jnp
import numpy as np
import pytest

from dellm_jax.memory import semantic

FEATURES, CONCEPTS, LIVED = 24, 4, 60


@pytest.fixture(scope="module")
def lived():
    """A solved memory of overlapping concepts, with what it observed."""
    random = np.random.default_rng(0)
    target = random.integers(0, CONCEPTS, LIVED)
    features = (random.gamma(1.0, 1.0, (LIVED, FEATURES)) + 2 * np.eye(CONCEPTS, FEATURES)[target]).astype(np.float32)
    memory = semantic.empty(jnp.zeros((0, 0, 0, 0)), FEATURES, CONCEPTS, LIVED)
    memory = semantic.observe(memory, jnp.asarray(features), jnp.asarray(target), jnp.ones(LIVED))
    return semantic.solve(memory), features, target


def test_leaving_out_equals_learning_without(lived):
    """The closed form equals a discriminant computed from all experiences but the one asked about."""
    memory, features, target = lived
    answers = semantic.log_evidence_left_out(memory, jnp.asarray(features), jnp.asarray(target))
    ridge, centre = float(semantic.ridge(memory)), features.mean(0)
    for asked in range(0, LIVED, 7):
        rest = np.arange(LIVED) != asked
        means = np.stack([features[rest & (target == concept)].mean(0) for concept in range(CONCEPTS)])
        apart = features[rest] - means[target[rest]]
        readout = np.linalg.solve(apart.T @ apart / LIVED + ridge * np.eye(FEATURES), (means - centre).T)
        expected = (features[asked] - centre) @ readout - 0.5 * ((means - centre) * readout.T).sum(1)
        np.testing.assert_allclose(answers[asked], expected, rtol=2e-4, atol=2e-4)


def test_it_is_less_sure_than_of_what_it_knows(lived):
    """Left out, experiences are recognised less well than when they were observed."""
    memory, features, target = lived
    x, y = jnp.asarray(features), jnp.asarray(target)
    known = (semantic.log_evidence(memory, x).argmax(1) == y).mean()
    unknown = (semantic.log_evidence_left_out(memory, x, y).argmax(1) == y).mean()
    assert unknown < known
