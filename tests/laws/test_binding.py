"""Laws of binding: what is perceived together becomes one, without a name, and is told from what is not."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import IMAGE, TEXT, arrays, assert_same, body, experiences, laws, live_step, newborn

from dellm_jax import axes
from dellm_jax.errors import ArchitectureError, ExperienceError
from dellm_jax.experience import validate
from dellm_jax.memory import apart, binding, moments
from dellm_jax.memory.belief import belong
from dellm_jax.mind import respond
from dellm_jax.rest import bind
from dellm_jax.surgery import take
from dellm_jax.types import UNNAMED

SIZES, FACTORS, NUMBERS, CHUNK = {"eye": 6, "ear": 5, "skin": 4}, 2, 3, 50
NOTHING = moments.empty({"eye": 1}, 0)
observe, solve = jax.jit(binding.observe), jax.jit(binding.solve)
MIND = laws(optax.adam(1e-2), rehearse=2)
BODY = replace(body(senses=(IMAGE, TEXT), semantic=True), binding=4, semantic_chunk=8)


def perceived(many, seed=0, senses=tuple(SIZES)):
    """What each of the senses [many, n] tells of the same two hidden numbers, amid much more that it tells alone."""
    world, random = np.random.default_rng(9), np.random.default_rng(seed)
    hidden = random.normal(size=(many, FACTORS))
    out = {}
    for sense, size in SIZES.items():
        mix, own = world.normal(size=(FACTORS, size)), world.normal(size=(size, size))
        out[sense] = (1 + hidden @ mix + 0.2 * random.normal(size=(many, size)) @ own).astype(np.float32)
    return {sense: out[sense] for sense in senses}


def bound(*parts):
    """A memory that lived these together, CHUNK at a time, and slept."""
    memory = binding.empty(SIZES, NUMBERS, CHUNK, NOTHING, jax.random.key(0))
    for part in parts:
        for start in range(0, len(next(iter(part.values()))), CHUNK):
            some = {sense: jnp.asarray(x[start : start + CHUNK]) for sense, x in part.items()}
            memory = observe(memory, some, jnp.ones(CHUNK))
    return memory


def found(memory, one, other, seed=5, many=200):
    """How often the other sense of a moment is the first found of all others."""
    asked = perceived(many, seed)
    score = belong(*(binding.belief(memory, sense, asked[sense]) for sense in (one, other)))
    return float((np.asarray(score).argmax(1) == np.arange(many)).mean())


@pytest.fixture(scope="module")
def memory():
    """Two of the senses, 5,000 moments."""
    return solve(bound(perceived(5000, senses=("eye", "ear"))))


def test_correlations_are_the_canonical_ones(memory):
    """The singular values of Sx^-1/2 Sxy Sy^-1/2 in float64; directions of variance one, half of it in each sense."""
    lived = {sense: x.astype(np.float64) for sense, x in perceived(5000, senses=("eye", "ear")).items()}
    white = {}
    for sense, x in lived.items():
        centred = x - x.mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
        white[sense] = centred @ vectors / np.sqrt(values) @ vectors.T
    canonical = np.linalg.svd(white["eye"].T @ white["ear"] / 5000, compute_uv=False)
    np.testing.assert_allclose(memory.correlation, canonical[:NUMBERS], atol=5e-3)
    for sense in ("eye", "ear"):
        np.testing.assert_allclose(memory.share[sense][:FACTORS], 0.5, atol=1e-2)


def test_how_far_two_things_belong_together_is_the_ratio_of_their_densities(memory):
    """log N2(u, v; rho) - log N(u) - log N(v), summed over the numbers: as if written down for two Gaussians."""
    asked = perceived(7, 3)
    one, other = (binding.belief(memory, sense, asked[sense]) for sense in ("eye", "ear"))
    rho = np.asarray(binding.loading(memory, "eye"))
    w = np.sqrt(rho)
    u, v = (np.asarray(b.toward) * (1 - rho) / np.where(w > 0, w, 1) for b in (one, other))
    u, v = u[:, None], v[None]
    expected = -0.5 * np.log1p(-(rho**2)) - (rho**2 * (u**2 + v**2) - 2 * rho * u * v) / (2 * (1 - rho**2))
    np.testing.assert_allclose(belong(one, other), expected.sum(-1), atol=2e-3)
    assert rho[:FACTORS].min() > 0.3 and rho[-1] == 0  # the last number is what chance makes


def test_what_was_never_together_is_bound_by_what_was_with_both():
    """Eye and skin never meet; both meet the ear. The eye finds skin far better than by chance (1 in 200)."""
    with_ear = [perceived(3000, 1, ("eye", "ear")), perceived(3000, 2, ("ear", "skin"))]
    memory = solve(bound(*with_ear))
    assert found(memory, "eye", "skin") > 0.05 and found(memory, "skin", "eye") > 0.05
    alone = solve(bound(perceived(3000, 1, ("eye", "ear"))))
    assert found(alone, "eye", "skin") <= 0.01


def test_neither_order_nor_batches_matter_and_nothing_is_forgotten(memory):
    """Solved, it is a function of sums."""
    lived = perceived(5000, senses=("eye", "ear"))
    order = np.argsort(lived["eye"][:, 0])
    other = solve(bound({sense: x[order] for sense, x in lived.items()}))
    np.testing.assert_allclose(other.correlation[:FACTORS], memory.correlation[:FACTORS], atol=1e-3)
    asked = perceived(20, 3)
    ratio = [belong(*(binding.belief(m, sense, asked[sense]) for sense in ("eye", "ear"))) for m in (memory, other)]
    np.testing.assert_allclose(*ratio, atol=0.05)


def test_what_is_far_from_zero_varies_as_it_does():
    """A hundred more in every feature: covariances of sums of squares would be rounding; in float64 they are these."""
    lived = {sense: x + 100 for sense, x in perceived(5000, senses=("eye", "ear")).items()}
    exact = np.cov(lived["ear"].T.astype(np.float64), lived["eye"].T.astype(np.float64), bias=True)[:5, 5:]
    np.testing.assert_allclose(binding._between(binding.absorb(bound(lived)), "ear", "eye"), exact, atol=1e-3)


def test_what_moments_set_apart_do_not_bear_out_is_chance():
    """Of a hundred moments with nothing in common the sums find a bond; other moments say that it is none."""
    random = np.random.default_rng(0)
    nothing = {s: random.normal(size=(600, SIZES[s])).astype(np.float32) for s in ("eye", "ear")}
    memory = solve(bound({sense: x[:100] for sense, x in nothing.items()}))
    there = {"eye": jnp.ones(500), "ear": jnp.ones(500), "skin": jnp.zeros(500)}
    told = {s: binding.told(memory, s, x[100:]) for s, x in nothing.items()} | {"skin": jnp.zeros((500, NUMBERS))}
    sober = apart.sobered(memory, told, there)
    assert memory.bond["eye"][0] > 0.2 and binding.loading(memory, "eye")[0] > 0.1
    assert sober.chance == memory.bond["eye"][0] and not np.asarray(binding.loading(sober, "eye")).any()
    assert apart.information(memory, told, there) < 0.05
    blind = apart.sobered(memory, told, {s: jnp.zeros(500) for s in SIZES})
    assert blind.chance == memory.chance


def test_awake_it_follows(memory):
    """Before any night it finds nearly as well as after."""
    awake = bound(perceived(5000, senses=("eye", "ear")))
    assert found(awake, "eye", "ear") > 0.8 * found(memory, "eye", "ear") > 0.04


def test_moments_are_a_uniform_sample_and_the_rest_leaves_no_trace():
    """600 moments through 60 places, 40 lives: each tenth of them is kept as often (chi-square, 9 degrees, p .001)."""
    keep = jax.jit(jax.vmap(moments.keep, in_axes=(0, None, None, None, 0)))
    lives = 40
    memory = jax.vmap(lambda _: moments.empty({"eye": 2}, 180))(jnp.arange(lives))
    for start in range(0, 600, 20):
        code = jnp.stack([jnp.arange(start, start + 20) // 256, jnp.arange(start, start + 20) % 256], 1).astype(
            jnp.uint8
        )
        wild = jnp.concatenate([code, jnp.full((5, 2), 255, jnp.uint8)])
        keys = jax.random.split(jax.random.key(start), lives)
        valid = jnp.arange(25) < 20
        memory = keep(memory, {"eye": wild}, jnp.ones(25, jnp.uint8), valid, keys)
    number = np.asarray(memory.codes["eye"]).astype(int) @ [256, 1]
    assert number.max() < 600 and (np.asarray(memory.seen) == 600).all()
    assert all(len(set(life)) == 60 for life in number)
    seen = np.bincount(number.ravel() // 60, minlength=10)
    assert ((seen - lives * 6) ** 2 / (lives * 6)).sum() < 27.9


@pytest.mark.parametrize("lived", [0, 3, 8, 13, 19, 40])
def test_moments_are_drawn_evenly_from_the_first_to_the_last(lived):
    """Of `lived` moments in 30 places 8 are drawn, no two the same; no gap is wider than another by more than one."""
    codes = {"eye": jnp.arange(lived, dtype=jnp.uint8)[:, None]}
    memory = moments.empty({"eye": 1}, 60)
    if lived:
        memory = moments.keep(memory, codes, jnp.ones(lived, jnp.uint8), jnp.ones(lived, bool), jax.random.key(0))
    drawn, there = moments.some(memory.replace(codes={"eye": jnp.arange(30, dtype=jnp.uint8)[:, None]}), 8)
    have = min(lived, 30)
    places = np.asarray(drawn["eye"])[np.asarray(there) > 0, 0]
    assert places.size == min(have, 8)
    gaps = np.diff([*places, have]) if have else np.zeros(1)
    assert gaps.max() - gaps.min() <= 1


def test_what_nobody_named_is_as_padding_to_all_but_what_binds():
    """The same life as one in which it weighed nothing, bit for bit: body, learner and every other memory."""
    start = newborn(MIND, BODY)
    batch = experiences((6,), (IMAGE, TEXT))
    some = np.arange(6) % 2 == 0
    unnamed = batch.replace(target=np.where(some, batch.target, UNNAMED).astype(np.int32))
    padded = batch.replace(target=np.where(some, batch.target, 0).astype(np.int32), weight=some.astype(np.float32))
    one, other = start, start
    for _ in range(3):
        one, told = live_step(MIND, one, unnamed)
        other, _ = live_step(MIND, other, padded)
    differ = {path for path, leaf in arrays(one).items() if leaf.tobytes() != arrays(other)[path].tobytes()}
    assert {path.split("/")[0] for path in differ} == {"memory", "clock"}
    assert all(path.startswith(("memory/binding", "clock/experiences", "clock/since_rest")) for path in differ)
    kept, summed = int(one.memory.binding.moments.seen), one.memory.binding.count
    assert told["lived"] == 6 and kept + float(summed[0, 1]) == 18 and float(summed[0, 1]) > 9


def test_names_are_not_asked_for():
    """Named or not, the same is bound, bit for bit."""
    start, batch = newborn(MIND, BODY), experiences((6,), (IMAGE, TEXT))
    named, _ = live_step(MIND, start, batch)
    unnamed, _ = live_step(MIND, start, batch.replace(target=np.full(6, UNNAMED, np.int32)))
    one, other = (jax.tree.leaves(life.memory.binding) for life in (named, unnamed))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_body_may_grow_and_a_night_says_what_it_did():
    """Every leaf has a name; more concepts change nothing of it; a night leaves what it says that it leaves."""
    life = newborn(MIND, BODY)
    for seed in range(4):
        life, _ = live_step(MIND, life, experiences((6,), (IMAGE, TEXT), seed=seed))
    assert axes.names(MIND, life)["memory/binding/across/image|text"] == ("image|text.one", "image|text.other")
    grown = take(MIND, life, "concepts", [0, 1, 2, 3, -1])
    one, other = (jax.tree.leaves(state.memory.binding) for state in (life, grown))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    slept, report = bind()(MIND, life, jax.random.key(0))
    _, again = bind()(MIND, slept, jax.random.key(0))
    told = report["information_after" if report["kept"] else "information_before"]
    assert told > 0 and again["information_before"] == pytest.approx(told, rel=1e-3)
    plain = newborn(MIND, replace(BODY, binding=0))
    same, report = bind()(MIND, plain, jax.random.key(0))
    assert_same(same, plain)
    assert report == {} and respond(MIND, plain, experiences((2,), (IMAGE, TEXT))).conflict is None


def test_what_cannot_be_bound_is_refused():
    """A body with one sense, or without features; a moment without a name in a life that binds nothing."""
    with pytest.raises(ArchitectureError, match=r"binding is 4 with semantic=True and 1 senses"):
        replace(body(semantic=True), binding=4)
    with pytest.raises(ArchitectureError, match=r"binding is 4 with semantic=False"):
        replace(BODY, semantic=False)
    nobody = experiences((2,), (IMAGE, TEXT)).replace(target=np.full(2, UNNAMED, np.int32))
    validate(BODY, nobody)
    with pytest.raises(ExperienceError, match=r"goes from -1 to -1; expected 0 to 3"):
        validate(replace(BODY, binding=0), nobody)
    with pytest.raises(ExperienceError, match=r"goes from -2 to -2; expected -1 to 3"):
        validate(BODY, nobody.replace(target=np.full(2, -2, np.int32)))
