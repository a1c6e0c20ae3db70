"""Laws of semantic memory: packed sums equal dense ones, order and grouping do not matter, the readout is LDA."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dellm_jax.memory import semantic, symmetric

FEATURES, CONCEPTS, CHUNK = 12, 4, 8
NONE = jnp.zeros((0, 0, 0, 0))
observe, solve, log_evidence = jax.jit(semantic.observe), jax.jit(semantic.solve), jax.jit(semantic.log_evidence)
follow = jax.jit(semantic.follow)  # the number of steps is traced, so that it compiles once


def observations(seed: int = 0, many: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features [many, FEATURES] and concepts [many], each with a mean of its own; the last never comes."""
    generator = np.random.default_rng(seed)
    target = generator.integers(0, CONCEPTS - 1, many).astype(np.int32)
    mix = generator.normal(size=(FEATURES, FEATURES)) / FEATURES**0.5
    centres = 2 * generator.normal(size=(CONCEPTS, FEATURES)) + 1
    return (centres[target] + generator.normal(size=(many, FEATURES)) @ mix).astype(np.float32), target


def stream(features: np.ndarray, target: np.ndarray, batch: int, weight: np.ndarray | None = None) -> semantic.Semantic:
    """The memory of a life that observed all that in batches."""
    memory = semantic.empty(NONE, FEATURES, CONCEPTS, CHUNK)
    weight = np.ones(len(target), np.float32) if weight is None else weight
    for start in range(0, len(target), batch):
        part = slice(start, start + batch)
        memory = observe(memory, features[part], target[part], weight[part])
    return memory


