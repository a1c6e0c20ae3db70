"""Pytrees as flat dictionaries: a leaf is known by the path that leads to it."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np


def path_of(keys: tuple[Any, ...]) -> str:
    """`params/vision/bias` for a jax key path."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def flat(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> dict[str, Any]:
    """Leaves by path, in tree order."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)}


def map_named(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`function(path, leaf, *other_leaves)` on every leaf."""
    return jax.tree_util.tree_map_with_path(lambda keys, *leaves: function(path_of(keys), *leaves), tree, *rest)


def named_key(key: jax.Array, name: str) -> jax.Array:
    """A key that depends on what it is for and on nothing else, so that growing one part re-draws no other."""
    return jax.random.fold_in(key, crc32(name.encode()))


def inward(leaf: jax.Array) -> jax.Array:
    """Sum of forward weights [..., source, units] over what each unit hears: [units]."""
    return leaf.sum(tuple(range(leaf.ndim - 1)))


def outward(leaf: jax.Array) -> jax.Array:
    """Sum of forward weights [..., source, units] over who hears each source: [source]."""
    return leaf.sum((*range(leaf.ndim - 2), leaf.ndim - 1))


def nbytes(tree: Any) -> int:
    """Bytes held by the arrays of a tree."""
    return sum(leaf.size * _itemsize(leaf.dtype) for leaf in jax.tree.leaves(tree))


def _itemsize(dtype: Any) -> int:
    return 8 if jnp.issubdtype(dtype, jax.dtypes.prng_key) else np.dtype(dtype).itemsize


def copy(tree: Any) -> Any:
    """The same arrays in memory of their own, for a caller about to donate the originals."""
    return jax.tree.map(jnp.copy, tree)


def finite(tree: Any) -> jax.Array:
    """Whether every floating leaf is finite: a scalar boolean."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floats]))


def form(tree: Any) -> tuple[Any, ...]:
    """Structure, shapes and kinds of number: what decides whether a program has to be compiled for a tree."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, *((leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)) for leaf in leaves)
