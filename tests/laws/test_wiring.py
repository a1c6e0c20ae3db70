"""Laws of wiring: assemblies join and become one, and neither the function nor anybody else's leaves change."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_lives import IMAGE, TEXT, arrays, body, experiences, laws, lived, train

from dellm_jax import axes, surgery, wiring
from dellm_jax.architecture import Assembly
from dellm_jax.errors import SurgeryError
from dellm_jax.learning import by_pathway, continual_backprop, predictive_coding, slow_selves
from dellm_jax.metrics import twins
from dellm_jax.mind import respond
from dellm_jax.trees import flat

LEARNERS = {
    "adam": laws(optax.adam(1e-3)),
    "sgd": laws(optax.sgd(1e-2, momentum=0.9)),
    "partition": laws(by_pathway(optax.adam(1e-3), predictive_coding(1e-2))),
    "adafactor": laws(optax.adafactor(1e-2, min_dim_size_to_factor=4, momentum=0.9)),
    "slow self": laws(optax.chain(optax.sgd(1e-2), slow_selves(0.99, (("stable", 0.9),)))),
    "renewal": laws(continual_backprop(optax.sgd(1e-2))),
}
SPEAKER = laws(optax.identity())
every_learner = pytest.mark.parametrize("learner", LEARNERS)
few = settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
seeds = st.integers(0, 2**16)
alive = st.sets(st.integers(0, 7), min_size=1, max_size=7)
NEW = Assembly("vision_2", ("image",), 3)


def log_p(state, batch):
    """log p of the cortex; the learner has no say in it."""
    return np.asarray(respond(SPEAKER, state.replace(learner=()), batch).by["cortex"])


def spoken(mind, seed, vision, other, senses=(IMAGE,)):
    """A life with two visions of which both have learned and have a say."""
    state = lived(mind, body(senses=senses), seed, {"vision.units": vision})
    wired = wiring.recruit(mind, state, Assembly("vision_2", ("image",), 8), jax.random.key(seed)).architecture
    return lived(mind, wired, seed, {"vision.units": vision, "vision_2.units": other})


@every_learner
@few
@given(seeds, alive, st.sampled_from(["vision", "reading", "association"]))
def test_recruiting_keeps_the_function_and_every_leaf_of_others(learner, seed, living, sibling):
    """log p within 1e-5; all that was there is bit for bit what it was; what is new in the learner is the rule's."""
    mind, senses = LEARNERS[learner], (IMAGE, TEXT)
    state = lived(mind, body(senses=senses), seed, {"vision.units": living, "association.units": living})
    (akin,) = [a for a in state.architecture.assemblies if a.name == sibling]
    grown = wiring.recruit(mind, state, Assembly("new", akin.reads, 3), jax.random.key(seed))
    batch = experiences((16,), senses, seed=seed)
    np.testing.assert_allclose(log_p(grown, batch), log_p(state, batch), atol=1e-5, rtol=0)
    before, after = arrays(state), arrays(grown)
    assert all(after[path].tobytes() == leaf.tobytes() for path, leaf in before.items())
    fresh = arrays(mind.rule.init(grown.params))
    new = [path for path in after.keys() - before.keys() if path.startswith("learner/")]
    assert all(np.array_equal(after[path], fresh[path.removeprefix("learner/")]) for path in new)
    named = axes.names(mind, grown)
    assert all(len(named[path]) == leaf.ndim for path, leaf in flat(grown).items())
    assert surgery.living(grown)["new"] == 3 and (after[f"params/new/from_{akin.reads[0]}"][:, :3] != 0).any()
    assert wiring.readers_of(grown.architecture, "new") == wiring.readers_of(grown.architecture, sibling)


