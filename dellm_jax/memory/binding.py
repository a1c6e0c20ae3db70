"""Binding: what is perceived together through several senses, as one representation of all of them. No name is used.

Probabilistic canonical correlation analysis on the frozen expansions of the senses: h ~ N(0, I) is what is there, and
u_s = w_s h + noise what sense s tells of it, number by number. So every sense alone, or several, give a Gaussian belief
about the same h, and how far two things belong together is the ratio p(both) / (p(one) p(other)): what contrastive
learning with negatives from the stream estimates, in closed form, from sums that forget nothing. Awake, the directions
follow the sums by a power step with conjugate gradients; at night they are solved. Moments that are set apart are in no
sum, and tell how much of what binds the others is chance.
Source: Bach & Jordan (2005); of more than two senses, Kettenring (1971); the ratio, van den Oord et al. (2018).
"""

from itertools import combinations

import jax
import jax.numpy as jnp
from flax import struct

from dellm_jax.axes import leaf
from dellm_jax.memory import moments, symmetric
from dellm_jax.memory.belief import Belief
from dellm_jax.types import Array

AWAKE_STEPS = 8
TURNS = 40  # of subspace iteration at night, from where the evening stands
MOST = 0.98  # of the variance of what a sense tells that may be taken for what is there


@struct.dataclass
class Binding:
    """Of the moments lived through senses s and t: `count` [S, S] in the order of their names; with x_s relative to the
    `origin` {s: [n_s]}, what came first, lest the sums cancel in rounding: `total` {s: [S, n_s]}, row t of which is the
    sum of x_s; `own` {s: packed sum of x_s x_s^T} and `across` {"s|t": sum of x_s x_t^T [n_s,
    n_t]}, but for the first `fill` of `pending` {s: [K, n_s]}. Of the d numbers of h: `directions` {s: [n_s, d]},
    together of variance 1, of which s has the `share` {s: [d]}; the `correlation` [d] that binds them; and the `bond`
    {s: [d]}, the mean of the correlations of s with every sense that it met, as much of which as `chance` is none.
    `moments`: some of those that were set apart."""

    count: Array = leaf("senses", "senses")
    origin: dict[str, Array] = leaf("{}.features")
    total: dict[str, Array] = leaf("senses", "{}.features")
    own: dict[str, Array] = leaf("{}.pairs", "{}.block", "{}.block")
    across: dict[str, Array] = leaf("{}.one", "{}.other")
    directions: dict[str, Array] = leaf("{}.features", "binding")
    share: dict[str, Array] = leaf("binding")
    correlation: Array = leaf("binding")
    bond: dict[str, Array] = leaf("binding")
    chance: Array = leaf()
    pending: dict[str, Array] = leaf("{}.pending", "{}.features")
    fill: Array = leaf()
    moments: moments.Moments


def empty(features: dict[str, int], numbers: int, chunk: int, kept: moments.Moments, key: Array) -> Binding:
    """Nothing was lived together yet; `chunk` moments are gathered before the directions follow."""
    senses = sorted(features)
    keys = dict(zip(senses, jax.random.split(key, len(senses)), strict=True))
    return Binding(
        count=jnp.zeros((len(senses), len(senses))),
        origin={s: jnp.zeros((features[s],)) for s in senses},
        total={s: jnp.zeros((len(senses), features[s])) for s in senses},
        own={s: symmetric.zeros(features[s]) for s in senses},
        across={f"{s}|{t}": jnp.zeros((features[s], features[t])) for s, t in combinations(senses, 2)},
        directions={s: jax.random.normal(keys[s], (features[s], numbers)) for s in senses},
        share={s: jnp.ones((numbers,)) / len(senses) for s in senses},
        correlation=jnp.zeros((numbers,)),
        bond={s: jnp.zeros((numbers,)) for s in senses},
        chance=jnp.zeros(()),
        pending={s: jnp.zeros((chunk, features[s])) for s in senses},
        fill=jnp.zeros((), jnp.int32),
        moments=kept,
    )


