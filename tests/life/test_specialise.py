"""Assemblies come for what recurs unexplained and become one where they say the same; what they are for is measured."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dellm_jax import wiring
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import ScheduleError
from dellm_jax.learning import asymmetric_cross_entropy, by_pathway, predictive_coding
from dellm_jax.mind import awake, create, respond
from dellm_jax.persistence import load, save
from dellm_jax.rest import rest, specialise, structure, wake
from dellm_jax.rest.specialise import Thoughts, most_alike, specialisation, tuned, unexplained_by
from dellm_jax.rest.structure import described
from dellm_jax.senses import Image
from dellm_jax.surgery import living
from dellm_jax.trees import copy, flat
from dellm_jax.types import Experience, Mind

MIND = Mind(Cortex, asymmetric_cross_entropy, by_pathway(optax.adam(3e-3), predictive_coding(0.1)), rehearse=4)
BODY = Architecture(
    senses=(Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2),),
    assemblies=(Assembly("vision", ("image",), 6, 8, 12), Assembly("association", ("vision",), 6, 8, 12)),
    concepts=4,
    quantum=4,
    episodic_bytes=8 * 400,
    semantic_chunk=8,
)
PATTERNS = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 1))


def stretch(seed, length=20):
    """Noisy pictures of three patterns, [T, 4, ...]."""
    random = np.random.default_rng(seed)
    target = random.choice(3, (length, 4)).astype(np.int32)
    noisy = PATTERNS[target] + random.normal(0, 40, (length, 4, 4, 4, 1))
    return Experience({"image": np.clip(noisy, 0, 255).astype(np.uint8)}, target, np.ones(target.shape, np.float32))


@pytest.fixture(scope="module")
def evening():
    """A life that has lived a day, and three nights before it."""
    state, _ = awake(MIND, create(MIND, BODY, jax.random.key(0)), stretch(0, 100))
    kept = {node: dict(of) | {"age": 3 * of["active"]} for node, of in state.homeostasis.items()}
    return state.replace(homeostasis=kept)


@pytest.fixture(scope="module")
def blind(evening):
    """The same, but it never names concept 2."""
    weights = dict(evening.params["concepts"])
    weights["bias"] = weights["bias"].at[2].set(-1e3)
    return evening.replace(params=dict(evening.params) | {"concepts": weights})


@pytest.fixture(scope="module")
def double(evening):
    """The same with a second vision that is the first one's double, and as old; each says half of what one said."""
    state = wiring.recruit(MIND, evening, Assembly("vision_2", ("image",), 6, 8), jax.random.key(1))
    params, kept = {node: dict(of) for node, of in state.params.items()}, dict(state.homeostasis)
    params["vision_2"], kept["vision_2"] = dict(params["vision"]), dict(kept["vision"])
    half = params["association"]["from_vision"] / 2
    params["association"] |= {"from_vision": half, "from_vision_2": half}
    return state.replace(params=params, homeostasis=kept)


def cortex(state):
    """log p by the cortex, of the concepts it knows, for pictures it is asked about."""
    day = stretch(9, 8)
    asked = Experience({"image": day.senses["image"].reshape(-1, 4, 4, 1)}, day.target.ravel(), day.weight.ravel())
    return np.asarray(respond(MIND, state, asked).by["cortex"])[:, :3]


def test_what_recurs_unexplained_recruits_an_assembly_that_hears_it(blind):
    """Concept 2 is always named wrongly: a sibling of vision comes, silently, and fires for it above all."""
    woken, report = specialise(enough=0.1, high=1e9)(MIND, blind, jax.random.key(1))
    assert (report["recruits"], report["merges"], report["assemblies"]) == (1, 0, 3)
    assert report["unexplained"] == pytest.approx(1 / 3, abs=0.1) and report["unexplained_concepts"] < 1.5
    assert woken.architecture.reads["association"] == ("vision", "vision_2")
    assert living(woken) == {"vision": 6, "association": 6, "vision_2": 4}
    np.testing.assert_allclose(cortex(woken), cortex(blind), atol=1e-5)
    percept = PATTERNS[:3].reshape(3, 16) / 255
    heard = np.asarray(percept @ woken.params["vision_2"]["from_image"] + woken.params["vision_2"]["bias"])[:, :4]
    assert (heard[2] > 0).all() and (heard[2] > 5 * np.maximum(heard[:2], 0)).all()


@pytest.mark.parametrize("bound", [{"enough": 0.6}, {"few": 0.3}, {"most": 2}])
def test_no_assembly_comes_for_what_is_rare_or_everywhere_or_where_there_are_enough(blind, bound):
    """A third of the episodes is less than .6; its spread is more than .3 of three; two are the most."""
    woken, report = specialise(**{"enough": 0.1, "high": 1e9} | bound)(MIND, blind, jax.random.key(1))
    assert report["recruits"] == 0 and woken.architecture == blind.architecture
    assert all(leaf is kept for leaf, kept in zip(jax.tree.leaves(woken), jax.tree.leaves(blind), strict=True))


