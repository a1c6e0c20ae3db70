"""Laws of learning: losses worked by hand, local rules against their equations, the optax contract of every rule."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import meta

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import (
    Errors,
    asymmetric_cross_entropy,
    by_pathway,
    cross_entropy,
    oja,
    predictive_coding,
    relaxation,
    soft_hebb,
    top_down,
)
from dellm_jax.senses import Image, Text
from dellm_jax.trees import flat
from dellm_jax.types import Lesson, Thought

BODY = Architecture(
    senses=(Image(2, 3, code_side=1, filters=1, kernel=1, cells=1), Text(width=2, buckets=4)),
    assemblies=(Assembly("low", ("image",), 5), Assembly("high", ("low", "image", "text"), 4)),
    concepts=4,
    quantum=1,
    episodic_bytes=99,
)
CORTEX = Cortex(BODY)
think = jax.jit(CORTEX.apply)
TARGET, LIVED = jnp.asarray([0, 1, 2, 0, 1, 2]), jnp.asarray([1.0, 1, 0, 0, 1, 0])
WEIGHT = jnp.asarray([1.0, 1, 1, 1, 0, 2])
PRESENCE = {"image": np.float32([1, 1, 1, 0, 1, 1]), "text": np.float32([0, 1, 1, 1, 1, 0])}
PERCEPTS = {  # what is absent is zero, as `experience` makes it
    sense: np.random.default_rng(size).random((6, size), np.float32) * PRESENCE[sense][:, None]
    for sense, size in (("image", 6), ("text", 4))
}


def missed(logits: jax.Array) -> jax.Array:
    """Cross-entropy of what is said of the six."""
    return cross_entropy(Lesson(logits, TARGET, WEIGHT, LIVED, jnp.asarray(0.0)))


@pytest.fixture(scope="module")
def body() -> dict:
    """Variables of a small cortex with random weights everywhere, thresholds, and one concept that is not yet born."""
    variables = meta.unbox(jax.jit(CORTEX.init)(jax.random.key(0)))
    generator = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.4 * generator.normal(size=leaf.shape) + 0.1, jnp.float32), variables["params"]
    )
    homeostasis = {
        node: dict(kept) | ({"threshold": np.full_like(kept["threshold"], -0.1)} if "threshold" in kept else {})
        for node, kept in variables["homeostasis"].items()
    }
    homeostasis["concepts"]["active"] = jnp.asarray([1.0, 1, 1, 0])
    return {"params": params, "homeostasis": homeostasis}


@pytest.fixture(scope="module")
def thought(body) -> Thought:
    """What that cortex thinks of six examples, some of them without a picture or a word."""
    return think(body, PERCEPTS, PRESENCE)


# losses


def taught(logits: jax.Array, target: list[int], weight: list[float], lived: list[float]) -> Lesson:
    """A lesson of the first day."""
    return Lesson(logits, jnp.asarray(target), jnp.asarray(weight), jnp.asarray(lived), jnp.asarray(0.0))


def test_cross_entropy_by_hand():
    """-log softmax(ln 1, ln 3)[1] = ln 4/3 and [0] = ln 4; their mean weighs 3 to 1; nothing at all costs nothing."""
    logits = jnp.log(jnp.asarray([[1.0, 3], [1, 3], [1, 3]]))
    lesson = partial(taught, logits, [1, 0, 0], lived=[1.0, 1, 1])
    assert float(cross_entropy(lesson([3.0, 1, 0]))) == pytest.approx((3 * np.log(4 / 3) + np.log(4)) / 4)
    assert float(cross_entropy(lesson([0.0, 0, 0]))) == 0.0


def test_lived_examples_compete_among_the_concepts_lived():
    """ER-ACE with equal logits: a lived example costs ln(concepts lived in the batch), a rehearsed one ln(all)."""
    lesson = partial(taught, jnp.zeros((4, 5)), [0, 3, 4, 1])
    loss = float(asymmetric_cross_entropy(lesson([1.0, 1, 1, 0], [1.0, 1, 0, 1])))
    assert loss == pytest.approx((np.log(2) + np.log(2) + np.log(5)) / 3), "what weighs 0 was not lived either"
    assert float(asymmetric_cross_entropy(lesson([1.0] * 4, [1.0] * 4))) == pytest.approx(np.log(4))
    assert float(asymmetric_cross_entropy(lesson([1.0] * 4, [0.0] * 4))) == pytest.approx(np.log(5))


def test_lived_examples_do_not_push_down_absent_concepts():
    """d loss / d logit of a concept absent from the batch is exactly 0 for a lived example, not for a rehearsed one."""
    lesson = taught(jax.random.normal(jax.random.key(0), (4, 5)), [0, 3, 4, 0], [1.0] * 4, [1.0, 1, 0, 1])
    slope = np.asarray(jax.grad(lambda z: asymmetric_cross_entropy(lesson.replace(logits=z)))(lesson.logits))
    absent = [1, 2, 4]
    assert not slope[[0, 1, 3]][:, absent].any()
    assert (slope[[0, 1, 3]][:, [0, 3]] != 0).all() and (slope[2] != 0).all()
    np.testing.assert_allclose(slope.sum(1), 0, atol=1e-7)


# Oja


def fabricated(pre: jax.Array, post: jax.Array) -> Thought:
    """A thought in which assembly `a` answered `post` to `x`."""
    return Thought(jnp.zeros((len(pre), 2)), {"x": pre, "a": post}, {})


def test_oja_is_its_equation():
    """dW_iu = rate mean_b a_bu (x_bi - a_bu W_iu), worked for one unit, two inputs, two examples; all else rests."""
    params = {"a": {"from_x": jnp.asarray([[2.0], [0.0]]), "bias": jnp.ones(1), "to_x": jnp.ones((1, 2))}}
    rule = oja(0.5)
    seen = fabricated(jnp.asarray([[1.0, 3.0], [0.0, 1.0]]), jnp.asarray([[1.0], [2.0]]))
    updates, _ = rule.update(params, rule.init(params), params, activity=seen)
    # unit answers 1 and 2: input 1 gets (1 (1 - 2) + 2 (0 - 4)) / 2, input 2 gets (1 3 + 2 1) / 2
    np.testing.assert_allclose(updates["a"]["from_x"], 0.5 * np.asarray([[-4.5], [2.5]]))
    assert not updates["a"]["bias"].any() and not updates["a"]["to_x"].any()


def test_soft_hebb_is_its_equation_and_leaves_the_silent_alone():
    """Two units that answer 0 and ln 3 share 1 : 3; each learns x - a w by its share; one without weights none."""
    weights = jnp.asarray([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    params = {"a": {"from_x": weights, "bias": jnp.ones(3), "to_x": jnp.ones((3, 2))}}
    rule, answer = soft_hebb(0.5), np.log(3)
    seen = fabricated(jnp.asarray([[1.0, 3.0]]), jnp.asarray([[0.0, answer, 0.0]]))
    updates, _ = rule.update(params, rule.init(params), params, activity=seen)
    first, second = 0.25 * np.asarray([1.0, 3.0]), 0.75 * (np.asarray([1.0, 3.0]) - answer)
    np.testing.assert_allclose(updates["a"]["from_x"], 0.5 * np.stack([first, second, [0, 0]], 1), rtol=1e-6)
    assert not updates["a"]["bias"].any() and not updates["a"]["to_x"].any()


def test_competitors_come_to_stand_for_inputs_of_their_own():
    """Of two clusters each finds its unit under soft_hebb; under oja both units turn to one direction."""
    random = np.random.default_rng(0)
    centres = np.float32([[3, 0, 1], [0, 3, 1]])
    x = jnp.asarray(np.repeat(centres, 50, 0) + random.normal(0, 0.1, (100, 3)), jnp.float32)
    start = jnp.asarray(random.uniform(0.1, 0.5, (3, 2)), jnp.float32)

    def end(rule):
        def step(weights, _):
            params = {"a": {"from_x": weights}}
            seen = fabricated(x, jax.nn.relu(x @ weights))
            return weights + rule.update(params, rule.init(params), params, activity=seen)[0]["a"]["from_x"], None

        weights = jax.lax.scan(step, start, length=2000)[0]
        return weights / jnp.linalg.norm(weights, axis=0)

    apart, together = end(soft_hebb(0.05, 0.5)), end(oja(0.05))
    assert {int(unit) for unit in (jnp.asarray(centres) @ apart).argmax(1)} == {0, 1}
    assert float(apart[:, 0] @ apart[:, 1]) < 0.5 < 0.99 < float(together[:, 0] @ together[:, 1])


def test_oja_turns_to_the_leading_principal_component():
    """A linear unit's weights converge to the leading eigenvector of E[x x^T] with norm 1 from any start."""
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.normal(size=(64, 5)) @ generator.normal(size=(5, 5)), jnp.float32)
    leading = np.linalg.eigh(np.asarray(x.T @ x))[1][:, -1]
    rule = oja(0.02)

    def step(params: dict, _: None) -> tuple[dict, None]:
        updates, _ = rule.update(params, optax.EmptyState(), params, activity=fabricated(x, x @ params["a"]["from_x"]))
        return optax.apply_updates(params, updates), None

    start = {"a": {"from_x": jnp.asarray(generator.normal(size=(5, 3)) * [0.1, 1, 2], jnp.float32)}}
    learned, _ = jax.lax.scan(step, start, None, length=2000)
    weights = np.asarray(learned["a"]["from_x"])
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(np.abs(leading @ weights), 1, atol=1e-3)


