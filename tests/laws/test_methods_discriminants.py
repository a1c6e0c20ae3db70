"""Streaming LDA and RanDumb: closed forms without episodes against scikit-learn and numpy; the kernel they see by."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from small_lives import IMAGE, experiences, laws, live_step

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.memory import semantic
from dellm_jax.mind import create
from dellm_jax.rest import consolidate, rest
from dellm_jax.senses import FourierImage

MIND = laws(optax.set_to_zero())
FOURIER = FourierImage(4, 4, 1, code_side=4, code_bits=8, filters=8, gamma=0.1)


class Ridged(BaseEstimator):
    """Covariance within a class plus a ridge on the diagonal, for scikit-learn."""

    def __init__(self, ridge=0.0):
        self.ridge = ridge

    def fit(self, x):
        self.covariance_ = np.cov(x.T, bias=True) + self.ridge * np.eye(x.shape[1])
        return self


@pytest.fixture(scope="module", params=[IMAGE, FOURIER], ids=["SLDA", "RanDumb"])
def woken(request):
    """A life without episodes that has lived 32 pictures and rested: sense, life, report, features and concepts."""
    sense = request.param
    architecture = Architecture(
        (sense,), (Assembly("vision", ("image",), 2),), 4, 4, episodic_bytes=0, semantic_chunk=8, feedback=False
    )
    state, features, targets = create(MIND, architecture, jax.random.key(0)), [], []
    for seed in range(8):
        batch = experiences((4,), seed=seed)
        state, _ = live_step(MIND, state, batch)
        features.append(sense.expand(state.memory.semantic["image"].filters, sense.perceive(batch.senses["image"])))
        targets.append(batch.target)
    state, report = rest(MIND, [("consolidate", consolidate())], state, jax.random.key(1))
    return sense, state, report, np.concatenate(features).astype(float), np.concatenate(targets)


def ridge(x, y):
    """0.1 (features / experiences)^1.5, within [1e-4, 0.3], of the mean variance within, plus 3e-5 of the mean power,
    plus 0.1 concepts / experiences of the mean variance of all."""
    within = sum(((x[y == c] - x[y == c].mean(0)) ** 2).sum() for c in set(y.tolist())) / x.size
    shrinkage = np.clip(0.1 * (x.shape[1] / len(x)) ** 1.5, 1e-4, 0.3)
    return shrinkage * within + 3e-5 * (x**2).mean() + 0.1 * len(set(y.tolist())) / len(y) * x.var(0).mean() + 1e-9


def test_a_night_without_episodes_solves_exactly(woken):
    """The readout is W (Sigma + ridge I) = mu - m with all that was lived, batch or no batch, chunk or no chunk."""
    _, state, report, x, y = woken
    assert report == {"rolled_back": 0.0}, "nothing to be judged by"
    assert int(state.clock.nights) == 1 and not jax.tree.leaves(state.memory.episodic)[0].size
    means = np.stack([x[y == c].mean(0) for c in range(3)])
    sigma = (x - means[y]).T @ (x - means[y]) / len(x) + ridge(x, y) * np.eye(x.shape[1])
    readout = np.linalg.solve(sigma, (means - x.mean(0)).T).T
    found = np.asarray(state.memory.semantic["image"].readout)
    np.testing.assert_allclose(found[:3], readout, rtol=5e-3, atol=5e-3 * np.abs(readout).max())
    assert not found[3].any(), "an unknown concept is no evidence"


def test_it_is_linear_discriminant_analysis(woken):
    """Log evidence is scikit-learn's decision function, but for the priors and what all concepts share."""
    _, state, _, x, y = woken
    lda = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Ridged(ridge(x, y))).fit(x, y)
    expected = lda.decision_function(x) - np.log(lda.priors_)
    found = np.asarray(semantic.log_evidence(state.memory.semantic["image"], jnp.asarray(x, jnp.float32)))[:, :3]
    apart = (found - found.mean(1, keepdims=True)) - (expected - expected.mean(1, keepdims=True))
    assert np.abs(apart).max() < 0.01 * np.abs(expected).max()
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_fourier_features_are_the_gaussian_kernel():
    """phi(x) phi(y) = exp(-gamma |x - y|^2) but for an error of deviation <= (2 n)^-1/2; phi(x) has length 1."""
    sense = FourierImage(5, 4, 2, filters=4000, gamma=0.08)
    x = np.random.default_rng(0).uniform(size=(12, sense.inputs)).astype(np.float32)
    phi = np.asarray(sense.expand(sense.draw_filters(jax.random.key(0)), x), float)
    assert phi.shape == (12, sense.features)
    kernel = np.exp(-0.08 * ((x[:, None] - x[None]) ** 2).sum(-1))
    assert np.abs(phi @ phi.T - kernel).max() < 4 / (2 * 4000) ** 0.5 and np.ptp(kernel) > 0.3
    np.testing.assert_allclose((phi**2).sum(1), 1, rtol=1e-5)
