"""Contracts of waking life: create, respond, awake; what may be missing, what weighs nothing, what is refused."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import ArchitectureError, ExperienceError
from dellm_jax.experience import validate
from dellm_jax.learning import asymmetric_cross_entropy, by_pathway, oja, predictive_coding
from dellm_jax.mind import awake, awake_step, create, respond
from dellm_jax.senses import Image, Text
from dellm_jax.trees import copy, flat
from dellm_jax.types import Dellm, Experience, Mind

BODY = Architecture(
    senses=(
        Image(4, 4, code_side=4, code_bits=8, filters=4, kernel=3, stride=1, cells=2),
        Text(width=4, buckets=32),
    ),
    assemblies=(Assembly("seen", ("image",), 8), Assembly("joined", ("seen", "text"), 8)),
    concepts=6,
    quantum=8,
    episodic_bytes=21 * 60,
    semantic_chunk=16,
)
RULE = by_pathway(optax.adam(1e-2), predictive_coding(0.1))
MIND = Mind(Cortex, asymmetric_cross_entropy, RULE, rehearse=4)


def together(*rules: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """The sum of what several rules would do."""

    def update(slope, states, params, **felt):
        updates, states = zip(
            *(rule.update(slope, state, params, **felt) for rule, state in zip(rules, states, strict=True)), strict=True
        )
        return jax.tree.map(lambda *leaves: sum(leaves), *updates), states

    return optax.GradientTransformationExtraArgs(lambda params: tuple(rule.init(params) for rule in rules), update)


ALONE = MIND._replace(rehearse=0, rule=together(RULE, oja(0.01)))  # every kind of learning, nothing rehearsed
KEY = jax.random.key(0)
PICTURES = np.random.default_rng(9).integers(0, 256, (6, 4, 4, 1))
WORDS = np.frombuffer(b"one\0two\0sixnine" + b"tenellyes\0", np.uint8)[:24].reshape(6, 4)
step = jax.jit(awake_step, static_argnums=0)


def stretch(targets: list, senses: tuple[str, ...] = ("image", "text"), seed: int = 0) -> Experience:
    """Experiences of concepts [T, B] or [B]: a noisy picture and the word of each."""
    target = np.asarray(targets, np.int32)
    noise = np.random.default_rng(seed).normal(scale=15, size=(*target.shape, 4, 4, 1))
    raw = {"image": np.clip(PICTURES[target] + noise, 0, 255).astype(np.uint8), "text": WORDS[target]}
    return Experience({sense: raw[sense] for sense in senses}, target, np.ones(target.shape, np.float32))


DAY = stretch(np.random.default_rng(1).integers(0, 4, (40, 4)))


def bits(state: Dellm) -> dict[str, bytes]:
    """Every leaf as bytes."""
    keys = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return {
        path: np.asarray(jax.random.key_data(leaf) if keys(leaf) else leaf).tobytes()
        for path, leaf in flat(state).items()
    }


def changed(one: Dellm, other: Dellm) -> set[str]:
    """Paths of the leaves that are not the same bit for bit."""
    one, other = bits(one), bits(other)
    return {path for path in one if one[path] != other[path]}


@pytest.fixture(scope="module")
def newborn() -> Dellm:
    """A life in which nothing has happened."""
    return create(MIND, BODY, KEY)


@pytest.fixture(scope="module")
def day_old(newborn) -> Dellm:
    """The same life after forty batches of four concepts, seen and read."""
    return awake(MIND, copy(newborn), DAY)[0]


@pytest.fixture(scope="module")
def grown(day_old) -> Dellm:
    """The same life after four such days."""
    state = copy(day_old)
    for _ in range(3):
        state, _ = awake(MIND, state, DAY)
    return state


def test_the_same_key_gives_the_same_life(newborn):
    """`create` is deterministic bit for bit; another key gives another body and other filters."""
    assert not changed(newborn, create(MIND, BODY, jax.random.key(0)))
    other = changed(newborn, create(MIND, BODY, jax.random.key(1)))
    assert {"params/seen/from_image", "memory/semantic/image/filters", "key"} <= other
    assert not int(newborn.clock.steps) and not np.asarray(newborn.homeostasis["concepts"]["active"]).any()


def test_responding_changes_nothing_and_looks_at_no_target(grown):
    """The same question gets the same answer bit for bit, whatever its targets; the life stays as it is."""
    before, question = bits(grown), stretch([0, 1, 2, 3])
    one = respond(MIND, grown, question)
    other = respond(MIND, grown, question.replace(target=question.target[::-1] * 0, weight=question.weight * 0))
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert bits(grown) == before


def test_what_it_answers_is_the_pool_of_its_experts(grown):
    """log p = log softmax over born concepts of sum_e trust_e log p_e; concept and confidence are its largest."""
    trust = {"cortex": jnp.float32(0.5), "image": jnp.float32(2.0), "text": jnp.float32(0.0)}
    state = grown.replace(hyper=dict(grown.hyper) | {"trust": trust})
    response = respond(MIND, state, stretch([0, 1, 2, 3]))
    assert response.by.keys() == {"cortex", "image", "text"}
    by = {expert: np.asarray(log_p, np.float64)[:, :4] for expert, log_p in response.by.items()}
    for log_p in by.values():
        np.testing.assert_allclose(np.exp(log_p).sum(1), 1, atol=1e-5)
    pool = 0.5 * by["cortex"] + 2 * by["image"]
    expected = pool - np.log(np.exp(pool).sum(1, keepdims=True))
    np.testing.assert_allclose(response.log_probability[:, :4], expected, atol=1e-3)
    assert np.exp(response.log_probability)[:, 4:].max() == 0, "the unborn are never named"
    np.testing.assert_array_equal(response.concept, expected.argmax(1))
    np.testing.assert_allclose(response.confidence, np.exp(expected.max(1)), atol=1e-4)


def test_a_day_is_its_moments_one_after_another(newborn, day_old):
    """`awake` over [T, B] equals a Python loop of `awake_step`: episodes, counts and clock bit for bit, all closely."""
    state = newborn
    for moment in range(40):
        state, _ = step(MIND, state, jax.tree.map(lambda leaf: leaf[moment], DAY))  # noqa: B023
    exact = ("memory/episodic", "memory/semantic/image/count", "memory/semantic/text/count", "clock/steps", "key")
    assert not {path for path in changed(day_old, state) if path.startswith(exact)}
    for path, leaf in flat(day_old).items():
        if path != "key":
            close = 1e-3 * max(1.0, float(np.abs(leaf).max(initial=0)))
            np.testing.assert_allclose(leaf, flat(state)[path], atol=close, err_msg=path)


def test_the_first_moment_by_hand(newborn):
    """At birth all logits are equal, so the loss is ln(concepts lived); the clock counts what weighs something."""
    moment = stretch([0, 1, 2, 2])
    moment = moment.replace(weight=np.float32([1, 1, 1, 0]))
    state, report = step(MIND, newborn, moment)
    assert float(report["loss"]) == pytest.approx(np.log(3), rel=1e-5)
    assert float(report["accuracy"]) == pytest.approx(1 / 3), "the lowest of three equals is named, before learning"
    assert int(report["lived"]) == 3
    clock = state.clock
    assert (int(clock.steps), int(clock.experiences), int(clock.since_rest), int(clock.nights)) == (1, 3, 3, 0)
    assert float(clock.loss_fast) == pytest.approx(0.1 * np.log(3), rel=1e-5)
    assert float(clock.loss_slow) == pytest.approx(0.01 * np.log(3), rel=1e-5)


def test_a_concept_named_once_can_be_answered_at_once(newborn):
    """After one example a concept is alive and the only answer; a second one shares from its first on."""
    question, first = stretch([3, 3, 3, 3]), stretch([3, 3, 3, 3]).replace(weight=np.float32([1, 0, 0, 0]))
    state, _ = step(MIND, newborn, first)
    assert np.asarray(state.homeostasis["concepts"]["active"]).tolist() == [0, 0, 0, 1, 0, 0]
    response = respond(MIND, state, question)
    assert response.concept.tolist() == [3] * 4 and response.confidence.tolist() == [1.0] * 4
    state, _ = step(MIND, state, stretch([5, 3, 3, 3]).replace(weight=np.float32([1, 0, 0, 0])))
    probability = np.exp(respond(MIND, state, question).log_probability)
    assert (probability[:, [3, 5]] > 0.01).all() and not probability[:, [0, 1, 2, 4]].any()


@pytest.mark.parametrize("senses", [("image", "text"), ("image",), ("text",)])
def test_a_missing_sense_is_normal(grown, senses):
    """Lived through both senses, a concept is known through either alone; an absent sense has no say in the pool."""
    targets = [0, 1, 2, 3] * 4
    response = respond(MIND, grown, stretch(targets, senses, seed=5))
    assert response.by.keys() == {"cortex", *senses}
    assert response.concept.tolist() == targets
    assert response.by["cortex"].argmax(1).tolist() == targets, "the cortex alone too"


@pytest.fixture(scope="module")
def free(grown) -> Dellm:
    """The same life with a learner for every kind of rule."""
    return grown.replace(learner=ALONE.rule.init(grown.params))


def test_what_was_not_there_is_not_learned(free):
    """Of an experience that is only seen, what is known of words, and what predicts them, stays as it is."""
    state, _ = step(ALONE, free, stretch([4, 4, 4, 4], ("image",)))
    touched = changed(state, free)
    assert not {
        path for path in touched if path.startswith("memory/semantic/text") or path.startswith("params/joined/to_text")
    }
    assert {"memory/semantic/image/total", "params/joined/from_seen", "memory/episodic/codes/image"} <= touched
    first = int(state.memory.episodic.start[4])
    written = slice(first, first + 4)
    assert state.memory.episodic.present[written].tolist() == [0b01] * 4
    assert not np.asarray(state.memory.episodic.codes["text"][written]).any()


@pytest.mark.parametrize("mind", [ALONE, MIND], ids=["alone", "rehearsing"])
def test_rows_of_weight_zero_leave_no_trace(grown, free, mind):
    """Whatever rows of weight 0 hold, the whole life after the batch is the same bit for bit."""
    state, weight = free if mind is ALONE else grown, np.float32([1, 0, 1, 0])
    one, other = (stretch(targets, seed=3) for targets in ([0, 5, 1, 2], [0, 1, 1, 4]))
    other.senses["text"][[1, 3]] = 255
    one.senses["image"][[0, 2]] = other.senses["image"][[0, 2]]
    after = [step(mind, state, batch.replace(weight=weight))[0] for batch in (one, other)]
    assert not changed(*after)
    assert {"params/joined/from_seen", "params/joined/to_seen"} <= changed(after[0], state)


def test_what_is_learned_is_the_weighted_mean(free):
    """Two examples padded to four teach what each of them twice at half the weight teaches, by every kind of rule."""
    pair = stretch([0, 1, 0, 1], ("image",))
    pair.senses["image"][2:] = pair.senses["image"][:2]
    weights = ([1, 1, 0, 0], [0.5] * 4, [3, 3, 0, 0])
    one, *others = (step(ALONE, free, pair.replace(weight=np.float32(weight)))[0].params for weight in weights)
    for other in others:
        for path, leaf in flat(one).items():
            np.testing.assert_allclose(leaf, flat(other)[path], atol=1e-5, err_msg=path)


def test_nothing_lived_is_nothing_remembered(free):
    """A batch in which every weight is 0 leaves memories, concepts and the count of experiences as they are."""
    empty = stretch([0, 4, 5, 5]).replace(weight=np.zeros(4, np.float32))
    touched = changed(step(ALONE, free, empty)[0], free)
    still = ("memory/episodic", "homeostasis", "clock/experiences", "clock/since_rest")
    assert not {path for path in touched if path.startswith(still)}
    assert not {path for path in touched if path.startswith("memory/semantic") and path.endswith(("count", "total"))}


def test_another_self_may_answer(grown):
    """The params that `voice` gives are asked instead of those that learn; semantic memory says what it said."""
    mute = MIND._replace(voice=lambda params, learner: jax.tree.map(jnp.zeros_like, params))
    question = stretch([0, 1, 2, 3])
    own, other = respond(MIND, grown, question), respond(mute, grown, question)
    np.testing.assert_allclose(np.exp(other.by["cortex"])[:, :4], 0.25, atol=1e-6)
    for sense in ("image", "text"):
        np.testing.assert_array_equal(own.by[sense], other.by[sense])


@pytest.mark.parametrize(
    ("body", "moment", "said"),
    [
        (replace(BODY, episodic_bytes=0), stretch([0, 1]), "rehearse is 4, but architecture.episodic_bytes is 0"),
        (BODY, stretch([0, 1]).replace(value=np.float32([1, 2])), "value is not remembered.*set mind.rehearse to 0"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(body, moment, said):
    """Nothing to recall from, or quantities, which no episode keeps: said before anything is compiled."""
    born = jax.eval_shape(lambda: create(MIND, body, KEY))
    with pytest.raises(ArchitectureError, match=said):
        jax.eval_shape(partial(awake_step, MIND), born, moment)
    jax.eval_shape(partial(awake_step, ALONE._replace(rule=RULE)), born, moment)


GOOD = stretch([[0, 1], [2, 3]])
REFUSED = {
    "unknown sense": (lambda e: e.replace(senses={"smell": e.target}), r"senses\['smell'\].*no such sense"),
    "no sense": (lambda e: e.replace(senses={}), r"senses is empty"),
    "wrong dtype": (lambda e: picture(e, e.senses["image"].astype(np.int32)), r"senses\['image'\].*dtype int32.*uint8"),
    "not finite": (lambda e: picture(e, np.full((2, 2, 4, 4, 1), np.nan)), r"senses\['image'\].*NaN"),
    "infinite": (lambda e: picture(e, np.full((2, 2, 4, 4, 1), np.inf)), r"senses\['image'\].*infinite"),
    "scaled": (lambda e: picture(e, np.float32(e.senses["image"] / 255)), r"senses\['image'\].*dtype float32"),
    "wrong shape": (lambda e: picture(e, e.senses["image"][..., 0]), r"senses\['image'\].*shape \(2, 2, 4, 4\)"),
    "other batch": (lambda e: picture(e, e.senses["image"][:, :1]), r"senses\['image'\].*shape \(2, 1, 4, 4, 1\)"),
    "negative target": (lambda e: e.replace(target=e.target - 1), r"target goes from -1 to 2"),
    "target too large": (lambda e: e.replace(target=e.target + 3), r"target goes from 3 to 6.*raise .*concepts"),
    "fractional target": (lambda e: e.replace(target=e.target * 1.0), r"target has dtype float64"),
    "empty": (lambda e: jax.tree.map(lambda leaf: leaf[:0], e), r"target .*0 entries"),
    "negative weight": (lambda e: e.replace(weight=-e.weight), r"weight must be finite, >= 0"),
    "weight not a number": (lambda e: e.replace(weight=e.weight * np.nan), r"weight must be finite"),
    "value not a number": (lambda e: e.replace(value=e.weight * np.nan), r"value must be finite"),
    "value of another shape": (lambda e: e.replace(value=e.weight[0]), r"value .*shape \(2, 2\); got shape \(2,\)"),
    "weight of another shape": (lambda e: e.replace(weight=e.weight[0]), r"weight .*shape \(2, 2\); got shape \(2,\)"),
}


def picture(experience: Experience, raw: np.ndarray) -> Experience:
    """The same experience with another picture."""
    return experience.replace(senses=experience.senses | {"image": raw})


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_be_learned_from_is_refused(case):
    """ExperienceError in one line that names the field, what it held and what was expected."""
    spoil, said = REFUSED[case]
    with pytest.raises(ExperienceError, match=rf"^experience\.{said}") as caught:
        validate(BODY, spoil(GOOD))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fit", [GOOD, stretch([0, 5], ("text",)), jax.tree.map(jnp.asarray, GOOD), GOOD.replace(value=-GOOD.weight)]
)
def test_what_is_fit_to_be_lived_is_let_through(fit):
    """One batch or a stretch, through all senses or one, in numpy or on the device."""
    validate(BODY, fit)
