"""Laws of imagery: the Gaussian of every concept is that of what was perceived, and dreams are drawn from it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax import identity
from small_lives import IMAGE, TEXT, body, experiences, laws, newborn, train

from dellm_jax.errors import ArchitectureError
from dellm_jax.memory import imagery
from dellm_jax.surgery import take

INPUTS, CONCEPTS = 6, 4
observe = jax.jit(imagery.observe)


def perceived(seed: int = 0, many: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Correlated percepts [many, INPUTS] of concepts [many]: 0 and 1 often, 2 once, 3 never."""
    random = np.random.default_rng(seed)
    target = np.where(np.arange(many) == 7, 2, random.integers(0, 2, many)).astype(np.int32)
    mix = random.normal(size=(INPUTS, INPUTS))
    return (target[:, None] + random.normal(size=(many, INPUTS)) @ mix).astype(np.float32), target


def remembered(percepts: np.ndarray, target: np.ndarray, batch: int, weight: np.ndarray | None = None):
    """The imagery of a life that perceived all that in batches."""
    memory = imagery.empty(INPUTS, CONCEPTS)
    weight = np.ones(len(target), np.float32) if weight is None else weight
    for start in range(0, len(target), batch):
        part = slice(start, start + batch)
        memory = observe(memory, percepts[part], target[part], weight[part])
    return memory


def test_means_axes_and_variances_are_those_of_what_was_perceived():
    """mean, spread^T spread = covariance and its trace, by definition in float64; what came once has no spread."""
    percepts, target = perceived()
    memory = remembered(percepts, target, 10)
    of = imagery.gaussians(memory, INPUTS)
    for concept in range(CONCEPTS):
        own = percepts[target == concept].astype(np.float64)
        mean = own.mean(0) if len(own) else np.zeros(INPUTS)
        covariance = np.cov(own.T, bias=True) if len(own) > 1 else np.zeros((INPUTS, INPUTS))
        np.testing.assert_allclose(of.mean[concept], mean, atol=1e-5)
        np.testing.assert_allclose(of.spread[concept].T @ of.spread[concept], covariance, atol=1e-3)
        np.testing.assert_allclose(imagery.variance(memory)[concept], np.trace(covariance), atol=1e-3)


def test_fewer_axes_are_the_longest():
    """Rank r keeps the r axes of greatest deviation, longest first; 0 keeps the mean alone."""
    memory = remembered(*perceived(), 10)
    whole, part = imagery.gaussians(memory, INPUTS), imagery.gaussians(memory, 2)
    np.testing.assert_array_equal(part.spread, whole.spread[:, :2])
    length = np.linalg.norm(whole.spread[:2], axis=2)
    assert (np.diff(length, axis=1) <= 0).all() and (length[:, 0] > 1).all()
    assert imagery.gaussians(memory, 0).spread.shape == (CONCEPTS, 0, INPUTS)
    with pytest.raises(ValueError, match=r"rank is 7; 6 latents have 0 to 6"):
        imagery.gaussians(memory, 7)


def test_neither_order_nor_batches_matter_and_nobody_is_forgotten():
    """Sums: the same to rounding, however what was perceived came."""
    percepts, target = perceived()
    order = np.argsort(target, kind="stable")
    one, other = remembered(percepts, target, 10), remembered(percepts[order], target[order], 4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), one, other)


def test_what_weighs_nothing_leaves_no_trace():
    """Neither in the sums nor in the range."""
    percepts, target = perceived()
    wild = np.concatenate([percepts, np.full((10, INPUTS), 1e3, np.float32)])
    weight = np.concatenate([np.ones(60, np.float32), np.zeros(10, np.float32)])
    memory = remembered(wild, np.concatenate([target, target[:10]]), 10, weight)
    jax.tree.map(np.testing.assert_array_equal, memory, remembered(percepts, target, 10))


def test_dreams_are_spread_as_what_was_perceived_and_stay_within_its_range():
    """Mean and covariance of 20,000 dreams of a Gaussian concept; no number beyond the lowest or highest ever seen."""
    memory = remembered(*perceived(many=600), 10)
    of = imagery.gaussians(memory, INPUTS)
    concept = jnp.zeros(20_000, jnp.int32)
    free = of._replace(lowest=jnp.full(INPUTS, -jnp.inf), highest=jnp.full(INPUTS, jnp.inf))
    dreamt = np.asarray(imagery.dream(free, concept, jax.random.key(0)))
    covariance = of.spread[0].T @ of.spread[0]
    tolerance = 0.05 * float(np.abs(covariance).max())
    np.testing.assert_allclose(dreamt.mean(0), of.mean[0], atol=tolerance)
    np.testing.assert_allclose(np.cov(dreamt.T), covariance, atol=2 * tolerance)
    kept = np.asarray(imagery.dream(of, concept, jax.random.key(0)))
    np.testing.assert_array_equal(kept, np.clip(dreamt, of.lowest, of.highest))
    assert (kept != dreamt).any()


def test_a_life_pictures_what_it_lives_and_more_concepts_change_nothing():
    """Only the senses that were asked for; a new concept has no picture yet and the others keep theirs, bit for bit."""
    mind, architecture = laws(identity()), replace(body(senses=(IMAGE, TEXT)), imagery=("image",))
    lived = experiences((3, 5), senses=(IMAGE, TEXT))
    state = train(mind, newborn(mind, architecture), lived)
    (kept,) = state.memory.imagery.values()
    pictures = lived.senses["image"].reshape(15, -1) / 255
    np.testing.assert_allclose(kept.total.sum(0), pictures.sum(0), rtol=1e-5)
    grown = take(mind, state, "concepts", [0, 1, 2, 3, -1, -1]).memory.imagery["image"]
    for before, after in zip(jax.tree.leaves(kept)[:3], jax.tree.leaves(grown)[:3], strict=True):
        np.testing.assert_array_equal(after[:4], before)
        assert after.shape[0] == 6 and not np.asarray(after[4:]).any()


def test_a_sense_that_is_not_there_cannot_be_pictured():
    with pytest.raises(ArchitectureError, match=r"imagery names \['smell'\]; the senses are \['image'\]"):
        replace(body(), imagery=("smell",))
