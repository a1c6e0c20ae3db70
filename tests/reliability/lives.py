"""A small life of three senses, shared by the reliability tests."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dellm_jax import surgery
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy, by_pathway, predictive_coding
from dellm_jax.mind import awake, create
from dellm_jax.senses import Audio, Image, Text
from dellm_jax.trees import copy, flat
from dellm_jax.types import Dellm, Experience, Mind

BODY = Architecture(
    senses=(
        Image(height=8, width=8, code_side=8, filters=4, kernel=3, stride=1, cells=2),
        Audio(samples=256, frames=1, mels=8, code_frames=1, code_mels=8, filters=4, kernel=3, stride=1, cells=1),
        Text(width=8, buckets=32),
    ),
    assemblies=(
        Assembly("seen", ("image",), 6),
        Assembly("heard", ("audio",), 6),
        Assembly("joined", ("seen", "heard", "text"), 10),
    ),
    concepts=4,
    quantum=8,
    episodic_bytes=2_000,
    semantic_chunk=8,
)
RULE = by_pathway(optax.adam(1e-3), predictive_coding(1e-3))
MIND = Mind(Cortex, asymmetric_cross_entropy, RULE, rehearse=4)
newborn = partial(create, MIND, key=jax.random.key(0))


def day(seed: int, steps: int = 2, batch: int = 3) -> Experience:
    """Random experiences of every sense, [T, B, ...]."""
    rng = np.random.default_rng(seed)
    shape = (steps, batch)
    senses = {
        "image": rng.integers(0, 256, (*shape, 8, 8, 1), np.uint8),
        "audio": rng.integers(-9000, 9000, (*shape, 256), np.int16),
        "text": rng.integers(97, 123, (*shape, 8), np.uint8),
    }
    target = jnp.asarray(rng.integers(0, 4, shape), jnp.int32)
    return Experience({name: jnp.asarray(raw) for name, raw in senses.items()}, target, jnp.ones(shape))


def live(state: Dellm, seed: int) -> Dellm:
    """The same life a day later; the one given stays usable."""
    return awake(MIND, copy(state), day(seed))[0]


def grow(state: Dellm) -> Dellm:
    """The same life with more room in one assembly and for more concepts."""
    return surgery.resize(MIND, surgery.resize(MIND, state, "joined.units", 24), "concepts", 6)


def same(one: Dellm, other: Dellm) -> bool:
    """Whether two lives agree in architecture, structure, and every bit and dtype of every leaf."""
    if one.architecture != other.architecture or jax.tree.structure(one) != jax.tree.structure(other):
        return False
    return bits(one) == bits(other)


def bits(state: Dellm) -> dict[str, tuple]:
    """Every leaf as dtype, shape and bytes."""
    described = {}
    for path, leaf in flat(state).items():
        data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        described[path] = (str(leaf.dtype), leaf.shape, np.asarray(data).tobytes())
    return described


def ages() -> dict[str, Dellm]:
    """One life newborn, after a day, and after a day and growth."""
    born = newborn(BODY)
    lived = live(born, 1)
    return {"born": born, "lived": lived, "grown": grow(lived)}


def at_step(state: Dellm, steps: int) -> Dellm:
    """The same life, said to be at another step."""
    return state.replace(clock=state.clock.replace(steps=jnp.int32(steps)))