# predictive coding


def test_top_down_errors_are_what_the_feedback_missed(body, thought):
    """epsilon = x - a V for every source of every assembly, zero in the examples in which the source is absent."""
    errors = top_down(CORTEX, body, thought)
    assert {node: len(sources) for node, sources in errors.items()} == {"low": 1, "high": 3}
    for node, sources in errors.items():
        for source, error in sources.items():
            expected = thought.values[source] - thought.values[node] @ body["params"][node][f"to_{source}"]
            np.testing.assert_allclose(error, expected * thought.presence[source][:, None], atol=1e-6)
    assert not np.asarray(errors["high"]["text"])[[0, 5]].any() and np.asarray(errors["high"]["text"])[1].any()


def test_feedback_learns_the_outer_product_of_its_two_ends(body, thought):
    """dV = rate mean_b a^T epsilon / (1 + mean_b |a|^2); without bottom-up errors nothing that goes up changes."""
    errors = top_down(CORTEX, body, thought)
    rule, params = predictive_coding(0.3), body["params"]
    updates, _ = rule.update(
        params, rule.init(params), params, activity=thought, error=Errors(errors, {}, thought.values)
    )
    for path, update in flat(updates).items():
        node, name = path.split("/")
        expected = np.zeros_like(update)
        if name.startswith("to_"):
            output = np.asarray(thought.values[node])
            products = np.einsum("bu,bi->ui", output, errors[node][name.removeprefix("to_")]) / 6
            expected = 0.3 * products / (1 + (output**2).sum() / 6)
        np.testing.assert_allclose(update, expected, atol=1e-6, err_msg=path)


