"""Semantic memory: what each concept is like, as statistics of a frozen random expansion of one sense.

Streaming linear discriminant analysis. Nothing is forgotten by construction: the statistics are sums, so neither the
order nor the grouping of experiences matters. Awake, the readout follows the sums by a few conjugate-gradient steps
from where it stands; at night, and when it has gathered its fill of corrections, it is solved exactly.
Source: Hayes & Kanan (2020); on random features, Prabhu et al. (2024).
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.memory import symmetric
from dellm_jax.types import Array

AWAKE_STEPS = 8


@struct.dataclass
class Semantic:
    """Of n features and C concepts: frozen `filters`; sums `count` [C], `total` [C, n], `gram` (packed X^T X);
    the linear `readout` [C, n]; and `pending` [K, n] experiences of which the first `fill` are not yet in `gram`."""

    filters: Array = leaf("{}.row", "{}.column", "{}.channel", "{}.filter")
    count: Array = leaf("concepts")
    total: Array = leaf("concepts", "{}.features")
    gram: Array = leaf("{}.pairs", "{}.block", "{}.block")
    readout: Array = leaf("concepts", "{}.features")
    pending: Array = leaf("{}.pending", "{}.features")
    fill: Array = leaf()


def empty(filters: Array, features: int, concepts: int, chunk: int) -> Semantic:
    """Knows nothing yet; `chunk` experiences are gathered before the readout follows."""
    return Semantic(
        filters=filters,
        count=jnp.zeros((concepts,)),
        total=jnp.zeros((concepts, features)),
        gram=symmetric.zeros(features),
        readout=jnp.zeros((concepts, features)),
        pending=jnp.zeros((chunk, features)),
        fill=jnp.zeros((), jnp.int32),
    )


def observe(memory: Semantic, features: Array, target: Array, weight: Array) -> Semantic:
    """Add a batch: features [B, n], concepts [B], weight [B] >= 0 (0 = absent or unlabelled). B <= chunk."""
    batch, chunk = features.shape[0], memory.pending.shape[0]
    if batch > chunk:
        raise ValueError(f"a batch of {batch} does not fit semantic_chunk={chunk}; raise semantic_chunk")
    # A loop of no or one turn instead of a branch: XLA keeps its operands in place.
    memory = jax.lax.while_loop(lambda m: m.fill + batch > chunk, lambda m: follow(absorb(m), AWAKE_STEPS), memory)
    return gather(memory, features, target, weight)


def gather(memory: Semantic, features: Array, target: Array, weight: Array) -> Semantic:
    """`observe` where there is room among what is pending: the readout does not follow."""
    share = jnp.sqrt(weight)[:, None]  # once for the concepts, once for the features
    features, concepts = features * share, jax.nn.one_hot(target, memory.count.size) * share
    return memory.replace(
        count=memory.count + (concepts * share).sum(0),
        total=memory.total + concepts.T @ features,
        pending=jax.lax.dynamic_update_slice(memory.pending, features, (memory.fill, 0)),
        fill=memory.fill + features.shape[0],
    )


def absorb(memory: Semantic) -> Semantic:
    """Move the pending experiences into the Gram matrix."""
    return memory.replace(
        gram=symmetric.add_gram(memory.gram, memory.pending),
        pending=jnp.zeros_like(memory.pending),
        fill=jnp.zeros_like(memory.fill),
    )


def forget(memory: Semantic, features: Array, target: Array, weight: Array) -> Semantic:
    """As if a batch had never been observed: sums are subtracted, exactly but for rounding; B <= chunk.

    The concept's mean is corrected at once, the readout follows with the next chunk.
    """
    share = jnp.sqrt(weight)[:, None]
    features, concepts = features * share, jax.nn.one_hot(target, memory.count.size) * share
    alone = jnp.zeros_like(memory.pending).at[: features.shape[0]].set(features)
    return memory.replace(
        count=jnp.maximum(memory.count - (concepts * share).sum(0), 0),
        total=memory.total - concepts.T @ features,
        gram=memory.gram - symmetric.add_gram(jnp.zeros_like(memory.gram), alone),
    )


def means(memory: Semantic) -> Array:
    """Mean features of each concept [C, n]; zero for the unknown."""
    return memory.total / jnp.where(memory.count > 0, memory.count, 1)[:, None]


def centred_means(memory: Semantic) -> Array:
    """Mean features of each concept relative to the mean of all [C, n]; zero for the unknown.

    The common mean carries no evidence, and without it conjugate gradients converge many times faster.
    """
    return (means(memory) - centre(memory)) * (memory.count > 0)[:, None]


def centre(memory: Semantic) -> Array:
    """The mean features of everything observed [n]."""
    return memory.total.sum(0) / jnp.maximum(memory.count.sum(), 1)


def ridge(memory: Semantic) -> Array:
    """What is added to the diagonal: 0.1 (n / N)^1.5 of the mean variance within concepts, for n features and N
    experiences; 3e-5 of the mean power, for senses that never vary (one way to write a word); and 0.1 K / N of the
    mean variance of all, for the K concepts of which the first experience does not say how they vary."""
    features = memory.total.shape[1]
    seen = jnp.maximum(memory.count.sum(), 1)
    shrinkage = jnp.clip(0.1 * (features / seen) ** 1.5, 1e-4, 0.3)
    power = symmetric.diagonal(memory.gram, features).mean() / seen
    unsaid = 0.1 * (memory.count > 0).sum() / seen * jnp.maximum(power - (centre(memory) ** 2).mean(), 0)
    return shrinkage * _scatter_diagonal(memory).mean() + 3e-5 * power + unsaid + 1e-9


def _scatter_diagonal(memory: Semantic) -> Array:
    within = symmetric.diagonal(memory.gram, memory.total.shape[1]) - (means(memory) * memory.total).sum(0)
    return jnp.maximum(within, 0) / jnp.maximum(memory.count.sum(), 1)


def _covariance_product(memory: Semantic, columns: Array) -> Array:
    """(Sigma + ridge I) V, with Sigma the covariance within concepts."""
    seen = jnp.maximum(memory.count.sum(), 1)
    within = symmetric.product(memory.gram, columns) - means(memory).T @ (memory.total @ columns)
    return within / seen + ridge(memory) * columns


def follow(memory: Semantic, steps: int) -> Semantic:
    """`steps` of Jacobi-preconditioned conjugate gradients on (Sigma + ridge I) W = mu - m, from where it stands."""
    scale = 1 / (_scatter_diagonal(memory) + ridge(memory))[:, None]
    covered = partial(_covariance_product, memory)
    x = symmetric.descend(covered, centred_means(memory).T, memory.readout.T, scale, steps)
    return memory.replace(readout=x.T)


def solve(memory: Semantic) -> Semantic:
    """The exact readout W = (Sigma + ridge I)^-1 (mu - m) by Cholesky, over everything ever observed."""
    memory = absorb(memory)
    solved = jax.scipy.linalg.cho_solve(_factor(memory), centred_means(memory).T)
    return memory.replace(readout=solved.T)


def _factor(memory: Semantic) -> tuple[Array, bool]:
    """Of Sigma + ridge I."""
    features = memory.total.shape[1]
    seen = jnp.maximum(memory.count.sum(), 1)
    within = (symmetric.dense(memory.gram, features) - means(memory).T @ memory.total) / seen
    return symmetric.root(within, ridge(memory)), True


def log_evidence(memory: Semantic, features: Array) -> Array:
    """log p(features | concept) up to a constant, [B, n] -> [B, C]: w_c (x - m) - w_c (mu_c - m) / 2."""
    own = (memory.readout * (centre(memory) + 0.5 * centred_means(memory))).sum(1)
    return features @ memory.readout.T - own


def log_evidence_left_out(memory: Semantic, features: Array, target: Array) -> Array:
    """What a *solved* memory would say of each example had it never observed that one: [B, n], concepts [B] -> [B, C].

    Without x of concept y, mu_y moves by -d / (n_y - 1) and Sigma by -c d d^T, with d = x - mu_y and
    c = n_y / (n_y - 1) / N; the inverse follows by Sherman and Morrison. (m, N and the ridge are kept.)
    """
    many = jnp.maximum(memory.count[target], 2)[:, None]
    here = jax.nn.one_hot(target, memory.count.size) / (many - 1)
    means_C, readout = centred_means(memory), memory.readout
    x = features - centre(memory)
    d = features - means(memory)[target]
    z = jax.scipy.linalg.cho_solve(_factor(memory), d.T).T
    dz, xz = (d * z).sum(1, keepdims=True), (x * z).sum(1, keepdims=True)
    c = many / (many - 1) / jnp.maximum(memory.count.sum(), 2)
    gain = c / jnp.maximum(1 - c * dz, 0.01)
    toward = d @ readout.T - here * dz
    linear = x @ readout.T - here * xz + gain * xz * toward
    square = (means_C * readout).sum(1) - 2 * here * (d @ readout.T) + here**2 * dz + gain * toward**2
    return linear - 0.5 * square
