"""L2 Init, shrink and perturb, and continual backprop, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dellm_jax.learning import continual_backprop, perturb, toward_birth
from dellm_jax.trees import flat
from dellm_jax.types import Thought

RANDOM = np.random.default_rng(0)
UNITS, LIVING, INPUTS, HEARD = 6, 4, 40, 30  # of the units 4 and 5 are silent padding; so are the last ten inputs


def nets(random, feedback=False):
    """x -> low -> high -> concepts, with silent padding in every layer."""
    shapes = {("low", "x"): (INPUTS, UNITS), ("high", "low"): (UNITS, UNITS), ("concepts", "high"): (UNITS, 3)}
    params = {}
    for (node, source), shape in shapes.items():
        weights = random.normal(size=shape).astype(np.float32)
        weights[HEARD if source == "x" else LIVING :] = 0
        bias = random.normal(size=shape[1]).astype(np.float32)
        if node != "concepts":
            weights[:, LIVING:] = bias[LIVING:] = 0
        params[node] = {f"from_{source}": weights, "bias": bias}
        if feedback and node != "concepts":
            params[node][f"to_{source}"] = weights.T.copy()
    return jax.tree.map(jnp.asarray, params)


def fired(random):
    """A thought of five examples in which the padding is silent."""
    values = {node: np.abs(random.normal(size=(5, UNITS))).astype(np.float32) for node in ("low", "high")}
    for node in values:
        values[node][:, LIVING:] = 0
    return Thought(jnp.zeros((5, 3)), {"x": jnp.ones((5, INPUTS))} | values, {})


def slope_of(params, random):
    """A gradient of everything that is not silent."""
    return jax.tree.map(lambda p: jnp.asarray(random.normal(size=p.shape), jnp.float32) * (p != 0), params)


def test_l2_init_pulls_back_to_birth():
    """g + 2 strength (theta - theta_0): nothing at birth, and the whole way against what was moved since."""
    rule, birth = toward_birth(0.1), {"w": jnp.asarray([1.0, -2.0])}
    state, slope = rule.init(birth), {"w": jnp.asarray([0.5, 0.0])}
    np.testing.assert_array_equal(rule.update(slope, state, birth)[0]["w"], [0.5, 0.0])
    pulled, after = rule.update(slope, state, {"w": jnp.asarray([2.0, -5.0])})
    np.testing.assert_allclose(pulled["w"], [0.5 + 0.2 * 1, 0.2 * -3], rtol=1e-6)
    np.testing.assert_array_equal(after.params["w"], birth["w"])


def test_noise_has_its_variance_and_spares_the_silent():
    """theta + update + N(0, deviation^2), drawn anew every step; weights of silent units, exactly 0, stay so."""
    rule, params = perturb(0.3), {"w": jnp.ones((100, 100)).at[:, 50:].set(0.0)}
    given = {"w": jnp.full((100, 100), 0.25).at[:, 50:].set(0.0)}
    one, state = rule.update(given, rule.init(params), params)
    two, _ = rule.update(given, state, params)
    noise = np.stack([one["w"], two["w"]]) - given["w"]
    assert not noise[:, :, 50:].any()
    noise = noise[:, :, :50].reshape(2, -1)
    assert np.abs(noise.mean(1)).max() < 5 * 0.3 / 5000**0.5
    np.testing.assert_allclose(noise.var(1), 0.09, rtol=5 * (2 / 5000) ** 0.5)
    assert abs(np.corrcoef(noise)[0, 1]) < 5 / 5000**0.5


# continual backprop


def useful(w_in, w_out, history, decay):
    """Utility of every living unit, and its running mean output, after a history of outputs [B, U], unit by unit."""
    u, m = np.zeros(UNITS), np.zeros(UNITS)
    for n, h in enumerate(np.asarray(history, float), start=1):
        for unit in range(LIVING):
            m[unit] = decay * m[unit] + (1 - decay) * h[:, unit].mean()
            deviation = np.abs(h[:, unit] - m[unit] / (1 - decay**n)).mean()
            strength = np.abs(w_out[unit]).sum() / np.abs(w_in[:, unit]).sum()
            u[unit] = decay * u[unit] + (1 - decay) * deviation * strength
    return u, m


def test_utility_is_its_equation_over_two_steps():
    """u <- d u + (1 - d) mean |h - m/(1 - d^n)| sum|w_out| / sum|w_in|, m <- d m + (1 - d) mean h."""
    params, thoughts = nets(RANDOM), [fired(RANDOM) for _ in range(2)]
    rule = continual_backprop(optax.set_to_zero(), rate=0.0, decay=0.8)
    state, step = rule.init(params), jax.jit(rule.update)
    for thought in thoughts:
        updates, state = step(params, state, params, activity=thought)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(updates)), "the inner rule rests, nobody is renewed"
    for node, source, reader in (("low", "x", "high"), ("high", "low", "concepts")):
        history = [thought.values[node] for thought in thoughts]
        u, m = useful(params[node][f"from_{source}"], params[reader][f"from_{node}"], history, 0.8)
        np.testing.assert_allclose(state.utility[node]["bias"], u, rtol=1e-5)
        np.testing.assert_allclose(state.mean[node]["bias"], m, rtol=1e-5)
        np.testing.assert_array_equal(state.age[node]["bias"], 2)


def test_the_least_useful_mature_unit_is_renewed_when_its_turn_comes():
    """`due` gains rate times the mature; at 1 the mature unit of least u / (1 - d^age) begins anew; padding never does.

    Four units at a rate of 0.3, mature after 2 steps: due is 0, 0, 1.2 -> 0.2, then 0.9 more a step for three of them.
    """
    random = np.random.default_rng(1)
    rule, params = continual_backprop(optax.set_to_zero(), 0.3, 0.9, maturity=2), nets(random)
    state, step = rule.init(params), jax.jit(rule.update)
    due, age, first = {"low": 0.0, "high": 0.0}, {node: np.zeros(UNITS) for node in ("low", "high")}, params
    history, renewals = [], []
    for _ in range(12):
        history.append(fired(random))
        updates, state = step(params, state, params, activity=history[-1])
        params = optax.apply_updates(params, updates)
        for node in due:
            age[node] += 1
            mature = (age[node] > 2) & (np.arange(UNITS) < LIVING)
            due[node] += 0.3 * mature.sum()
            born = np.flatnonzero(np.asarray(state.age[node]["bias"]) == 0)
            assert len(born) == (due[node] >= 1 and mature.any()) and mature[born].all()
            due[node] -= len(born)
            age[node][born] = 0
            renewals += [(len(history), node, int(unit)) for unit in born]
            np.testing.assert_array_equal(state.age[node]["bias"], age[node])
            assert float(state.due[node]) == pytest.approx(due[node], abs=1e-5)
            assert not np.asarray(state.utility[node]["bias"])[born].any()
            assert not np.asarray(state.mean[node]["bias"])[born].any()
    assert len(renewals) > 8 and renewals[0][:2] == (3, "low")
    low = [thought.values["low"] for thought in history[:3]]
    u, _ = useful(first["low"]["from_x"], first["high"]["from_low"], low, 0.9)
    assert renewals[0][2] == np.argmin(u[:LIVING])


@pytest.mark.parametrize("feedback", [False, True])
def test_a_renewed_unit_begins_anew_and_nobody_else_notices(feedback):
    """Incoming He weights from the living, outgoing zero, no moments; all else is exactly what Adam alone would do."""
    random, adam = np.random.default_rng(2), optax.adam(0.01)
    rule, params = continual_backprop(adam, 0.25, 0.9, 0), nets(random, feedback)
    params["low"]["from_x"] = params["low"]["from_x"].at[:, 1].multiply(1e3)  # makes unit 1 the least useful
    params["concepts"]["from_high"] = params["concepts"]["from_high"].at[2].multiply(1e-3)  # and 2 among the high
    state = rule.init(params)
    state = state._replace(inner=adam.update(slope_of(params, random), state.inner, params)[1])
    slope = slope_of(params, random)
    updates, after = jax.jit(rule.update)(slope, state, params, activity=fired(random))
    assert int(after.age["low"]["bias"][1]) == 0 == int(after.age["high"]["bias"][2])
    expected, inner = adam.update(slope, state.inner, params)
    own = {path: np.zeros(leaf.shape, bool) for path, leaf in flat(params).items()}
    for path, where in (("low/from_x", np.s_[:, 1]), ("high/from_low", np.s_[:, 2]), ("low/bias", 1), ("high/bias", 2)):
        own[path][where] = True
    for path, where in (("high/from_low", 1), ("concepts/from_high", 2)):
        own[path][where] = True
    for moment in ("mu", "nu"):
        found, alone = (flat(getattr(tree[0], moment)) for tree in (after.inner, inner))
        for path, mask in own.items():
            np.testing.assert_allclose(found[path], np.where(mask, 0, alone[path]), rtol=1e-6, atol=1e-7, err_msg=path)
    np.testing.assert_array_equal(after.inner[0].count, inner[0].count)
    for path, mask in own.items():
        np.testing.assert_allclose(flat(updates)[path][~mask], flat(expected)[path][~mask], atol=1e-4, err_msg=path)
    new = jax.device_get(optax.apply_updates(params, updates))
    assert not new["high"]["from_low"][1].any() and not new["concepts"]["from_high"][2].any()
    assert new["low"]["bias"][1] == 0 == new["high"]["bias"][2]
    fresh = new["low"]["from_x"][:, 1]
    assert not fresh[HEARD:].any() and fresh[:HEARD].all()
    assert 0.5 < fresh[:HEARD].std() / (2 / HEARD) ** 0.5 < 1.5
