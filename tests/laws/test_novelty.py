"""Telling the known from the unknown by a score, worked by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dellm_jax.rest import novelty

ONE = jnp.ones


def test_auroc_of_a_few_pairs():
    """Of 2 x 3 pairs four are in order, one is a tie: 4.5 / 6."""
    known, unknown = jnp.float32([0.9, 0.4]), jnp.float32([0.1, 0.4, 0.6])
    assert float(novelty.auroc(known, unknown, ONE(2), ONE(3))) == pytest.approx(4.5 / 6)
    assert float(novelty.auroc(known, unknown, ONE(2), jnp.float32([1, 0, 0]))) == 1
    assert float(novelty.auroc(known, unknown, jnp.zeros(2), ONE(3))) == 0.5


def test_auroc_is_that_of_others():
    """As scikit-learn has it, with weights and ties."""
    random = np.random.default_rng(0)
    score, label = random.integers(0, 20, 200) / 20, random.random(200) < 0.4
    weight = random.random(200)
    known, unknown = jnp.float32(score[label]), jnp.float32(score[~label])
    ours = novelty.auroc(known, unknown, jnp.float32(weight[label]), jnp.float32(weight[~label]))
    assert float(ours) == pytest.approx(roc_auc_score(label, score, sample_weight=weight), abs=1e-5)


def test_the_threshold_parts_best():
    """At .6 all of the unknown and two of three known are told right; what weighs nothing has no say."""
    known, unknown = jnp.float32([0.9, 0.6, 0.2]), jnp.float32([0.1, 0.3, 0.5])
    assert float(novelty.threshold(known, unknown, ONE(3), ONE(3))) == pytest.approx(0.6)
    assert float(novelty.threshold(known, unknown, jnp.float32([1, 0, 1]), ONE(3))) == pytest.approx(0.9)
    assert float(novelty.threshold(known, unknown, ONE(3), jnp.zeros(3))) == -np.inf
