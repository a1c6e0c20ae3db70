"""Laws of surgery: a body changes its shape, and all else stays what and where it was, for every kind of learner."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_lives import IMAGE, TEXT, arrays, assert_same, body, experiences, laws, live_step, lived, newborn, train

from dellm_jax import axes, surgery
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import SurgeryError
from dellm_jax.learning import by_pathway, predictive_coding
from dellm_jax.mind import respond
from dellm_jax.trees import flat

VISION, ASSOCIATION = "vision.units", "association.units"
SECOND_MOMENTS = {"nu", "v", "v_row", "v_col"}


def of_rank(rank):
    """A mask of the parameters of one rank."""
    return lambda params: jax.tree.map(lambda leaf: leaf.ndim == rank, params)


LEARNERS = {
    "adam": laws(optax.adam(1e-3)),
    "chain": laws(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))),
    "lion": laws(optax.lion(1e-3)),
    "masked": laws(optax.chain(optax.masked(optax.adam(1e-3), of_rank(2)), optax.masked(optax.sgd(1e-2), of_rank(1)))),
    "partition": laws(by_pathway(optax.adam(1e-3), predictive_coding(1e-2))),
    "adafactor": laws(optax.adafactor(1e-2, min_dim_size_to_factor=4, momentum=0.9)),
}
every_learner = pytest.mark.parametrize("learner", LEARNERS)
few = settings(max_examples=5, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
seeds = st.integers(0, 2**16)
alive = st.sets(st.integers(0, 7), min_size=1, max_size=7)
five = st.sets(st.integers(0, 7), min_size=5, max_size=5)
unit_axis = st.sampled_from([VISION, ASSOCIATION])
SPEAKER = laws(optax.identity())


def log_p(state, batch):
    """log p of the cortex; the learner, which has no say in it, is left out so that all learners share one program."""
    return np.asarray(respond(SPEAKER, state.replace(learner=()), batch).by["cortex"])


def idle(state, axis):
    """Positions of the silent units."""
    return np.flatnonzero(np.asarray(state.homeostasis[axis.removesuffix(".units")]["active"]) == 0)


def leaves_on(mind, state, axis):
    """(path, leaf, place of the axis) of every array of body and learner that has the axis."""
    named, values = axes.names(mind, state), arrays(state)
    return [
        (path, values[path], names.index(axis))
        for path, names in named.items()
        if axis in names and not path.startswith("memory")
    ]


def assert_silent_is_zero(mind, state, floor=0.0):
    """A silent unit is zero in every leaf (adafactor adds 1e-30 to every square)."""
    for axis in (VISION, ASSOCIATION):
        for path, leaf, along in leaves_on(mind, state, axis):
            assert np.abs(np.take(leaf, idle(state, axis), along)).max(initial=0) <= floor, path


@every_learner
@few
@given(seeds, alive, unit_axis, st.data())
def test_silent_growth_keeps_the_function(learner, seed, living, axis, data):
    """respond after resize and awaken = respond before, for any living units, within 1e-5 in log p."""
    mind, batch = LEARNERS[learner], experiences((16,), seed=seed)
    state = lived(mind, body(), seed, {axis: living})
    grown = surgery.resize(mind, state, axis, 12)
    born = data.draw(st.sets(st.sampled_from(idle(grown, axis).tolist()), min_size=1))
    grown = surgery.awaken(mind, grown, axis, sorted(born), jax.random.key(seed))
    assert surgery.living(grown)[axis.removesuffix(".units")] == len(living) + len(born)
    np.testing.assert_allclose(log_p(grown, batch), log_p(state, batch), atol=1e-5, rtol=0)


@every_learner
@few
@given(seeds, alive, unit_axis, st.integers(9, 20), st.data())
def test_prune_after_grow_is_the_identity(learner, seed, living, axis, capacity, data):
    """resize up then down, and awaken then silence, give back the whole life bit for bit.

    (Where silent units are zero, as they are in every life; under adafactor up to its floor of 1e-30, see below.)
    """
    mind = LEARNERS[learner]
    state = lived(mind, body(senses=(IMAGE, TEXT), semantic=True), seed, {axis: living})
    assert_same(surgery.resize(mind, surgery.resize(mind, state, axis, capacity), axis, 8), state)
    born = sorted(data.draw(st.sets(st.sampled_from(idle(state, axis).tolist()), min_size=1)))
    woken = surgery.awaken(mind, state, axis, born, jax.random.key(seed), warm=data.draw(st.booleans()))
    assert_same(surgery.silence(mind, woken, axis, born), state)


@every_learner
@few
@given(seeds, st.integers(9, 20), st.integers(9, 20), alive, alive)
def test_growth_on_two_axes_commutes(learner, seed, of_vision, of_association, seeing, associating):
    """Capacity given to one axis and then to another = the other way round, bit for bit.

    Of capacity, not of births: a newborn listens to the units that live when it is born.
    """
    mind = LEARNERS[learner]
    state = lived(mind, body(), seed, {VISION: seeing, ASSOCIATION: associating})
    one = surgery.resize(mind, surgery.resize(mind, state, VISION, of_vision), ASSOCIATION, of_association)
    other = surgery.resize(mind, surgery.resize(mind, state, ASSOCIATION, of_association), VISION, of_vision)
    assert_same(one, other)


@every_learner
@settings(few, max_examples=3)
@given(seeds, alive, unit_axis, st.permutations(range(8)))
def test_training_does_not_see_the_order_of_units(learner, seed, living, axis, order):
    """permute then train = train then permute, within 1e-5.

    No learner is exempt: elementwise rules see no neighbours, and global norms and row means see them in any order.
    """
    mind, stretch = LEARNERS[learner], experiences((3, 4), seed=seed)
    state = lived(mind, body(), seed, {axis: living})
    before = train(mind, surgery.take(mind, state, axis, order), stretch)
    assert_same(before, surgery.take(mind, train(mind, state, stretch), axis, order), atol=1e-5)


@pytest.mark.parametrize("learner", [name for name in LEARNERS if name != "adafactor"])
@settings(few, max_examples=3)
@given(seeds, five, five)
def test_masked_equals_compacted(learner, seed, seeing, associating):
    """A body with silent capacity and the one without it learn the same weights, within 1e-5.

    Adafactor is exempt: its row means, its clipping of a block and its parameter scale count silent units.
    """
    mind, stretch = LEARNERS[learner], experiences((4, 4), seed=seed)

    def compact(state):
        return surgery.resize(mind, surgery.resize(mind, state, VISION, 5), ASSOCIATION, 5)

    state = lived(mind, body(), seed, {VISION: seeing, ASSOCIATION: associating})
    masked, compacted = train(mind, state, stretch), train(mind, compact(state), stretch)
    assert_silent_is_zero(mind, masked)
    assert_same(compact(masked), compacted, atol=1e-5)
    batch = experiences((16,), seed=seed + 1)
    np.testing.assert_allclose(log_p(masked, batch), log_p(compacted, batch), atol=1e-4, rtol=0)


def test_training_leaves_silent_units_silent_under_adafactor():
    """Adafactor keeps silent units zero up to the 1e-30 that it adds to every square."""
    mind = LEARNERS["adafactor"]
    state = train(mind, lived(mind, body(), 0, {VISION: {1, 4, 6}}), experiences((4, 4)))
    assert_silent_is_zero(mind, state, floor=1e-29)


@every_learner
def test_every_leaf_is_named_by_its_axes(learner):
    """Each array of rank >= 1 has one name per axis, and each size is that of the axis of that name.

    The names of weights are written here from what they mean: `from_s` of a is [s, a], `to_s` of a is [a, s]. Only
    adafactor's stand-ins of one element, for statistics that a leaf does not have, are unnamed.
    """
    mind, architecture = LEARNERS[learner], body(senses=(IMAGE, TEXT), semantic=True)
    state = newborn(mind, architecture)
    named, sizes = axes.names(mind, state), architecture.sizes()
    own = {node: architecture.axis(node) for node in architecture.reads}
    for path, leaf in flat(state).items():
        assert len(named[path]) == leaf.ndim, path
        if path.startswith(("params", "homeostasis", "learner")) and leaf.ndim:
            *_, node, last = path.split("/")
            if leaf.ndim == 2:
                kind, other = last.split("_", 1)
                ends = (architecture.axis(other), own[node])
                assert named[path] == (ends if kind == "from" else ends[::-1]), path
            elif leaf.size == 1:
                assert learner == "adafactor" and named[path] == ("",), path
            elif "_" not in last:
                assert named[path] == (own[node],), path
        else:
            assert all(named[path]), path
        for size, name in zip(leaf.shape, named[path], strict=True):
            assert sizes.get(name, size) == size, path
    assert {named[f"memory/episodic/{leaf}"] for leaf in ("start", "room", "kept", "seen")} == {("concepts",)}
    assert named["memory/episodic/codes/text"] == ("episodes", "text.code")
    assert named["memory/semantic/image/total"] == ("concepts", "image.features")


def test_factored_moments_are_named_by_the_axes_they_kept():
    """After one step from nothing adafactor holds mean g^2 over the axis it dropped: the name tells which that was.

    [text 16, reading 20] is wide, [image 16, vision 16] is square and [vision 16, association 8] is tall.
    """
    mind = LEARNERS["adafactor"]
    state = newborn(mind, body(senses=(IMAGE, TEXT), semantic=True))
    state = surgery.resize(mind, surgery.resize(mind, state, VISION, 16), "reading.units", 20)
    random = np.random.default_rng(0)
    slope = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), state.params)
    update = jax.jit(mind.rule.update, compiler_options={"xla_backend_optimization_level": 0})
    _, learner = update(slope, state.learner, state.params)
    named, slopes = axes.names(mind, state), arrays(slope)
    of_params = {path.removeprefix("params/"): names for path, names in named.items() if path.startswith("params/")}
    factored = 0
    for path, leaf in arrays(learner).items():
        owner = "/".join(path.split("/")[-2:])
        if {"v_row", "v_col"} & set(path.split("/")) and leaf.size > 1:
            (kept,) = named[f"learner/{path}"]
            dropped = 1 - of_params[owner].index(kept)
            np.testing.assert_allclose(leaf, (slopes[owner] ** 2).mean(dropped), rtol=1e-5, err_msg=path)
            factored += 1
    assert factored == 2 * sum(slope.ndim == 2 for slope in slopes.values())


def test_a_leaf_that_nobody_named_is_refused():
    """A learner with an array of its own, which no parameter explains, is an error that names the leaf."""
    strange = optax.GradientTransformation(lambda params: {"table": jnp.zeros(3)}, lambda u, s, p=None: (u, s))
    mind = laws(strange)
    state = newborn(mind, body())
    with pytest.raises(SurgeryError, match=r"leaf 'learner/.*table' has shape \(3,\)"):
        axes.names(mind, state)


indices = st.lists(st.integers(-1, 7), min_size=4, max_size=20)


@every_learner
@few
@given(seeds, unit_axis, indices)
def test_after_take_everything_is_where_its_name_says(learner, seed, axis, index):
    """Leaves that have the axis are re-laid along it, the others are untouched, and the learner is one the rule makes.

    A learner's leaf is known by its parameter, its names and its kind; adafactor's row and column statistics count as
    one kind, for growth swaps which of the two is which.
    """
    mind = LEARNERS[learner]
    state = surgery.resize(mind, lived(mind, body(), seed), ASSOCIATION, 12)
    after = surgery.take(mind, state, axis, index)
    expected = jax.eval_shape(mind.rule.init, after.params)
    assert jax.tree.structure(after.learner) == jax.tree.structure(expected)
    for path, form in flat(expected).items():
        leaf = flat(after)[f"learner/{path}"]
        assert (leaf.shape, leaf.dtype, leaf.weak_type) == (form.shape, form.dtype, form.weak_type), path

    def known(life):
        named, values = axes.names(mind, life), arrays(life)
        kind = {path: path.replace("v_row", "v_factor").replace("v_col", "v_factor") for path in named}
        return {(kind[path], names): values[path] for path, names in named.items()}

    before, now, chosen = known(state), known(after), np.asarray(index)
    assert before.keys() == now.keys()
    for (path, names), leaf in before.items():
        if axis in names:
            along = names.index(axis)
            leaf = np.take(leaf, chosen, along)
            leaf[(*[slice(None)] * along, chosen < 0)] = 0
        np.testing.assert_array_equal(now[path, names], leaf, err_msg=path)


def test_growth_swaps_the_row_and_column_statistics_of_adafactor():
    """The law above meets the swap: [8, 12] and [20, 12] keep another axis in `v_row`."""
    mind = LEARNERS["adafactor"]
    state = surgery.resize(mind, lived(mind, body(), 0), ASSOCIATION, 12)
    grown = surgery.resize(mind, state, VISION, 20)
    kept = [
        next(n for p, n in axes.names(mind, life).items() if "v_row" in p and p.endswith("association/from_vision"))
        for life in (state, grown)
    ]
    assert kept == [(VISION,), (ASSOCIATION,)]


@every_learner
@pytest.mark.parametrize("warm", [True, False])
@few
@given(seeds, alive, unit_axis)
def test_second_moments_of_newborns(learner, warm, seed, living, axis):
    """Warm: the mean of the living; cold: zero. First moments are zero either way. The old keep theirs."""
    mind = LEARNERS[learner]
    state = lived(mind, body(), seed, {axis: living})
    born = idle(state, axis)
    woken = surgery.awaken(mind, state, axis, born, jax.random.key(seed), warm=warm)
    before = {path: leaf for path, leaf, _ in leaves_on(mind, state, axis)}
    moments = 0
    for path, leaf, along in leaves_on(mind, woken, axis):
        own = np.take(leaf, born, along)
        np.testing.assert_array_equal(np.delete(leaf, born, along), np.delete(before[path], born, along), err_msg=path)
        if not path.startswith("learner"):
            continue
        mean = np.take(before[path], sorted(living), along).mean(along, keepdims=True)
        second = bool(SECOND_MOMENTS & set(path.split("/")))
        moments += second
        np.testing.assert_allclose(own, mean * (warm and second) * np.ones_like(own), rtol=1e-5, err_msg=path)
    assert moments or learner == "lion"


def test_an_assembly_may_be_named_like_a_moment():
    """What is a second moment is said by the learner, not by the name of the assembly that it belongs to."""
    mind = LEARNERS["adam"]
    state = lived(mind, Architecture((IMAGE,), (Assembly("nu", ("image",), 5, 8),), 4, 4, 400, semantic=False), 0)
    woken = arrays(surgery.awaken(mind, state, "nu.units", [5], jax.random.key(0)).learner)
    first, second = (next(leaf for path, leaf in woken.items() if path.endswith(f"{m}/nu/bias")) for m in ("mu", "nu"))
    assert first[5] == 0 and second[5] == pytest.approx(second[:5].mean())


def test_newborns_listen_to_the_living_and_fire_like_them():
    """Incoming weights have variance 2 / living inputs and are zero from silent units; the threshold is the median of
    the living, the rate their mean, the age and all outgoing weights zero."""
    mind = LEARNERS["adam"]
    state = lived(mind, body(), 0, {VISION: {1, 4, 6}})
    state = surgery.resize(mind, surgery.resize(mind, state, VISION, 128), ASSOCIATION, 512)
    state = surgery.awaken(mind, state, VISION, range(31, 128), jax.random.key(0))  # 100 live: 1, 4, 6, 31 to 127
    woken = surgery.awaken(mind, state, ASSOCIATION, range(5, 512), jax.random.key(1))
    heard = np.asarray(woken.params["association"]["from_vision"])[:, 5:]
    lives = np.asarray(state.homeostasis["vision"]["active"]) > 0
    assert lives.sum() == 100 and heard[lives].all() and not heard[~lives].any()
    assert heard[lives].var() == pytest.approx(2 / 100, rel=0.03)  # 50,700 draws: 4.8 standard errors
    old, new = (
        {name: np.asarray(leaf) for name, leaf in life.homeostasis["association"].items()} for life in (state, woken)
    )
    assert np.all(new["threshold"][5:] == np.median(old["threshold"][:5]))
    np.testing.assert_allclose(new["rate"][5:], old["rate"][:5].mean(), rtol=1e-6)
    assert np.all(new["active"] == 1) and not new["age"][5:].any()
    assert not np.asarray(woken.params["concepts"]["from_association"])[5:].any()


@every_learner
@few
@given(seeds, st.sampled_from([5, 12]))
def test_room_for_concepts_changes_no_answer(learner, seed, concepts):
    """Growth of the concept axis keeps every logit, and new concepts are unborn: zero everywhere, never the answer."""
    mind, batch = LEARNERS[learner], experiences((8,), seed=seed)
    state = lived(mind, body(), seed)
    grown = surgery.resize(mind, state, "concepts", concepts)
    assert jax.eval_shape(lambda: grown.learner) == jax.eval_shape(mind.rule.init, grown.params)
    names = axes.names(mind, grown)
    assert {names[f"memory/episodic/{leaf}"] for leaf in ("start", "room", "kept", "seen")} == {("concepts",)}
    before, after = (thoughts(life, batch) for life in (state, grown))
    np.testing.assert_allclose(after[:, :4], before, atol=1e-5, rtol=0)
    assert np.all(after[:, 4:] <= -1e9)
    for path, leaf, along in leaves_on(mind, grown, "concepts"):
        assert not np.take(leaf, range(4, concepts), along).any(), path


def thoughts(state, batch):
    """Logits of the cortex, straight from the module: no program is compiled for each number of concepts."""
    module = Cortex(state.architecture)
    percepts = {"image": batch.senses["image"].reshape(len(batch.target), -1) / np.float32(255)}
    return module.apply({"params": state.params, "homeostasis": state.homeostasis}, percepts).logits


def test_a_life_goes_on_after_the_growth_of_concepts():
    """Every way of knowing answers as before; each memory has an empty place for each new concept; and the first
    experience of a new concept is lived, named and remembered."""
    mind = LEARNERS["partition"]
    state = remembering(lived(mind, body(semantic=True), 0))
    grown = surgery.resize(mind, state, "concepts", 6)
    batch = experiences((4,), seed=1)
    before, after = respond(mind, state, batch), respond(mind, grown, batch)
    np.testing.assert_array_equal(before.concept, after.concept)
    for way, answer in before.by.items():
        np.testing.assert_allclose(after.by[way][:, :4], answer, atol=1e-5, rtol=0, err_msg=way)
    known = grown.memory.semantic["image"]
    assert known.count.shape == (6,) and not known.count[4:].any() and not known.total[4:].any()
    np.testing.assert_array_equal(grown.memory.episodic.start[4:], [-1, -1])
    later, report = live_step(mind, grown, batch.replace(target=np.full(4, 5, np.int32)))
    assert np.isfinite(report["loss"])
    np.testing.assert_array_equal(later.homeostasis["concepts"]["active"][4:], [0, 1])
    np.testing.assert_array_equal(later.memory.semantic["image"].count[4:], [0, 4])
    np.testing.assert_array_equal(later.memory.episodic.seen[4:], [0, 4])
    room = int(later.memory.episodic.room[5])
    assert later.memory.episodic.start[5] == 2 * room > 0


def remembering(state):
    """The same life with three episodes of concept 0, two of concept 1, and what they are like."""
    random = np.random.default_rng(0)
    episodic, known = state.memory.episodic, state.memory.semantic["image"]
    count = jnp.array([3.0, 2.0, 0.0, 0.0])
    here = np.asarray(count > 0, np.float32)[:, None]
    known = known.replace(
        count=count,
        total=jnp.asarray(here * random.uniform(0, 1, known.total.shape), jnp.float32),
        readout=jnp.asarray(here * random.normal(0, 1, known.readout.shape), jnp.float32),
    )
    episodic = episodic.replace(
        codes={"image": jnp.asarray(random.integers(0, 256, episodic.codes["image"].shape, np.uint8))},
        start=jnp.array([0, 12, -1, -1], jnp.int32),
        room=jnp.array([12, 12, 0, 0], jnp.int32),
        kept=jnp.array([3, 2, 0, 0], jnp.int32),
        seen=jnp.array([3, 2, 0, 0], jnp.int32),
    )
    return state.replace(memory=state.memory.replace(episodic=episodic, semantic={"image": known}))


CONCEPTS_ONLY_GROW = [[1, 0, 2, 3], [0, 1, 2], [0, 1, 2, -1], [-1, 0, 1, 2, 3], [0, 1, 2, 3, 0]]
ERRORS = {
    "unknown axis to take": (lambda m, s: surgery.take(m, s, "sight.units", [0]), "sight.units"),
    "an axis of the senses": (lambda m, s: surgery.take(m, s, "image.inputs", [0]), "image.inputs"),
    "unknown axis to resize": (lambda m, s: surgery.resize(m, s, "sight.units", 4), "sight.units"),
    "unknown axis to awaken": (lambda m, s: surgery.awaken(m, s, "sight.units", [7], s.key), "sight.units"),
    "unknown axis to silence": (lambda m, s: surgery.silence(m, s, "sight.units", [7]), "sight.units"),
    "an input to silence": (lambda m, s: surgery.silence(m, s, "image.inputs", [0]), "image.inputs"),
    "take past the end": (lambda m, s: surgery.take(m, s, VISION, [0, 8]), VISION),
    "take far past the end": (lambda m, s: surgery.take(m, s, VISION, range(100)), VISION),
    "take before the newborn": (lambda m, s: surgery.take(m, s, VISION, [0, -2]), VISION),
    "take nothing": (lambda m, s: surgery.take(m, s, VISION, []), VISION),
    "awaken past the end": (lambda m, s: surgery.awaken(m, s, VISION, [8], s.key), VISION),
    "awaken from the end": (lambda m, s: surgery.awaken(m, s, VISION, [-1], s.key), VISION),
    "silence past the end": (lambda m, s: surgery.silence(m, s, VISION, [8]), VISION),
    "silence from the end": (lambda m, s: surgery.silence(m, s, VISION, [-1]), VISION),
    "too small a capacity": (lambda m, s: surgery.resize(m, s, VISION, 4), VISION),
    "awaken the living": (lambda m, s: surgery.awaken(m, s, VISION, [4, 5], s.key), VISION),
    "more concepts than episodes": (lambda m, s: surgery.resize(m, s, "concepts", 26), "concepts"),
    **{
        f"concepts {index}": (lambda m, s, index=index: surgery.take(m, s, "concepts", index), "concepts")
        for index in CONCEPTS_ONLY_GROW
    },
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_would_break_the_body_is_refused(case):
    """SurgeryError, one line that names the axis, and the life passed in is as it was."""
    mind, (operation, axis) = LEARNERS["adam"], ERRORS[case]
    state = lived(mind, body(), 0)
    kept = jax.tree.map(jnp.copy, state)
    with pytest.raises(SurgeryError, match=axis) as caught:
        operation(mind, state)
    assert "\n" not in str(caught.value)
    assert_same(state, kept)


@every_learner
def test_surgery_changes_nothing_in_the_life_passed_in(learner):
    """Surgery is pure: what it was given stays bit for bit."""
    mind = LEARNERS[learner]
    state = lived(mind, body(), 0)
    kept = jax.tree.map(jnp.copy, state)
    surgery.take(mind, state, VISION, [3, 2, -1])
    surgery.awaken(mind, state, VISION, [5], jax.random.key(0))
    surgery.silence(mind, state, VISION, [0])
    assert_same(state, kept)


def test_growth_across_the_size_from_which_a_rule_factors_is_refused():
    """Full statistics cannot become rows and columns: the error names the leaf and says what to do."""
    mind = laws(optax.adafactor(1e-2, min_dim_size_to_factor=12))
    state = surgery.resize(mind, lived(mind, body(), 0), ASSOCIATION, 9)
    with pytest.raises(SurgeryError, match=r"v.*vision/from_image.* does not depend on sizes"):
        surgery.resize(mind, state, VISION, 16)
