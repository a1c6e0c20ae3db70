"""What moments that are in no sum say of what was found in the sums: how much of it is chance, how much they bear out.

`apart` {s: u_s [M, d]}: what every sense tells of them, by `binding.told`; `there` {s: [M]} in {0, 1}.
"""

import jax.numpy as jnp

from dellm_jax.memory.binding import Binding
from dellm_jax.types import Array

Told = dict[str, Array]


def sobered(memory: Binding, apart: Told, there: Told) -> Binding:
    """The same, with the `chance` that they show: the greatest bond that is not half as great in them.

    Without such moments as before.
    """
    chance, several = jnp.zeros(()), jnp.zeros(())
    for s, t in (name.split("|") for name in memory.across):
        seen, many = _borne_out(apart, there, s, t)
        for bond in (memory.bond[s], memory.bond[t]):
            chance = jnp.maximum(chance, jnp.where((seen < bond / 2) & (many > 0), bond, 0).max())
        several = several + many
    return memory.replace(chance=jnp.where(several > 0, chance, memory.chance))


def information(memory: Binding, apart: Told, there: Told) -> Array:
    """What the senses tell of each other: the sum over pairs of senses and numbers of -log(1 - r^2) / 2, in nats; r > 0
    the correlations in these moments."""
    told = jnp.zeros(())
    for s, t in (name.split("|") for name in memory.across):
        seen = jnp.clip(_borne_out(apart, there, s, t)[0], 0, 0.999)
        told = told - 0.5 * jnp.log1p(-(seen**2)).sum()
    return told


def _borne_out(apart: Told, there: Told, one: str, other: str) -> tuple[Array, Array]:
    """The correlations [d] of two senses, and in how many moments both are."""
    both = (there[one] * there[other])[:, None]
    power = jnp.sqrt((both * apart[one] ** 2).sum(0) * (both * apart[other] ** 2).sum(0))
    return (both * apart[one] * apart[other]).sum(0) / jnp.maximum(power, 1e-9), both.sum()
