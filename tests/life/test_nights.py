"""Nights keep their promises, and life rests when it is time."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dellm_jax import metrics
from dellm_jax.architecture import CONCEPTS, Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import ScheduleError
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.life import live, sleep_pressure, tired
from dellm_jax.memory import semantic
from dellm_jax.mind import awake, create, respond
from dellm_jax.rest import consolidate, gated, grow, prune, replay, rescale, rest
from dellm_jax.rest.judge import Verdict, harmed, judge
from dellm_jax.rest.night import aged
from dellm_jax.senses import Image
from dellm_jax.streams import Corpus, Split, days
from dellm_jax.surgery import living, resize
from dellm_jax.trees import copy, flat, named_key
from dellm_jax.types import Experience, Mind, Schedule

ADAM = optax.adam(3e-3)
MIND = Mind(Cortex, asymmetric_cross_entropy, ADAM, rehearse=4)
BODY = Architecture(
    senses=(Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2),),
    assemblies=(Assembly("vision", ("image",), 6, 8, 12), Assembly("association", ("vision",), 6, 8, 12)),
    concepts=4,
    quantum=4,
    episodic_bytes=8 * 400,
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
    state, _ = awake(MIND, create(MIND, BODY, jax.random.key(0)), stretch(0, 100))
    return state


@pytest.fixture(scope="module")
def asked():
    """Pictures it is asked about."""
    day = stretch(9, 8)
    return Experience({"image": day.senses["image"].reshape(-1, 4, 4, 1)}, day.target.ravel(), day.weight.ravel())


def cortex(state, asked):
    """log p by the cortex, of the concepts it knows."""
    return np.asarray(respond(MIND, state, asked).by["cortex"])[:, :3]


def cortex_weights(state):
    """All parameters in one row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])


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


def test_replay_keeps_the_best_chunk_and_no_later_one(evening):
    """After one good chunk and one that turns all to NaN the life is that of the good chunk, bit for bit."""
    then_nan = optax.adam(lambda count: jnp.where(count < 10, 3e-3, jnp.nan))
    best, report = replay(then_nan, steps=20, batch=8, chunk=10)(MIND, evening, jax.random.key(1))
    assert report["kept_step"] == 10 and report["held_out_loss_after"] < report["held_out_loss_before"]
    assert same(best, replay(then_nan, steps=10, batch=8, chunk=10)(MIND, evening, jax.random.key(1))[0])
    assert np.isfinite(cortex_weights(best)).all() and report["held_out_loss_after"] == float(judge(MIND, best).loss)


@pytest.mark.parametrize(("rate", "doubt", "kept"), [(-1.0, 0, 10), (-1.0, 1e3, 20), (jnp.nan, 1e3, 10)])
def test_doubt_keeps_a_later_chunk_that_is_worse(evening, rate, doubt, kept):
    """With much doubt even one that climbs the loss, without doubt it is not kept; one that turns all to NaN never."""
    rule = optax.adam(lambda count: jnp.where(count < 10, 3e-3, rate))
    _, report = replay(rule, steps=20, batch=8, chunk=10, doubt=doubt)(MIND, evening, jax.random.key(1))
    assert report["kept_step"] == kept
    assert (report["held_out_loss_after"] < report["held_out_loss_before"]) == (kept == 10)


def test_doubt_is_in_standard_errors_of_the_paired_difference():
    """Over the questions that were asked; the others, however wrong, do not count."""
    random = np.random.default_rng(0)
    now, least = random.normal(size=(2, 2, 30))
    weight = (random.random((2, 30)) < 0.7).astype(np.float32)
    more = (now - least)[weight > 0]
    expected = more.mean(), more.std() / np.sqrt(more.size)
    now[weight == 0] = 1e9
    np.testing.assert_allclose(gated._compared(now, least, weight), expected, rtol=1e-4)
    with pytest.raises(ScheduleError, match="replay has doubt=-1"):
        replay(ADAM, steps=20, doubt=-1)