def test_forward_learns_the_outer_product_of_its_two_ends(body, thought):
    """dW = rate mean_b x^T delta and db = rate mean_b delta where a bottom-up error is given; other weights rest."""
    delta, relaxed = jax.random.normal(jax.random.key(4), (6, 4)), {node: 2 * x for node, x in thought.values.items()}
    rule, params = predictive_coding(0.3), body["params"]
    updates, _ = rule.update(
        params, rule.init(params), params, activity=thought, error=Errors({}, {"high": delta}, relaxed)
    )
    for path, update in flat(updates).items():
        node, name = path.split("/")
        expected = np.zeros_like(update)
        if node == "high" and name == "bias":
            expected = 0.3 * np.asarray(delta).mean(0)
        elif node == "high" and name.startswith("from_"):
            expected = 0.3 * np.einsum("bi,bu->iu", relaxed[name.removeprefix("from_")], delta) / 6
        np.testing.assert_allclose(update, expected, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("strength", [0.3, 30.0])
def test_top_down_prediction_settles_at_least_squares(strength):
    """For any rate below 2 and however strongly units fire, V converges to argmin |x - a V|^2."""
    generator = np.random.default_rng(1)
    activity = np.abs(strength * (generator.normal(size=(32, 3)) + 0.5)).astype(np.float32)
    x = generator.normal(size=(32, 4)).astype(np.float32) + activity[:, :1] / strength
    rule = predictive_coding(1.5)

    def step(params: dict, _: None) -> tuple[dict, jax.Array]:
        missed = x - activity @ params["a"]["to_x"]
        error = Errors({"a": {"x": missed}}, {}, {})
        updates, _ = rule.update(params, optax.EmptyState(), params, activity=fabricated(x, activity), error=error)
        return optax.apply_updates(params, updates), (missed**2).sum()

    learned, missed = jax.lax.scan(step, {"a": {"to_x": jnp.zeros((3, 4))}}, None, length=1500)
    assert (np.diff(missed) <= 1e-4 * missed[0]).all()
    best = np.linalg.lstsq(activity, x)[0]
    np.testing.assert_allclose(learned["a"]["to_x"], best, atol=2e-3 * np.abs(best).max())


def forward_update(body: dict, nudge: float, steps: int = 250) -> tuple[jax.Array, ...]:
    """Every forward weight and bias in one row: predictive coding's update of rate 1, and minus backprop's gradient."""

    def objective(params: dict) -> tuple[jax.Array, Thought]:
        thought = CORTEX.apply(body | {"params": params}, PERCEPTS, PRESENCE)
        return missed(thought.logits), thought

    slope, thought = jax.grad(objective, has_aux=True)(body["params"])
    settle = relaxation(steps, 0.2, nudge)
    errors = settle(CORTEX, body, thought, lambda logits: 6 * missed(logits))
    rule = predictive_coding(1.0)
    updates, _ = rule.update(slope, rule.init(slope), body["params"], activity=thought, error=Errors({}, *errors))
    ahead = [path for path in flat(slope) if "/to_" not in path]
    return tuple(
        jnp.concatenate([s * jnp.ravel(flat(tree)[p]) for p in ahead]) for s, tree in ((1, updates), (-1, slope))
    )


def test_relaxation_becomes_backprop_as_the_nudge_vanishes(body):
    """Update(nudge) = -gradient + O(nudge), so 2 update(n / 2) - update(n) = -gradient + O(nudge^2)."""
    relax = jax.jit(forward_update)
    (whole, slope), (half, _) = relax(body, 0.01), relax(body, 0.005)
    away = [np.linalg.norm(update - slope) / np.linalg.norm(slope) for update in (whole, half, 2 * half - whole)]
    assert 0.4 < away[1] / away[0] < 0.6 and away[2] < 1e-3, away


def test_the_first_step_of_relaxation_is_felt_by_the_topmost_only(body, thought):
    """After one step delta = -speed dL/dlogits W^T relu' in the assembly that concepts read, and 0 below it."""
    errors, _ = relaxation(1, 0.3, 0.5)(CORTEX, body, thought, missed)
    slope = np.asarray(jax.grad(missed)(thought.logits)) @ np.asarray(body["params"]["concepts"]["from_high"]).T
    np.testing.assert_allclose(errors["high"], -0.3 * slope * (np.asarray(thought.values["high"]) > 0), atol=1e-6)
    assert not np.asarray(errors["low"]).any() and slope.any()


def test_relaxation_leaves_the_unborn_alone(body, thought):
    """A concept that is not born neither competes nor learns: the error on its drive is 0."""
    settle = jax.jit(lambda *state: relaxation()(CORTEX, *state, missed))
    errors, _ = settle(body, thought)
    assert not np.asarray(errors["concepts"])[:, 3].any() and np.asarray(errors["concepts"])[:, :3].any()
    assert not np.asarray(errors["concepts"])[4].any(), "nor does an example of weight 0"


# rules as optax transformations

RULES = {
    "oja": oja(0.1),
    "soft hebb": soft_hebb(0.1),
    "predictive coding": predictive_coding(0.1),
    "by pathway": by_pathway(optax.adam(0.1), predictive_coding(0.1)),
    "a chain": optax.chain(optax.clip_by_global_norm(1.0), by_pathway(optax.sgd(0.1, 0.9), oja(0.1))),
}


@pytest.fixture(scope="module")
def felt(body, thought) -> dict:
    """What `study.learn` offers to a rule by keyword."""
    bottom_up = {"low": jnp.ones((6, 5)), "high": jnp.ones((6, 4)), "concepts": jnp.ones((6, 4))}
    return {"activity": thought, "error": Errors(top_down(CORTEX, body, thought), bottom_up, thought.values)}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_keeps_the_optax_contract(name, body, felt):
    """init and update run under jit; updates have the form of the parameters, the state keeps its own, all is finite.

    What a rule does not ask for it ignores.
    """
    rule, params = RULES[name], body["params"]
    state = jax.jit(rule.init)(params)
    update = jax.jit(lambda *three: rule.update(*three, **felt, something_else=jnp.ones(3)))
    for _ in range(2):
        updates, after = update(params, state, params)
        for one, other in ((updates, params), (after, state)):
            assert jax.tree.structure(one) == jax.tree.structure(other)
            assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(*map(jax.tree.leaves, (one, other))))  # noqa: B905
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updates))
        assert any(np.any(leaf) for leaf in jax.tree.leaves(updates))
        state = after


