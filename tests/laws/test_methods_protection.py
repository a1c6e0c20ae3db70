"""Online EWC and synaptic intelligence against their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import assert_same, body, experiences, laws, live_step, lived

from dellm_jax import experience
from dellm_jax.learning import elastic, synaptic_intelligence
from dellm_jax.learning.protection import Elastic, Intelligent, fisher_diagonal, settled
from dellm_jax.learning.selves import find
from dellm_jax.memory import episodic
from dellm_jax.rest import estimate_importance, forget, settle_synapses
from dellm_jax.trees import flat

KEY = jax.random.key(5)


# elastic weight consolidation


def test_the_elastic_pull_is_its_gradient():
    """g + strength F (theta - theta*), where nothing pulls before importance was ever estimated."""
    rule, params = elastic(3.0), {"w": jnp.asarray([1.0, -2.0])}
    state, slope = rule.init({"w": jnp.zeros(2)}), {"w": jnp.asarray([0.5, 0.0])}
    np.testing.assert_array_equal(rule.update(slope, state, params)[0]["w"], slope["w"])
    state = Elastic({"w": jnp.asarray([0.0, 1.0])}, {"w": jnp.asarray([2.0, 0.1])})
    np.testing.assert_allclose(rule.update(slope, state, params)[0]["w"], [0.5 + 3 * 2 * 1, 3 * 0.1 * -3], rtol=1e-6)


def test_fisher_of_a_logistic_model():
    """log p = log sigmoid(+-(a x + b)): F = sum w ((y - p) (x, 1))^2 / sum w over examples, and not (sum ...)^2."""
    random = np.random.default_rng(0)
    x, y, w = random.normal(size=7), random.integers(0, 2, 7), np.asarray([1, 1, 0, 2, 1, 0.5, 1])
    params = {"a": jnp.asarray(0.7), "b": jnp.asarray(-0.3)}
    sign = jnp.asarray(2 * y - 1)

    def log_p(params, n):
        return jax.nn.log_sigmoid(sign[n] * (params["a"] * jnp.asarray(x)[n] + params["b"]))

    found = jax.jit(lambda p: fisher_diagonal(log_p, p, jnp.asarray(w)))(params)
    miss = y - 1 / (1 + np.exp(-(0.7 * x - 0.3)))
    assert float(found["a"]) == pytest.approx((w * (miss * x) ** 2).sum() / w.sum(), rel=1e-5)
    assert float(found["b"]) == pytest.approx((w * miss**2).sum() / w.sum(), rel=1e-5)


@pytest.fixture(scope="module")
def evening():
    """A mind that learns by online EWC, and a life of it with a few episodes of three concepts."""
    mind = laws(optax.chain(elastic(2.0), optax.sgd(0.1)))
    state = lived(mind, body(), 0)
    homeostasis = dict(state.homeostasis) | {"concepts": {"active": jnp.asarray([1.0, 1, 1, 0]), "age": jnp.zeros(4)}}
    state = state.replace(homeostasis=homeostasis, learner=mind.rule.init(state.params))
    for seed in range(3):
        state, _ = live_step(mind, state, experiences((4,), seed=seed))
    return mind, state


def slow_fisher(mind, state, key, samples):
    """The Fisher information of the weights of the concepts, example by example: (([c = y] - p_c) a_u)^2."""
    for_recall, for_label = jax.random.split(key)
    recalled = episodic.recall(state.memory.episodic, for_recall, samples)
    percepts = experience.decode(state.architecture, recalled.codes, recalled.present)
    variables = {"params": state.params, "homeostasis": state.homeostasis}
    thought = mind.module(state.architecture).apply(variables, *percepts)
    labels = np.asarray(jax.random.categorical(for_label, thought.logits))
    weight, many = np.asarray(recalled.weight), float(recalled.weight.sum())
    total = {"from_association": 0.0, "bias": 0.0}
    for n, label in enumerate(labels):
        born = np.exp(np.asarray(thought.logits[n, :3], float))
        miss = np.append(np.eye(3)[label] - born / born.sum(), 0)
        total["bias"] += weight[n] * miss**2 / many
        total["from_association"] += weight[n] * np.outer(thought.values["association"][n], miss) ** 2 / many
    assert len(set(labels.tolist())) == 3, "labels are drawn, and the unborn is never drawn"
    return total


def test_importance_accumulates_with_decay_around_todays_params(evening):
    """F <- decay F + F_today on the labels that the life itself draws, and theta* = theta, night after night."""
    mind, state = evening
    stage = estimate_importance(samples=40, decay=0.5)
    first, report = stage(mind, state, KEY)
    kept, today = find(first.learner, Elastic), slow_fisher(mind, state, KEY, 40)
    for name, expected in today.items():
        np.testing.assert_allclose(kept.importance["concepts"][name], expected, rtol=1e-4, atol=1e-8)
    assert report["fisher_trace"] == pytest.approx(
        sum(float(leaf.sum()) for leaf in jax.tree.leaves(kept.importance)), 1e-5
    )
    jax.tree.map(np.testing.assert_array_equal, kept.anchor, state.params)
    moved = first.replace(params=jax.tree.map(lambda p: 1.5 * p, first.params))
    second, _ = stage(mind, moved, KEY)
    kept, tomorrow = find(second.learner, Elastic), slow_fisher(mind, moved, KEY, 40)
    for name, expected in tomorrow.items():
        both = 0.5 * today[name] + expected
        np.testing.assert_allclose(kept.importance["concepts"][name], both, rtol=1e-4, atol=1e-8)
    jax.tree.map(np.testing.assert_array_equal, kept.anchor, moved.params)
    assert_same(second.replace(learner=state.learner, params=state.params), state)


def test_forgetting_leaves_no_episode(evening):
    """After `forget` no byte of an episode is left and nothing can be recalled; concepts keep their places."""
    mind, state = evening
    after, report = forget()(mind, state, KEY)
    before, nothing = state.memory.episodic, after.memory.episodic
    assert report == {} and np.asarray(before.codes["image"]).any() and np.asarray(before.seen).sum() == 12
    assert not any(np.any(leaf) for leaf in (nothing.codes["image"], nothing.seen, nothing.kept))
    for asked in (False, True):
        assert not np.asarray(episodic.recall(nothing, KEY, 50, asked).weight).any()
    np.testing.assert_array_equal(nothing.start, before.start)
    np.testing.assert_array_equal(nothing.room, before.room)
    again, _ = live_step(mind, after, experiences((4,), seed=9))
    assert np.asarray(again.memory.episodic.kept).sum() == 4


# synaptic intelligence


def test_synaptic_intelligence_is_its_equations():
    """Pull 2 strength Omega (theta - theta*); w += -g dtheta with today's gradient alone; Omega += w+ / (d^2 + xi)."""
    rule, c, rate = synaptic_intelligence(optax.sgd(0.1), strength=0.5), 0.5, 0.1
    theta = anchor = np.asarray([1.0, -2.0, 0.5])
    omega, path = np.zeros(3), np.zeros(3)
    params = {"w": jnp.asarray(theta, jnp.float32)}
    state, step = rule.init(params), jax.jit(rule.update)
    random = np.random.default_rng(0)
    for _night in range(3):
        for _ in range(4):
            slope = random.normal(size=3)
            updates, state = step({"w": jnp.asarray(slope, jnp.float32)}, state, params)
            params = optax.apply_updates(params, updates)
            change = -rate * (slope + 2 * c * omega * (theta - anchor))
            path, theta = path - slope * change, theta + change
            np.testing.assert_allclose(params["w"], theta, rtol=1e-4)
            np.testing.assert_allclose(state.path["w"], path, rtol=1e-4, atol=1e-6)
        omega = omega + np.maximum(path, 0) / ((theta - anchor) ** 2 + 0.01)
        anchor, path = theta, np.zeros(3)
        state = settled(state, params, damping=0.01)
        np.testing.assert_allclose(state.importance["w"], omega, rtol=1e-4)
        assert not state.path["w"].any() and (omega > 0).any()