def observe(memory: Binding, features: dict[str, Array], valid: Array) -> Binding:
    """Add a batch: features {sense: [B, n]} of the senses that were there, valid [B] in {0, 1}. B <= chunk.

    One sense alone binds nothing.
    """
    if len(features) < 2:
        return memory
    batch, chunk = valid.size, next(iter(memory.pending.values())).shape[0]
    if batch > chunk:
        raise ValueError(f"a batch of {batch} does not fit semantic_chunk={chunk}; raise semantic_chunk")
    # A loop of no or one turn instead of a branch: XLA keeps its operands in place.
    memory = jax.lax.while_loop(lambda m: m.fill + batch > chunk, lambda m: follow(absorb(m), AWAKE_STEPS), memory)
    there = jnp.array([float(s in features) for s in sorted(memory.own)])
    origin = memory.origin | {s: _origin(memory, s, x, valid) for s, x in features.items()}
    lived = {s: (x - origin[s]) * valid[:, None] for s, x in features.items()}
    return memory.replace(
        origin=origin,
        count=memory.count + valid.sum() * jnp.outer(there, there),
        total=memory.total | {s: memory.total[s] + jnp.outer(there, x.sum(0)) for s, x in lived.items()},
        pending=memory.pending
        | {s: jax.lax.dynamic_update_slice(memory.pending[s], x, (memory.fill, 0)) for s, x in lived.items()},
        fill=memory.fill + batch,
    )


def _origin(memory: Binding, sense: str, features: Array, valid: Array) -> Array:
    """The mean of the first batch in which a sense took part."""
    place = sorted(memory.own).index(sense)
    mean = (features * valid[:, None]).sum(0) / jnp.maximum(valid.sum(), 1)
    return jnp.where(memory.count[place, place] > 0, memory.origin[sense], mean)


def absorb(memory: Binding) -> Binding:
    """Move what is pending into the sums."""
    new = memory.pending
    pairs = {name: name.split("|") for name in memory.across}
    return memory.replace(
        own={s: symmetric.add_gram(gram, new[s]) for s, gram in memory.own.items()},
        across={name: memory.across[name] + new[s].T @ new[t] for name, (s, t) in pairs.items()},
        pending=jax.tree.map(jnp.zeros_like, new),
        fill=jnp.zeros_like(memory.fill),
    )


def centre(memory: Binding, sense: str) -> Array:
    """The mean features of all moments that s took part in [n]."""
    return memory.origin[sense] + _mean(memory, sense)


def _mean(memory: Binding, sense: str) -> Array:
    return memory.total[sense][sorted(memory.own).index(sense)] / _seen(memory, sense)


def _seen(memory: Binding, sense: str) -> Array:
    place = sorted(memory.own).index(sense)
    return jnp.maximum(memory.count[place, place], 1)


def _variance(memory: Binding, sense: str) -> Array:
    mean_power = symmetric.diagonal(memory.own[sense], memory.total[sense].shape[1]) / _seen(memory, sense)
    return jnp.maximum(mean_power - _mean(memory, sense) ** 2, 0)


def ridge(memory: Binding, sense: str) -> Array:
    """As that of semantic memory: 0.1 (n / N)^1.5 of the mean variance of n features over N moments, within [1e-4,
    0.3], and 3e-5 of their power."""
    features, seen = memory.total[sense].shape[1], _seen(memory, sense)
    variance, power = _variance(memory, sense).mean(), (centre(memory, sense) ** 2).mean()
    return jnp.clip(0.1 * (features / seen) ** 1.5, 1e-4, 0.3) * variance + 3e-5 * (variance + power) + 1e-9


def _within(memory: Binding, sense: str, columns: Array) -> Array:
    """(Sigma_ss + ridge I) V."""
    mean = _mean(memory, sense)
    product = symmetric.product(memory.own[sense], columns) / _seen(memory, sense) - jnp.outer(mean, mean @ columns)
    return product + ridge(memory, sense) * columns


def _between(memory: Binding, one: str, other: str) -> Array:
    """Sigma_st [n_s, n_t] over the moments that both took part in."""
    senses = sorted(memory.own)
    many = jnp.maximum(memory.count[senses.index(one), senses.index(other)], 1)
    total = jnp.outer(memory.total[one][senses.index(other)], memory.total[other][senses.index(one)])
    return memory.across[f"{one}|{other}"] / many - total / many**2


def _others(memory: Binding, columns: dict[str, Array]) -> dict[str, Array]:
    """{s: sum over t != s of Sigma_st V_t}."""
    out = {s: jnp.zeros_like(v) for s, v in columns.items()}
    for s, t in (name.split("|") for name in memory.across):
        both = _between(memory, s, t)
        out = out | {s: out[s] + both @ columns[t], t: out[t] + both.T @ columns[s]}
    return out


def follow(memory: Binding, steps: int) -> Binding:
    """One power step V <- D^-1 (D + C) V, D the covariances within senses and C those between them, by `steps` of
    conjugate gradients from where it stands; then the best basis of what it spans."""
    drawn = _others(memory, memory.directions)
    after = {}
    for s, columns in memory.directions.items():
        scale = 1 / (_variance(memory, s) + ridge(memory, s))[:, None]
        after[s] = columns + symmetric.descend(
            lambda v, s=s: _within(memory, s, v), drawn[s], memory.correlation * columns, scale, steps
        )
    return _settled(memory, after)


