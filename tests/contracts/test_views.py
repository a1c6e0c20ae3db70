"""Contracts of views, derived corpora and the regression stream: what they change, and what they leave alone."""

import numpy as np
import pytest
from PIL import Image

from dellm_jax.errors import StreamError
from dellm_jax.streams import Corpus, Split, digits, gather
from dellm_jax.streams.derived import labelled_by, parity, validation
from dellm_jax.streams.regression import BETA, slowly_changing, target_network
from dellm_jax.streams.views import padded, permutation, rotation, rotation_angles, seen

PICTURES = np.random.default_rng(0).integers(1, 256, (4, 6, 5, 3)).astype(np.uint8)


def everything(split: Split) -> np.ndarray:
    """All rows of a split."""
    return np.arange(len(split.target))


@pytest.fixture
def grouped() -> Corpus:
    """The digits, with a group that is neither their concept nor in any order."""
    corpus = digits()
    train, test = (
        s._replace(group=np.random.default_rng(1).integers(4, size=len(s.target)).astype(np.int32))
        for s in (corpus.train, corpus.test)
    )
    return corpus._replace(train=train, test=test)


def test_a_view_shows_the_pixels_it_names_and_nothing_for_minus_one():
    index = np.random.default_rng(1).integers(-1, 30, 30).astype(np.int32)
    index[:2] = -1, 29
    before = PICTURES.copy()
    view = seen(PICTURES, index)
    assert view.dtype == np.uint8 and view.shape == PICTURES.shape
    for place, source in enumerate(index):
        shown = view[:, place // 5, place % 5]
        np.testing.assert_array_equal(shown, PICTURES[:, source // 5, source % 5] if source >= 0 else 0 * shown)
    np.testing.assert_array_equal(PICTURES, before)
    np.testing.assert_array_equal(seen(PICTURES.reshape(2, 2, 6, 5, 3), index), view.reshape(2, 2, 6, 5, 3))


@pytest.mark.parametrize("index", [np.arange(29), np.full(30, 30), np.full(30, -2), np.arange(30).reshape(6, 5)])
def test_a_view_of_another_size_is_refused(index):
    with pytest.raises(StreamError, match=r"expected \[30\] in -1..29: make it for pictures of 6 x 5"):
        seen(PICTURES, index.astype(np.int32))


def test_permutations_are_whole_and_differ_by_seed_and_task():
    views = [permutation(6, 5, seed, task) for seed in (0, 1) for task in (0, 1, 2)]
    assert all(v.dtype == np.int32 and sorted(v) == list(range(30)) for v in views)
    assert len({v.tobytes() for v in views}) == 6
    np.testing.assert_array_equal(permutation(6, 5, 1, 2), views[-1])
    assert sorted(seen(PICTURES, views[0])[0].ravel()) == sorted(PICTURES[0].ravel())


def test_the_first_task_can_be_left_as_it_is():
    np.testing.assert_array_equal(seen(PICTURES, permutation(6, 5, 3, 0, first_identity=True)), PICTURES)
    np.testing.assert_array_equal(permutation(6, 5, 3, 1, first_identity=True), permutation(6, 5, 3, 1))


@pytest.mark.parametrize("height, width", [(28, 28), (32, 32), (9, 9), (8, 8), (20, 31)])
def test_rotations_are_those_of_pillow(height, width):
    generator = np.random.default_rng(height)
    picture = generator.integers(1, 256, (height, width)).astype(np.uint8)
    for degrees in [*generator.uniform(-400, 400, 300), *range(-360, 361, 15)]:
        expected = Image.fromarray(picture).rotate(degrees, Image.Resampling.NEAREST)
        view = seen(picture[None, ..., None], rotation(height, width, degrees))
        np.testing.assert_array_equal(view[0, ..., 0], np.asarray(expected), err_msg=f"{degrees} degrees")


def test_a_quarter_turn_is_counter_clockwise():
    square = PICTURES[:, :5]
    np.testing.assert_array_equal(seen(square, rotation(5, 5, 90.0)), np.rot90(square, axes=(1, 2)))
    np.testing.assert_array_equal(seen(PICTURES, rotation(6, 5, 0.0)), PICTURES)


def test_angles_are_of_half_a_turn_and_begin_alike():
    angles = rotation_angles(2_000, seed=5)
    assert angles.shape == (2_000,) and angles.min() >= 0 and angles.max() < 180 and abs(angles.mean() - 90) < 4
    np.testing.assert_array_equal(rotation_angles(20, seed=5), angles[:20])
    assert np.any(rotation_angles(20, seed=6) != angles[:20])


def test_padding_puts_pictures_amid_zeros():
    corpus = digits()
    wide = padded(corpus, 11)
    for name in ("train", "test"):
        before, after = getattr(corpus, name), getattr(wide, name)
        images = after.banks["image"]
        assert images.shape == (len(before.target), 11, 11, 1) and images.dtype == np.uint8
        np.testing.assert_array_equal(images[:, 1:9, 1:9], before.banks["image"])
        assert images.sum() == before.banks["image"].sum()
        assert after.banks["audio"] is before.banks["audio"] and after.index is before.index
    with pytest.raises(StreamError, match="side=7, but the pictures are 8 x 8; choose at least 8"):
        padded(corpus, 7)
    silent = corpus.train._replace(banks={"audio": corpus.train.banks["audio"]})
    with pytest.raises(StreamError, match=r"no pictures to pad; it has \['audio'\]"):
        padded(corpus._replace(train=silent), 11)


@pytest.mark.parametrize("asked, expected", [({}, 144), ({"share": 0.25}, 359), ({"count": 101}, 101)])
def test_validation_cuts_a_stratified_part_from_training(grouped, asked, expected):
    corpus = validation(grouped, seed=3, **asked)
    assert corpus.name == "digits/validation" and corpus.concepts == grouped.concepts
    assert len(corpus.test.target) == expected
    shares = expected * np.bincount(grouped.train.target) / len(grouped.train.target)
    assert np.all(np.abs(np.bincount(corpus.test.target, minlength=10) - shares) < 1)
    assert all(split.banks is grouped.train.banks for split in (corpus.train, corpus.test))
    # Each picture is shown once, so its row tells which example it was.
    rows = np.concatenate([split.index["image"] for split in (corpus.train, corpus.test)])
    np.testing.assert_array_equal(np.sort(rows), everything(grouped.train))
    for split in (corpus.train, corpus.test):
        example = split.index["image"]
        np.testing.assert_array_equal(split.target, grouped.train.target[example])
        np.testing.assert_array_equal(split.group, grouped.train.group[example])
        np.testing.assert_array_equal(split.index["audio"], grouped.train.index["audio"][example])
    again, other = (validation(grouped, seed=seed, **asked).test.index["image"] for seed in (3, 4))
    np.testing.assert_array_equal(again, corpus.test.index["image"])
    assert np.any(np.sort(other) != np.sort(again))


def test_validation_can_hold_out_a_group(grouped):
    held = set()
    for seed in range(12):
        corpus = validation(grouped, seed=seed, by_group=True)
        (group,) = np.unique(corpus.test.group)
        assert set(corpus.train.group) == {0, 1, 2, 3} - {group}
        assert len(corpus.train.target) + len(corpus.test.target) == len(grouped.train.target)
        held.add(int(group))
    assert held == {0, 1, 2, 3}


def test_validation_that_cannot_be_is_refused(grouped):
    for asked, found in (({"share": 1.0}, "share=1.0 tests 1437 of 1437"), ({"count": 0}, "count=0 tests 0 of 1437")):
        with pytest.raises(StreamError, match=rf"{found} examples; expected at least 1 and fewer than all"):
            validation(grouped, **asked)
    with pytest.raises(StreamError, match=r"by_group=True, but digits has no groups"):
        validation(digits(), by_group=True)
    pairs = grouped._replace(train=grouped.train._replace(group=grouped.train.target // 2))
    with pytest.raises(StreamError, match=r"leaves no training example of '[a-z]+'; hold out fewer"):
        validation(pairs, by_group=True)


def test_parity_asks_whether_the_digit_is_odd_and_groups_the_pairs(grouped):
    corpus = parity(grouped)
    assert corpus.name == "digits/parity" and corpus.concepts == ("even", "odd")
    for name in ("train", "test"):
        before, after = getattr(grouped, name), getattr(corpus, name)
        assert after.target.dtype == after.group.dtype == np.int32
        np.testing.assert_array_equal(2 * after.group + after.target, before.target)
        for sense, items in gather(after, everything(after)).items():
            np.testing.assert_array_equal(items, gather(before, everything(before))[sense])


def test_other_concepts_need_one_for_each_old_one(grouped):
    corpus = labelled_by(grouped, ("round", "straight"), np.array([0, 1, 0, 0, 1, 0, 0, 1, 0, 0]))
    assert corpus.concepts == ("round", "straight") and corpus.train.group is grouped.train.group
    np.testing.assert_array_equal(corpus.test.target, np.isin(grouped.test.target, [1, 4, 7]))
    for label_of in (np.zeros(9, int), np.full(10, 2), np.full(10, -1), np.full(10, 0.5)):
        with pytest.raises(StreamError, match=r"expected for each of 10 concepts a number in 0..1"):
            labelled_by(grouped, ("round", "straight"), label_of)


def test_slow_bits_flip_one_at_a_time_and_fast_bits_are_fair():
    bits, value = slowly_changing(4_050, seed=2, flip_every=100)
    assert bits.shape == (4_050, 21) and value.shape == (4_050,) and bits.dtype == value.dtype == np.float32
    assert set(np.unique(bits)) == {0, 1} and np.all(bits[:, 20] == 1)
    changes = np.abs(np.diff(bits[:, :15], axis=0)).sum(axis=1)
    assert np.flatnonzero(changes).tolist() == [100 * period - 1 for period in range(1, 41)] and changes.max() == 1
    assert len(np.unique(np.nonzero(np.diff(bits[:, :15], axis=0))[1])) > 10
    assert np.all(np.abs(bits[:, 15:20].mean(axis=0) - 0.5) < 0.04)
    patterns, counts = np.unique(bits[:, 15:20], axis=0, return_counts=True)
    assert len(patterns) == 32 and counts.min() > 80


def test_the_value_is_that_of_the_target_network_one_unit_at_a_time():
    bits, value = slowly_changing(600, seed=7, flip_every=20)
    incoming, outgoing = target_network(np.random.default_rng(7).spawn(3)[0])
    assert incoming.shape == (100, 21) and set(np.unique(incoming)) == set(np.unique(outgoing)) == {-1, 1}
    for x, y in zip(bits, value, strict=True):
        total = 0
        for weights, out in zip(incoming.tolist(), outgoing.tolist(), strict=True):
            # A weight of 1 wants a one, a weight of -1 a zero: v.x + S counts the inputs that are as they are wanted.
            met = sum(1 for weight, bit in zip(weights, x.tolist(), strict=True) if (weight > 0) == (bit > 0))
            total += out if met > BETA * 21 else 0
        assert y == total
    assert 1 < np.std(value) < 10


def test_the_regression_is_a_function_of_its_seed_and_longer_begins_like_shorter(monkeypatch):
    bits, value = slowly_changing(1_000, seed=1, flip_every=50)
    monkeypatch.setattr("dellm_jax.streams.regression.CHUNK", 64)
    for short, whole in zip(slowly_changing(333, seed=1, flip_every=50), (bits, value), strict=True):
        np.testing.assert_array_equal(short, whole[:333])
    assert np.any(slowly_changing(1_000, seed=2, flip_every=50)[1] != value)
    for asked in ({"examples": 0}, {"examples": 1, "flip_every": 0}):
        with pytest.raises(StreamError, match=rf"{list(asked)[-1]}=0, expected at least 1"):
            slowly_changing(seed=0, **asked)