def test_dropout_silences_a_share_of_the_living_and_keeps_the_mean(evening):
    """Concepts are left alone, the idle stay idle, and a night with dropout leaves nobody silent."""
    nodes = [node for node in evening.homeostasis if node != CONCEPTS]
    before = {node: np.asarray(evening.homeostasis[node]["active"]) for node in nodes}
    draws = [gated._without(0.4, evening.homeostasis, key) for key in jax.random.split(jax.random.key(0), 400)]
    for node in nodes:
        drawn = np.stack([draw[node]["active"] for draw in draws])
        assert set(np.unique(drawn.round(4))) == {0.0, np.float32(1 / 0.6).round(4)}
        np.testing.assert_allclose(drawn.mean(0), before[node], atol=0.25)
        assert not drawn[:, before[node] == 0].any()
    assert all(draw[CONCEPTS] is evening.homeostasis[CONCEPTS] for draw in draws)
    woken, report = replay(ADAM, steps=20, batch=8, chunk=10, dropout=0.4)(MIND, evening, jax.random.key(1))
    plain, _ = replay(ADAM, steps=20, batch=8, chunk=10)(MIND, evening, jax.random.key(1))
    assert report["updates"] == 20 and same(woken.homeostasis, evening.homeostasis)
    assert not np.array_equal(cortex_weights(woken), cortex_weights(plain))
    with pytest.raises(ScheduleError, match=r"replay has dropout=1\.0"):
        replay(ADAM, steps=20, dropout=1.0)


def test_what_is_kept_is_the_running_mean_of_the_params(evening):
    """m <- a m + (1 - a) theta from the evening on, while the rule goes on from theta; what is NaN is not kept."""

    def slept(steps, average=0.0, rule=ADAM):
        replayed = replay(rule, steps=steps, batch=8, chunk=1, doubt=1e6, average=average)
        return replayed(MIND, evening, jax.random.key(1))[0]

    mean = cortex_weights(evening)
    for steps in (1, 2, 3):
        mean = 0.8 * mean + 0.2 * cortex_weights(slept(steps))
        np.testing.assert_allclose(cortex_weights(slept(steps, 0.8)), mean, rtol=1e-4, atol=1e-6)
    once = optax.adam(lambda count: jnp.where(count < 1, 3e-3, 0.0))
    woken, report = replay(once, steps=12, batch=8, chunk=12, doubt=1e6, average=0.8)(MIND, evening, jax.random.key(1))
    plain, _ = replay(once, steps=12, batch=8, chunk=12, doubt=1e6)(MIND, evening, jax.random.key(1))
    mean = 0.8**12 * cortex_weights(evening) + (1 - 0.8**12) * cortex_weights(plain)
    np.testing.assert_allclose(cortex_weights(woken), mean, rtol=1e-4, atol=1e-6)
    assert report["held_out_loss_after"] == float(judge(MIND, woken).loss)
    assert same(slept(2, 0.8, optax.adam(jnp.nan)), evening)
    with pytest.raises(ScheduleError, match=r"replay has average=1\.0"):
        replay(ADAM, steps=20, average=1.0)


def test_rescaling_keeps_the_function_and_weakens_no_answer(evening, asked):
    """The same answers, with no more total strength."""
    woken, report = rescale()(MIND, evening, jax.random.key(1))
    np.testing.assert_allclose(cortex(woken, asked), cortex(evening, asked), atol=1e-4)
    assert report["strength_after"] < report["strength_before"]


