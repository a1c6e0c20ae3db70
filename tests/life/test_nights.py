"""Nights keep their promises, and life rests when it is time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dellm_jax import metrics
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.life import live, sleep_pressure, tired
from dellm_jax.mind import awake, create, respond
from dellm_jax.rest import consolidate, grow, prune, replay, rescale, rest
from dellm_jax.rest.judge import judge
from dellm_jax.senses import Image
from dellm_jax.streams import Split, days
from dellm_jax.surgery import living
from dellm_jax.trees import copy, flat
from dellm_jax.types import Architecture, Assembly, Experience, Mind, Schedule

ADAM = optax.adam(3e-3)
MIND = Mind(Cortex, asymmetric_cross_entropy, ADAM, rehearse=4)
BODY = Architecture(
    senses=(Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2),),
    assemblies=(Assembly("vision", ("image",), 6, 8, 12), Assembly("association", ("vision",), 6, 8, 12)),
    concepts=4,
    quantum=4,
    episodic_bytes=8 * 80,
    semantic_chunk=8,
    feedback=False,
)
PATTERNS = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 1))


def stretch(seed, length=20, concepts=(0, 1, 2)):
    """Noisy pictures of a few patterns, [T, 4, ...]."""
    random = np.random.default_rng(seed)
    target = random.choice(concepts, (length, 4)).astype(np.int32)
    noisy = PATTERNS[target] + random.normal(0, 40, (length, 4, 4, 4, 1))
    pictures = np.clip(noisy, 0, 255).astype(np.uint8)
    return Experience({"image": pictures}, target, np.ones(target.shape, np.float32))


@pytest.fixture(scope="module")
def evening():
    """A life that has lived a day."""
    state, _ = awake(MIND, create(MIND, BODY, jax.random.key(0)), stretch(0))
    return state


@pytest.fixture(scope="module")
def asked():
    """Pictures it is asked about."""
    day = stretch(9, 8)
    return Experience({"image": day.senses["image"].reshape(-1, 4, 4, 1)}, day.target.ravel(), day.weight.ravel())


def cortex(state, asked):
    """log p by the cortex, of the concepts it knows."""
    return np.asarray(respond(MIND, state, asked).by["cortex"])[:, :3]


def same(one, other, but=()):
    """Whether two lives are equal bit for bit, but for the leaves named."""
    raw = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    a, b = flat(one), flat(other)
    return a.keys() == b.keys() and all(np.array_equal(raw(a[p]), raw(b[p])) for p in a if p not in but)


def test_replay_never_keeps_what_the_held_out_episodes_call_worse(evening):
    """The kept chunk has the least held-out loss seen, even when the rule destroys."""
    for rule in (ADAM, optax.sgd(1e3)):
        woken, report = replay(rule, steps=20, batch=8, chunk=10)(MIND, evening, jax.random.key(1))
        assert float(judge(MIND, woken).loss) <= float(judge(MIND, evening).loss) + 1e-6
        assert report["updates"] == 20
    assert same(woken, evening)  # nothing of the destroyer was kept


def test_rescaling_keeps_the_function_and_weakens_no_answer(evening, asked):
    """The same answers, with no more total strength."""
    woken, report = rescale()(MIND, evening, jax.random.key(1))
    np.testing.assert_allclose(cortex(woken, asked), cortex(evening, asked), atol=1e-4)
    assert report["strength_after"] < report["strength_before"]


def test_a_dead_unit_is_pruned_first_and_silently(evening, asked):
    """A unit that never fires has no utility; losing it changes no answer."""
    kept, weights = dict(evening.homeostasis["vision"]), dict(evening.params["vision"])
    weights["bias"] = weights["bias"].at[2].set(-1e4)
    kept |= {"rate": jnp.maximum(kept["rate"], 0.1).at[2].set(0.0), "age": kept["age"] + 5.0}
    state = evening.replace(
        params=dict(evening.params) | {"vision": weights}, homeostasis=dict(evening.homeostasis) | {"vision": kept}
    )
    woken, report = prune(below=1e-6, most=0.5)(MIND, state, jax.random.key(1))
    assert report["deaths"] == 1 and float(woken.homeostasis["vision"]["active"][2]) == 0
    np.testing.assert_allclose(cortex(woken, asked), cortex(state, asked), atol=1e-5)


def test_pruned_constants_live_on_as_biases(evening, asked):
    """A unit that always says the same is replaced by a bias without a trace."""
    weights, kept = dict(evening.params["association"]), dict(evening.homeostasis["association"])
    weights["from_vision"] = weights["from_vision"].at[:, 1].set(0.0)
    weights["bias"] = weights["bias"].at[1].set(0.5)
    rate = jnp.maximum(kept["rate"], 0.1)
    kept |= {"age": kept["age"] + 5.0, "threshold": kept["threshold"].at[1].set(0.0), "rate": rate}
    state = evening.replace(
        params=dict(evening.params) | {"association": weights},
        homeostasis=dict(evening.homeostasis) | {"association": kept},
    )
    woken, report = prune(below=1e-6, most=0.5)(MIND, state, jax.random.key(1))
    assert report["deaths"] == 1
    np.testing.assert_allclose(cortex(woken, asked), cortex(state, asked), atol=1e-4)


def test_the_young_are_spared(evening):
    """No unit dies before its time."""
    assert prune(below=1e9, min_age=2.0)(MIND, evening, jax.random.key(1))[1]["deaths"] == 0


def test_growth_is_silent_and_stops_at_the_limit(evening, asked):
    """Newborns change no answer; an assembly never exceeds `max_units`."""
    woken, report = grow(per_concept=50, error=-1.0)(MIND, evening, jax.random.key(1))
    assert living(woken) == {"vision": 12, "association": 12} and report["births"] == 12
    np.testing.assert_allclose(cortex(woken, asked), cortex(evening, asked), atol=1e-5)


def test_an_expert_that_lies_loses_trust(evening):
    """Semantic memory with its concepts confused is trusted less than the honest one."""
    honest, _ = consolidate()(MIND, evening, jax.random.key(1))
    memory = evening.memory.semantic["image"]
    shuffled = memory.replace(total=jnp.roll(memory.total, 1, 0).at[3:].set(0.0), pending=memory.pending * 0)
    liar = evening.replace(memory=evening.memory.replace(semantic={"image": shuffled}))
    fooled, _ = consolidate()(MIND, liar, jax.random.key(1))
    assert float(fooled.hyper["trust"]["image"]) < float(honest.hyper["trust"]["image"])


def random_weights(mind, state, key):
    """A saboteur."""
    return state.replace(params=jax.tree.map(lambda w: 9 * jax.random.normal(key, w.shape), state.params)), {}


def not_a_number(mind, state, key):
    """Another."""
    return state.replace(hyper=dict(state.hyper) | {"firing_target": jnp.float32(jnp.nan)}), {}


@pytest.mark.parametrize("saboteur", [random_weights, not_a_number])
def test_a_night_that_harms_is_undone(evening, saboteur):
    """The evening comes back bit for bit, one night later, and the report says so."""
    rested, _ = rest(MIND, (("replay", replay(ADAM, 40, 8, 20)),), evening, jax.random.key(1))
    woken, report = rest(MIND, (("saboteur", saboteur),), rested, jax.random.key(2))
    assert report["rolled_back"] == 1
    assert same(woken, rested, but=("clock/nights", "clock/since_rest"))
    assert int(woken.clock.nights) == int(rested.clock.nights) + 1 and int(woken.clock.since_rest) == 0


def phases(schedule, times=None, stretches=4):
    """What happens in a life of a few stretches."""
    ticks = iter(times or [])
    clock = (lambda: next(ticks)) if times else (lambda: 0.0)
    stream = (stretch(seed, 5) for seed in range(stretches))
    return [phase for phase, *_ in live(MIND, create(MIND, BODY, jax.random.key(0)), stream, schedule, clock)]


def test_it_rests_by_count_by_silence_and_when_the_stream_ends():
    """Twenty experiences a stretch: every forty by count; after the long wait; and a last time when nothing comes."""
    assert phases(Schedule(rest_every=40)) == ["awake", "awake", "rest"] * 2
    assert phases(Schedule()) == ["awake"] * 4
    silence = phases(Schedule(inactivity_s=10.0), times=[0, 1, 2, 30, 31, 32], stretches=3)
    assert silence == ["awake", "awake", "rest", "awake", "rest"]


def test_it_does_not_rest_too_early_or_without_pressure(evening):
    """Nothing before `min_awake`; by pressure exactly when the formula says so."""
    assert not tired(Schedule(rest_every=1, min_awake=10**6), evening)
    clock = evening.clock
    surprise = np.clip(float(clock.loss_fast) / float(clock.loss_slow) - 1, 0, 1)
    expected = 0.6 * 80 / 100 + 0.3 * surprise + 0.1 * 20 / 10_000
    assert sleep_pressure(evening, 100) == pytest.approx(expected, abs=1e-5)
    assert tired(Schedule(pressure=expected - 0.01, full=100), evening)
    assert not tired(Schedule(pressure=expected + 0.01, full=100), evening)


def test_what_is_not_fit_to_be_lived_is_refused_before_anything_is_learned(evening):
    """The error comes before the step; the state passed in is whole."""
    bad = stretch(1)
    bad = bad.replace(weight=np.full_like(bad.weight, np.nan))
    state = copy(evening)
    with pytest.raises(ValueError, match=r"experience\.weight"):
        next(live(MIND, state, [bad], Schedule()))
    assert same(state, evening)


def test_metrics_of_a_matrix_worked_by_hand():
    """ACC is the mean of the last row; forgetting the mean drop from the best so far."""
    R = np.array([[0.9, 0.0, 0.0], [0.7, 0.8, 0.0], [0.8, 0.5, 0.6]])
    assert metrics.final_accuracy(R) == pytest.approx((0.8 + 0.5 + 0.6) / 3)
    assert metrics.forgetting(R) == pytest.approx(((0.9 - 0.8) + (0.8 - 0.5)) / 2)
    assert metrics.forgetting(R[:1]) == 0.0


def test_every_example_is_lived_once():
    """Days share the concepts, and what fills a stretch up weighs nothing."""
    target = np.repeat(np.arange(5), 7).astype(np.int32)
    rows = np.arange(35, dtype=np.int32)
    split = Split(target, {"text": rows[:, None].astype(np.uint8)}, {"text": rows})
    plan = days.class_incremental(split, 2, seed=3)
    lived = list(days.stretches(split, plan, batch=2, length=3))
    seen = np.concatenate([s.senses["text"][s.weight > 0].ravel() for s in lived])
    assert sorted(seen.tolist()) == list(range(35))
    assert set(target[plan[0]]) == {0, 1, 2} and set(target[plan[1]]) == {3, 4}
    assert days.ends(plan, 2, 3)[-1] == 3 * len(lived)