def _settled(memory: Binding, columns: dict[str, Array]) -> Binding:
    """The directions within the span of `columns` that are of variance 1 and bind most, in order (Rayleigh & Ritz)."""
    others = _others(memory, columns)
    own = {s: v.T @ _within(memory, s, v) for s, v in columns.items()}
    both = sum(v.T @ others[s] for s, v in columns.items())
    variance, axes = jnp.linalg.eigh(sum(own.values()))
    white = axes / jnp.sqrt(jnp.maximum(variance, 1e-6 * variance[-1] + 1e-20))
    correlation, turn = jnp.linalg.eigh(white.T @ ((both + both.T) / 2) @ white)
    basis = (white @ turn)[:, ::-1]
    directions = {s: v @ basis for s, v in columns.items()}
    share = {s: ((own[s] @ basis) * basis).sum(0) for s in columns}
    unit = {s: v / jnp.sqrt(jnp.maximum(share[s], 1e-9)) for s, v in directions.items()}
    pull = _others(memory, unit)
    met = dict(zip(sorted(columns), (memory.count > 0).sum(1) - 1, strict=True))
    bond = {s: jnp.clip((unit[s] * pull[s]).sum(0) / jnp.maximum(met[s], 1), 0, 1) for s in columns}
    together = jnp.clip(correlation[::-1], 0, len(columns))
    return memory.replace(directions=directions, share=share, correlation=together, bond=bond)


def solve(memory: Binding) -> Binding:
    """The directions that bind most, over everything ever lived: subspace iteration where every sense is white."""
    memory = absorb(memory)
    senses = sorted(memory.own)
    roots = {s: _root(memory, s) for s in senses}

    def white(one: str, other: str) -> Array:
        half = jax.scipy.linalg.solve_triangular(roots[one], _between(memory, one, other), lower=True)
        return jax.scipy.linalg.solve_triangular(roots[other], half.T, lower=True).T

    blocks = {(s, t): white(s, t) for s, t in combinations(senses, 2)}

    def turn(_: int, whole: Array) -> Array:
        parts = split(whole)
        out = dict(parts)
        for (s, t), block in blocks.items():
            out = out | {s: out[s] + block @ parts[t], t: out[t] + block.T @ parts[s]}
        return jnp.linalg.qr(jnp.concatenate([out[s] for s in senses]))[0]

    sizes = [memory.total[s].shape[1] for s in senses]

    def split(whole: Array) -> dict[str, Array]:
        cuts = [sum(sizes[: place + 1]) for place in range(len(sizes) - 1)]
        return dict(zip(senses, jnp.split(whole, cuts), strict=True))

    begin = jnp.concatenate([roots[s].T @ memory.directions[s] for s in senses])
    parts = split(jax.lax.fori_loop(0, TURNS, turn, begin))
    return _settled(memory, {s: jax.scipy.linalg.solve_triangular(roots[s].T, parts[s], lower=False) for s in senses})


def _root(memory: Binding, sense: str) -> Array:
    """L with L L^T = Sigma_ss + ridge I."""
    features, mean = memory.total[sense].shape[1], _mean(memory, sense)
    dense = symmetric.dense(memory.own[sense], features) / _seen(memory, sense) - jnp.outer(mean, mean)
    return symmetric.root(dense, ridge(memory, sense))


def loading(memory: Binding, sense: str) -> Array:
    """w_s^2 [d]: the share of what a sense tells that is told of h; of two senses, the correlation between them.

    As much of a bond as the last number has is what chance makes of so few moments, at least: it is taken from all, as
    in an adjusted coefficient of determination.
    """
    bond = memory.bond[sense]
    chance = jnp.maximum(bond[-1], memory.chance) ** 2
    return jnp.clip(jnp.sqrt(jnp.maximum(bond**2 - chance, 0) / jnp.maximum(1 - chance, 1e-3)), 0, MOST)


def told(memory: Binding, sense: str, features: Array) -> Array:
    """u_s [B, d]: the numbers that features [B, n] of one sense come to, each of variance 1."""
    scale = jnp.sqrt(jnp.maximum(memory.share[sense], 1e-9))
    return (features - centre(memory, sense)) @ memory.directions[sense] / scale


def belief(memory: Binding, sense: str, features: Array) -> Belief:
    """What one sense tells of h: features [B, n]."""
    w2 = loading(memory, sense)
    return Belief(told(memory, sense, features) * jnp.sqrt(w2) / (1 - w2), w2 / (1 - w2))
