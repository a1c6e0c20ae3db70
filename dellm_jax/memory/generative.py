"""Generative memory: a variational autoencoder that learns beside the body and imagines what the elder one knew.

Source: generative replay (Shin et al., 2017); the symmetric autoencoder of van de Ven & Tolias (2018).
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct

from dellm_jax.architecture import Architecture
from dellm_jax.axes import leaf
from dellm_jax.errors import ArchitectureError
from dellm_jax.types import Array, Imagination


@struct.dataclass
class Weights:
    """x [N] -> h [H] -> h [H] -> z [Z] -> h [H] -> h [H] -> x^ [N]; the last row of every matrix is its bias."""

    see: Array = leaf("imagination.inputs", "imagination.units")
    grasp: Array = leaf("imagination.hidden", "imagination.units")
    mean: Array = leaf("imagination.hidden", "imagination.latent")
    spread: Array = leaf("imagination.hidden", "imagination.latent")
    think: Array = leaf("imagination.latents", "imagination.units")
    shape: Array = leaf("imagination.hidden", "imagination.units")
    show: Array = leaf("imagination.hidden", "imagination.outputs")


@struct.dataclass
class Generator:
    """`weights` learn; the `elder`'s imagine; `first` and `second` moments and `steps` are Adam's."""

    weights: Weights
    elder: Weights
    first: Weights
    second: Weights
    steps: Array = leaf()


def autoencoder(hidden: int = 400, latent: int = 100, rate: float = 1e-3) -> Imagination:
    """A variational autoencoder of `hidden` rectified units a layer as the imagination of a body of one sense."""
    return Imagination(partial(empty, hidden, latent), imagine, partial(learn, rate))


def empty(hidden: int, latent: int, architecture: Architecture, key: Array) -> Generator:
    """A newborn generator. ArchitectureError for a body of several senses."""
    if len(architecture.senses) != 1:
        raise ArchitectureError(f"imagination is for bodies of one sense, this one has {len(architecture.senses)}")
    inputs = architecture.senses[0].inputs
    shapes = {
        "see": (inputs + 1, hidden),
        "grasp": (hidden + 1, hidden),
        "mean": (hidden + 1, latent),
        "spread": (hidden + 1, latent),
        "think": (latent + 1, hidden),
        "shape": (hidden + 1, hidden),
        "show": (hidden + 1, inputs),
    }

    def draw(place: int, shape: tuple[int, int]) -> Array:
        bound = (shape[0] - 1) ** -0.5
        drawn = jax.random.uniform(jax.random.fold_in(key, place), shape, minval=-bound, maxval=bound)
        return drawn.at[-1].set(0.0)

    weights = Weights(**{name: draw(place, shape) for place, (name, shape) in enumerate(shapes.items())})
    nothing = optax.tree.zeros_like(weights)
    return Generator(weights, weights, nothing, nothing, jnp.zeros((), jnp.int32))


def _affine(x: Array, matrix: Array) -> Array:
    return x @ matrix[:-1] + matrix[-1]


def decode(weights: Weights, z: Array) -> Array:
    """Latents [B, Z] -> logits of percepts [B, N]."""
    return _affine(jax.nn.relu(_affine(jax.nn.relu(_affine(z, weights.think)), weights.shape)), weights.show)


def imagine(generator: Generator, key: Array, count: int) -> Array:
    """`count` percepts in [0, 1] made up by the elder."""
    latent = generator.elder.think.shape[0] - 1
    return jax.nn.sigmoid(decode(generator.elder, jax.random.normal(key, (count, latent))))


def evidence_bound(weights: Weights, x: Array, share: Array, noise: Array) -> Array:
    """sum_b share_b (binary cross-entropy of x [B, N] in [0, 1] + KL(q(z|x) | N(0, I))) -> scalar to be least."""
    h = jax.nn.relu(_affine(jax.nn.relu(_affine(x, weights.see)), weights.grasp))
    mean, log_variance = _affine(h, weights.mean), _affine(h, weights.spread)
    logits = decode(weights, mean + jnp.exp(0.5 * log_variance) * noise)
    missed = optax.sigmoid_binary_cross_entropy(logits, x).sum(1)
    divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(1)
    return (share * (missed + divergence)).sum()


def learn(rate: float, generator: Generator, seen: Array, share: Array, key: Array) -> Generator:
    """One step of Adam on the evidence bound of percepts [B, N], an example counting by its `share` [B]."""
    noise = jax.random.normal(key, (seen.shape[0], generator.weights.mean.shape[1]))
    # Divided by the number of inputs, as the published losses are, so that both nets learn at one rate.
    slope = jax.grad(evidence_bound)(generator.weights, seen, share / seen.shape[1], noise)
    adam = optax.scale_by_adam()
    inside = optax.ScaleByAdamState(generator.steps, generator.first, generator.second)
    direction, inside = adam.update(slope, inside)
    weights = jax.tree.map(lambda w, d: w - rate * d, generator.weights, direction)
    return generator.replace(weights=weights, first=inside.mu, second=inside.nu, steps=inside.count)
