"""A life that hears the raw waveform: it is born, lives, sleeps, grows filters, and knows what it heard."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import awake, create, respond
from dellm_jax.rest import grow, replay, rest
from dellm_jax.senses import Waveform
from dellm_jax.surgery import living
from dellm_jax.types import Experience, Mind

MIND = Mind(Cortex, asymmetric_cross_entropy, optax.adam(3e-3), rehearse=4)
BODY = Architecture(
    senses=(Waveform(samples=800, rate=4000, longest=480, filters=2, pitch=0.05, tilt=0.2),),
    assemblies=(
        Assembly("cochlea", ("audio",), 8, 12, 16, kind="filterbank", kernel=64, stride=40, moments=8),
        Assembly("hearing", ("cochlea",), 8, 8, 16, kind="convolution"),
    ),
    concepts=4,
    quantum=4,
    episodic_bytes=480 * 60,
    semantic_chunk=8,
    feedback=False,
)
TUNES = ((300, 0), (1200, 0), (400, 900))  # from so many Hz, rising by so many


def day(seed: int, length: int) -> Experience:
    """Tunes of a tenth of a second that begin somewhere, soft or loud, in a little noise: [T, 4, 800]."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 3, (length, 4)).astype(np.int32)
    begin, loud = random.integers(0, 380, (2, length, 4, 1))
    t = (np.arange(800) - begin) / 4000
    low, rise = (np.asarray(TUNES)[target][..., [part]] for part in (0, 1))
    sound = np.sin(2 * np.pi * (low * t + 5 * rise * t**2)) * ((t >= 0) & (t < 0.1))
    noise = random.normal(0, 20, sound.shape)
    raw = ((1000 + 20 * loud) * sound + noise).astype(np.int16)
    return Experience({"audio": raw}, target, np.ones(target.shape, np.float32))


@pytest.fixture(scope="module")
def morning():
    """A life before and after its first day and night, and what the night reports."""
    born = create(MIND, BODY, jax.random.key(0))
    filters = np.asarray(born.params["cochlea"]["from_audio"])
    evening, _ = awake(MIND, born, day(0, 60))
    stages = (("grow", grow(per_concept=1, error=-1.0)), ("replay", replay(optax.adam(3e-3), steps=40)))
    woken, report = rest(MIND, stages, evening, jax.random.key(1))
    return filters, woken, report


def test_a_raw_life_knows_what_it_heard(morning):
    """After a day and a night of three tunes cortex, meaning and the whole tell new ones."""
    _, state, _ = morning
    asked = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), day(9, 30))
    response = jax.jit(partial(respond, MIND))(state, asked)
    for way in (response.log_probability, response.by["cortex"], response.by["audio"]):
        assert float((way.argmax(1) == asked.target).mean()) > 0.85


def test_a_raw_life_learns_and_grows_filters(morning):
    """Filters moved away from the mel filters they were born as, and each assembly in time gained a unit a concept."""
    filters, state, report = morning
    now = np.asarray(state.params["cochlea"]["from_audio"])
    assert np.abs(now[..., :8] - filters[..., :8]).max() > 1e-3 * np.abs(filters).max()
    assert report["grow/births_cochlea"] == report["grow/births_hearing"] == 3
    assert living(state)["cochlea"] == 11
    assert state.params["hearing"]["from_cochlea"].shape[-2] == 12
    assert np.isfinite(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])).all()
