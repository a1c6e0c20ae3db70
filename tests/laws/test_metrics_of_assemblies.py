"""What is measured of assemblies, against values worked out by hand."""

import numpy as np
import pytest

from dellm_jax.metrics import effective_number, linear_cka, mutual_information, twins

CONCEPT = np.tile(np.arange(4), 25)


def test_independent_labels_share_nothing_and_one_that_decides_shares_all_it_has():
    """0 bits if A says nothing of C; log2 K if each concept has its own of K assemblies; 1 bit of halves."""
    assert mutual_information(np.repeat([0, 1], 50), np.tile([0, 1], 50)) == pytest.approx(0, abs=1e-12)
    assert mutual_information(np.zeros(100, int), CONCEPT) == pytest.approx(0, abs=1e-12)
    assert mutual_information(CONCEPT, CONCEPT) == pytest.approx(2)
    assert mutual_information(CONCEPT // 2, CONCEPT) == pytest.approx(1)
    assert mutual_information(CONCEPT, CONCEPT // 2) == pytest.approx(1)


def test_mutual_information_worked_by_hand():
    """p(0,0) = 1/2, p(1,0) = p(1,1) = 1/4: H(A) + H(C) - H(A,C) = 1 + (2 - 3/4 log2 3) - 3/2 = 0.3113 bits."""
    assert mutual_information([0, 0, 1, 1], [0, 0, 0, 1]) == pytest.approx(1.5 - 0.75 * np.log2(3))


def test_chance_gives_about_what_it_is_said_to_give():
    """Independent labels, K = 2 and L = 10 of N = 500: 9 / (1000 ln 2) = 0.013 bits on average."""
    random = np.random.default_rng(0)
    draws = [mutual_information(random.integers(0, 2, 500), random.integers(0, 10, 500)) for _ in range(200)]
    assert np.mean(draws) == pytest.approx(9 / (1000 * np.log(2)), rel=0.1)


def test_counts_spread_among_as_many_kinds_as_they_do():
    """All in one 1, evenly in four 4, halves and two quarters 2^1.5, none 0."""
    for counts, many in (([0, 7, 0], 1), ([3, 3, 3, 3], 4), ([2, 1, 1], 2**1.5), ([0, 0], 0)):
        assert effective_number(counts) == pytest.approx(many)


def test_the_same_said_otherwise_is_alike():
    """CKA is 1 under rotation, scale and shift, 0 for what has nothing in common or never changes."""
    random = np.random.default_rng(0)
    x, turn = random.normal(size=(50, 3)), np.linalg.qr(random.normal(size=(3, 3)))[0]
    assert linear_cka(x, 5 * x @ turn + 2) == pytest.approx(1)
    a, b = np.array([[1.0], [-1], [1], [-1]]), np.array([[1.0], [1], [-1], [-1]])
    assert linear_cka(a, b) == pytest.approx(0, abs=1e-12)
    assert linear_cka(np.hstack([a, b]), a) == pytest.approx(2**-0.5)
    assert linear_cka(a, np.ones((4, 2))) == 0


def test_twins_of_twins_have_one_heir():
    """Of three units alike the first inherits both others; a silent unit is nobody's twin."""
    a, b = np.array([1.0, 0, 2, 1]), np.array([0.0, 3, 0, 1])
    found = twins(np.stack([a, b, 2 * a, 0 * a, 0.5 * a], axis=1), 0.99)
    assert found == {2: (0, pytest.approx(2)), 4: (0, pytest.approx(0.5))}


@pytest.mark.parametrize(
    ("measure", "what"),
    [
        (lambda: mutual_information([0, 1], [0]), "one"),
        (lambda: mutual_information([0.5], [0]), "one"),
        (lambda: linear_cka(np.ones((2, 2)), np.ones((3, 2))), "one"),
        (lambda: linear_cka(np.ones(2), np.ones((2, 2))), "one"),
        (lambda: effective_number([]), "counts"),
        (lambda: twins(np.ones((2, 2)), 1.5), "like"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, what):
    """ValueError that names the argument."""
    with pytest.raises(ValueError, match=what):
        measure()