@every_learner
@few
@given(seeds, alive, alive)
def test_merging_keeps_the_function_and_every_leaf_of_others(learner, seed, seeing, too):
    """log p within 1e-5; the units of both live on in one; nobody else's leaf changes; the learner is the rule's."""
    mind, senses = LEARNERS[learner], (IMAGE, TEXT)
    state, batch = spoken(mind, seed, seeing, too, senses), experiences((16,), senses, seed=seed)
    merged = wiring.merge(mind, state, "vision", "vision_2")
    np.testing.assert_allclose(log_p(merged, batch), log_p(state, batch), atol=1e-5, rtol=0)
    assert surgery.living(merged)["vision"] == len(seeing) + len(too)
    assert [a.name for a in merged.architecture.assemblies] == ["vision", "reading", "association"]
    before, after = arrays(state), arrays(merged)
    others = [path for path in after if "vision" not in path]
    assert len(others) > 10 and all(after[path].tobytes() == before[path].tobytes() for path in others)
    expected = jax.eval_shape(mind.rule.init, merged.params)
    assert jax.tree.structure(merged.learner) == jax.tree.structure(expected)
    assert [x.shape for x in jax.tree.leaves(merged.learner)] == [x.shape for x in jax.tree.leaves(expected)]
    assert all(len(axes.names(mind, merged)[path]) == leaf.ndim for path, leaf in flat(merged).items())


@few
@given(seeds, alive, alive)
def test_statistics_move_with_their_units(seed, seeing, too):
    """Adam's moments of both assemblies are those of the merged one, unit by unit; so is homeostasis."""
    mind = LEARNERS["adam"]
    state = spoken(mind, seed, seeing, too)
    merged = wiring.merge(mind, state, "vision", "vision_2")
    before, after, named = arrays(state), arrays(merged), axes.names(mind, state)
    moved = 0
    for path, leaf in before.items():
        if path.startswith("memory") or "vision_2.units" not in named[path]:
            continue
        along = named[path].index("vision_2.units")
        theirs, ours = path.replace("vision_2", "vision"), np.sort(list(too))
        both = np.concatenate([np.take(before[theirs], sorted(seeing), along), np.take(leaf, ours, along)], along)
        alive_now = np.flatnonzero(after["homeostasis/vision/active"])
        now = np.take(after[theirs], alive_now, along)
        order = lambda rows, along=along: np.sort(np.moveaxis(rows, along, 0).reshape(rows.shape[along], -1), 0)  # noqa: E731
        np.testing.assert_array_equal(order(now), order(both), err_msg=path)
        moved += path.startswith("learner")
    assert moved == 2 * 5  # of mu and nu each: from_image, to_image, bias and what association hears and foretells


@every_learner
@few
@given(seeds, alive)
def test_recruited_then_merged_is_the_same_function(learner, seed, living):
    """A newborn that has not spoken yet may be taken in again without a word changed, and life goes on."""
    mind, batch = LEARNERS[learner], experiences((16,), seed=seed)
    state = lived(mind, body(), seed, {"vision.units": living})
    grown = wiring.recruit(mind, state, NEW, jax.random.key(seed))
    back = wiring.merge(mind, grown, "vision", "vision_2")
    np.testing.assert_allclose(log_p(back, batch), log_p(state, batch), atol=1e-5, rtol=0)
    assert surgery.living(back)["vision"] == len(living) + 3


def test_a_recruited_assembly_learns_to_speak():
    """Its silent weights learn from the first step on, and the assembly with them; what it has not said yet it may."""
    mind = LEARNERS["partition"]
    state = wiring.recruit(mind, lived(mind, body(), 0), NEW, jax.random.key(0))
    after = train(mind, state, experiences((4, 4)))
    for node, leaf in (("association", "from_vision_2"), ("vision_2", "from_image"), ("vision_2", "to_image")):
        change = np.abs(np.asarray(after.params[node][leaf] - state.params[node][leaf]))
        assert change.max() > 0, leaf
    assert not np.asarray(after.params["vision_2"]["from_image"])[:, 3:].any()


def test_a_newborn_may_bring_its_own_weights_and_copies_of_itself_know_them():
    """`own` is what its units hear, and what a rule keeps of the params at their birth."""
    mind = LEARNERS["slow self"]
    heard = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    state = lived(mind, body(), 0)
    grown = wiring.recruit(mind, state, NEW, jax.random.key(0), own={"from_image": heard, "bias": np.ones(3)})
    np.testing.assert_array_equal(grown.params["vision_2"]["from_image"][:, :3], heard)
    (copy,) = [leaf for path, leaf in arrays(grown).items() if path.endswith("copies/stable/vision_2/from_image")]
    np.testing.assert_array_equal(copy[:, :3], heard)
    for own in ({"from_image": heard[1:]}, {"from_sound": heard}, {"to_image": heard.T}):
        with pytest.raises(SurgeryError, match="own"):
            wiring.recruit(mind, state, NEW, jax.random.key(0), own=own)