def test_the_path_adds_up_to_what_the_loss_lost():
    """With small steps sum_i w_i = L(start) - L(end): what each synapse did is a share of the whole."""
    rule = synaptic_intelligence(optax.sgd(0.002))
    scale = jnp.asarray([3.0, 1.0, 0.1])
    loss = lambda p: (scale * (p["w"] - 1) ** 2).sum()  # noqa: E731

    def step(carry, _):
        params, state = carry
        updates, state = rule.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    start = {"w": jnp.zeros(3)}
    (end, state), _ = jax.lax.scan(step, (start, rule.init(start)), None, length=300)
    assert float(state.path["w"].sum()) == pytest.approx(float(loss(start) - loss(end)), rel=0.02)
    np.testing.assert_allclose(state.path["w"], scale - scale * (end["w"] - 1) ** 2, rtol=0.02)


def test_synapses_settle_at_night():
    """The stage settles what the rule kept of the day, and nothing else; `awake` may donate every leaf of it."""
    mind = laws(synaptic_intelligence(optax.sgd(0.1)))
    state = lived(mind, body(), 1)
    kept = find(state.learner, Intelligent)
    after, _ = settle_synapses(damping=0.2)(mind, state, KEY)
    assert_same(after.replace(learner=state.learner), state)
    found = find(after.learner, Intelligent)
    paths = {field: flat(getattr(found, field)) for field in ("importance", "anchor", "path")}
    for path, theta in flat(state.params).items():
        o, w, a = (np.asarray(flat(tree)[path], float) for tree in (kept.importance, kept.path, kept.anchor))
        np.testing.assert_allclose(paths["importance"][path], o + w / ((theta - a) ** 2 + 0.2), rtol=1e-5)
        np.testing.assert_array_equal(paths["anchor"][path], theta)
        assert not np.asarray(paths["path"][path]).any()
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((after.params, after.learner))]
    assert len(set(pointers)) == len(pointers)
