"""Predictive coding: every assembly predicts, and learns from what its prediction missed."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import linen as nn
from flax import struct

from dellm_jax.architecture import CONCEPTS
from dellm_jax.learning.synapses import on_feedback, on_forward
from dellm_jax.types import Array, Thought


@struct.dataclass
class Errors:
    """What local learning calls `error=`.

    `top_down`: assembly -> source -> x - a V [B, N]. `bottom_up`: assembly -> error on its drive [B, U], or empty;
    `values`: the relaxed outputs [B, N] that go with it.
    """

    top_down: dict[str, dict[str, Array]]
    bottom_up: dict[str, Array]
    values: dict[str, Array]


def top_down(cortex: nn.Module, variables: dict, thought: Thought) -> dict[str, dict[str, Array]]:
    """Error of the feedback weights, epsilon = x - a V, zero where the source is absent."""
    predicted = cortex.apply(variables, thought.values, method="predictions")
    return {
        assembly: {
            source: _where_present(thought.values[source] - guess, thought.presence.get(source))
            for source, guess in sources.items()
            if source in thought.values
        }
        for assembly, sources in predicted.items()
    }


def _where_present(error: Array, presence: Array | None) -> Array:
    return error if presence is None else error * presence[:, None]


def predictive_coding(rate: float) -> optax.GradientTransformationExtraArgs:
    """Local learning from prediction errors; needs `activity=` and `error=`.

    Feedback: dV = rate mean_b a^T epsilon / (1 + mean_b |a|^2), epsilon = x - a V the top-down error; normalised, so
    that it settles at the least-squares prediction for any rate below 2 however strongly an assembly fires.
    Forward: dW = rate mean_b x^T delta and db = rate mean_b delta, delta the relaxed bottom-up error, when `Mind.error`
    supplies one; else forward weights rest. Every change is a product of what its two ends know.
    Source: Rao & Ballard (1999); normalised LMS (Nagumo & Noda, 1967).
    """

    def product(weights: Any, pre: Array, post: Array) -> Array:
        return rate * pre.T @ post / pre.shape[0]

    def normalised(weights: Any, post: Array, error: Array) -> Array:
        return product(weights, post, error) / (1 + (post**2).sum(1).mean())

    def update(updates: Any, state: Any, params: Any, *, activity: Thought, error: Errors, **_: Any) -> Any:
        forward = on_forward(product, updates, params, error.values, error.bottom_up)
        feedback = on_feedback(normalised, updates, params, activity.values, error.top_down)
        bias = {
            assembly: {leaf: _bias_change(rate, leaf, assembly, error, change) for leaf, change in leaves.items()}
            for assembly, leaves in forward.items()
        }
        return jax.tree.map(lambda a, b: a + b, bias, feedback), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def _bias_change(rate: float, leaf: str, assembly: str, error: Errors, change: Any) -> Any:
    if leaf != "bias" or isinstance(change, optax.MaskedNode) or assembly not in error.bottom_up:
        return change
    return rate * error.bottom_up[assembly].mean(0)


def relaxation(steps: int = 16, speed: float = 0.1, nudge: float = 1.0) -> Callable[..., tuple[dict, dict]]:
    """A `Mind.error`: outputs z settle on E = sum 1/2 |z - mu(z)|^2 + nudge L, then read the errors on the drives.

    Starts at the feed-forward values; `steps` of gradient descent of `speed`. delta = (z - mu) relu'(drive), divided by
    `nudge`; as nudge -> 0 with enough steps it is the negative backprop gradient with respect to the drive.
    Source: Whittington & Bogacz (2017).
    """

    def error(cortex: nn.Module, variables: dict, thought: Thought, objective: Callable[[Array], Array]) -> Any:
        inner = [node for node in thought.values if node in variables["params"]]
        outer = {k: v for k, v in thought.values.items() if k not in inner}

        def predicted(z: dict[str, Array]) -> dict[str, Array]:
            return cortex.apply(variables, outer | z, thought.presence, method="drives")

        def energy(z: dict[str, Array]) -> Array:
            mu = predicted(z)
            missed = sum(((z[node] - mu[node]) ** 2).sum() for node in inner)
            return 0.5 * missed + nudge * objective(mu[CONCEPTS])

        def settle(_: int, z: dict[str, Array]) -> dict[str, Array]:
            return jax.tree.map(lambda value, slope: value - speed * slope, z, jax.grad(energy)(z))

        z = jax.lax.fori_loop(0, steps, settle, {node: thought.values[node] for node in inner})
        mu = predicted(z)
        errors = {node: (z[node] - mu[node]) * (mu[node] > 0) / nudge for node in inner}
        return errors | {CONCEPTS: -jax.grad(objective)(mu[CONCEPTS])}, outer | z

    return error
