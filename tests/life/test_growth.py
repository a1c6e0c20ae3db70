"""A body grows when it needs to, where it needs to, and what is born neither changes an answer nor is born in vain."""

from dataclasses import replace
from math import inf

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dellm_jax import experience as experiences
from dellm_jax import surgery
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import ScheduleError
from dellm_jax.learning import asymmetric_cross_entropy, cross_entropy
from dellm_jax.memory import episodic
from dellm_jax.mind import awake, create
from dellm_jax.rest import grow, prune, steepest
from dellm_jax.rest.need import shared_out, signs
from dellm_jax.rest.newborns import AWAKE, _slope
from dellm_jax.rest.prune import nobody, the_bias, the_living
from dellm_jax.rest.replay import episodes
from dellm_jax.senses import Image
from dellm_jax.trees import flat
from dellm_jax.types import Experience, Mind

MIND = Mind(Cortex, asymmetric_cross_entropy, optax.with_extra_args_support(optax.adam(3e-3)), rehearse=4)
BODY = Architecture(
    senses=(Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2),),
    assemblies=(Assembly("vision", ("image",), 12, 12, 40), Assembly("association", ("vision",), 12, 12, 40)),
    concepts=4,
    quantum=4,
    episodic_bytes=8 * 400,
    semantic=False,
    semantic_chunk=8,
    feedback=False,
)
LAYERS = ("vision", "association")
PATTERNS = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 1))


@pytest.fixture(scope="module")
def evening():
    """A life that has lived a day of three noisy patterns, and still has something to learn."""
    random = np.random.default_rng(0)
    target = random.choice(3, (60, 4)).astype(np.int32)
    pictures = np.clip(PATTERNS[target] + random.normal(0, 60, (60, 4, 4, 4, 1)), 0, 255).astype(np.uint8)
    day = Experience({"image": pictures}, target, np.ones(target.shape, np.float32))
    return awake(MIND, create(MIND, BODY, jax.random.key(0)), day)[0]


def same(one, other):
    """Whether body, learner and homeostasis are equal bit for bit."""
    a, b = (flat((life.params, life.homeostasis, life.learner)) for life in (one, other))
    return a.keys() == b.keys() and all(np.array_equal(a[path], b[path]) for path in a)


def born(state, before):
    """How many units every assembly has gained."""
    now, then = surgery.living(state), surgery.living(before)
    return {name: now[name] - then[name] for name in now}


def of_one_mind(state):
    """The same life, all of whose association units hear and therefore say the same: they have rank one."""
    weights, kept = dict(state.params["association"]), dict(state.homeostasis["association"])
    weights |= {"from_vision": jnp.tile(weights["from_vision"][:, :1], (1, 12)), "bias": jnp.full(12, 1.0)}
    kept |= {"threshold": jnp.zeros(12)}
    return state.replace(
        params=dict(state.params) | {"association": weights},
        homeostasis=dict(state.homeostasis) | {"association": kept},
    )


def levelled(state, fast, slow):
    """The same life whose awake loss ran at `slow` and runs at `fast`."""
    return state.replace(clock=state.clock.replace(loss_fast=jnp.float32(fast), loss_slow=jnp.float32(slow)))


def test_nothing_is_born_without_need(evening):
    """No error, a loss that still falls, or room left in what the units say: each alone keeps the body bit for bit."""
    need = {"per_concept": 2, "error": -1.0, "falling": 0.05}
    level, falling = levelled(evening, 0.98, 1.0), levelled(evening, 0.9, 1.0)
    cases = (
        (level, need, "births", 12.0),
        (level, need | {"error": 1.0}, "because_it_errs", 0.0),
        (falling, need, "because_loss_is_level", 0.0),
        (level, need | {"saturation": 1.01}, "because_full", 0.0),
    )
    for state, how, why, told in cases:
        woken, report = grow(**how)(MIND, state, jax.random.key(1))
        assert report[why] == told and report["births"] == sum(born(woken, state).values())
        assert (report["births"] == 0) == same(woken, state) == (why != "births")
    _, report = grow(**need)(MIND, falling, jax.random.key(1))
    assert report["loss_falling"] == pytest.approx(0.1, abs=1e-6)