def test_assemblies_that_say_the_same_become_one(double, evening):
    """The double is merged and its units folded into their twins: the body, and what it says, is as before it came."""
    np.testing.assert_allclose(cortex(double), cortex(evening), atol=1e-4)
    woken, report = specialise(enough=2.0, redundant=0.9, like=0.99999)(MIND, double, jax.random.key(1))
    assert (report["merges"], report["assemblies"]) == (1, 2) and report["alike"] == pytest.approx(1, abs=1e-5)
    fires = 12 - living(woken)["vision"]  # a unit that never fires is nobody's twin
    assert report["folded"] == fires >= 4
    np.testing.assert_allclose(cortex(woken), cortex(evening), atol=1e-3)


def test_the_young_and_the_different_are_not_merged(double):
    """Neither before `min_age` nights, nor below a similarity; and none is recruited in a night that merges."""
    for bound in ({"min_age": 4}, {"redundant": 1.1}):
        woken, report = specialise(**{"enough": 2.0} | bound)(MIND, double, jax.random.key(1))
        assert report["merges"] == 0 and woken.architecture == double.architecture
    weights = dict(double.params["concepts"])
    weights["bias"] = weights["bias"].at[2].set(-1e3)
    blind = double.replace(params=dict(double.params) | {"concepts": weights})
    _, report = specialise(enough=0.1, redundant=0.9)(MIND, blind, jax.random.key(1))
    assert (report["merges"], report["recruits"]) == (1, 0)


def thoughts(**of):
    """Of six episodes of two concepts, nothing wrong and nothing missed but what is given."""
    target = np.array([0, 0, 0, 1, 1, 1])
    empty = Thoughts({}, {}, target, np.zeros(6, bool), {})
    return empty._replace(**of)


def test_specialisation_is_what_the_loudest_tells_of_the_concept():
    """Each louder than itself at its own concept: 1 bit, all of log2 2. Always the same one louder: nothing."""
    own = {"a": np.array([[9.0]] * 3 + [[1.0]] * 3), "b": np.array([[0.1]] * 3 + [[0.2]] * 3)}
    assert specialisation([("a", "b")], thoughts(values=own)) == {"bits_a": 1, "specialisation_a": 1}
    alike = {"a": own["a"], "b": 2 * own["a"]}
    assert specialisation([("a", "b")], thoughts(values=alike)) == {"bits_a": 0, "specialisation_a": 0}
    assert specialisation([("a",)], thoughts(values=own)) == {}
    absent = thoughts(values=own, presence={"a": np.r_[np.ones(3), np.zeros(3)]})
    assert specialisation([("a", "b")], absent) == {"bits_a": 0, "specialisation_a": 0}


def test_unexplained_is_what_is_misnamed_or_what_no_sibling_foretells():
    """The third is misnamed; the last is missed by both siblings, the first by one only; the absent never count."""
    missed = {"a": np.array([9.0, 1, 1, 1, 1, 9]), "b": np.array([1.0, 1, 1, 1, 1, 9])}
    wrong = np.arange(6) == 2
    given = thoughts(missed=missed, wrong=wrong)
    assert unexplained_by(("a", "b"), given, 2.0).tolist() == [False, False, True, False, False, True]
    assert unexplained_by(("a",), given, 2.0).tolist() == [True, False, True, False, False, True]
    assert unexplained_by(("c",), given, 2.0).tolist() == wrong.tolist()
    absent = given._replace(presence={"a": np.array([1.0, 1, 0, 1, 1, 1])})
    assert unexplained_by(("a", "b"), absent, 2.0).tolist() == [False] * 5 + [True]


def test_the_most_alike_are_found_among_those_of_age(double):
    """Of three siblings the two that say the same; none where one of them is too young."""
    random = np.random.default_rng(0)
    said = random.random((6, 6))
    given = thoughts(values={"vision": said, "vision_2": 3 * said, "association": random.random((6, 6))})
    groups = [("vision", "vision_2", "association")]
    assert most_alike(double, groups, given, 3) == (pytest.approx(1), ("vision", "vision_2"))
    assert most_alike(double, groups, given, 4) == (0.0, None)


