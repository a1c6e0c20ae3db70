"""Rules that keep a body able to learn for life: pulled back to its birth, shaken, or renewed unit by unit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dellm_jax.architecture import CONCEPTS
from dellm_jax.trees import inward, map_named, outward
from dellm_jax.types import Array, Thought


class Birth(NamedTuple):
    """The params at birth."""

    params: Any


class Perturbed(NamedTuple):
    """The key of the next noise."""

    key: Array


def toward_birth(strength: float) -> optax.GradientTransformation:
    """Adds the gradient of strength |theta - theta_0|^2, theta_0 the params at birth.

    Source: L2 Init (Kumar et al., 2023).
    """

    def update(updates: Any, state: Birth, params: Any) -> tuple[Any, Birth]:
        return jax.tree.map(lambda g, p, b: g + 2 * strength * (p - b), updates, params, state.params), state

    return optax.GradientTransformation(Birth, update)


def perturb(deviation: float, seed: int = 0) -> optax.GradientTransformation:
    """Adds N(0, deviation^2) to every synapse; comes last in a chain, after decay: shrink and perturb.

    Weights that are exactly zero belong to silent units and stay so. Source: Ash & Adams (2020); every step, as
    Dohare et al. (2024) do.
    """

    def update(updates: Any, state: Perturbed, params: Any) -> tuple[Any, Perturbed]:
        key, draw = jax.random.split(state.key)
        noise = optax.tree.random_like(draw, params)
        shaken = jax.tree.map(lambda u, n, p: u + jnp.where(p != 0, deviation * n, 0.0), updates, noise, params)
        return shaken, Perturbed(key)

    return optax.GradientTransformation(lambda params: Perturbed(jax.random.key(seed)), update)


class Renewal(NamedTuple):
    """Of every hidden assembly, as {assembly: {"bias": [U]}}: `utility`, running `mean` output, `age` in steps; `due`:
    the part of a unit whose turn has come, {assembly: scalar}; and the `inner` rule's state."""

    inner: Any
    key: Array
    utility: Any
    mean: Any
    age: Any
    due: Any


def continual_backprop(
    inner: optax.GradientTransformation, rate: float = 1e-4, decay: float = 0.99, maturity: int = 100, seed: int = 0
) -> optax.GradientTransformationExtraArgs:
    """Learns by `inner`, and gives the least useful mature units a new life, `rate` of them a step.

    u <- decay u + (1 - decay) mean_b |h - m_hat| sum|w_out| / sum|w_in|, ranked by u / (1 - decay^age); a renewed unit
    gets fresh incoming weights, silent outgoing ones, age 0, utility 0 and no moments. At most one unit of an assembly
    a step. Needs `activity=`. Feedback weights keep to their own rule. Source: Dohare et al. (2021); the utility of
    Dohare et al. (2024) is |h| sum|w_out| alone.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> Renewal:
        hidden = [node for node in params if node != CONCEPTS]
        nothing = {node: {"bias": jnp.zeros_like(params[node]["bias"])} for node in hidden}
        due = {node: jnp.zeros(()) for node in hidden}
        return Renewal(inner.init(params), jax.random.key(seed), nothing, nothing, nothing, due)

    def update(updates: Any, state: Renewal, params: Any, *, activity: Thought, **felt: Any) -> tuple[Any, Renewal]:
        updates, inside = inner.update(updates, state.inner, params, activity=activity, **felt)
        new = {node: dict(leaves) for node, leaves in optax.apply_updates(params, updates).items()}
        key, draw = jax.random.split(state.key)
        utility, mean, age, due = ({node: leaf for node, leaf in part.items()} for part in state[2:])
        for turn, node in enumerate(utility):
            h, n = activity.values[node], age[node]["bias"] + 1
            m = decay * mean[node]["bias"] + (1 - decay) * h.mean(0)
            w_in, w_out = _strengths(new, node)
            deviation = jnp.abs(h - m / (1 - decay**n)).mean(0)
            u = decay * utility[node]["bias"] + (1 - decay) * deviation * w_out / jnp.maximum(w_in, 1e-12)
            alive = w_in > 0
            mature = alive & (n > maturity)
            count = due[node] + rate * mature.sum()
            worst = jnp.argmin(jnp.where(mature, u / (1 - decay**n), jnp.inf))
            renewed = (jnp.arange(u.size) == worst) & (count >= 1) & mature
            new = _reborn(new, node, renewed, alive, jax.random.fold_in(draw, turn))
            inside = _without_moments(inside, node, renewed, params)
            due[node] = count - renewed.any()
            utility[node], mean[node], age[node] = ({"bias": jnp.where(renewed, 0.0, leaf)} for leaf in (u, m, n))
        updates = jax.tree.map(lambda after, before: after - before, new, dict(params))
        return updates, Renewal(inside, key, utility, mean, age, due)

    return optax.GradientTransformationExtraArgs(init, update)


def _strengths(params: Any, node: str) -> tuple[Array, Array]:
    """Sums of |w_in| and |w_out| of every unit [U]."""
    w_in = sum(inward(jnp.abs(leaf)) for name, leaf in params[node].items() if name.startswith("from_"))
    w_out = sum(outward(jnp.abs(leaves[f"from_{node}"])) for leaves in params.values() if f"from_{node}" in leaves)
    return w_in, w_out


def _reborn(params: Any, node: str, renewed: Array, alive: Array, key: Array) -> Any:
    """Fresh He weights over the living inputs in, none out, no bias, for the units `renewed` [U]."""
    out = {name: dict(leaves) for name, leaves in params.items()}
    incoming = {name: leaf for name, leaf in out[node].items() if name.startswith("from_")}
    heard = {name: outward(jnp.abs(leaf)) > 0 for name, leaf in incoming.items()}
    taps = {name: leaf.size // (leaf.shape[-2] * leaf.shape[-1]) for name, leaf in incoming.items()}
    fan_in = jnp.maximum(sum(taps[name] * ears.sum() for name, ears in heard.items()), 1)
    for place, (name, leaf) in enumerate(incoming.items()):
        fresh = jnp.sqrt(2 / fan_in) * jax.random.normal(jax.random.fold_in(key, place), leaf.shape)
        out[node][name] = jnp.where(renewed & alive, jnp.where(heard[name][:, None], fresh, 0.0), leaf)
    out[node]["bias"] = jnp.where(renewed, 0.0, out[node]["bias"])
    for name in out:
        if f"from_{node}" in out[name]:
            out[name][f"from_{node}"] = jnp.where(renewed[:, None], 0.0, out[name][f"from_{node}"])
    return out


def _without_moments(inside: Any, node: str, renewed: Array, params: Any) -> Any:
    """The inner state with every leaf that belongs to a renewed unit's weights set to zero."""
    own = {f"{node}/{name}" for name in params[node] if not name.startswith("to_")}
    others = {f"{name}/from_{node}" for name, leaves in params.items() if f"from_{node}" in leaves}

    def one(path: str, leaf: Array) -> Array:
        owner = "/".join(path.split("/")[-2:])
        if owner in own and leaf.ndim:
            return jnp.where(renewed, 0, leaf).astype(leaf.dtype)
        if owner in others and leaf.ndim:
            return jnp.where(renewed[:, None], 0, leaf).astype(leaf.dtype)
        return leaf

    return map_named(one, inside)