def test_who_is_full_gets_the_units(evening):
    """An association of rank one needs no more units: sight gets as many, more, or all, as `focus` says."""
    state = of_one_mind(evening)
    seen = signs(MIND, state, jax.random.key(1))
    assert seen.rank["association"] == pytest.approx(1, abs=1e-2)
    assert seen.saturation["association"] == seen.rank["association"] / 12 < seen.saturation["vision"] / 2
    for focus, low, high in ((0.0, 6, 6), (1.0, 8, 11), (inf, 12, 12)):
        woken, report = grow(per_concept=2, error=-1.0, focus=focus)(MIND, state, jax.random.key(1))
        gained = born(woken, state)
        assert low <= gained["vision"] <= high and sum(gained.values()) == 12 == report["births"]
        assert {name: report[f"births_{name}"] for name in LAYERS} == gained
    woken, report = grow(per_concept=2, error=-1.0, saturation=0.15)(MIND, state, jax.random.key(1))
    assert born(woken, state) == {"vision": 6, "association": 0} and report["because_full"] == 1


def test_an_assembly_grows_by_a_share_of_its_own_without_new_concepts_and_stops_at_its_limit(evening):
    """A third of twelve is four; what has no room left leaves the units to who has."""
    old = evening.replace(
        homeostasis={node: kept | {"age": kept["age"] + kept["active"]} for node, kept in evening.homeostasis.items()}
    )
    woken, report = grow(share=1 / 3, error=-1.0)(MIND, old, jax.random.key(1))
    assert report["new_concepts"] == 0 and born(woken, old) == {"vision": 4, "association": 4}
    tight = tuple(replace(a, max_units=12) if a.name == "vision" else a for a in BODY.assemblies)
    old = old.replace(architecture=replace(BODY, assemblies=tight))
    woken, _ = grow(share=1 / 3, error=-1.0, focus=inf)(MIND, old, jax.random.key(1))
    assert born(woken, old) == {"vision": 0, "association": 4}


@given(st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(0, 99), st.floats(0.01, 1)), min_size=1))
def test_units_are_shared_out_in_proportion(asked):
    """Shares add up but for rounding; alike at 0; in proportion at 1; at inf only the fullest have any."""
    many, full = ({name: pair[i] for name, pair in asked.items()} for i in (0, 1))
    total = sum(many.values())
    for focus in (0.0, 1.0, 3.0, inf):
        got = shared_out(many, full, focus)
        assert abs(sum(got.values()) - total) <= len(many) / 2 and min(got.values()) >= 0
        weight = {name: (full[name] / max(full.values())) ** focus for name in many}
        assert all(abs(got[name] - total * weight[name] / sum(weight.values())) <= 0.5 for name in many)
    assert {name for name, units in got.items() if units} <= {n for n in full if full[n] == max(full.values())}


def with_newborns(state, name, many, newborns=None, seed=1):
    """The same life with `many` silent newborns, or such as `newborns` makes of them; and who they are."""
    before = surgery.living(state)[name]
    state = surgery.resize(MIND, state, f"{name}.units", before + many)
    who = np.arange(before, before + many)
    state = surgery.awaken(MIND, state, f"{name}.units", who, jax.random.key(seed))
    return (newborns(MIND, state, name, who, jax.random.key(seed)) if newborns else state), who


def thoughts(state, params=None):
    """Logits of what memory holds, and what it is."""
    percepts, lesson = episodes(256)(MIND, state, None, jax.random.key(3))
    variables = {"params": params or state.params, "homeostasis": state.homeostasis}
    return Cortex(state.architecture).apply(variables, *percepts).logits[:, :3], lesson


def loss_of(state, params=None):
    """Mean -log p on memory."""
    logits, lesson = thoughts(state, params)
    return cross_entropy(lesson.replace(logits=jnp.pad(logits, ((0, 0), (0, 1)), constant_values=-1e9)))


