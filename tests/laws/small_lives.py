"""The smallest lives that still have every part, for laws that must compile in a second or two."""

from operator import itemgetter

import jax
import numpy as np
import optax

from dellm_jax import axes
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import awake_step, create
from dellm_jax.senses import Image, Text
from dellm_jax.trees import flat, map_named
from dellm_jax.types import Experience, Mind

# Eight bits at full resolution: a percept is exactly the picture / 255.
IMAGE = Image(4, 4, 1, code_side=4, code_bits=8, filters=2, kernel=3, stride=1, cells=2)
TEXT = Text(width=4, buckets=16)
# Unoptimised code takes half the time to compile, and at these sizes it runs as fast.
live_step = jax.jit(awake_step, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})


def body(vision=8, association=8, units=5, senses=(IMAGE,), quantum=4, semantic=False):
    """image -> vision -> association -> concepts; text -> reading -> association too, where there is text."""
    assemblies = (Assembly("vision", ("image",), units, vision),)
    if TEXT in senses:
        assemblies += (Assembly("reading", ("text",), units, vision),)
    assemblies += (Assembly("association", tuple(a.name for a in assemblies), units, association),)
    return Architecture(senses, assemblies, 4, quantum, episodic_bytes=400, semantic=semantic, semantic_chunk=8)


def laws(rule, rehearse=0):
    """A mind that learns by `rule`."""
    return Mind(Cortex, asymmetric_cross_entropy, optax.with_extra_args_support(rule), rehearse=rehearse)


def experiences(shape, senses=(IMAGE,), concepts=3, seed=0):
    """Random experiences of `shape`, [B] or [T, B]."""
    random = np.random.default_rng(seed)
    raw = {sense.name: random.integers(0, 256, (*shape, *sense.raw_shape), np.uint8) for sense in senses}
    return Experience(raw, random.integers(0, concepts, shape).astype(np.int32), np.ones(shape, np.float32))


def train(mind, state, stretch):
    """Live a stretch [T, B, ...] step by step; donates nothing."""
    for step in range(len(stretch.target)):
        state, _ = live_step(mind, state, jax.tree.map(itemgetter(step), stretch))
    return state


NOBODY = laws(optax.identity())


def newborn(mind, architecture):
    """What `create` makes, compiled once for all learners."""
    state = create(NOBODY, architecture, jax.random.key(0))
    return state.replace(learner=mind.rule.init(state.params))


def lived(mind, architecture, seed, alive=None):
    """A life whose body and learner hold random floats; units not in `alive` {axis: positions} are silent: zero."""
    state = newborn(mind, architecture)
    random = np.random.default_rng(seed)
    masks = {"concepts": np.arange(architecture.concepts) < 2}
    for assembly in architecture.assemblies:
        axis = f"{assembly.name}.units"
        positions = (alive or {}).get(axis, range(assembly.units))
        masks[axis] = np.isin(np.arange(assembly.capacity), list(positions))
    named = axes.names(mind, state)

    def content(path, leaf):
        part, last = path.split("/")[0], path.split("/")[-1]
        if part not in ("params", "homeostasis", "learner") or jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if not np.issubdtype(leaf.dtype, np.floating):
            return np.full(leaf.shape, 7, leaf.dtype)
        spread = random.normal(0, 0.3, leaf.shape) if part == "params" else random.uniform(0.005, 0.015, leaf.shape)
        value = np.ones(leaf.shape) if last == "active" else spread
        for along, axis in enumerate(named[path]):
            if axis in masks:
                value = np.where(np.expand_dims(masks[axis], [i for i in range(leaf.ndim) if i != along]), value, 0)
        return value.astype(leaf.dtype)

    return jax.tree.map(jax.numpy.asarray, map_named(content, state))


def arrays(state):
    """Every array of a life by path, on the host; keys as their data."""
    return {
        path: np.asarray(jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
        for path, leaf in flat(state).items()
    }


def assert_same(one, other, atol=None):
    """The two lives are equal bit for bit, or within `atol` where numbers are not whole."""
    assert one.architecture == other.architecture
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys()
    for path, leaf in left.items():
        assert (leaf.shape, leaf.dtype) == (right[path].shape, right[path].dtype), path
        if atol is None or not np.issubdtype(leaf.dtype, np.floating):
            assert leaf.tobytes() == right[path].tobytes(), path
        else:
            np.testing.assert_allclose(leaf, right[path], rtol=0, atol=atol, err_msg=path)
