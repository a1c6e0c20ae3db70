"""Laws of assemblies in time: filters born as librosa's mel filters, masked length, and surgery by names alone."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import optax
import pytest
from small_lives import assert_same, experiences, laws, lived, train

from dellm_jax import axes, surgery
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.assemblies.homeostasis import adapt
from dellm_jax.assemblies.in_time import filtered
from dellm_jax.errors import ArchitectureError
from dellm_jax.experience import Percepts
from dellm_jax.learning import by_pathway, continual_backprop, predictive_coding
from dellm_jax.mind import create, respond
from dellm_jax.persistence import from_json, load, save, to_json
from dellm_jax.rest import rescale
from dellm_jax.rest.prune import _left_to as left_to
from dellm_jax.rest.structure import described
from dellm_jax.senses import Audio, Image, Waveform
from dellm_jax.trees import flat

HEARD = Waveform(samples=800, rate=4000, longest=640, filters=2)
FILTERS = Assembly("cochlea", ("audio",), 5, 8, kind="filterbank", kernel=48, stride=40, moments=7, bands=3)
STACK = (
    FILTERS,
    Assembly("sounds", ("cochlea",), 5, 8, kind="convolution", kernel=3, stride=2, reach=2),
    Assembly("words", ("sounds",), 5, 8, kind="convolution"),
    Assembly("association", ("words", "cochlea"), 5, 8),
)
BODY = Architecture((HEARD,), STACK, 4, 4, episodic_bytes=4000, semantic=False)
ADAM = laws(optax.adam(1e-3))
LEARNERS = {
    "adam": ADAM,
    "partition": laws(by_pathway(optax.adam(1e-3), predictive_coding(1e-2))),
    "renewing": laws(continual_backprop(optax.adam(1e-3), rate=0.5, maturity=1)),
}
AXES = ("cochlea.units", "sounds.units", "words.units", "association.units")
ALIVE = {axis: {0, 2, 3, 6} for axis in AXES}
hearing = partial(experiences, senses=(HEARD,))


def heard(shape, seed=0):
    """Noise of any int16 in which sounds begin and end somewhere."""
    batch = hearing(shape, seed=seed)
    random = np.random.default_rng(seed)
    begin = random.integers(0, 300, (*shape, 1))
    inside = (np.arange(800) >= begin) & (np.arange(800) < begin + random.integers(100, 500, (*shape, 1)))
    raw = (random.normal(0, 4000, (*shape, 800)) * inside).astype(np.int16)
    return batch.replace(senses={"audio": raw})


def log_p(mind, state, batch):
    """log p of the cortex."""
    return np.asarray(respond(mind._replace(rule=optax.identity()), state.replace(learner=()), batch).by["cortex"])


# the filterbank at birth


@pytest.mark.parametrize(("rate", "kernel", "filters"), [(8000, 256, 32), (16000, 400, 40)])
def test_filters_are_born_as_librosas_mel_filters(rate, kernel, filters):
    """Of a tone, every band's power is librosa's mel power within 1 dB down to 20 dB below its peak, a gain apart.

    Nothing that librosa hears 40 dB below the peak is heard above -30 dB; a gain a band: pairs have energy 1.
    """
    sense = Waveform(samples=2 * kernel, rate=rate, longest=2 * kernel)
    hertz = np.arange(40, rate / 2 - 40, rate / kernel / 3)
    tones = np.sin(2 * np.pi * hertz[:, None] * np.arange(kernel) / rate).astype(np.float32)
    pairs = sense.quadrature(kernel, filters)
    np.testing.assert_allclose((pairs**2).sum((0, 1)), 1, rtol=1e-5)
    # One window, which is all of the tone; sine and cosine, so that its phase plays no part.
    powers = []
    for phase in (0, np.pi / 2):
        tones = np.sin(2 * np.pi * hertz[:, None] * np.arange(kernel) / rate + phase).astype(np.float32)
        mel = librosa.feature.melspectrogram(
            y=tones, sr=rate, n_fft=kernel, hop_length=kernel, n_mels=filters, window="hann", center=False
        )[..., 0]
        powers.append((np.asarray(filtered(jnp.asarray(tones), jnp.asarray(pairs), kernel))[:, 0], mel))
    own, mel = (np.log10(np.maximum(sum(part), 1e-12)) * 10 for part in zip(*powers, strict=True))
    there = mel.max(0) > -80  # some of librosa's filters are empty where there are too many of them
    own, mel = (part[:, there] - part[:, there].max(0) for part in (own, mel))
    assert there.sum() >= 0.8 * filters
    loud = mel > -20
    assert np.abs((own - mel)[loud]).max() < 1
    assert own[mel < -40].max() < -30


def test_a_sweep_goes_through_the_filters_one_after_another():
    """The filter that hears a rising chirp best is, moment by moment, the one whose mel filter peaks there."""
    sense = Waveform()
    t = np.arange(4800) / 8000
    chirp = np.sin(2 * np.pi * (200 * t + 2400 * t**2)).astype(np.float32)[None]
    power = np.asarray(filtered(jnp.asarray(chirp), jnp.asarray(sense.quadrature(256, 32)), 80))[0]
    centres = librosa.mel_frequencies(34, fmin=0, fmax=4000)[1:-1]
    now = 200 + 4800 * (80 * np.arange(60) + 40) / 8000
    told = centres[power.argmax(1)][2:-2]
    np.testing.assert_allclose(told, now[2:-2], atol=110)


# what is heard


def test_padding_does_not_change_the_answer():
    """Silence before or behind a sound, and a longer window, change no answer; a longer sound does."""
    batch = heard((6,))
    percept = jax.jit(HEARD.perceive)(batch.senses["audio"])
    state = lived(ADAM, BODY, 0)
    variables = {"params": state.params, "homeostasis": state.homeostasis}

    @jax.jit
    def answer(x):
        return Cortex(BODY).apply(variables, {"audio": x}, {}).logits[:, :2]

    plain = np.asarray(answer(percept))
    for before, behind in ((0, 37), (80, 0)):
        np.testing.assert_allclose(answer(jnp.pad(percept, ((0, 0), (before, behind)))), plain, atol=1e-5, rtol=1e-5)
    assert np.abs(answer(jnp.concatenate([percept[:, :80] + 0.05, percept], axis=1)) - plain).max() > 1e-3


def test_nothing_heard_is_finite_and_absent_is_zero():
    """A silent clip gives finite answers; in an example without sound every assembly in time says zero."""
    state = lived(ADAM, BODY, 0)
    silence = hearing((2,)).replace(senses={"audio": np.zeros((2, 800), np.int16)})
    assert np.isfinite(log_p(ADAM, state, silence)).all()
    variables = {"params": state.params, "homeostasis": state.homeostasis}
    percepts = Percepts({"audio": heard((2,)).senses["audio"][:, :640] / 32768}, {"audio": jnp.asarray([0.0, 1.0])})
    thought = jax.jit(Cortex(BODY).apply)(variables, *percepts)
    for node in ("cochlea", "sounds", "words"):
        assert thought.moments[node].shape == (2, *BODY.maps[node], 8)
        assert not thought.moments[node][0].any() and thought.moments[node][1].any()
        np.testing.assert_allclose(thought.values[node], thought.moments[node].mean((1, 2)), atol=1e-6)


def test_convolutions_hear_log_mel_pictures_too():
    """A convolution reads a log-mel percept as frames of mels: as numpy does by hand."""
    sense = Audio(samples=900, frames=6, mels=5, code_frames=6, code_mels=5, filters=2, cells=1)
    body = Architecture(
        (sense,),
        (Assembly("heard", ("audio",), 4, kind="convolution", kernel=3, stride=2, reach=2, step=3),),
        4,
        4,
        0,
        semantic=False,
    )
    assert body.maps == {"audio": (6, 5), "heard": (2, 2)}
    state = lived(ADAM, body, 0)
    assert axes.names(ADAM, state)["params/heard/from_audio"] == (
        "heard.kernel",
        "heard.reach",
        "audio.channels",
        "heard.units",
    )
    x = np.random.default_rng(0).uniform(size=(2, 6, 5)).astype(np.float32)
    own = {name: np.asarray(leaf) for name, leaf in (state.params["heard"] | state.homeostasis["heard"]).items()}
    by_hand = np.zeros((2, 2, 2, 4), np.float32)
    for t in (0, 1):
        for p in (0, 1):
            window = x[:, 2 * t : 2 * t + 3, 3 * p : 3 * p + 2]
            by_hand[:, t, p] = np.einsum("bkr,kru->bu", window, own["from_audio"][:, :, 0])
    by_hand += own["bias"] - own["threshold"]
    variables = {"params": state.params, "homeostasis": state.homeostasis}
    thought = jax.jit(Cortex(body).apply)(variables, {"audio": x.reshape(2, -1)}, {})
    np.testing.assert_allclose(thought.moments["heard"], np.maximum(by_hand, 0), atol=1e-5)


# surgery


def test_every_axis_in_time_is_named():
    """Weights in time are [kernel, reach, source, units], filters [kernel, quadrature, bands, units]."""
    for name, mind in LEARNERS.items():
        state, sizes = lived(mind, BODY, 0), BODY.sizes()
        named = axes.names(mind, state)
        assert named["params/cochlea/from_audio"] == tuple(
            f"cochlea.{axis}" for axis in ("kernel", "quadrature", "bands", "units")
        )
        assert named["params/sounds/from_cochlea"] == (
            "sounds.kernel",
            "sounds.reach",
            "cochlea.units",
            "sounds.units",
        )
        assert named["params/association/from_words"] == ("words.units", "association.units")
        for path, leaf in flat(state).items():
            for size, axis in zip(leaf.shape, named[path], strict=True):
                assert sizes.get(axis, size) == size and (axis or leaf.size == 1), (name, path)


@pytest.mark.parametrize(
    ("learner", "axis"),
    [("adam", "cochlea.units"), ("adam", "words.units"), ("partition", "sounds.units"), ("renewing", "sounds.units")],
)
def test_units_in_time_grow_and_are_pruned_like_any_other(learner, axis):
    """Growth, silent or born, keeps the function within 1e-5; pruning after growth is the identity bit for bit."""
    mind, batch = LEARNERS[learner], heard((8,))
    state = lived(mind, BODY, 1, ALIVE)
    wider = surgery.resize(mind, state, axis, 12)
    assert_same(surgery.resize(mind, wider, axis, 8), state)
    grown = surgery.awaken(mind, wider, axis, [1, 9], jax.random.key(0))
    assert surgery.living(grown)[axis.removesuffix(".units")] == 6
    np.testing.assert_allclose(log_p(mind, grown, batch), log_p(mind, state, batch), atol=1e-5, rtol=0)
    assert_same(surgery.silence(mind, grown, axis, [1, 9]), wider)


def test_newborns_hear_all_of_the_living():
    """He weights over kernel and living sources; a newborn filter is noise of the energy of two pairs at birth."""
    body = replace(BODY, assemblies=(replace(FILTERS, units=5, capacity=300), *STACK[1:]))
    state = lived(ADAM, body, 0, ALIVE | {"cochlea.units": {0, 1, 2}})
    filters = surgery.awaken(ADAM, state, "cochlea.units", range(10, 300), jax.random.key(0)).params["cochlea"]
    energy = (np.asarray(filters["from_audio"])[..., 10:] ** 2).sum((0, 1)).ravel()
    assert energy.mean() == pytest.approx(2, rel=0.05)
    born = surgery.awaken(ADAM, surgery.resize(ADAM, state, "sounds.units", 300), "sounds.units", [7, *range(9, 300)],
                          jax.random.key(1)).params["sounds"]["from_cochlea"][..., 9:]  # fmt: skip
    assert not np.asarray(born)[:, :, 3:].any(), "nothing is heard of the silent"
    assert np.asarray(born)[:, :, :3].var() == pytest.approx(2 / 18, rel=0.1)


def test_a_body_with_silent_capacity_learns_as_one_without():
    """masked = compacted in time too, and training leaves silent units zero."""
    stretch = heard((3, 4))
    state = lived(ADAM, BODY, 2, ALIVE)

    def compact(life):
        for axis in AXES:
            life = surgery.resize(ADAM, life, axis, 4)
        return life

    masked, compacted = train(ADAM, state, stretch), train(ADAM, compact(state), stretch)
    assert_same(compact(masked), compacted, atol=1e-5)
    for path, axes_ in axes.names(ADAM, masked).items():
        for along, axis in enumerate(axes_):
            if axis in AXES:
                assert not np.take(np.asarray(flat(masked)[path]), [1, 4, 5, 7], along).any(), path
    moved = np.abs(np.asarray(masked.params["cochlea"]["from_audio"] - state.params["cochlea"]["from_audio"]))
    assert moved[..., [0, 2, 3, 6]].min(-1).max() > 1e-5, "filters learn"


# homeostasis, rest, snapshots


def test_units_in_time_fire_by_moments():
    """The rate of a unit in time is the share of the moments in which it fires; a filterbank has no threshold."""
    state = lived(ADAM, BODY, 0)
    assert "threshold" not in state.homeostasis["cochlea"]
    moments = jnp.zeros((2, 2, 2, 8)).at[0, :1, :, 0].set(1.0)
    after = adapt(state.homeostasis, {"words": moments, "cochlea": moments}, {}, jnp.asarray([1.0, 1.0]), 0.1, 0.15)
    for node in ("words", "cochlea"):
        before = state.homeostasis[node]["rate"]
        np.testing.assert_allclose(after[node]["rate"][0], before[0] + 0.01 * (0.25 - before[0]), rtol=1e-5)
    moved = after["words"]["threshold"][0] - state.homeostasis["words"]["threshold"][0]
    assert float(moved) == pytest.approx(0.1 * (0.25 - 0.15), abs=1e-6)


def test_rescaling_keeps_the_function_in_time():
    """Rectified units share their strength evenly between in and out; filters, which tell logarithms, stay."""
    state, batch = lived(ADAM, BODY, 3), heard((8,), seed=1)
    balanced, report = rescale()(ADAM, state, jax.random.key(0))
    assert report["strength_after"] < report["strength_before"]
    np.testing.assert_allclose(log_p(ADAM, balanced, batch), log_p(ADAM, state, batch), atol=1e-4, rtol=1e-4)
    np.testing.assert_array_equal(balanced.params["cochlea"]["from_audio"], state.params["cochlea"]["from_audio"])
    assert described(state)["parameters_sounds"] == 3 * 2 * 5 * 5 + 5


@pytest.mark.parametrize("name", ["sounds", "words"])
def test_what_units_in_time_said_is_left_to_the_living(name):
    """Unit 1 says half of what unit 0 says, unit 2 always 1: they die, heirs say so for them, and no answer changes."""
    state, batch = lived(ADAM, BODY, 4), heard((8,), seed=1)
    own, kept = dict(state.params[name]), dict(state.homeostasis[name])
    source = f"from_{state.architecture.reads[name][0]}"
    own[source] = own[source].at[..., 1].set(0.5 * own[source][..., 0]).at[..., 2].set(0.0)
    kept["threshold"] = jnp.zeros(8)
    own["bias"] = own["bias"].at[jnp.asarray([1, 2])].set(jnp.asarray([0.5 * own["bias"][0], 1.0]))
    state = state.replace(params=dict(state.params) | {name: own}, homeostasis=dict(state.homeostasis) | {name: kept})
    X, c = jnp.zeros((3, 2)).at[0, 0].set(0.5), jnp.asarray([0.0, 1.0])
    cut = left_to(state, name, np.asarray([0, 3, 4]), np.asarray([1, 2]), X, c)
    cut = surgery.silence(ADAM, cut, f"{name}.units", [1, 2])
    assert surgery.living(cut)[name] == 3
    np.testing.assert_allclose(log_p(ADAM, cut, batch), log_p(ADAM, state, batch), atol=1e-5, rtol=1e-5)


def test_a_body_in_time_comes_back_from_its_snapshot(tmp_path):
    """The blueprint round-trips, and a life that heard comes back bit for bit."""
    assert from_json(to_json(BODY)) == BODY
    state = lived(ADAM, BODY, 0)
    path = save(tmp_path / "life.safetensors", ADAM, state)
    loaded = load(path, partial(create, ADAM, key=jax.random.key(0)))
    assert_same(loaded, state)


WRONG = {
    "kind": (replace(FILTERS, kind="echo"), "kind='echo'"),
    "no waveform": (replace(FILTERS, reads=("image",)), r"reads one waveform \(\['audio'\]"),
    "no moments": (replace(FILTERS, moments=0), "at least 1 moment"),
    "stride": (replace(FILTERS, stride=0), "1 or more"),
    "out of time": (Assembly("b", ("image",), 4, kind="convolution"), r"told over \[\(0, 0\)\]"),
    "kernel": (
        Assembly("b", ("cochlea",), 4, kind="convolution", kernel=8),
        r"convolution of 8 moments.*over \[\(7, 3\)\]",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_assembly_in_time_needs_something_in_time(case):
    """What cannot be heard moment by moment is refused in one line that names the assembly."""
    wrong, match = WRONG[case]
    before = (FILTERS,) if wrong.name != "cochlea" else ()
    with pytest.raises(ArchitectureError, match=f"assembly '{wrong.name}'.*{match}") as caught:
        Architecture((HEARD, Image(4, 4)), (*before, wrong), 4)
    assert "\n" not in str(caught.value)