def aloud(state, name, who, seed):
    """The same pairs, but what they say is drawn by lot, at the same length."""
    (reader,) = (r for r, sources in state.architecture.reads.items() if name in sources)
    weights = np.array(state.params[reader][f"from_{name}"])
    half = len(who) // 2
    draw = np.random.default_rng(seed).normal(size=(half, weights.shape[1]))
    draw *= np.asarray(state.homeostasis[reader]["active"])
    draw *= np.linalg.norm(weights[who[0]]) / np.linalg.norm(draw, axis=1, keepdims=True)
    weights[who] = np.concatenate([draw, -draw])
    mouths = dict(state.params[reader]) | {f"from_{name}": jnp.asarray(weights, jnp.float32)}
    return state.replace(params=dict(state.params) | {reader: mouths})


@pytest.mark.parametrize("name", LAYERS)
def test_the_steepest_newborns_change_no_answer(evening, name):
    """Pairs contradict each other: logits stay to 1e-5. They hear nothing, fire a little, and their mouths are open."""
    woken, who = with_newborns(evening, name, 6, steepest)
    np.testing.assert_allclose(thoughts(woken)[0], thoughts(evening)[0], atol=1e-5, rtol=0)
    (source,) = woken.architecture.reads[name]
    assert not np.asarray(woken.params[name][f"from_{source}"])[:, who[:4]].any()
    fires = np.asarray(woken.params[name]["bias"] - woken.homeostasis[name]["threshold"])[who[:4]]
    np.testing.assert_allclose(fires, AWAKE, rtol=1e-5)
    (reader,) = (r for r, sources in woken.architecture.reads.items() if name in sources)
    said = np.asarray(woken.params[reader][f"from_{name}"])
    assert np.all(np.linalg.norm(said[who[:4]], axis=1) > 0) and not said[:, ~_lives(woken, reader)].any()


def _lives(state, node):
    return np.asarray(state.homeostasis[node]["active"]) > 0


@pytest.mark.parametrize("name", LAYERS)
def test_the_slope_of_a_drive_is_that_of_a_synapse_to_it(evening, name):
    """The ears of a newborn that says v have the slope M v, as the derivative of the whole loss has it."""
    woken, who = with_newborns(evening, name, 4, steepest)
    (reader,) = (r for r, sources in woken.architecture.reads.items() if name in sources)
    (source,) = woken.architecture.reads[name]
    m = np.asarray(_slope(MIND, woken, name, jax.random.key(3)))
    said = np.asarray(woken.params[reader][f"from_{name}"])[who]

    def loss(ears):
        weights = dict(woken.params[name]) | {f"from_{source}": ears}
        return _plain_loss(woken, dict(woken.params) | {name: weights})

    slope = np.asarray(jax.grad(loss)(woken.params[name][f"from_{source}"]))[:, who]
    np.testing.assert_allclose(slope, m @ said.T, atol=1e-5)
    assert np.abs(slope).max() > 1e-3


def _plain_loss(state, params):
    """Mean -log p on the very episodes that the slope is taken on."""
    recalled = episodic.recall(state.memory.episodic, jax.random.key(3), 512)
    percepts = experiences.decode(state.architecture, recalled.codes, recalled.present)
    variables = {"params": params, "homeostasis": state.homeostasis}
    log_p = jax.nn.log_softmax(Cortex(state.architecture).apply(variables, *percepts).logits)
    own = jnp.take_along_axis(log_p, recalled.target[:, None], axis=1)[:, 0]
    return -(own * recalled.weight).sum() / recalled.weight.sum()