@pytest.mark.parametrize("name", ["oja", "predictive coding"])
def test_masked_parameters_stay_masked(name, body, felt):
    """A rule given a part of the body leaves MaskedNode where it found it, and learns the rest as before."""
    rule = RULES[name]
    whole, _ = rule.update(body["params"], rule.init(body["params"]), body["params"], **felt)
    masked = {node: dict(leaves) for node, leaves in body["params"].items()}
    masked["low"]["bias"] = masked["high"]["to_low"] = masked["high"]["from_text"] = optax.MaskedNode()
    updates, _ = rule.update(masked, rule.init(masked), masked, **felt)
    assert jax.tree.structure(updates) == jax.tree.structure(masked)
    jax.tree.map(np.testing.assert_array_equal, flat(updates), {path: flat(whole)[path] for path in flat(updates)})


def test_each_pathway_is_learned_by_its_own_rule(body, felt):
    """`to_*` gets exactly the update of the feedback rule, `from_*` and biases exactly that of the forward rule, and
    those of the concepts that of the readout's rule, if there is one."""
    params = body["params"]
    slope = jax.tree.map(jnp.cos, params)
    rules = {"forward": oja(0.1), "feedback": predictive_coding(0.1), "readout": optax.sgd(0.5)}
    alone = {
        way: optax.with_extra_args_support(rule).update(slope, rule.init(params), params, **felt)[0]
        for way, rule in rules.items()
    }
    for readout in (None, rules["readout"]):
        rule = by_pathway(rules["forward"], rules["feedback"], readout)
        updates, _ = rule.update(slope, rule.init(params), params, **felt)
        ways = set()
        for path, update in flat(updates).items():
            way = "feedback" if path.split("/")[1].startswith("to_") else "forward"
            way = "readout" if readout and path.startswith("concepts/") else way
            ways.add(way)
            np.testing.assert_array_equal(update, flat(alone[way])[path], err_msg=path)
        assert ways == {"forward", "feedback"} | ({"readout"} if readout else set())
