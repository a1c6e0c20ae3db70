"""Laws that a life of every published method keeps: all its arrays are named, so that it can grow and be saved."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import IMAGE, assert_same, body, experiences, laws, live_step, newborn

from dellm_jax import axes, surgery
from dellm_jax.errors import ArchitectureError, SurgeryError
from dellm_jax.learning import (
    agreeing,
    asymmetric_cross_entropy,
    better_of_slow_selves,
    by_days,
    continual_backprop,
    cross_entropy,
    dark_experience,
    elastic,
    keep_elder,
    last_evening,
    perturb,
    slow_selves,
    squared_error,
    stable_self,
    synaptic_intelligence,
    toward_birth,
    without_forgetting,
)
from dellm_jax.memory import generative
from dellm_jax.mind import create
from dellm_jax.persistence import load, save
from dellm_jax.rest import estimate_importance, forget, hand_over, rest, settle_synapses
from dellm_jax.senses import FourierImage
from dellm_jax.trees import finite, flat

KEY = jax.random.key(0)
SGD, ADAM = optax.sgd(0.05), optax.adam(0.01)


def method(rule, loss=cross_entropy, rehearse=0, night=(), episodes=False, answers=False, **others):
    """A mind, the body it lives in and what it does at night. Only what rehearses or looks back remembers episodes."""
    architecture = replace(body(), episodic_bytes=600 if rehearse or episodes else 0, feedback=False, answers=answers)
    return laws(rule, rehearse)._replace(loss=loss, threshold_speed=0.0, **others), architecture, night


def solved(sense):
    """A body whose net rests and whose semantic memory learns."""
    architecture = replace(body(semantic=True), senses=(sense,), episodic_bytes=0, feedback=False)
    return laws(optax.set_to_zero())._replace(loss=cross_entropy), architecture, ()


KEEP = optax.chain(SGD, keep_elder())
METHODS = {
    "er_ace": method(SGD, asymmetric_cross_entropy, 4),
    "der": method(SGD, dark_experience(1.0, 0.5), 4, answers=True),
    "cls_er": method(
        optax.chain(SGD, slow_selves()),
        agreeing(cross_entropy, 0.1),
        4,
        teacher=better_of_slow_selves,
        voice=stable_self,
    ),
    "ewc": method(
        optax.chain(elastic(2.0), SGD),
        night=(("importance", estimate_importance(8)), ("forget", forget())),
        episodes=True,
    ),
    "si": method(synaptic_intelligence(ADAM), night=(("settle", settle_synapses()),)),
    "lwf": method(KEEP, without_forgetting(), night=(("hand over", hand_over()),), teacher=last_evening),
    "generative_replay": method(KEEP, by_days, night=(("hand over", hand_over()),)),
    "l2_init": method(optax.chain(toward_birth(0.01), ADAM)),
    "shrink_perturb": method(optax.chain(optax.add_decayed_weights(0.01), ADAM, perturb(1e-3))),
    "continual_backprop": method(continual_backprop(ADAM, 0.5, maturity=1)),
    "slda": solved(IMAGE),
    "randumb": solved(FourierImage(4, 4, 1, code_side=4, code_bits=8, filters=3)),
}
mind, architecture, night = METHODS["generative_replay"]
METHODS["generative_replay"] = (
    mind._replace(imagination=generative.autoencoder(5, 3), rehearse=4),
    architecture,
    night,
)


def test_every_leaf_is_named_and_a_night_and_a_day_are_lived(method_life):
    """`axes.names` names every axis; grown, rested and awake again all is finite, in shape, and may be donated."""
    mind, architecture, night, state = method_life
    named = axes.names(mind, state)
    assert named.keys() == flat(state).keys()
    assert all(len(named[path]) == leaf.ndim for path, leaf in flat(state).items())
    grown = surgery.resize(mind, state, "vision.units", 12)
    if architecture.answers:
        with pytest.raises(
            SurgeryError, match="episodes that keep their answers have no room for more than 4 concepts"
        ):
            surgery.resize(mind, grown, "concepts", 6)
    else:
        grown = surgery.resize(mind, grown, "concepts", 6)
    expected = jax.eval_shape(lambda: create(mind, grown.architecture, KEY))
    shapes = lambda tree: {path: (leaf.shape, leaf.dtype) for path, leaf in flat(tree).items()}  # noqa: E731
    assert shapes(grown) == shapes(expected)
    woken, report = rest(mind, night, grown, KEY)
    assert report["rolled_back"] == 0 and int(woken.clock.nights) == 1
    moved = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((woken.params, woken.learner)) if _plain(leaf)]
    assert len(set(moved)) == len(moved), "no two leaves share memory, or `awake` could not donate them"
    after, lived = live_step(mind, woken, experiences((4,), concepts=grown.architecture.concepts, seed=2))
    assert shapes(after) == shapes(expected) and bool(finite(after)) and np.isfinite(lived["loss"])
    assert not np.asarray(after.params["vision"]["from_image"])[:, 5:].any(), "the silent stay silent"


def _plain(leaf):
    return leaf.size and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def test_a_life_of_every_method_is_saved_and_comes_back(method_life, tmp_path):
    """A snapshot holds every leaf, the keys and selves of the learner included, bit for bit."""
    mind, _, _, state = method_life
    save(tmp_path / "life", mind, state)
    assert_same(load(tmp_path / "life", partial(create, mind, key=KEY)), state)


@pytest.fixture(scope="module", params=METHODS)
def method_life(request):
    """A mind, its body, its night, and a newborn life that has named three concepts."""
    mind, architecture, night = METHODS[request.param]
    state = jax.jit(create, static_argnums=(0, 1), compiler_options=FAST)(mind, architecture, KEY)
    home = dict(state.homeostasis) | {"concepts": {"active": jnp.asarray([1.0, 1, 1, 0]), "age": jnp.zeros(4)}}
    return mind, architecture, night, state.replace(homeostasis=home)


FAST = {"xla_backend_optimization_level": 0}


# a life without episodes


def test_without_episodes_there_is_nothing_to_rehearse():
    """A mind that would rehearse is refused in words, and one that does not lives and rests."""
    architecture = replace(body(), episodic_bytes=0)
    with pytest.raises(ArchitectureError, match=r"mind.rehearse is 2, but architecture.episodic_bytes is 0"):
        live_step(laws(SGD, 2), newborn(laws(SGD, 2), architecture), experiences((4,)))
    mind = laws(SGD)
    state, _ = live_step(mind, newborn(mind, architecture), experiences((4,)))
    woken, report = rest(mind, (), state, KEY)
    assert report == {"rolled_back": 0.0} and int(woken.clock.nights) == 1 and int(woken.clock.since_rest) == 0
    assert np.asarray(woken.homeostasis["concepts"]["active"]).sum() > 0


def test_without_episodes_a_night_that_breaks_a_life_is_undone():
    """There is nothing to be judged by, but what is not finite is rolled back."""
    mind = laws(SGD)
    state = newborn(mind, replace(body(), episodic_bytes=0))
    broken = lambda mind, state, key: (state.replace(params=jax.tree.map(lambda p: p / 0, state.params)), {})  # noqa: E731
    woken, report = rest(mind, [("break", broken)], state, KEY)
    assert report["rolled_back"] == 1
    jax.tree.map(np.testing.assert_array_equal, woken.params, state.params)


def test_quantities_cannot_be_rehearsed():
    """Values are not remembered, so a mind that rehearses must not be given any."""
    mind = laws(SGD, 2)._replace(loss=squared_error)
    with pytest.raises(ArchitectureError, match=r"experience.value is not remembered.*mind.rehearse to 0"):
        live_step(mind, newborn(mind, body()), experiences((4,)).replace(value=np.ones(4, np.float32)))
