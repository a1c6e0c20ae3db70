"""A life as named host arrays, and back: what a snapshot and a checkpoint have in common."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax.architecture import Architecture
from dellm_jax.persistence.faults import Misfit, fault, named
from dellm_jax.trees import flat
from dellm_jax.types import Dellm

Newborn = Callable[[Architecture], Dellm]
SAME_MIND = "use the mind (module and rule) that it was saved with"


def on_host(state: Dellm) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Leaves by path as C-contiguous copies, and the implementation of each typed key; a key becomes its uint32 data.

    All leaves must be addressable from this process.
    """
    leaves = flat(state)
    keys = {
        path: str(jax.random.key_impl(leaf))
        for path, leaf in leaves.items()
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    }
    data = {path: jax.random.key_data(leaf) if path in keys else leaf for path, leaf in leaves.items()}
    # Copies, because a host view of a CPU buffer would keep `awake` from reusing it in place while the view is written;
    # and by `np.array`, because `np.ascontiguousarray` makes a vector of a scalar.
    return {path: np.array(leaf, order="C") for path, leaf in jax.device_get(data).items()}, keys


def rebuild(
    where: Any, newborn: Newborn, architecture: Architecture, arrays: dict[str, np.ndarray], keys: dict[str, Any]
) -> Dellm:
    """The life with these arrays, in the form that `newborn` gives this architecture (only its shapes are worked out).

    `newborn`: e.g. `partial(create, mind, key=jax.random.key(0))`. Raises Misfit naming leaf, expected, found and fix.
    """
    try:
        template = jax.eval_shape(lambda: newborn(architecture))
    except Exception as error:  # a stored architecture may ask for anything
        raise fault(f"{where}: architecture", "a body that can be made", named(error), SAME_MIND, Misfit) from error
    forms = flat(template)
    for path in sorted(forms.keys() ^ arrays.keys()):
        expected, found = ("no such leaf", "one") if path in arrays else ("one", "no such leaf")
        raise fault(f"{where}: leaf {path!r}", expected, found, SAME_MIND, Misfit)
    leaves = [_leaf(f"{where}: leaf {path!r}", form, arrays[path], keys.get(path)) for path, form in forms.items()]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _leaf(where: str, form: Any, array: Any, implementation: Any) -> jax.Array:
    leaf = array
    if implementation is not None:
        try:
            leaf = jax.random.wrap_key_data(array, impl=str(implementation))
        except (TypeError, ValueError) as error:
            raise fault(where, form.dtype, f"{implementation!r} ({named(error)})", SAME_MIND, Misfit) from error
    if (leaf.shape, leaf.dtype) != (form.shape, form.dtype):
        raise fault(where, f"{form.dtype} {form.shape}", f"{leaf.dtype} {leaf.shape}", SAME_MIND, Misfit)
    return jnp.array(leaf)
