"""What a change of shape costs: host milliseconds of a grow and a prune event, and compilations over 60 growth events.

python scripts/bench/surgery.py
"""

from functools import partial
from statistics import median
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dellm_jax import surgery
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import awake, create
from dellm_jax.senses import Image
from dellm_jax.types import Dellm, Experience, Mind

WIDTH, QUANTUM, EVENTS, ROUNDS = 1024, 64, 60, 9
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.adam(1e-3), 10)


def life(units: int, capacity: int, quantum: int) -> Dellm:
    """784-units-units-10 under Adam."""
    architecture = Architecture(
        senses=(Image(),),
        assemblies=(
            Assembly("vision", ("image",), units, capacity),
            Assembly("association", ("vision",), units, capacity),
        ),
        concepts=10,
        quantum=quantum,
        semantic=False,
        feedback=False,
    )
    return jax.block_until_ready(create(MIND, architecture, jax.random.key(0)))


def milliseconds(event) -> tuple[float, float]:
    """Median and worst of an event, to the last array."""
    event()
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        jax.block_until_ready(event())
        times.append(1e3 * (perf_counter() - began))
    return median(times), max(times)


def main() -> None:
    """Print what each event costs at width 1,024, then the compile counts."""
    full, spare = life(WIDTH, WIDTH, QUANTUM), life(WIDTH - QUANTUM, WIDTH, QUANTUM)
    axis, newborn = "vision.units", np.arange(WIDTH - QUANTUM, WIDTH)
    events = {
        f"take: grow {WIDTH} -> {WIDTH + QUANTUM}": partial(surgery.resize, MIND, full, axis, WIDTH + QUANTUM),
        f"take: prune {WIDTH} -> {WIDTH - QUANTUM}": partial(
            surgery.take, MIND, full, axis, list(range(QUANTUM, WIDTH))
        ),
        f"awaken {QUANTUM} within capacity": partial(surgery.awaken, MIND, spare, axis, newborn, jax.random.key(1)),
        f"silence {QUANTUM} within capacity": partial(surgery.silence, MIND, full, axis, newborn),
    }
    print(f"784-{WIDTH}-{WIDTH}-10 under Adam, {ROUNDS} rounds; {jax.devices()[0].device_kind}")
    for name, event in events.items():
        middle, worst = milliseconds(event)
        print(f"{name:34}{middle:8.1f} ms median{worst:8.1f} ms worst")
    for quantum in (1, 64):
        print(f"{EVENTS} growth events of 4 units, quantum {quantum}: {traces(quantum)} compilations of awake")


def traces(quantum: int) -> int:
    """Compilations of `awake` over a life that grows after every stretch."""
    stretch = Experience(
        {"image": jnp.zeros((1, 10, 28, 28, 1), jnp.uint8)}, jnp.zeros((1, 10), jnp.int32), jnp.ones((1, 10))
    )
    state, before = life(16, 0, quantum), awake._cache_size()
    state, _ = awake(MIND, state, stretch)
    for event in range(EVENTS):
        living = surgery.living(state)["vision"]
        if living + 4 > state.architecture.sizes()["vision.units"]:
            state = surgery.resize(MIND, state, "vision.units", quantum * -(-(living + 4) // quantum))
        state = surgery.awaken(MIND, state, "vision.units", np.arange(living, living + 4), jax.random.key(event))
        state, _ = awake(MIND, state, stretch)
    return awake._cache_size() - before


if __name__ == "__main__":
    main()