def test_tuned_units_fire_as_often_as_asked_and_each_for_its_own():
    """A share of .1 of the examples, the odd first, also where there are fewer of them than units."""
    random = np.random.default_rng(0)
    heard = random.random((200, 12)).astype(np.float32)
    odd = np.arange(200) < 10
    heard[odd, :3] += 3
    heard[:, 11] = 0.5
    weights, bias = tuned(heard, odd, 16, 0.1, random)
    fires = heard @ weights + bias > 0
    np.testing.assert_allclose(fires.mean(0), 0.1, atol=0.01)
    assert fires[odd].mean() > 0.9 and np.unique(weights, axis=1).shape[1] == 16
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 2**0.5, rtol=1e-5)
    np.testing.assert_allclose(weights[11], 0, atol=1e-7)  # an input that never varies is not heard


def test_a_life_without_episodes_or_out_of_its_mind_keeps_its_body(evening):
    """Nothing can be measured, so nothing is changed."""
    newborn = create(MIND, BODY, jax.random.key(0))
    woken, report = specialise()(MIND, newborn, jax.random.key(1))
    assert woken.architecture == BODY and report == {"recruits": 0, "merges": 0, "assemblies": 2}
    params = {node: dict(of) for node, of in evening.params.items()}
    params["vision"]["bias"] = params["vision"]["bias"].at[0].set(jnp.nan)
    woken, report = specialise()(MIND, evening.replace(params=params), jax.random.key(1))
    assert woken.architecture == BODY and report["recruits"] == 0


def test_a_night_that_recruits_leaves_nothing_to_compile_and_can_be_saved(blind, tmp_path):
    """The next day is lived by a program that is there; the life that comes back from a file is the same."""
    tomorrow = stretch(3)
    stages = [("specialise", specialise(enough=0.1)), ("structure", structure()), ("wake", wake(tomorrow))]
    woken, report = rest(MIND, stages, blind, jax.random.key(2))
    assert report["specialise/recruits"] == 1 and report["structure/units_vision_2"] == 4
    known = awake._cache_size()
    after, _ = awake(MIND, copy(woken), tomorrow)
    assert awake._cache_size() == known
    assert np.abs(np.asarray(after.params["association"]["from_vision_2"])).max() > 0
    path = save(tmp_path / "life.safetensors", MIND, after)
    back = load(path, partial(create, MIND, key=jax.random.key(0)))
    assert back.architecture == after.architecture
    body, stored = (
        flat((after.params, after.homeostasis, after.learner)),
        flat((back.params, back.homeostasis, back.learner)),
    )
    assert all(np.array_equal(leaf, stored[where]) for where, leaf in body.items()) and body.keys() == stored.keys()


def test_what_is_described_is_what_is_there(double):
    """Sizes and ages of living units; a connection twice as strong as another has 4/3 of the mean, the other 2/3."""
    params = {node: dict(of) for node, of in double.params.items()}
    params["association"] |= {"from_vision": jnp.full((8, 8), 2.0), "from_vision_2": jnp.full((8, 8), -1.0)}
    report = described(double.replace(params=params))
    assert report["assemblies"] == 3 and report["units_vision"] == 6 and report["age_vision_2"] == 3
    assert report["strength_association_from_vision"] == pytest.approx(4 / 3)
    assert report["strength_association_from_vision_2"] == pytest.approx(2 / 3)
    weights = 6 * 16 + 16 * 6 + np.count_nonzero(double.params["vision"]["bias"])
    assert report["parameters_vision"] == weights
    assert not [name for name in report if name.startswith("strength_vision")]


def test_an_assembly_is_recruited_where_most_is_unexplained(blind):
    """What vision does to pictures is foretold badly by association in two concepts: there it is that one comes."""
    params = {node: dict(of) for node, of in blind.params.items()}
    params["vision"]["to_image"] = jnp.zeros_like(params["vision"]["to_image"])
    woken, _ = specialise(enough=0.05, few=1.0, high=1.05)(MIND, blind.replace(params=params), jax.random.key(1))
    (name,) = set(living(woken)) - {"vision", "association"}
    assert name in ("vision_2", "association_2")
    read_by = wiring.readers_of(woken.architecture, name)
    assert read_by == (("association",) if name == "vision_2" else ("concepts",))
    np.testing.assert_allclose(cortex(woken), cortex(blind.replace(params=params)), atol=1e-5)


@pytest.mark.parametrize("wrong", [{"most": 0}, {"few": 0.0}, {"few": 1.5}, {"enough": 0.0}, {"min_age": -1}])
def test_bounds_that_make_no_sense_are_refused(wrong):
    """ScheduleError that says what was given."""
    with pytest.raises(ScheduleError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        specialise(**wrong)


def test_a_name_that_is_free_is_found(blind):
    """The third of its kind is vision_3."""
    once, _ = specialise(enough=0.1)(MIND, blind, jax.random.key(1))
    twice, report = specialise(enough=0.1)(MIND, once, jax.random.key(1))
    assert report["recruits"] == 1 and set(living(twice)) == {"vision", "vision_2", "vision_3", "association"}
    assert replace(twice.architecture, assemblies=BODY.assemblies) == BODY
