"""Fast weights: edits in closed form, which reach what is alike, spare what is known, and are gone when undone."""

import jax.numpy as jnp
import numpy as np
from test_corrections import LIGHT, MIND, MUSIC, ask, life, told, undo, utterance  # noqa: F401  (life is a fixture)

from dellm_jax import amend, experience, obey
from dellm_jax.memory import fast_weights, procedural, symmetric
from dellm_jax.memory.sketches import sketch, sketch_gram
from dellm_jax.mind import respond_to

RANDOM = np.random.default_rng(0)
LIVED = jnp.asarray(RANDOM.normal(size=(60, 24)), jnp.float32) * jnp.linspace(2, 0.1, 24)


def made(keys, pushes):
    """Fast weights after edits all at once, in the curvature of what was lived."""
    curvature, lived = {"text": LIVED.T @ LIVED}, {"text": jnp.float32(len(LIVED))}
    return fast_weights.edited(curvature, lived, {"text": keys}, pushes)


def test_one_edit_is_the_ridge_regression_of_what_it_aims_at():
    """By a rank-one update or by solving anew; and it moves least where most was lived."""
    nothing, moved = made(jnp.zeros((1, 24)), jnp.zeros((1, 3))), []
    for place in (0, 23):
        key, push = jnp.eye(24)[place], jnp.asarray(RANDOM.normal(size=3), jnp.float32)
        one, anew = fast_weights.edit(nothing, {"text": key}, push)["text"], made(key[None], push[None])["text"]
        assert np.allclose(one.moved, anew.moved, rtol=1e-3, atol=1e-5)
        assert np.allclose(one.ease, anew.ease, rtol=1e-3, atol=1e-3)
        moved.append(float(jnp.abs(one.moved @ key / push).max()))
    assert moved[0] < 0.5 * moved[1] < 0.5


def test_edits_one_by_one_come_to_what_all_at_once_do():
    """However alike what they are about is: what was said already is not said again."""
    keys = jnp.asarray(RANDOM.normal(size=(5, 24)) + 2, jnp.float32)
    pushes = jnp.asarray(RANDOM.normal(size=(5, 3)), jnp.float32)
    fast = made(jnp.zeros((1, 24)), jnp.zeros((1, 3)))
    for key, push in zip(keys, pushes, strict=True):
        fast = fast_weights.edit(fast, {"text": key}, push)
    assert np.allclose(fast["text"].moved, made(keys, pushes)["text"].moved, rtol=1e-3, atol=1e-4)


def test_an_edit_takes_from_what_was_thought_and_not_from_the_rest():
    """As much as it gives to what it should be; even where the thought is modest, as that of many concepts is."""
    modest = jnp.log(jnp.float32([[0.3, 0.2, *[0.05] * 10]]))
    aim = fast_weights.push(modest, jnp.int32([1]))[0]
    assert abs(float(aim.sum())) < 1e-5 and aim.argmax() == 1 and aim.argmin() == 0
    assert float(aim[0]) < -0.9 * float(aim[1]) and float(jnp.abs(aim[2:]).max()) < 0.01 * float(aim[1])


def test_sketches_keep_angles_and_their_gram_is_that_of_the_sketches():
    """Whether features are summed before or after they are multiplied."""
    features = jnp.asarray(RANDOM.normal(size=(40, 96)), jnp.float32)
    packed = symmetric.add_gram(symmetric.zeros(96), features)
    short = sketch(features, 36)
    assert np.allclose(sketch_gram(packed, 96, 36), short.T @ short, atol=1e-2)
    assert abs(float((short**2).sum() / (features**2).sum()) - 1) < 0.2


def test_a_correction_speaks_for_what_is_like_its_instance(life):  # noqa: F811
    """Words that are nearly the same lean its way, others hardly, and are answered as before."""
    state = told(life, "some music please", LIGHT)
    alike, others = (
        leaning(state, "some music pleases"),
        [leaning(state, text) for text in ("sing", "lights on please")],
    )
    assert alike > 5 * max(map(abs, others)) > 0
    assert ask(state, "play a song")[0] == MUSIC


def test_undone_corrections_say_nothing(life):  # noqa: F811
    """Neither the only one nor the last of two; an answer alone never does."""
    assert most_moved(told(life, "play a song", answer="play jazz")) == 0
    once = told(life, "some music", LIGHT)
    assert most_moved(once) > 1e-4 and most_moved(undo(MIND, once)[0]) == 0
    first = amend.anew(MIND, once)
    back = undo(MIND, told(first, "sing", LIGHT))[0]
    for sense, fast in first.memory.fast.items():
        assert float(jnp.abs(back.memory.fast[sense].moved - fast.moved).max()) < 0.01 * most_moved(first)


def test_the_cortex_is_trusted_less_the_more_it_was_not_yet_taught(life):  # noqa: F811
    """As if the pool had been fitted so; not at all if nothing was told, and no more once it is undone or learned."""
    once = told(life, "some music", LIGHT)
    twice = told(once, "sing", LIGHT)
    assert 0 < obey.learned(twice) < obey.learned(once) < obey.learned(undo(MIND, once)[0]) == 1
    rules = twice.memory.procedural
    retired = rules.replace(standing=jnp.where(rules.standing == procedural.ALIVE, procedural.RETIRED, rules.standing))
    assert obey.learned(twice.replace(memory=twice.memory.replace(procedural=retired))) == 1
    newborn = twice.replace(clock=twice.clock.replace(experiences=jnp.zeros_like(twice.clock.experiences)))
    assert obey.learned(newborn) == 0.5, "what was lived before is never doubted by more than half"
    trust = twice.hyper["trust"]
    doubted = twice.replace(hyper=twice.hyper | {"trust": trust | {"cortex": obey.learned(twice) * trust["cortex"]}})
    percepts = experience.perceive(life.architecture, utterance("more light"))
    thought = obey.amended(twice, {}, respond_to(MIND, twice, percepts)).log_probability
    expected = respond_to(MIND, doubted, percepts).log_probability
    assert np.allclose(thought[:, [LIGHT, MUSIC]], expected[:, [LIGHT, MUSIC]], rtol=1e-4, atol=1e-5)


def leaning(state, text):
    """How much corrections raise the light above music."""
    percepts = experience.perceive(state.architecture, utterance(text))
    keys = obey.keys(state, percepts, experience.features_of(state, percepts))
    lean = fast_weights.said(state.memory.fast, keys)[0]
    return float(lean[LIGHT] - lean[MUSIC])


def most_moved(state):
    """The largest of its fast weights."""
    return max(float(jnp.abs(own.moved).max()) for own in state.memory.fast.values())