def statistics(features: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concept means [C, n] (zero for the unknown) and covariance within concepts [n, n], in float64 by definition."""
    features = features.astype(np.float64)
    means = np.zeros((CONCEPTS, features.shape[1]))
    for concept in np.unique(target):
        means[concept] = features[target == concept].mean(0)
    rest = features - means[target]
    return means, rest.T @ rest / len(target)


def regular(memory: semantic.Semantic, features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Sigma + ridge I."""
    return statistics(features, target)[1] + float(semantic.ridge(memory)) * np.eye(FEATURES)


def close(actual, expected, tolerance: float = 1e-4) -> None:
    """Relative to the largest entry."""
    np.testing.assert_allclose(actual, expected, atol=tolerance * max(np.abs(expected).max(), 1e-6), rtol=0)


def test_features_that_never_vary_are_known_and_stay_finite():
    """One way to write each of two words: Sigma is nothing but rounding, and its readout still tells them apart."""
    random = np.random.default_rng(0)
    words = np.zeros((2, 256), np.float32)
    for word in words:
        word[random.choice(256, 5, replace=False)] = 8 / 5**0.5
    target = random.integers(0, 2, 320).astype(np.int32)
    memory = semantic.empty(NONE, 256, CONCEPTS, 10)
    for start in range(0, 320, 10):
        memory = observe(memory, words[target[start : start + 10]], target[start : start + 10], np.ones(10, np.float32))
    for known in (memory, solve(memory)):
        said = np.asarray(log_evidence(known, words))
        assert np.isfinite(known.readout).all() and said[:, :2].argmax(1).tolist() == [0, 1]


@jax.jit
def packed_algebra(one: jax.Array, two: jax.Array, columns: jax.Array) -> tuple[jax.Array, ...]:
    """S = X^T X of rows that come in two parts: S packed and dense, S V, diag S."""
    size = one.shape[1]
    packed = symmetric.add_gram(symmetric.add_gram(symmetric.zeros(size), one), two)
    return packed, symmetric.dense(packed, size), symmetric.product(packed, columns), symmetric.diagonal(packed, size)


@given(size=st.sampled_from([1, 6, 8, 11, 15, 22]), seed=st.integers(0, 99))  # whole, in eight, prime, in five, in two
@settings(max_examples=12, deadline=None)
def test_packed_symmetric_matrices_equal_dense_ones(size, seed):
    """S + X^T X, S V, diag S and S itself agree with numpy; the packed form holds each pair of blocks once."""
    generator = np.random.default_rng(seed)
    one, two, columns = (generator.normal(size=shape).astype(np.float32) for shape in ((2, size), (3, size), (size, 2)))
    packed, dense, product, diagonal = packed_algebra(one, two, columns)
    expected = one.T @ one + two.T @ two
    np.testing.assert_allclose(dense, expected, atol=1e-4)
    np.testing.assert_allclose(product, expected @ columns, atol=1e-3)
    np.testing.assert_allclose(diagonal, np.diag(expected), atol=1e-4)
    blocks = symmetric.block_count(size)
    assert size % blocks == 0 and blocks <= 8 and packed.size == size**2 * (blocks + 1) / (2 * blocks)


def test_streaming_equals_batch():
    """Counts, totals and the Gram matrix of a stream are the sums over all of it."""
    features, target = observations()
    memory = semantic.absorb(stream(features, target, 6))
    named = np.eye(CONCEPTS)[target]
    close(memory.count, named.sum(0))
    close(memory.total, named.T @ features)
    close(symmetric.dense(memory.gram, FEATURES), features.T @ features)
    assert int(memory.fill) == 0 and not np.asarray(memory.pending).any()


@pytest.mark.parametrize("batch", [1, 8])
def test_order_and_grouping_do_not_matter(batch):
    """After a solve any permutation of the stream in any batches gives the same readout and the same evidence."""
    features, target = observations()
    reference = solve(stream(features, target, 6))
    order = np.random.default_rng(batch).permutation(len(target))
    if batch == 8:
        order = np.argsort(target, kind="stable")  # the hardest order: concept after concept
    other = solve(stream(features[order], target[order], batch))
    close(other.readout, reference.readout, 1e-3)
    close(log_evidence(other, features), log_evidence(reference, features), 1e-3)


def test_weight_zero_rows_leave_no_trace():
    """Rows of weight 0 change no sum, whatever they hold."""
    features, target = observations()
    weight = (np.arange(len(target)) % 3 > 0).astype(np.float32)
    noisy = np.where(weight[:, None] > 0, features, 1e3).astype(np.float32)
    seen, reference = (
        solve(stream(noisy, target, 6, weight)),
        solve(stream(features[weight > 0], target[weight > 0], 8)),
    )
    close(seen.count, reference.count)
    close(seen.total, reference.total)
    close(seen.readout, reference.readout, 1e-3)


def test_solve_is_the_textbook_readout():
    """W = (Sigma + ridge I)^-1 (mu_c - m), zero for a concept that never came."""
    features, target = observations()
    memory = solve(stream(features, target, 6))
    centred = statistics(features, target)[0] - features.astype(np.float64).mean(0)
    expected = np.linalg.solve(regular(memory, features, target), centred.T).T
    close(memory.readout[:3], expected[:3], 1e-3)
    assert not np.asarray(memory.readout)[3].any()


def test_the_ridge_follows_the_units_and_the_number_of_experiences():
    """ridge(s x) = s^2 ridge(x); it falls as experiences come, to a floor, and is positive without any variance."""
    features, target = observations(many=24)
    ridges = [float(semantic.ridge(solve(stream(s * features, target, 6)))) for s in (1, 3)]
    assert ridges[1] == pytest.approx(9 * ridges[0], rel=1e-3)
    repeated = [
        float(semantic.ridge(solve(stream(np.tile(features, (n, 1)), np.tile(target, n), 8)))) for n in (1, 2, 8)
    ]
    assert repeated[0] > repeated[1] > repeated[2] > 1e-4 * features.var()
    constant = np.full((24, FEATURES), 2.0, np.float32)
    assert float(semantic.ridge(solve(stream(constant, target, 6)))) == pytest.approx(3e-5 * 4, rel=1e-2)


def test_evidence_is_the_gaussian_discriminant():
    """Differences between concepts equal those of -1/2 (x - mu_c)^T (Sigma + ridge I)^-1 (x - mu_c)."""
    features, target = observations()
    memory = solve(stream(features, target, 6))
    precision = np.linalg.inv(regular(memory, features, target))
    rest = features[:, None, :] - statistics(features, target)[0][None, :3]
    expected = -0.5 * np.einsum("bcn,nm,bcm->bc", rest, precision, rest)
    evidence = np.asarray(log_evidence(memory, features))[:, :3]
    close(evidence - evidence[:, :1], expected - expected[:, :1], 1e-3)
    assert (evidence.argmax(1) == target).mean() > 0.95


def test_following_arrives_where_solving_does():
    """Conjugate gradients: |W_k - W|_A falls with every step from any start, and about n steps reach the solve."""
    features, target = observations()
    exact = solve(stream(features, target, 6))
    operator = regular(exact, features, target)
    start, away = exact.replace(readout=jax.random.normal(jax.random.key(0), exact.readout.shape)), []
    for steps in (0, 3, 6, 9, 2 * FEATURES):
        rest = np.asarray(follow(start, steps).readout - exact.readout)[:3]
        away.append(float(np.einsum("cn,nm,cm->", rest, operator, rest)) ** 0.5)
    assert all(late < 0.9 * early for early, late in pairwise(away)), away
    assert away[-1] < 1e-3 * away[0], away
    close(follow(exact, 3).readout, exact.readout, 1e-3)


def test_a_new_concept_is_known_after_the_next_flush():
    """A concept first lived now is told from the others as soon as the pending experiences are absorbed, by day."""
    generator = np.random.default_rng(1)
    centres = 4 * generator.normal(size=(2, FEATURES)).astype(np.float32)
    old = centres[:1] + generator.normal(size=(40, FEATURES)).astype(np.float32)
    new = centres[1:] + generator.normal(size=(8, FEATURES)).astype(np.float32)
    memory = stream(old, np.zeros(40, np.int32), 4)
    for start in (0, 4):
        memory = observe(memory, new[start : start + 4], np.full(4, 2, np.int32), np.ones(4, np.float32))
    before = log_evidence(memory, new)
    memory = observe(memory, old[:4], np.zeros(4, np.int32), np.ones(4, np.float32))  # does not fit: this is the flush
    after = log_evidence(memory, np.concatenate([old, new]))
    assert not np.asarray(before)[:, 2].any(), "nothing speaks for it or against it before"
    assert (np.asarray(after)[:40, 0] > np.asarray(after)[:40, 2]).all()
    assert (np.asarray(after)[40:, 2] > np.asarray(after)[40:, 0]).all()


def test_features_that_never_vary_within_a_concept_give_finite_answers():
    """A word is written one way: without any variance within concepts every answer is finite and right."""
    words = np.zeros((3, FEATURES), np.float32)
    words[[0, 0, 1, 2], [0, 1, 1, 2]] = 3.0
    target = np.tile(np.arange(3, dtype=np.int32), 16)
    awake = stream(words[target], target, 6)
    for memory in (awake, solve(awake)):
        evidence = np.asarray(log_evidence(memory, words))
        assert np.isfinite(evidence).all() and np.isfinite(memory.readout).all()
        assert (evidence[:, :3].argmax(1) == np.arange(3)).all()
    empty = solve(semantic.empty(NONE, FEATURES, CONCEPTS, CHUNK))
    assert not np.asarray(log_evidence(empty, words)).any(), "before anything is lived, nothing speaks for anything"


def test_a_batch_larger_than_the_chunk_is_refused():
    """What cannot be pending is refused with the setting to raise."""
    memory = semantic.empty(NONE, FEATURES, CONCEPTS, CHUNK)
    with pytest.raises(ValueError, match=r"batch of 9 does not fit semantic_chunk=8; raise semantic_chunk"):
        semantic.observe(memory, jnp.zeros((9, FEATURES)), jnp.zeros(9, jnp.int32), jnp.ones(9))
