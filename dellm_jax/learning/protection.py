"""Rules that hold synapses near where they mattered. Both are told of task boundaries: importance settles at night."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dellm_jax.types import Array


class Elastic(NamedTuple):
    """`anchor`: the params of the last evening; `importance`: their diagonal Fisher information, summed over days."""

    anchor: Any
    importance: Any


class Intelligent(NamedTuple):
    """`inner` rule; `path` integral of -g dtheta today; `anchor` and `importance` of the days before."""

    inner: Any
    path: Any
    anchor: Any
    importance: Any


def elastic(strength: float) -> optax.GradientTransformation:
    """Adds the gradient of strength/2 sum_i F_i (theta_i - theta*_i)^2.

    The stage `estimate_importance` sets theta* and F <- decay F + F_today every night.
    Source: EWC (Kirkpatrick et al., 2017), online (Schwarz et al., 2018).
    """

    def update(updates: Any, state: Elastic, params: Any) -> tuple[Any, Elastic]:
        pulled = jax.tree.map(
            lambda g, f, p, a: g + strength * f * (p - a), updates, state.importance, params, state.anchor
        )
        return pulled, state

    return optax.GradientTransformation(lambda params: Elastic(params, optax.tree.zeros_like(params)), update)


def synaptic_intelligence(
    inner: optax.GradientTransformation, strength: float = 0.1
) -> optax.GradientTransformationExtraArgs:
    """Learns by `inner` on g + 2 strength Omega (theta - theta*), and integrates w += -g dtheta along the way.

    `g` is the gradient of today's loss alone. Every night Omega += max(w, 0) / ((theta - theta*)^2 + damping),
    theta* = theta, w = 0: `settled`. Source: SI (Zenke et al., 2017).
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> Intelligent:
        nothing = optax.tree.zeros_like(params)
        return Intelligent(inner.init(params), nothing, params, nothing)

    def update(updates: Any, state: Intelligent, params: Any, **felt: Any) -> tuple[Any, Intelligent]:
        pulled = jax.tree.map(
            lambda g, o, p, a: g + 2 * strength * o * (p - a), updates, state.importance, params, state.anchor
        )
        steps, inside = inner.update(pulled, state.inner, params, **felt)
        path = jax.tree.map(lambda w, g, step: w - g * step, state.path, updates, steps)
        return steps, state._replace(inner=inside, path=path)

    return optax.GradientTransformationExtraArgs(init, update)


def settled(state: Intelligent, params: Any, damping: float = 0.1) -> Intelligent:
    """What `synaptic_intelligence` keeps of a day that is over."""
    importance = jax.tree.map(
        lambda o, w, p, a: o + jnp.maximum(w, 0) / ((p - a) ** 2 + damping),
        state.importance,
        state.path,
        params,
        state.anchor,
    )
    return state._replace(path=optax.tree.zeros_like(params), anchor=params, importance=importance)


def anchored(state: Elastic, params: Any, fisher: Any, decay: float) -> Elastic:
    """What `elastic` keeps of a day that is over: F <- decay F + F_today around today's params."""
    return Elastic(params, jax.tree.map(lambda f, today: decay * f + today, state.importance, fisher))


def fisher_diagonal(log_p: Any, params: Any, weight: Array) -> Any:
    """F_i = sum_n w_n (d log p_n / d theta_i)^2 / sum_n w_n, with log_p(params, n) one example's log-probability."""
    many = jnp.arange(weight.size)

    def add(total: Any, n: Array) -> tuple[Any, None]:
        slope = jax.grad(log_p)(params, n)
        return jax.tree.map(lambda t, g: t + weight[n] * g**2, total, slope), None

    total, _ = jax.lax.scan(add, optax.tree.zeros_like(params), many)
    return jax.tree.map(lambda t: t / jnp.maximum(weight.sum(), 1e-6), total)