def test_twins_fold_without_a_trace():
    """Unit 6 says three times what unit 1 says, to everybody: it dies, and no answer or prediction changes."""
    mind = LEARNERS["adam"]
    state = lived(mind, body(), 0, {"vision.units": range(8)})
    params = {node: dict(leaves) for node, leaves in state.params.items()}
    weights = params["vision"]
    weights["from_image"] = weights["from_image"].at[:, 6].set(3 * weights["from_image"][:, 1])
    weights["bias"] = weights["bias"].at[jnp.array([1, 6])].set(jnp.array([1.0, 3.0]))  # both fire often enough
    kept = dict(state.homeostasis["vision"])
    kept["threshold"] = kept["threshold"].at[6].set(3 * kept["threshold"][1])
    state = state.replace(params=params, homeostasis=dict(state.homeostasis) | {"vision": kept})
    batch = experiences((64,))

    def think(life):
        cortex, variables = mind.module(life.architecture), {"params": life.params, "homeostasis": life.homeostasis}
        thought = cortex.apply(variables, {"image": batch.senses["image"].reshape(64, -1) / 255})
        return thought.values["vision"], cortex.apply(variables, thought.values, method="predictions")["vision"][
            "image"
        ]

    seen, foretold = think(state)
    found = twins(seen, 0.9999)
    assert found.keys() == {6} and found[6][0] == 1 and found[6][1] == pytest.approx(3, rel=1e-4)
    folded = wiring.fold(mind, state, "vision", found)
    assert surgery.living(folded)["vision"] == 7
    np.testing.assert_allclose(log_p(folded, batch), log_p(state, batch), atol=1e-4, rtol=0)
    np.testing.assert_allclose(think(folded)[1], foretold, atol=1e-4, rtol=0)


HERE = body(senses=(IMAGE, TEXT))
REFUSALS = {
    "a name that is taken": (lambda m, s: wiring.recruit(m, s, Assembly("vision", ("image",), 3), s.key), "taken"),
    "an unknown source": (lambda m, s: wiring.recruit(m, s, Assembly("new", ("smell",), 3), s.key), "smell"),
    "nobody to read it": (lambda m, s: wiring.recruit(m, s, Assembly("new", ("vision",), 3), s.key), "readers"),
    "a reader before it": (
        lambda m, s: wiring.recruit(m, s, Assembly("new", ("vision", "reading"), 3), s.key, readers=["vision"]),
        r"\['vision'\]",
    ),
    "what the concepts read": (
        lambda m, s: wiring.recruit(m, s, Assembly("new", ("association",), 3), s.key, readers=["concepts"]),
        "association",
    ),
    "a stranger": (lambda m, s: wiring.merge(m, s, "vision", "smell"), "smell"),
    "itself": (lambda m, s: wiring.merge(m, s, "vision", "vision"), "vision"),
    "what reads other sources": (lambda m, s: wiring.merge(m, s, "vision", "reading"), "same sources"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_wired_is_refused(case):
    """SurgeryError, in one line that names what is wrong; the life passed in is as it was."""
    mind, (operation, what) = LEARNERS["adam"], REFUSALS[case]
    state = lived(mind, HERE, 0)
    kept = jax.tree.map(jnp.copy, state)
    with pytest.raises(SurgeryError, match=what) as caught:
        operation(mind, state)
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(leaf, arrays(kept)[path]) for path, leaf in arrays(state).items())


def test_assemblies_with_statistics_of_another_form_are_refused():
    """Full statistics cannot become rows and columns: the error says what to do."""
    mind = laws(optax.adafactor(1e-2, min_dim_size_to_factor=12))
    state = wiring.recruit(mind, lived(mind, body(vision=12, units=5), 0), NEW, jax.random.key(0))
    with pytest.raises(SurgeryError, match="does not depend on sizes"):
        wiring.merge(mind, state, "vision", "vision_2")