def test_rescaling_keeps_every_prediction_and_ends_in_balance():
    """Answers scale by s in [1/1.25, 1.25] a night; logits and predictions stay; in the end |w_in| = |w_out|."""
    born, random = create(MIND, replace(BODY, feedback=True), jax.random.key(0)), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), jnp.float32), born.params)
    params["association"]["from_vision"] = params["association"]["from_vision"].at[5].set(0.0)  # 5 says nothing yet
    kept = {node: dict(of) | {"active": jnp.ones_like(of["active"])} for node, of in born.homeostasis.items()}
    kept["vision"]["threshold"] = kept["association"]["threshold"] = jnp.full(8, 0.01)
    state = born.replace(params=params, homeostasis=kept)
    percepts, cortex = {"image": random.random((16, 16)).astype(np.float32)}, Cortex(state.architecture)

    @jax.jit
    def think(params, homeostasis):
        variables = {"params": params, "homeostasis": homeostasis}
        thought = cortex.apply(variables, percepts)
        return thought.logits, thought.values, cortex.apply(variables, thought.values, method="predictions")

    (logits, values, foretold), nights = think(params, kept), [state]
    for _ in range(30):
        woken, report = rescale(1.25)(MIND, nights[-1], jax.random.key(1))
        nights.append(woken)
        assert report["strength_after"] <= report["strength_before"] * (1 + 1e-6)
    for woken in (nights[1], nights[-1]):
        s = {node: woken.homeostasis[node]["threshold"] / 0.01 for node in ("vision", "association")}
        after = think(woken.params, woken.homeostasis)
        np.testing.assert_allclose(after[0], logits, atol=1e-5 * np.abs(logits).max())
        np.testing.assert_allclose(after[1]["vision"], values["vision"] * s["vision"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(after[2]["vision"]["image"], foretold["vision"]["image"], rtol=1e-3, atol=1e-3)
        expected = foretold["association"]["vision"] * s["vision"]
        np.testing.assert_allclose(after[2]["association"]["vision"], expected, rtol=1e-3, atol=1e-3)
        assert float(s["vision"][5]) == 1
    first = np.concatenate([nights[1].homeostasis[node]["threshold"] / 0.01 for node in s])
    assert 0.8 - 1e-6 <= first.min() < 1 < first.max() <= 1.25 + 1e-6
    ends = nights[-1].params
    for heard, said, units in (
        (ends["vision"]["from_image"], ends["association"]["from_vision"], np.delete(np.arange(8), 5)),
        (ends["association"]["from_vision"], ends["concepts"]["from_association"], np.arange(8)),
    ):
        np.testing.assert_allclose(*(np.linalg.norm(w, axis=i)[units] for i, w in enumerate((heard, said))), rtol=1e-2)


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


def test_the_least_useful_die_first_and_few_a_night(evening):
    """At most `most` of an assembly die: of a unit that never fires and one with little weight, the former."""
    kept, weights = dict(evening.homeostasis["vision"]), dict(evening.params["vision"])
    weights["from_image"] = weights["from_image"].at[:, 2].multiply(1e-3)
    kept |= {"rate": jnp.maximum(kept["rate"], 0.1).at[4].set(0.0), "age": kept["age"] + 2.0}
    state = evening.replace(
        params=dict(evening.params) | {"vision": weights}, homeostasis=dict(evening.homeostasis) | {"vision": kept}
    )
    for most, died in ((0.16, []), (0.17, [4]), (0.34, [2, 4]), (1.0, [2, 4])):
        woken, report = prune(below=0.01, most=most)(MIND, state, jax.random.key(1))
        gone = np.flatnonzero(np.asarray(kept["active"] - woken.homeostasis["vision"]["active"]))
        assert gone.tolist() == died and report["deaths"] == len(died)


def test_a_quantum_to_spare_is_given_back(evening, asked):
    """Six living units in 16 places keep 8 and one quantum of 4 in reserve, after a death; nothing else changes."""
    state = resize(MIND, evening, "vision.units", 16)
    kept = dict(state.homeostasis["vision"])
    weights = dict(state.params["association"])
    weights["from_vision"] = weights["from_vision"].at[3].set(0.0)
    kept |= {"age": kept["age"] + 2.0, "rate": jnp.maximum(kept["rate"], 0.1)}
    state = state.replace(
        params=dict(state.params) | {"association": weights}, homeostasis=dict(state.homeostasis) | {"vision": kept}
    )
    woken, report = prune(below=1e-6, most=0.5)(MIND, state, jax.random.key(1))
    assert report["deaths"] == 1 and living(woken)["vision"] == 5
    assert woken.architecture.sizes()["vision.units"] == 12 == woken.params["vision"]["bias"].size
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
    assert report["deaths"] >= 1 and float(woken.homeostasis["association"]["active"][1]) == 0
    np.testing.assert_allclose(cortex(woken, asked), cortex(state, asked), atol=1e-4)


def test_the_young_are_spared(evening):
    """No unit dies before its time."""
    ruthless = prune(below=1e9, most=0.5, min_age=2.0)
    assert ruthless(MIND, aged(evening), jax.random.key(1))[1]["deaths"] == 0
    assert ruthless(MIND, aged(aged(evening)), jax.random.key(1))[1]["deaths"] == 3 + 3


def test_growth_is_silent_and_stops_at_the_limit(evening, asked):
    """Newborns change no answer; an assembly never exceeds `max_units`."""
    woken, report = grow(per_concept=50, error=-1.0)(MIND, evening, jax.random.key(1))
    assert living(woken) == {"vision": 12, "association": 12} and report["births"] == 12
    np.testing.assert_allclose(cortex(woken, asked), cortex(evening, asked), atol=1e-5)


def test_growth_follows_new_concepts_and_errors(evening):
    """`per_concept` units for each concept met since the last night; none for old ones, or without error."""
    woken, report = grow(per_concept=2, error=-1.0)(MIND, evening, jax.random.key(1))
    assert (report["new_concepts"], report["births"]) == (3, 2 * 3 + 2 * 3)
    assert living(woken) == {"vision": 12, "association": 12} and woken.architecture.sizes()["vision.units"] == 12
    for state, error in ((aged(evening), -1.0), (evening, 1.0)):
        woken, report = grow(per_concept=2, error=error)(MIND, state, jax.random.key(1))
        assert report["births"] == 0 and same(woken, state)


def test_an_expert_that_lies_loses_trust(evening):
    """Semantic memory with its concepts confused is trusted less than the honest one."""
    honest, _ = consolidate()(MIND, evening, jax.random.key(1))
    (sense,), day = BODY.senses, stretch(0, 100)
    known = evening.memory.semantic["image"]
    features = sense.expand(known.filters, sense.decode(sense.encode(day.senses["image"].reshape(-1, 4, 4, 1))))
    confused = semantic.empty(known.filters, sense.features, BODY.concepts, 400)
    confused = jax.jit(semantic.observe)(confused, features, (day.target.ravel() + 1) % 3, jnp.ones(400))
    liar = evening.replace(memory=evening.memory.replace(semantic={"image": confused}))
    fooled, _ = consolidate()(MIND, liar, jax.random.key(1))
    assert float(fooled.hyper["trust"]["image"]) < float(honest.hyper["trust"]["image"])


def test_consolidation_solves_what_was_gathered(evening):
    """The morning's readout is the exact solve of every sum, pending experiences included."""
    woken, _ = consolidate()(MIND, evening, jax.random.key(1))
    exact = jax.jit(semantic.solve)(evening.memory.semantic["image"])
    np.testing.assert_allclose(woken.memory.semantic["image"].readout, exact.readout, rtol=1e-3, atol=1e-3)
    assert int(woken.memory.semantic["image"].fill) == 0


def test_harm_is_more_than_chance():
    """McNemar: harmed when lost - won > 2 sqrt(lost + won) of the episodes there, in the whole or the cortex."""

    def verdict(lost, won, there=1.0, whole=True):
        now = jnp.asarray([[0.0] * lost + [1.0] * won + [1.0] * (20 - lost - won)])
        was = jnp.asarray([[1.0] * lost + [0.0] * won + [1.0] * (20 - lost - won)])
        weight, same = jnp.full((1, 20), there), jnp.ones((1, 20))
        pair = (was, now) if whole else (same, same), (same, same) if whole else (was, now)
        return [Verdict(*arrays, weight, jnp.float32(0)) for arrays in zip(*pair, strict=True)]

    for (lost, won), harm in {
        (0, 0): False,
        (4, 0): False,
        (5, 0): True,
        (8, 2): False,
        (9, 2): True,
        (0, 9): False,
    }.items():
        assert harmed(*verdict(lost, won)) == (["whole"] if harm else [])
        assert harmed(*verdict(lost, won, whole=False)) == (["cortex"] if harm else [])
        assert not harmed(*verdict(lost, won, there=0.0))


def test_a_night_is_the_fold_of_its_stages(evening):
    """Each stage gets the state before it and a key of its own name; reports are `<stage>/<what>`."""
    keys = {}

    def named(name):
        def stage(mind, state, key):
            keys[name] = key
            many = state.clock.experiences + 1
            return state.replace(clock=state.clock.replace(experiences=many)), {"many": many}

        return name, stage

    woken, report = rest(MIND, [named("one"), named("two")], evening, jax.random.key(5))
    many = int(evening.clock.experiences)
    assert (report["one/many"], report["two/many"], report["rolled_back"]) == (many + 1, many + 2, 0)
    assert report["held_out_before"] == report["held_out_after"] > 0.5
    assert all(keys[name] == named_key(jax.random.key(5), name) for name in keys)
    assert same(woken, evening, but=("clock/experiences", "clock/nights", "clock/since_rest"))
    assert int(woken.clock.nights) == 1 and int(woken.clock.since_rest) == 0 < int(evening.clock.since_rest)


def random_weights(mind, state, key):
    """A saboteur."""
    return state.replace(params=jax.tree.map(lambda w: 9 * jax.random.normal(key, w.shape), state.params)), {}


def not_a_number(mind, state, key):
    """Another."""
    return state.replace(hyper=dict(state.hyper) | {"firing_target": jnp.float32(jnp.nan)}), {}


def deleted_concept(mind, state, key):
    """A third: nobody knows of concept 0 any more."""
    concepts = state.homeostasis["concepts"]
    gone = dict(concepts) | {"active": concepts["active"].at[0].set(0.0)}
    return state.replace(homeostasis=dict(state.homeostasis) | {"concepts": gone}), {}


@pytest.fixture(scope="module")
def rested(evening):
    """A life after one good night."""
    return rest(
        MIND, (("replay", replay(ADAM, 40, 8, 20)), ("consolidate", consolidate())), evening, jax.random.key(1)
    )[0]


@pytest.mark.parametrize("saboteur", [random_weights, not_a_number, deleted_concept])
def test_a_night_that_harms_is_undone(rested, saboteur):
    """The evening comes back bit for bit, one night later, and the report says so."""
    woken, report = rest(MIND, (("saboteur", saboteur),), rested, jax.random.key(2))
    assert report["rolled_back"] == report["saboteur/undone"] == 1
    assert report["held_out_after"] == report["held_out_before"]
    assert same(woken, rested, but=("clock/nights", "clock/since_rest"))
    assert int(woken.clock.nights) == int(rested.clock.nights) + 1 and int(woken.clock.since_rest) == 0


NIGHT = {"prune": prune(), "replay": replay(ADAM, 20, 8, 10), "rescale": rescale(), "consolidate": consolidate()}


@pytest.mark.parametrize("saboteur", [random_weights, not_a_number, deleted_concept])
@pytest.mark.parametrize("place", NIGHT)
def test_whichever_stage_is_sabotaged_it_wakes_as_from_a_night_without_it(rested, place, saboteur):
    """The culprit is found, named and left out; every other stage is kept, and nothing held out is answered worse."""
    stages = [(name, saboteur if name == place else stage) for name, stage in NIGHT.items()]
    woken, report = rest(MIND, stages, rested, jax.random.key(3))
    assert not harmed(judge(MIND, rested), judge(MIND, woken))
    assert report[f"{place}/undone"] == 1 == report["rolled_back"]
    without, _ = rest(MIND, [stage for stage in stages if stage[0] != place], rested, jax.random.key(3))
    assert same(woken, without)


def test_two_saboteurs_are_both_left_out(rested):
    """One that is not finite, one that is: what is left of the night is its good stage."""
    stages = [("one", random_weights), ("rescale", rescale()), ("two", not_a_number), ("three", deleted_concept)]
    woken, report = rest(MIND, stages, rested, jax.random.key(3))
    assert report["rolled_back"] == 3 and "rescale/undone" not in report
    assert same(woken, rest(MIND, stages[1:2], rested, jax.random.key(3))[0])


def after(calls):
    """What disturbs the sleeper from the asked time on."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) >= calls


QUIET = (("prune", prune()), ("grow", grow(per_concept=2)), ("rescale", rescale()), ("consolidate", consolidate()))


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_an_interrupted_night_goes_on_where_it_was_and_ends_as_if_it_had_not_been(rested, pieces):
    """Stages of one piece: two nights of one key are the whole night, bit for bit; the first is no night yet."""
    part, report = rest(MIND, QUIET, rested, jax.random.key(3), after(pieces))
    assert report[f"{QUIET[pieces - 1][0]}/interrupted"] == 1 and int(part.clock.stage) == pieces
    assert int(part.clock.nights) == int(rested.clock.nights) and report["rolled_back"] == 0
    rest_of_it, report = rest(MIND, QUIET, part, jax.random.key(3))
    assert not any(what.endswith("interrupted") for what in report) and int(rest_of_it.clock.stage) == 0
    assert same(rest_of_it, rest(MIND, QUIET, rested, jax.random.key(3))[0])


def test_who_is_woken_in_a_stage_keeps_what_it_has_learned_so_far(rested):
    """Replay that is interrupted after its first chunk is a replay of one chunk."""
    stages = [("replay", replay(ADAM, 60, 8, 10)), ("consolidate", consolidate())]
    woken, report = rest(MIND, stages, rested, jax.random.key(3), after(1))
    assert report["replay/updates"] == 10 and report["replay/interrupted"] == 1
    short, _ = rest(MIND, [("replay", replay(ADAM, 10, 8, 10))], rested, jax.random.key(3))
    assert same(woken, short, but=("clock/nights", "clock/stage", "clock/since_rest"))
    assert int(woken.clock.since_rest) == int(rested.clock.since_rest), "as tired as before"


def test_who_is_woken_is_guarded_too(rested):
    """What a saboteur did before the interruption is undone."""
    stages = [("saboteur", random_weights), ("rescale", rescale()), ("consolidate", consolidate())]
    woken, report = rest(MIND, stages, rested, jax.random.key(3), after(2))
    assert report["saboteur/undone"] == 1 and not harmed(judge(MIND, rested), judge(MIND, woken))


def test_a_disturbed_life_sleeps_on_at_the_next_opportunity_and_nothing_compiles_awake():
    """Woken after every piece it comes through its night stage by stage, growing on the way."""
    schedule = Schedule(rest_every=20, night=(("grow", grow(per_concept=2)), ("rescale", rescale())))
    stream = (stretch(seed, 5) for seed in range(6))
    told = list(live(MIND, create(MIND, BODY, jax.random.key(0)), stream, schedule, disturbed=lambda: True))
    nights = [report for phase, _, report in told if phase == "rest"]
    interrupted = [[what for what in night if what.endswith("/interrupted")] for night in nights]
    assert interrupted == [["grow/interrupted"], ["rescale/interrupted"], []] * 3
    assert sum(report["compilations"] for phase, _, report in told if phase == "awake") == 0
    assert int(told[-1][1].clock.nights) == 3


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
    silence = phases(Schedule(inactivity_s=10.0), times=[0, 1, 2, 3, 30, 31], stretches=3)
    assert silence == ["awake", "awake", "rest", "awake", "rest"]


def test_it_rests_under_pressure_and_never_before_min_awake():
    """0.6 n / 60 + 0.3 (at first all surprises) passes 0.6 after two stretches of 20; `min_awake` delays every rest."""
    assert phases(Schedule(pressure=0.6, full=60)) == ["awake", "awake", "rest"] * 2
    assert phases(Schedule(rest_every=20, min_awake=60)) == ["awake"] * 3 + ["rest", "awake"]
    late = [0, 1, 2, 99, 100, 199, 200]
    assert phases(Schedule(inactivity_s=10, min_awake=61), times=late, stretches=3) == ["awake"] * 3, "at the end too"


def through_pauses(schedule, *parts):
    """The phases of a life whose stream is stretches of twenty (by their seed) and pauses (None), and its end."""
    stream = (None if part is None else stretch(part, 5) for part in parts)
    phases, end = [], None
    for phase, state, report in live(MIND, create(MIND, BODY, jax.random.key(0)), stream, schedule, lambda: 0.0):
        phases.append(phase)
        end = state
        assert report.get("compilations", 0.0) == 0
    assert int(end.clock.nights) == phases.count("rest")
    return phases, end


def test_it_rests_exactly_at_pauses_when_it_is_told_of_them():
    """After each pause before which something was lived, and at no other time; a pause at birth or twice is none."""
    phases, _ = through_pauses(Schedule(at_pauses=True), None, 0, 1, None, 2, None, None, 3)
    assert phases == ["awake", "awake", "rest", "awake", "rest", "awake"]


def test_pauses_go_unnoticed_by_who_is_not_told():
    """With any other rhythm a stream with pauses is lived as the same stream without them, bit for bit."""
    for schedule in (Schedule(), Schedule(rest_every=40)):
        told, state = through_pauses(schedule, None, 0, None, 1, 2, None, 3, None)
        untold, other = through_pauses(schedule, 0, 1, 2, 3)
        assert told == untold and same(state, other)


def test_pauses_are_rested_at_beside_every_other_time():
    """A night by count takes away the next pause, if nothing is lived between; silence at the end still counts."""
    by_count = Schedule(rest_every=40, at_pauses=True)
    assert through_pauses(by_count, 0, 1, None, 2, None, 3)[0] == ["awake", "awake", "rest", "awake", "rest", "awake"]
    by_silence = Schedule(inactivity_s=10.0, at_pauses=True)
    assert through_pauses(by_silence, 0, None, 1)[0] == ["awake", "rest"] * 2
    assert through_pauses(by_silence, 0, None)[0] == ["awake", "rest"], "nothing is left to rest from"


def test_what_is_told_of_each_moment():
    """Awake: means, and that nothing compiled after all; rest: every stage, and whether it was undone."""
    stream = (stretch(seed, 5) for seed in range(2))
    life = list(live(MIND, create(MIND, BODY, jax.random.key(0)), stream, Schedule(rest_every=40), lambda: 0.0))
    assert [phase for phase, *_ in life] == ["awake", "awake", "rest"]
    (_, _, first), (_, state, second), (_, woken, night) = life
    assert first["compilations"] == second["compilations"] == 0 and first["loss"] > 0
    assert first["lived"] == second["lived"] == 20
    assert {"held_out_before", "held_out_after", "rolled_back"} <= night.keys()
    assert int(state.clock.since_rest) == 40 and int(woken.clock.since_rest) == 0 and int(woken.clock.nights) == 1
    assert np.asarray(woken.homeostasis["vision"]["age"]).tolist() == [1.0] * 6 + [0.0] * 2


def test_what_is_told_is_told_of_what_was_lived():
    """Every experience counts alike, wherever the filling up of a stretch falls; of nothing lived, nothing is told."""
    day = stretch(3, 5)
    weight = np.float32([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    parts = [day.replace(weight=weight), day.replace(weight=0 * weight)]
    (_, moments), life = (
        awake(MIND, create(MIND, BODY, jax.random.key(0)), parts[0]),
        live(MIND, create(MIND, BODY, jax.random.key(0)), parts, Schedule(rest_every=1), lambda: 0.0),
    )
    _, _, told = next(life)
    assert told["lived"] == 7 and moments["lived"].tolist() == [4, 1, 0, 2, 0]
    for what in ("loss", "accuracy"):
        assert told[what] == pytest.approx(np.dot(moments[what], [4, 1, 0, 2, 0]) / 7)
    assert next(life)[0] == "rest"
    phase, _, told = next(life)
    assert phase == "awake" and 0 <= told.pop("pressure") <= 1
    assert told == {"loss": 0, "accuracy": 0, "lived": 0, "compilations": 0}
    assert list(life) == [], "nor is there anything to rest from"


def test_it_does_not_rest_too_early_or_without_pressure(evening):
    """Nothing before `min_awake`; by pressure exactly when the formula says so."""
    assert not tired(Schedule(rest_every=1, min_awake=10**6), evening)
    clock = evening.clock
    surprise = np.clip(float(clock.loss_fast) / float(clock.loss_slow) - 1, 0, 1)
    expected = 0.6 * 400 / 500 + 0.3 * surprise + 0.1 * 100 / 10_000
    assert sleep_pressure(evening, 500) == pytest.approx(expected, abs=1e-5)
    assert tired(Schedule(pressure=expected - 0.01, full=500), evening)
    assert not tired(Schedule(pressure=expected + 0.01, full=500), evening)


def test_what_is_not_fit_to_be_lived_is_refused_before_anything_is_learned(evening):
    """The error comes before the step; the state passed in is whole."""
    bad = stretch(1)
    bad = bad.replace(weight=np.full_like(bad.weight, np.nan))
    state = copy(evening)
    with pytest.raises(ValueError, match=r"experience\.weight"):
        next(live(MIND, state, [bad], Schedule()))
    assert same(state, evening)
    life = live(MIND, state, [stretch(1, 5), bad], Schedule())
    _, lived, _ = next(life)
    with pytest.raises(ValueError, match=r"experience\.weight"):
        next(life)
    assert int(lived.clock.experiences) == int(evening.clock.experiences) + 20


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
    plan = days.class_incremental(Corpus("numbers", tuple("abcde"), split, split, 0), 2, seed=3)
    lived = list(days.stretches(plan, batch=2, length=3))
    seen = np.concatenate([s.senses["text"][s.weight > 0].ravel() for s in lived])
    assert sorted(seen.tolist()) == list(range(35))
    assert [set(target[day.rows].tolist()) for day in plan.days] == [{0, 1, 2}, {3, 4}]
    assert days.ends(plan, 2, 3)[-1] == 3 * len(lived)
