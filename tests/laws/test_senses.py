"""Laws of the senses: codes round-trip in the bytes they claim, resampling averages, hearing is librosa's log-mel."""

import itertools
import re

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dellm_jax.errors import ArchitectureError
from dellm_jax.senses import Audio, Bytes, FourierImage, Image, Signal, Text, Waveform, grid
from dellm_jax.senses.hearing import mel_filterbank
from dellm_jax.senses.reading import BEGIN, END

packing = jax.jit(grid.pack, static_argnums=1)
unpacking = jax.jit(grid.unpack, static_argnums=(1, 2))
warp = jax.jit(grid.warp)
perceiving = jax.jit(lambda raw, sense: sense.perceive(raw), static_argnums=1)


def text(words: list[str], sense: Text) -> np.ndarray:
    """Percepts [N, buckets] of up to eight words."""
    raw = [list(word.encode().ljust(sense.width, b"\0")) for word in [*words, *[""] * (8 - len(words))]]
    return np.asarray(perceiving(np.asarray(raw, np.uint8), sense))[: len(words)]


# codes


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_packing_keeps_values_to_half_a_step(bits, data):
    """|unpack(pack(x)) - clip(x, 0, 1)| <= 1/2 / (2^bits - 1), in ceil(N bits / 8) bytes."""
    count = data.draw(st.sampled_from([5, 8, 13]))
    seed = data.draw(st.integers(0, 99))
    x = np.random.default_rng(seed).uniform(-0.2, 1.2, (3, count)).astype(np.float32)
    code = packing(x, bits)
    assert code.dtype == jnp.uint8 and code.shape == (3, -(-count * bits // 8))
    back = np.asarray(unpacking(code, bits, count))
    np.testing.assert_allclose(back, np.clip(x, 0, 1), atol=0.5 / (2**bits - 1) + 1e-6)
    np.testing.assert_array_equal(packing(back, bits), code, "and the second time nothing is lost")


def test_packed_values_lie_side_by_side():
    """Value i of a byte sits at bit i * bits: 4-bit levels 1, 2, 15 are the bytes 0x21, 0x0f."""
    np.testing.assert_array_equal(packing(np.float32([[1, 2, 15]]) / 15, 4), [[0x21, 0x0F]])
    np.testing.assert_array_equal(packing(np.float32([[1, 0, 1, 1, 0, 0, 0, 0, 1]]), 1), [[0b1101, 1]])


def test_a_full_resolution_code_is_the_picture():
    """With code_side = height = width and 8 bits the code is the raw picture and decodes to the percept."""
    sense = Image(4, 4, 3, code_side=4, code_bits=8)
    raw = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(sense.encode(raw), raw.reshape(2, -1))
    np.testing.assert_allclose(sense.decode(sense.encode(raw)), sense.perceive(raw), atol=1e-7)


def test_a_small_code_remembers_area_means():
    """Each cell of a code is the mean of its share of the picture; a picture of one grey comes back as it was."""
    sense = Image(4, 6, code_side=2, code_bits=8)
    raw = np.arange(24, dtype=np.uint8).reshape(1, 4, 6, 1) * 10
    means = raw.reshape(2, 2, 2, 3).mean((1, 3)).reshape(1, -1)
    np.testing.assert_allclose(sense.encode(raw), means, atol=0.5 + 1e-3)
    grey = np.full((1, 4, 6, 1), 85, np.uint8)
    np.testing.assert_allclose(sense.decode(sense.encode(grey)), 85 / 255, atol=1e-6)


def anything(sense, many: int) -> np.ndarray:
    """Raw arrays of a sense over the full range of what it may be given, and for numbers somewhat beyond."""
    generator = np.random.default_rng(0)
    if isinstance(sense, Signal):
        beyond = 0.2 * (sense.high - sense.low)
        return generator.uniform(sense.low - beyond, sense.high + beyond, (many, sense.size)).astype(sense.raw_dtype)
    info = np.iinfo(sense.raw_dtype)
    return generator.integers(info.min, info.max, (many, *sense.raw_shape), sense.raw_dtype, endpoint=True)


@pytest.mark.parametrize(
    "sense", [Image(5, 5, 2), Audio(samples=900, mels=7), Text(width=6), Bytes(width=6)], ids=lambda s: type(s).__name__
)
def test_the_sharpest_code_loses_nothing(sense):
    """decode(encode(raw)) of `sharpest()` is perceive(raw) to half of one of 256 levels, in the same percept."""
    sharp, raw = sense.sharpest(), anything(sense, 2)
    assert (sharp.name, sharp.inputs) == (sense.name, sense.inputs)
    np.testing.assert_allclose(sharp.decode(sharp.encode(raw)), sense.perceive(raw), atol=0.5 / 255 + 1e-6)


# resampling and warping


@given(out=st.integers(1, 40), size=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_resampling_weighs_to_one(out, size):
    """Rows of `pooling`, `blurring` and `stretching` are non-negative and sum to 1: a constant stays as it is."""
    for weights in (grid.pooling(out, size), grid.blurring(out, size), grid.stretching(out, size)):
        assert weights.shape == (out, size) and weights.min() >= 0
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    if out <= size:
        np.testing.assert_allclose(
            grid.pooling(out, size).sum(0), out / size, atol=1e-5, err_msg="no pixel counts more"
        )


def test_resampling_keeps_what_it_can():
    """To the same size both are the identity; stretching a ramp is a ramp between the outer cell centres."""
    np.testing.assert_allclose(grid.pooling(7, 7), np.eye(7), atol=1e-6)
    np.testing.assert_allclose(grid.stretching(7, 7), np.eye(7), atol=1e-6)
    stretched = grid.stretching(8, 4) @ np.arange(4)
    np.testing.assert_allclose(stretched, np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3), atol=1e-6)


def test_between_places_lies_their_mixture():
    """`between` interpolates linearly between neighbours, and beyond the ends the outermost value stays."""
    weights = grid.between(jnp.asarray([[-3.0, 0.0, 1.25], [2.0, 3.0, 9.0]]), 4)
    np.testing.assert_allclose(weights @ jnp.asarray([10.0, 20.0, 40.0, 80.0]), [[10, 10, 25], [40, 80, 80]])


def test_an_unmoved_picture_is_the_same():
    """A warp without shift, turn and scale is the identity, whatever the key."""
    x = jax.random.uniform(jax.random.key(0), (3, 5, 6, 2))
    np.testing.assert_allclose(warp(jax.random.key(1), x, 0.0, 0.0, 0.0), x, atol=1e-5)


def test_a_shift_moves_a_pixel_and_keeps_its_light():
    """A shift by up to s moves a dot's centre by at most s each way, evenly in both directions, and keeps its sum."""
    dots = jnp.zeros((256, 9, 9, 1)).at[:, 4, 4].set(1.0)
    moved = np.asarray(warp(jax.random.key(2), dots, 2.0, 0.0, 0.0))[..., 0]
    np.testing.assert_allclose(moved.sum((1, 2)), 1, atol=1e-5)
    places = np.arange(9) - 4
    for away in ((moved * places[:, None]).sum((1, 2)), (moved * places).sum((1, 2))):
        assert np.abs(away).max() <= 2 + 1e-5 and away.min() < -1.8 and away.max() > 1.8 and abs(away.mean()) < 0.3
    outside = np.asarray(warp(jax.random.key(2), jnp.ones((64, 3, 3, 1)), 3.0, 0.0, 0.0))
    assert outside.min() < 0.2 and outside.max() <= 1 + 1e-5, "beyond the edge it is dark"


def test_turning_and_scaling_leave_the_centre():
    """However it is turned and scaled, the centre pixel of a cross stays lit, and its arms move."""
    cross = jnp.zeros((32, 7, 7, 1)).at[:, 3, :].set(1.0).at[:, :, 3].set(1.0)
    turned = np.asarray(warp(jax.random.key(0), cross, 0.0, 3.0, 0.3))[..., 0]
    np.testing.assert_allclose(turned[:, 3, 3], 1, atol=1e-4)
    assert np.ptp(turned[:, 0, 3]) > 0.5


def test_frozen_features_by_hand():
    """With 1 x 1 filters w and stride 1 a cell holds sqrt of the mean of relu(w x), then relu(-w x), over pixels
    weighted by exp(-d^2 / 2 s^2), d their distance to the cell's centre and s = 0.4 cells."""
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    w = np.float32([2.0, -0.5])
    features = np.asarray(grid.random_convolution(x, w.reshape(1, 1, 1, 2), 1, 2)).reshape(2, 2, 2, 4)
    both = np.concatenate([np.maximum(x * w, 0), np.maximum(-x * w, 0)], axis=-1)
    for row, down in enumerate((0.5, 2.5)):
        for column, right in enumerate((0.5, 2.5)):
            apart = (np.arange(4) - down)[:, None] ** 2 + (np.arange(4) - right) ** 2
            weight = np.exp(-apart / (2 * 0.8**2))
            mean = (both * (weight / weight.sum())[:, :, None]).sum((1, 2))
            np.testing.assert_allclose(features[:, row, column], mean**0.5, rtol=1e-5)


# hearing


@pytest.mark.parametrize("sense", [Audio(), Audio(samples=3000, rate=16000, window=512, hop=160, mels=20)])
def test_hearing_begins_with_librosas_log_mel(sense):
    """`decibels` is power_to_db(melspectrogram, ref=max, top_db=50) to 0.06 dB, for a chirp, noise and a click."""
    generator = np.random.default_rng(0)
    t = np.arange(sense.samples) / sense.rate
    clips = [
        9000 * np.sin(2 * np.pi * (300 + 900 * t) * t),
        generator.normal(scale=3000, size=sense.samples),
        20000.0 * (np.arange(sense.samples) == 1000) + generator.normal(scale=2, size=sense.samples),
    ]
    raw = np.stack(clips).round().astype(np.int16)
    heard = np.asarray(sense.decibels(raw))
    for picture, clip in zip(heard, raw, strict=True):
        mel = librosa.feature.melspectrogram(
            y=clip.astype(np.float32) / 32768,
            sr=sense.rate,
            n_fft=sense.window,
            hop_length=sense.hop,
            n_mels=sense.mels,
            window="hann",
            center=False,
            power=2.0,
        )
        np.testing.assert_allclose(picture, librosa.power_to_db(mel, ref=np.max, top_db=50.0).T, atol=0.06)
    assert (heard.min(), heard.max()) == (-50, 0)


def spoken(samples: int, begin: int, end: int) -> np.ndarray:
    """A tone rising from 400 Hz from `begin` to `end`, loud at its ends and twice between, at any length: [samples]."""
    t = np.clip((np.arange(samples) - begin) / (end - begin), 0, 1)
    inside = (np.arange(samples) >= begin) & (np.arange(samples) < end)
    phase = 2 * np.pi * (end - begin) / 8000 * (400 * t + 600 * t**2)
    return 9000 * inside * (0.6 + 0.4 * np.cos(6 * np.pi * t)) * np.sin(phase)


def test_loudness_is_not_heard_and_silence_is_finite():
    """Half the amplitude is the same percept, because its mean is the reference; a silent clip gives finite numbers."""
    sense = Audio(samples=4000)
    loud = spoken(4000, 1000, 3000).round().astype(np.int16) // 2 * 2
    heard = np.asarray(perceiving(np.stack([loud, loud // 2, 0 * loud]), sense))
    np.testing.assert_allclose(heard[1], heard[0], atol=0.01)
    np.testing.assert_allclose(heard[0].mean(), 0.5, atol=0.01)
    assert np.isfinite(heard).all() and heard.min() >= 0 and heard.max() <= 1


def test_when_and_how_slowly_a_word_is_said_is_hardly_heard():
    """A whole hop later is the same percept exactly; half as slow again is nearer to it than another tune."""
    sense = Audio(samples=8000)
    first, later, slower = (
        spoken(8000, 800 + late, 800 + late + long) for late, long in [(0, 3000), (1280, 3000), (0, 4500)]
    )
    other = spoken(8000, 800, 3800)[::-1]
    heard = np.asarray(perceiving(np.stack([first, later, slower, other]).round().astype(np.int16), sense))
    np.testing.assert_allclose(heard[1], heard[0], atol=1e-4)
    apart = np.abs(heard - heard[0]).mean(1)
    assert apart[2] < 0.4 * apart[3]


@pytest.mark.parametrize("colour", [0.0, 0.5, 1.0])
def test_the_colour_of_the_voice_is_heard_by_the_share_that_is_left(colour):
    """What a fixed filter changes between bands is heard times (1 - colour): not at all at 1.

    Noise whose loudness alone varies, so that beginning and end do not depend on the filter: y_t = x_t + 0.7 x_(t-1).
    """
    sense = Audio(samples=8000, colour=colour, quiet=45.0)
    x = np.random.default_rng(0).normal(scale=1500, size=8000) * (1 + 0.5 * np.sin(np.arange(8000) / 500))
    y = x + 0.7 * np.concatenate([[0], x[:-1]])
    plain, filtered = np.asarray(perceiving(np.stack([x, y]).round().astype(np.int16), sense)).reshape(
        2, -1, sense.mels
    )
    heard = (filtered - plain)[2:-2].mean(0)
    hertz = np.linspace(0, 4000, 129)
    response = 10 * np.log10(1 + 0.49 + 1.4 * np.cos(np.pi * hertz / 4000))
    bands = mel_filterbank(8000, 256, sense.mels)
    expected = bands @ response / bands.sum(1)
    np.testing.assert_allclose(heard * 60, (1 - colour) * (expected - expected.mean()), atol=0.5)


STILL = {"delay": 0.0, "tempo": 0.0, "tract": 0.0, "gain": 0.0}


def varied(percept: np.ndarray, **how: float) -> np.ndarray:
    """`percept` [B, frames, mels] as a rest that varies nothing but `how` may hear it."""
    sense = Audio(frames=percept.shape[1], mels=percept.shape[2], **(STILL | how))
    augmented = sense.augment(jax.random.key(1), jnp.asarray(percept.reshape(len(percept), -1)))
    return np.asarray(augmented).reshape(percept.shape)


def test_a_rest_that_varies_nothing_hears_the_same():
    """Without delay, tempo, tract and gain a rest replays exactly what was heard."""
    x = np.random.default_rng(0).uniform(size=(8, 12, 9)).astype(np.float32)
    np.testing.assert_allclose(varied(x), x, atol=1e-5)


def test_a_rest_varies_contrast():
    """With gain alone every percept is raised to one power in e^(+-gain)."""
    x = np.random.default_rng(0).uniform(0.1, 0.9, (64, 6, 3)).astype(np.float32)
    power = np.log(varied(x, gain=0.3)) / np.log(x)
    assert np.ptp(power, axis=(1, 2)).max() < 1e-3
    assert np.abs(np.log(power)).max() <= 0.3 + 1e-3 and np.log(power).min() < -0.2 and np.log(power).max() > 0.2


def test_a_rest_varies_the_moment_and_the_speed():
    """A ramp in time comes back as a ramp: moved by up to `delay` frames, its slope by e^(+-tempo) about its middle."""
    time = np.arange(41, dtype=np.float32) - 20
    x = np.broadcast_to(0.5 + time[:, None] / 100, (64, 41, 3))
    moved = (varied(x, delay=4.0)[:, 15:26, 1] - 0.5) * 100 - time[15:26]
    assert np.ptp(moved, axis=1).max() < 1e-3 and np.abs(moved).max() <= 4 + 1e-3
    assert moved.min() < -3 and moved.max() > 3
    speed = np.log((varied(x, tempo=0.3)[:, 15:26, 1] - 0.5)[:, [0, -1]] * 100 / time[[15, 25]])
    np.testing.assert_allclose(speed[:, 0], speed[:, 1], atol=1e-3)
    assert np.abs(speed).max() <= 0.3 + 1e-3 and speed.min() < -0.2 and speed.max() > 0.2


def test_a_rest_varies_the_length_of_the_vocal_tract():
    """Where a percept says its own frequency, tract alone multiplies all frequencies by one factor in e^(+-tract)."""
    hertz = librosa.mel_frequencies(n_mels=42, fmin=0, fmax=4000)[1:-1]
    x = np.broadcast_to((hertz / 4000).astype(np.float32), (64, 5, 40))
    scaled = varied(x, tract=0.2)[:, :, 4:30] / x[:, :, 4:30]
    assert np.ptp(scaled, axis=(1, 2)).max() < 1e-3
    factor = np.log(scaled)
    assert np.abs(factor).max() <= 0.2 + 1e-3 and factor.min() < -0.15 and factor.max() > 0.15


# hearing the waveform itself


def said(samples: int, begin: int, end: int) -> np.ndarray:
    """`spoken`, as int16 [1, samples]."""
    return spoken(samples, begin, end).round().astype(np.int16)[None]


def test_a_waveform_is_remembered_by_mu_law():
    """|decode(encode(raw)) - percept| is at most half a step of G.711's curve; nothing stays nothing."""
    sense = Waveform(samples=4000, longest=3000)
    raw = said(4000, 800, 2800)
    percept, code = np.asarray(sense.perceive(raw)), sense.encode(raw)
    assert code.dtype == jnp.uint8 and code.shape == (1, sense.code_bytes) == (1, 3000)
    decoded = np.asarray(sense.decode(code))
    curve = lambda x: np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)  # noqa: E731
    assert np.abs(curve(decoded) - curve(percept)).max() <= 0.5 / 127 + 1e-5
    assert not decoded[percept == 0].any() and np.ptp(np.asarray(code)[percept == 0]) == 0
    np.testing.assert_allclose(np.asarray(sense.depict(sense.latent(code))), decoded)
    every = np.arange(1, 256, dtype=np.uint8)[None]
    back = np.round(127 * curve(np.asarray(sense.decode(every)))) + 128
    np.testing.assert_array_equal(back, every, err_msg="and the second time nothing is lost")


def test_a_waveform_is_heard_from_its_beginning_at_one_loudness():
    """Whatever its loudness and whenever it begins (by whole hundredths of a second), a sound is one percept."""
    sense = Waveform(samples=4000, longest=3000)
    first = said(4000, 800, 2800)
    raw = np.concatenate([first, first // 2, np.roll(first, 400, axis=1), 0 * first])
    heard = np.asarray(sense.perceive(raw))
    np.testing.assert_allclose(heard[1:3], heard[:1].repeat(2, 0), atol=2e-4)
    there = np.flatnonzero(heard[0])
    assert there.min() <= 81 and np.ptp(there) == pytest.approx(2000, abs=2), "to within a hundredth of a second"
    assert np.sqrt((heard[0, : there.max()] ** 2).mean()) == pytest.approx(0.1, rel=0.05) and not heard[3].any()


def test_a_rest_hears_the_waveform_a_little_differently():
    """Nothing varied is the same sound; pitch scales time by e^(+-pitch), cut shortens it, and it stays in [-1, 1]."""
    still = {"pitch": 0.0, "cut": 0.0, "tilt": 0.0, "gain": 0.0, "noise": 200.0}
    sense, key = Waveform(samples=4000, longest=3000, **still), jax.random.key(0)
    percept = jnp.repeat(sense.perceive(said(4000, 800, 2800)), 32, axis=0)
    same = np.asarray(sense.augment(key, percept))
    np.testing.assert_allclose(same[:, :1900], percept[:, :1900], rtol=0.02, atol=1e-5)
    length = lambda x: x.shape[1] - np.argmax(np.asarray(x)[:, ::-1] != 0, axis=1)  # noqa: E731
    whole = length(percept)[0]
    turned = np.log(
        whole / length(Waveform(samples=4000, longest=3000, **(still | {"pitch": 0.2})).augment(key, percept))
    )
    assert np.abs(turned).max() <= 0.2 + 2e-3 and turned.min() < -0.12 and turned.max() > 0.12
    shorter = length(Waveform(samples=4000, longest=3000, **(still | {"cut": 0.2})).augment(key, percept)) / whole
    assert 0.6 - 2e-3 <= shorter.min() < 0.8 and shorter.max() <= 1
    wild = np.asarray(Waveform(samples=4000, longest=3000, noise=0.0).augment(key, percept))
    assert wild.shape == percept.shape and np.isfinite(wild).all() and np.abs(wild).max() <= 1
    assert np.abs(wild - np.asarray(percept)).mean(1).min() > 0.01
    assert not np.asarray(sense.augment(key, 0 * percept)).any(), "silence stays silent"


# reading


def test_equal_texts_are_equal_and_typing_errors_are_near():
    """cos(word, word) = 1 > cos(word, one typing error) > cos(word, any unrelated word)."""
    sense = Text(width=12, buckets=1024)
    words = text(["seventeen", "seventeen", "sevemteen", "seventen", "xylophone", "aircraft", "mild"], sense)
    np.testing.assert_array_equal(words[0], words[1])
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 8, rtol=1e-5)
    cosine = words @ words[0] / 64
    assert cosine[2:4].min() > 0.4 and cosine[2:4].max() < 0.98 and cosine[4:].max() < 0.2


def test_order_and_ends_count():
    """The same letters in another order, or as part of a longer word, are another text."""
    sense = Text(width=12, buckets=1024)
    words = text(["stop", "post", "stops", "s", "ss"], sense)
    for one, other in itertools.combinations(words, 2):
        assert one @ other / 64 < 0.95


def test_single_bytes_are_counted_by_hand():
    """With n-grams of one byte, "aab" is two a, one b, a beginning and an end: counts 2, 1, 1, 1 scaled to length 8."""
    percept = text(["aab"], Text(width=5, buckets=100_003, longest=1))[0]
    np.testing.assert_allclose(np.sort(percept)[-5:], 8 / np.sqrt(7) * np.asarray([0, 1, 1, 1, 2]), rtol=1e-6)


def test_buckets_are_the_published_hash():
    """n-gram b_1..b_n goes to bucket (m >> 8) mod buckets, m = (h ^ h >> 15) 2246822519, h <- (h ^ b_k) 16777619 + k.

    A saved life depends on it: with another hash it could no longer read. 2 and 3 stand for beginning and end.
    """
    counts = np.zeros(1024)
    framed = [2, *"hé".encode(), 3]
    for start in range(len(framed)):
        gram = 0
        for size, byte in enumerate(framed[start : start + 3], start=1):
            gram = ((gram ^ byte) * 16777619 + size) % 2**32
            mixed = (gram ^ gram >> 15) * 2246822519 % 2**32
            counts[(mixed >> 8) % 1024] += 1
    read = text(["hé"], Text(width=12, buckets=1024, longest=3))[0]
    np.testing.assert_allclose(read, 8 * counts / np.linalg.norm(counts), rtol=1e-5)


def test_an_empty_text_is_nothing_and_every_language_can_be_read():
    """No bytes, no percept; multi-byte UTF-8 and a text that fills the width are read, padding is not."""
    short, long = Text(width=12, buckets=1024), Text(width=16, buckets=1024)
    words = ["", "семь", "七", "sept", "zwölf", "twelve_bytes"]
    read = text(words, short)
    assert not read[0].any() and (np.linalg.norm(read[1:], axis=1) > 7.99).all()
    assert all((one != other).any() for one, other in itertools.combinations(read, 2))
    np.testing.assert_array_equal(text(words, long), read)


SENTENCES = [
    "",
    "?!  ",
    "a",
    "What's my SAVINGS balance?",
    "  what s, my savings -- balance ",
    "what's my balance of savings",
    "book 2 tables at 7:30 pm",
    "wie heißt Straßenbahn auf 日本語",
]


def words_of(sentence: str) -> list[bytes]:
    """ASCII letters made small, digits and bytes from 128 on make words; all else separates."""
    return re.findall(rb"[a-z0-9\x80-\xff]+", sentence.encode().lower())


def sentence_grams(sentence: str, shortest: int, longest: int, words: int) -> list[tuple]:
    """The grams of a sentence, slowly: of bytes within <word>, single words, runs of words within < words >."""
    told, grams = words_of(sentence), []
    for word in told:
        framed = [BEGIN, *word, END]
        for size in range(shortest, longest + 1):
            runs = [tuple(framed[i : i + size]) for i in range(len(framed) - size + 1)]
            grams += [run for run in runs if set(run) - {BEGIN, END}]
    framed = [BEGIN, *told, END]
    for size in range(1, words + 1):
        runs = [tuple(framed[i : i + size]) for i in range(len(framed) - size + 1)]
        grams += [("words", *run) for run in runs if any(isinstance(word, bytes) for word in run)]
    return grams


def bucket(gram: tuple, buckets: int) -> int:
    """Where a gram is counted; of words, each enters by its own hash, sum of mixed bytes b_k 16777619^k, mixed."""

    def mix(x):
        x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
        x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
        return x ^ x >> 16

    of_words = gram[0] == "words"
    h = 0
    for k, part in enumerate(gram[of_words:], start=1):
        if isinstance(part, bytes):
            part = mix(sum(mix(byte + 1) * 16777619**i for i, byte in enumerate(part)) % 2**32)
        h = ((h ^ part) * 16777619 + k) % 2**32
    h = mix((h + 1) % 2**32) if of_words else h
    return ((h ^ h >> 15) * 2246822519 % 2**32 >> 8) % buckets


def test_the_grams_of_a_short_sentence():
    """ "Hi, a" with bytes of 2 to 3 and words of 1 to 2: <h hi i> <hi hi> <a a> <a> | hi a | <hi, hi a, a>."""
    expected = ["\2h", "hi", "i\3", "\2hi", "hi\3", "\2a", "a\3", "\2a\3"]
    told = [(b"hi",), (b"a",), (BEGIN, b"hi"), (b"hi", b"a"), (b"a", END)]
    grams = sentence_grams("Hi, a", 2, 3, 2)
    assert sorted(bytes(gram).decode() for gram in grams if gram[0] != "words") == sorted(expected)
    assert [gram[1:] for gram in grams if gram[0] == "words"] == told
    sense = Text(width=8, buckets=100_003, shortest=2, longest=3, words=2)
    percept = text(["Hi, a"], sense)[0]
    assert (percept > 0).sum() == len(set(grams)) == 13
    np.testing.assert_allclose(percept[percept > 0], 8 / np.sqrt(13), rtol=1e-5)


def test_a_rest_leaves_grams_out_and_adds_none():
    """The share of them that it says, of texts as long as before; the same text where it says none."""
    sense = Text(width=40, buckets=4096, shortest=2, longest=4, words=2, leave_out=0.25)
    percept = text(SENTENCES[6:7] * 200, sense)
    varied = np.asarray(sense.augment(jax.random.key(0), jnp.asarray(percept)))
    grams = percept[0] > 0
    assert not varied[:, ~grams].any() and len(np.unique(varied > 0, axis=0)) > 100
    assert (varied[:, grams] > 0).mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(np.linalg.norm(varied, axis=1), 8, rtol=1e-5)
    np.testing.assert_array_equal(Text(width=40).augment(jax.random.key(0), percept), percept)
    with pytest.raises(ArchitectureError, match="leave_out is 1"):
        Text(leave_out=1.0)


@pytest.mark.parametrize(("shortest", "longest", "words"), [(1, 1, 1), (2, 5, 2), (1, 3, 3), (3, 4, 1), (2, 2, 9)])
def test_sentences_are_read_as_a_slow_reader_reads_them(shortest, longest, words):
    """Every gram that the slow reader finds is counted in its published bucket, and nothing else."""
    sense = Text(width=40, buckets=509, shortest=shortest, longest=longest, words=words)
    for sentence, read in zip(SENTENCES, text(SENTENCES, sense), strict=True):
        counts = np.zeros(sense.buckets)
        for gram in sentence_grams(sentence, shortest, longest, words):
            counts[bucket(gram, sense.buckets)] += 1
        np.testing.assert_allclose(read, 8 * counts / max(np.linalg.norm(counts), 1e-6), rtol=1e-5, err_msg=sentence)


def test_words_count_and_not_how_they_are_set():
    """Case, punctuation, spaces and padding are not read; the order of words is, unless single words alone count."""
    narrow = Text(width=40, buckets=1024, shortest=2, longest=4, words=2)
    wide = Text(width=57, buckets=1024, shortest=2, longest=4, words=2)
    read = text(SENTENCES, narrow)
    assert not read[:2].any() and (np.linalg.norm(read[2:], axis=1) > 7.99).all(), "no words, no percept"
    np.testing.assert_allclose(read[3], read[4], rtol=1e-6)
    np.testing.assert_allclose(text(SENTENCES, wide), read, rtol=1e-6)
    full = Text(width=26, buckets=1024, shortest=2, longest=4, words=2)
    np.testing.assert_allclose(text(SENTENCES[3:4], full)[0], read[3], rtol=1e-6, err_msg="no padding is needed")
    turned = ["one two three", "three one two"]
    assert np.abs(np.subtract(*text(turned, narrow))).max() > 0.1
    np.testing.assert_allclose(*text(turned, Text(width=40, buckets=1024, longest=4, words=1)), rtol=1e-6)


@pytest.mark.parametrize(("buckets", "expansion"), [(2, 2), (32, 16), (64, 64), (128, 300)])
def test_the_expansion_rectifies_rotations(buckets, expansion):
    """Before they are rectified, features of a block are an orthonormal map of the percept, scaled to variance 1.

    So relu(z) - relu(-z) = z, of which a whole block has length sqrt(buckets) for a percept of length 8.
    """
    sense = Text(width=8, buckets=buckets, expansion=expansion)
    filters = sense.draw_filters(jax.random.key(0))
    assert set(np.unique(filters)) <= {-1.0, 1.0} and sense.features == expansion
    z = np.asarray(sense.expand(filters, 8 * jnp.eye(buckets)) - sense.expand(filters, -8 * jnp.eye(buckets)))
    for block in np.split(z, range(buckets, expansion, buckets), axis=1):
        many = block.shape[1]
        np.testing.assert_allclose(block.T @ block, buckets * np.eye(many), atol=1e-3)
    x = np.random.default_rng(0).normal(size=(5, buckets)).astype(np.float32)
    np.testing.assert_allclose(sense.expand(filters, 8 * x), np.maximum(x @ z, 0), atol=1e-4)
    assert not np.asarray(sense.expand(filters, jnp.zeros((1, buckets)))).any(), "nothing read, nothing known"


def test_expanded_likeness_is_the_arc_cosine_kernel():
    """The mean product of features of texts at angle t is (sin t + (pi - t) cos t) / 2 pi, to the chance of a draw."""
    sense = Text(width=40, buckets=1024, shortest=2, longest=4, words=2, expansion=8192)
    read = text(SENTENCES[2:], sense)
    features = np.asarray(sense.expand(sense.draw_filters(jax.random.key(1)), read))
    cosine = np.clip(read @ read.T / 64, -1, 1)
    t = np.arccos(cosine)
    kernel = (np.sin(t) + (np.pi - t) * cosine) / (2 * np.pi)
    np.testing.assert_allclose(features @ features.T / 8192, kernel, atol=0.04)


# feeling


def test_numbers_are_felt_within_their_bounds():
    """What lies within is perceived as it is, and remembered to half a step of (high - low) / (2^bits - 1)."""
    for bits in (1, 2, 4, 8):
        sense = Signal(9, -3.0, 2.0, code_bits=bits)
        raw = anything(sense, 4)
        felt = np.clip(raw, -3, 2)
        np.testing.assert_array_equal(sense.perceive(raw), felt)
        code = sense.encode(raw)
        assert code.shape == (4, -(-9 * bits // 8)) and code.dtype == jnp.uint8
        np.testing.assert_allclose(sense.decode(code), felt, atol=0.5 * 5 / (2**bits - 1) + 1e-5)
        np.testing.assert_array_equal(sense.augment(jax.random.key(0), felt), felt)
    sharp = sense.sharpest()
    assert sharp.code_bits == 8 and (sharp.size, sharp.low, sharp.high) == (9, -3.0, 2.0)


def test_features_of_numbers_by_hand():
    """relu(x W), then relu(-x W): one of the two is 0, their difference is x W."""
    sense = Signal(3, -1.0, 1.0, filters=4)
    filters, x = sense.draw_filters(jax.random.key(0)), np.float32([[0.5, -1, 0.25]])
    up, down = np.split(np.asarray(sense.expand(filters, x)), 2, axis=1)
    assert (up >= 0).all() and (down >= 0).all() and not (up * down).any()
    np.testing.assert_allclose(up - down, x @ np.asarray(filters)[0, 0], rtol=1e-5)
    wide = np.asarray(Signal(400, filters=500).draw_filters(jax.random.key(1)))
    assert wide.var() == pytest.approx(1 / 400, rel=0.02)


# every sense

SENSES = [
    Image(5, 7, 2, code_side=3, code_bits=2, filters=3, kernel=3, cells=2),
    Image(4, 4, code_side=4, code_bits=1, filters=2, kernel=5, stride=3, cells=3),
    Audio(samples=700, mels=9, code_frames=2, code_mels=5, code_bits=4, filters=3, cells=2),
    Waveform(samples=700, longest=600, filters=3),
    Text(width=5, buckets=24, leave_out=0.3),
    Text(width=5, buckets=32, words=2, expansion=40),
    Signal(7, -3.0, 2.0, code_bits=4, filters=5),
    FourierImage(5, 4, 2, code_side=4, filters=6),
]


@pytest.mark.parametrize("sense", SENSES, ids=lambda sense: f"{sense.name} {sense.inputs}")
def test_every_sense_gives_what_it_declares(sense):
    """perceive, encode, decode, augment and expand have the declared sizes, are finite, and codes are stable.

    Frozen features are non-negative but for cosines; filters of convolutions have zero mean and unit norm.
    """
    key, raw = jax.random.key(0), anything(sense, 3)
    filters = sense.draw_filters(key)

    @jax.jit
    def whole(raw):
        code = sense.encode(raw)
        percept = sense.perceive(raw)
        return percept, code, sense.decode(code), sense.augment(key, percept), sense.expand(filters, percept)

    percept, code, decoded, augmented, features = whole(raw)
    assert code.shape == (3, sense.code_bytes) and code.dtype == jnp.uint8
    assert percept.shape == decoded.shape == augmented.shape == (3, sense.inputs)
    assert features.shape == (3, sense.features)
    assert float(features.min()) >= 0 or isinstance(sense, FourierImage)
    for out in (percept, decoded, augmented, features):
        assert out.dtype == jnp.float32 and bool(jnp.isfinite(out).all())
    assert len({leaf.tobytes() for leaf in np.asarray(features)}) == 3, "different experiences have different features"
    if filters.size and not isinstance(sense, Signal | FourierImage | Text):
        np.testing.assert_allclose(filters.mean((0, 1, 2)), 0, atol=1e-6)
        np.testing.assert_allclose((filters**2).sum((0, 1, 2)), 1, atol=1e-5)


IMPOSSIBLE = [
    *(
        (Image, {field: 0})
        for field in ("height", "width", "channels", "code_side", "filters", "kernel", "stride", "cells")
    ),
    (Image, {"code_bits": 3}),
    *(
        (Audio, {field: 0})
        for field in (
            "rate",
            "window",
            "hop",
            "frames",
            "mels",
            "code_frames",
            "code_mels",
            "filters",
            "kernel",
            "kernel_frames",
            "stride",
            "cells",
        )
    ),
    (Audio, {"samples": 255}),
    (Waveform, {"samples": 100, "longest": 300}),
    (Waveform, {"rate": 50, "longest": 100}),
    *((Waveform, {field: -1.0}) for field in ("quiet", "pitch", "cut", "tilt", "gain")),
    (Audio, {"code_bits": 16}),
    *((Text, {field: 0}) for field in ("width", "buckets", "longest", "shortest")),
    (Text, {"shortest": 5}),
    (Text, {"words": -1}),
    (Text, {"expansion": -1}),
    (Text, {"expansion": 64, "buckets": 500}),
    *((Text, {field: 0}) for field in ("width", "buckets", "longest")),
    *((Signal, {"size": 3} | wrong) for wrong in ({"filters": 0}, {"code_bits": 3}, {"low": 1.0})),
    (Signal, {"size": 0}),
]


@pytest.mark.parametrize(("kind", "sizes"), IMPOSSIBLE, ids=str)
def test_impossible_sizes_are_refused(kind, sizes):
    """A sense that cannot be is refused when it is described, in one line that names it and the field."""
    with pytest.raises(ArchitectureError, match=f"sense 'odd'.*{list(sizes)[-1]}") as caught:
        kind(name="odd", **sizes)
    assert "\n" not in str(caught.value)


def test_byte_after_byte_is_read_in_order():
    """Every byte is signs of its own, at its moment; beyond the end there are none, and zero is no byte."""
    sense = Bytes(width=256, bands=9)
    (read,) = np.asarray(sense.perceive(np.arange(256, dtype=np.uint8)[None])).reshape(1, 256, 9)
    assert not read[0].any() and set(np.unique(read[1:])) == {-1.0, 1.0} and len(np.unique(read, axis=0)) == 256
    moments = text(["ab", "ba", ""], Bytes(width=3)).reshape(3, 3, 32)
    np.testing.assert_array_equal(moments[0, :2], moments[1, 1::-1])
    assert (moments[0, 0] != moments[0, 1]).any() and not moments[:, 2].any() and not moments[2].any()
    with pytest.raises(ArchitectureError, match="bands is 7"):
        Bytes(bands=7)


def test_the_frozen_features_of_bytes_are_those_of_their_grams():
    """expand(perceive(text)) is the same whichever way the text is read."""
    how = {"width": 24, "buckets": 64, "longest": 3, "words": 2, "expansion": 16}
    raw = np.stack([np.frombuffer(s.encode().ljust(24, b"\0"), np.uint8) for s in ("Straße 7", "a, b", "")])
    filters = Text(**how).draw_filters(jax.random.key(0))
    wanted, found = (sense.expand(filters, sense.perceive(raw)) for sense in (Text(**how), Bytes(**how)))
    np.testing.assert_array_equal(found, wanted)
    assert np.asarray(wanted)[:2].any(1).all()


def test_bytes_are_left_out_as_blanks():
    """A rest reads a share of the bytes as blanks, and nothing beyond the end; with none left out, the same text."""
    sense, raw = Bytes(width=200, leave_out=0.25), np.full((1, 200), ord("x"), np.uint8) * (np.arange(200) < 150)
    read, blank = sense.perceive(raw), sense.perceive(np.full((1, 200), ord(" "), np.uint8))
    varied, same, empty = (
        np.asarray(one).reshape(200, -1) for one in (sense.augment(jax.random.key(0), read), read, blank)
    )
    blanked = (varied == empty).all(1)
    assert 0.15 < blanked[:150].mean() < 0.35 and not varied[150:].any()
    np.testing.assert_array_equal(varied[~blanked], same[~blanked])
    np.testing.assert_array_equal(Bytes(width=200).augment(jax.random.key(0), read), read)
