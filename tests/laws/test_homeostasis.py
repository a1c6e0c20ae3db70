"""Laws of homeostasis: theta += speed (P(a > 0) - target) for the living, and nothing for anybody else."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_lives import IMAGE, TEXT, body, experiences, laws, live_step, lived, newborn, train

from dellm_jax.assemblies import adapt
from dellm_jax.assemblies.homeostasis import RATE_DECAY

few = settings(max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
SPEED, TARGET = 2.0**-10, 0.25
fixed = laws(optax.set_to_zero())


def units(active, threshold=0.5, rate=0.5):
    """Homeostasis of one assembly."""
    active = jnp.asarray(active, jnp.float32)
    full = partial(jnp.full, active.shape)
    return {"seen": {"active": active, "age": full(1.0), "threshold": full(threshold), "rate": full(rate)}}


@few
@given(st.integers(0, 2**16))
def test_thresholds_move_by_speed_times_rate_minus_target(seed):
    """Exact, bit for bit: every number here is a few times a power of two, which float32 adds without rounding."""
    random = np.random.default_rng(seed)
    values = random.integers(-1, 2, (8, 6)).astype(np.float32)
    active = random.integers(0, 2, 6)
    after = adapt(units(active), {"seen": jnp.asarray(values)}, {}, jnp.ones(8), SPEED, TARGET)["seen"]
    rate = (values > 0).sum(0) / 8
    np.testing.assert_array_equal(after["threshold"], 0.5 + active * SPEED * (rate - TARGET))
    np.testing.assert_allclose(after["rate"], 0.5 + active * (1 - RATE_DECAY) * (rate - 0.5), rtol=1e-6)
    np.testing.assert_array_equal(after["active"], active)
    np.testing.assert_array_equal(after["age"], np.ones(6))


def test_examples_count_by_their_weight_and_where_the_assembly_took_part():
    """P(a > 0) is a weighted mean over the examples that are there; without any, nothing moves."""
    values = {"seen": jnp.asarray([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])}

    def threshold(weight, presence):
        there = {name: jnp.asarray(part) for name, part in presence.items()}
        return adapt(units([1, 1]), values, there, jnp.asarray(weight), SPEED, TARGET)["seen"]["threshold"]

    weighted = 0.5 + SPEED * (np.array([1.0, 0.25]) - TARGET)
    np.testing.assert_array_equal(threshold([3.0, 1.0, 0.0], {}), weighted)
    np.testing.assert_array_equal(threshold([3.0, 1.0, 5.0], {"seen": [1.0, 1.0, 0.0]}), weighted)
    np.testing.assert_array_equal(threshold([0.0, 0.0, 0.0], {}), [0.5, 0.5])
    np.testing.assert_array_equal(threshold([3.0, 0.0, 0.0], {"seen": [0.0, 1.0, 1.0]}), [0.5, 0.5])


def test_a_life_moves_its_thresholds_by_the_rule():
    """One awake step: theta moves by speed (rate - target), the rate counted here from a = relu(x W + b - theta)."""
    state = lived(fixed, body(), 0)
    state = state.replace(hyper=state.hyper | {"threshold_speed": jnp.float32(0.01)})
    moment = experiences((32,))
    after, _ = live_step(fixed, state, moment)
    x = np.asarray(moment.senses["image"]).reshape(32, -1) / 255.0
    for node, source in (("vision", "image"), ("association", "vision")):
        weights, old = state.params[node], state.homeostasis[node]
        x = x @ np.asarray(weights[f"from_{source}"]) + weights["bias"] - old["threshold"]
        x = np.maximum(x, 0) * old["active"]
        step = state.hyper["threshold_speed"] * ((x > 0).mean(0) - state.hyper["firing_target"]) * old["active"]
        np.testing.assert_allclose(after.homeostasis[node]["threshold"], old["threshold"] + step, atol=1e-8)
        assert np.abs(step).max() > 0.1 * 0.01


def test_an_assembly_that_took_no_part_keeps_its_state():
    """What is not experienced does not adapt: reading rests while only images are seen."""
    state = lived(fixed, body(senses=(IMAGE, TEXT)), 0)
    after, _ = live_step(fixed, state, experiences((4,)))
    for kind in ("threshold", "rate"):
        np.testing.assert_array_equal(after.homeostasis["reading"][kind], state.homeostasis["reading"][kind])
        assert np.all(after.homeostasis["vision"][kind][:5] != state.homeostasis["vision"][kind][:5])


def test_silent_units_never_move():
    """Whatever is lived, a silent unit keeps threshold and rate bit for bit, and every living unit moves."""
    living = {"vision.units": {1, 4, 6}, "association.units": {0, 7}}
    state = lived(fixed, body(), 0, living)
    after = train(fixed, state, experiences((6, 32)))
    for axis, alive in living.items():
        node = axis.removesuffix(".units")
        silent = np.setdiff1d(np.arange(8), list(alive))
        for kind in ("threshold", "rate", "active"):
            old, new = state.homeostasis[node][kind], after.homeostasis[node][kind]
            np.testing.assert_array_equal(new[silent], old[silent])
            assert kind == "active" or np.all(new[np.array(list(alive))] != old[np.array(list(alive))])


def test_firing_rates_approach_the_target():
    """After 500 steps of a random stream every unit fires within .03 of the target.

    With speed s and density f of the drive at the threshold, theta relaxes at rate s f and wavers by
    sqrt(s p (1 - p) / (2 f B)): s = .03, f ~ .5, B = 32 and p = .15 give 67 steps and a wavering of the rate of .005.
    Units of vision are measured on 4,096 new examples. Those of association read rectified units, so that their drive
    has an atom at zero; a threshold held there alternates, and its running rate is what meets the target.
    """
    hyper = {"threshold_speed": jnp.float32(0.03), "firing_target": jnp.float32(0.15)}
    state = newborn(fixed, body())
    state = train(fixed, state.replace(hyper=state.hyper | hyper), experiences((500, 32)))
    x = np.asarray(experiences((4096,), seed=1).senses["image"]).reshape(4096, -1) / 255.0
    drive = x @ np.asarray(state.params["vision"]["from_image"]) + state.params["vision"]["bias"]
    fires = (drive > state.homeostasis["vision"]["threshold"])[:, :5].mean(0)
    np.testing.assert_allclose(fires, 0.15, atol=0.03)
    for node in ("vision", "association"):
        np.testing.assert_allclose(state.homeostasis[node]["rate"][:5], 0.15, atol=0.03, err_msg=node)