@pytest.mark.parametrize("name", LAYERS)
def test_the_steepest_newborns_lower_the_loss_more_than_others(evening, name):
    """One step of the newborns' ears down the slope: more than for any of ten draws of as loud mouths."""
    woken, who = with_newborns(evening, name, 4, steepest)
    (source,) = woken.architecture.reads[name]

    @jax.jit
    def fallen(state):
        def loss(ears):
            weights = dict(state.params[name]) | {f"from_{source}": ears}
            return _plain_loss(state, dict(state.params) | {name: weights})

        ears = state.params[name][f"from_{source}"]
        slope = jnp.zeros_like(ears).at[:, who].set(jax.grad(loss)(ears)[:, who])
        return loss(ears) - loss(ears - 0.01 * slope)

    others = [float(fallen(aloud(woken, name, who, seed))) for seed in range(10)]
    assert float(fallen(woken)) > max(others) > 0


def test_who_has_said_nothing_yet_stays_silent():
    """A newborn life, whose concepts hear nothing, has no loudness to go by: newborns are as if silent."""
    life = create(MIND, BODY, jax.random.key(0))
    assert same(with_newborns(life, "association", 4, steepest)[0], with_newborns(life, "association", 4)[0])


def test_growth_takes_the_newborns_it_is_given(evening):
    """`grow(newborns=steepest)` keeps every answer too, and its newborns speak."""
    woken, report = grow(per_concept=2, error=-1.0, newborns=steepest)(MIND, evening, jax.random.key(1))
    assert report["births"] == 12
    np.testing.assert_allclose(thoughts(woken)[0], thoughts(evening)[0], atol=1e-5, rtol=0)
    assert np.asarray(woken.params["association"]["from_vision"])[12:16].any(axis=1).all()


@pytest.mark.parametrize("name", ["per_concept", "share", "saturation", "focus"])
def test_growth_by_less_than_nothing_is_refused(name):
    """ScheduleError names the number."""
    with pytest.raises(ScheduleError, match=rf"grow\.{name} is -1; expected 0 or more"):
        grow(**{name: -1})


def last_first(state):
    """The last units are worth least."""
    return {a.name: jnp.arange(12.0, 0.0, -1.0) for a in state.architecture.assemblies}


def cut(state, heirs):
    """The same life without the last half of every assembly."""
    return prune(below=inf, most=0.5, min_age=0, score=last_first, heirs=heirs)(MIND, state, jax.random.key(1))


@pytest.mark.parametrize("heirs", [nobody, the_bias, the_living()])
def test_pruning_goes_by_the_score_it_is_given_and_leaves_what_was_said_to_whom_it_is_told(evening, heirs):
    """The last half dies; without heirs no bias changes, and only the living may come to say something else."""
    woken, report = cut(evening, heirs)
    assert report["deaths"] == 12
    for name, reader in (("vision", "association"), ("association", "concepts")):
        assert _lives(woken, name)[:6].all() and surgery.living(woken)[name] == 6
        left = slice(0, 6) if reader == "association" else slice(0, 3)
        now, then = (np.asarray(life.params[reader]["bias"])[left] for life in (woken, evening))
        assert (now != then).any() == (heirs is not nobody)
        now, then = (np.asarray(life.params[reader][f"from_{name}"])[:6, left] for life in (woken, evening))
        assert (now != then).any() == (heirs not in (nobody, the_bias))


def test_the_living_know_what_their_doubles_would_have_said(evening):
    """Where every unit that dies has a double that lives, the answers stay; without heirs they do not."""
    params = {node: dict(leaves) for node, leaves in evening.params.items()}
    homeostasis = dict(evening.homeostasis)
    for name in LAYERS:
        (source,) = evening.architecture.reads[name]
        for leaf in (f"from_{source}", "bias"):
            weights = params[name][leaf]
            params[name][leaf] = jnp.concatenate([weights[..., :6], weights[..., :6]], axis=-1)
        kept = homeostasis[name]
        homeostasis[name] = kept | {"threshold": jnp.tile(kept["threshold"][:6], 2)}
    doubled = evening.replace(params=params, homeostasis=homeostasis)
    before = thoughts(doubled)[0]
    error = [float(jnp.abs(thoughts(cut(doubled, h)[0])[0] - before).max()) for h in (the_living(1e-6), nobody)]
    assert error[0] < 1e-2 < 0.3 < error[1]
