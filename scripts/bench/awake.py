"""How fast waking life is, beside the same arithmetic written by hand: ratios measured side by side in one run.

    python scripts/bench/awake.py            # 784-400-400-10, batch 10 + 10 replayed, 392 kB of memory

Rows: DELLM's `awake` (cortex only), a hand-written jitted JAX loop, a plain PyTorch loop if torch is there; then eight
seeds as a loop through one compiled function, as lax.map and as vmap. Data are random: only time is measured.
"""

from functools import partial
from statistics import median
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import awake, awake_step, create
from dellm_jax.senses import Image
from dellm_jax.trees import copy
from dellm_jax.types import Experience, Mind

UNITS, BATCH, STEPS, ROUNDS, SEEDS, RATE = 400, 10, 300, 7, 8, 0.05
BUDGET = 392_000
FLOPS_A_STEP = 6 * 2 * BATCH * (784 * UNITS + UNITS * UNITS + UNITS * 10)


def body(code_side: int, code_bits: int) -> Architecture:
    """784-400-400-10 with a memory of 392 kB."""
    return Architecture(
        senses=(Image(code_side=code_side, code_bits=code_bits),),
        assemblies=(Assembly("vision", ("image",), UNITS, UNITS), Assembly("association", ("vision",), UNITS, UNITS)),
        concepts=10,
        quantum=UNITS,
        episodic_bytes=BUDGET,
        semantic=False,
        feedback=False,
    )


def experiences(seed: int) -> Experience:
    """Random pictures [T, B, 28, 28, 1] of ten concepts."""
    generator = np.random.default_rng(seed)
    return Experience(
        {"image": jnp.asarray(generator.integers(0, 256, (STEPS, BATCH, 28, 28, 1), np.uint8))},
        jnp.asarray(generator.integers(0, 10, (STEPS, BATCH)), jnp.int32),
        jnp.ones((STEPS, BATCH)),
    )


def by_hand(stretch: Experience):
    """The same net, loss, replay and reservoir as a researcher would write them for this one experiment."""
    layers = (784, UNITS, UNITS, 10)
    keys = jax.random.split(jax.random.key(0), 3)
    weights = [
        (jax.random.normal(k, (i, o)) * (2 / i) ** 0.5, jnp.zeros(o))
        for k, i, o in zip(keys, layers, layers[1:], strict=False)
    ]
    slots = BUDGET // 784
    pictures, labels = jnp.zeros((slots, 784), jnp.uint8), jnp.zeros(slots, jnp.int32)
    start = (weights, pictures, labels, jnp.zeros((), jnp.int32), keys[0])

    def loss(weights, x, y, known):
        for w, b in weights[:-1]:
            x = jax.nn.relu(x @ w + b)
        logits = x @ weights[-1][0] + weights[-1][1]
        logits = jnp.where(known, logits, -1e9)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    def step(carry, batch):
        weights, pictures, labels, seen, key = carry
        raw, y = batch
        raw = raw.reshape(BATCH, 784)
        key, for_recall, for_slot = jax.random.split(key, 3)
        pick = jax.random.randint(for_recall, (BATCH,), 0, jnp.clip(seen, 1, slots))
        x = jnp.concatenate([raw, pictures[pick]]).astype(jnp.float32) / 255
        targets = jnp.concatenate([y, labels[pick]])
        here = jnp.zeros(10).at[y].set(1.0)
        known = jnp.concatenate([jnp.tile(here > 0, (BATCH, 1)), jnp.ones((BATCH, 10), bool)])
        value, slope = jax.value_and_grad(loss)(weights, x, targets, known)
        weights = jax.tree.map(lambda w, g: w - RATE * g, weights, slope)
        nth = seen + jnp.arange(BATCH)
        slot = jnp.where(nth < slots, nth, jax.random.randint(for_slot, (BATCH,), 0, nth + 1))
        pictures, labels = pictures.at[slot].set(raw, mode="drop"), labels.at[slot].set(y, mode="drop")
        return (weights, pictures, labels, seen + BATCH, key), value

    live = jax.jit(lambda carry, images, targets: jax.lax.scan(step, carry, (images, targets)), donate_argnums=0)
    return live, copy(start), (stretch.senses["image"], stretch.target)


def in_torch(stretch: Experience):
    """A plain PyTorch loop of the same arithmetic; None if torch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    net = torch.nn.Sequential(
        torch.nn.Linear(784, UNITS),
        torch.nn.ReLU(),
        torch.nn.Linear(UNITS, UNITS),
        torch.nn.ReLU(),
        torch.nn.Linear(UNITS, 10),
    )
    optimiser = torch.optim.SGD(net.parameters(), RATE)
    slots = BUDGET // 784
    memory, labels = torch.zeros(slots, 784, dtype=torch.uint8), torch.zeros(slots, dtype=torch.long)
    images = torch.from_numpy(np.asarray(stretch.senses["image"]).reshape(STEPS, BATCH, 784).copy())
    targets = torch.from_numpy(np.asarray(stretch.target).astype(np.int64))
    seen = 0

    def live() -> None:
        nonlocal seen
        for raw, y in zip(images, targets, strict=True):
            pick = torch.randint(0, max(1, min(seen, slots)), (BATCH,))
            logits = net(torch.cat([raw, memory[pick]]).float() / 255)
            absent = torch.ones(10, dtype=torch.bool)
            absent[y] = False
            shielded = torch.cat([absent.repeat(BATCH, 1), torch.zeros(BATCH, 10, dtype=torch.bool)])
            value = torch.nn.functional.cross_entropy(logits.masked_fill(shielded, -1e9), torch.cat([y, labels[pick]]))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            nth = seen + torch.arange(BATCH)
            slot = torch.where(nth < slots, nth, (torch.rand(BATCH) * (nth + 1)).long())
            kept = slot < slots
            memory[slot[kept]], labels[slot[kept]] = raw[kept], y[kept]
            seen += BATCH

    return live


def timed(function) -> float:
    """Seconds of one call, to the last array."""
    began = perf_counter()
    jax.block_until_ready(function())
    return perf_counter() - began


def matmul_peak() -> float:
    """Best GFLOP/s of a large float32 product here."""
    x = jnp.ones((1536, 1536))
    product = jax.jit(lambda a: a @ a)
    product(x).block_until_ready()
    return 2 * 1536**3 / min(timed(lambda: product(x)) for _ in range(8)) / 1e9


def main() -> None:
    """Print the rows; every round runs all contestants once, and ratios are medians over rounds."""
    mind = Mind(Cortex, asymmetric_cross_entropy, optax.sgd(RATE), BATCH)
    stretch = experiences(0)
    hand, carry, arrays = by_hand(stretch)
    bodies = {"raw": body(28, 8), "packed": body(14, 4)}
    lives = {which: create(mind, architecture, jax.random.key(0)) for which, architecture in bodies.items()}
    held = {"hand": carry} | lives

    def run_hand():
        held["hand"], value = hand(held["hand"], *arrays)
        return value

    def run_life(which: str):
        held[which], report = awake(mind, held[which], stretch)
        return report["loss"]

    contestants = {
        "hand-written JAX loop": run_hand,
        "DELLM awake, raw memory": partial(run_life, "raw"),
        "DELLM awake, packed memory": partial(run_life, "packed"),
    }
    torch_loop = in_torch(stretch)
    if torch_loop:
        contestants["plain PyTorch loop"] = torch_loop
    for run in contestants.values():
        timed(run)
    rounds = [{name: timed(run) for name, run in contestants.items()} for _ in range(ROUNDS)]
    peak = matmul_peak()
    print(f"784-{UNITS}-{UNITS}-10, batch {BATCH} + {BATCH} replayed, SGD, {BUDGET // 1000} kB of memory")
    print(f"matmul peak here: {peak:.0f} GFLOP/s")
    print(f"{'':30}{'samples/s':>12}{'GFLOP/s':>10}{'of peak':>9}{'time / hand-written':>22}")
    for name in contestants:
        seconds = median(turn[name] for turn in rounds)
        ratio = median(turn[name] / turn["hand-written JAX loop"] for turn in rounds)
        speed = FLOPS_A_STEP * STEPS / seconds / 1e9
        print(f"{name:30}{STEPS * BATCH / seconds:12.0f}{speed:10.1f}{speed / peak:9.0%}{ratio:22.2f}")
    if not torch_loop:
        print("plain PyTorch loop: torch is not installed")
    eight_seeds(mind, stretch)


def eight_seeds(mind: Mind, stretch: Experience) -> None:
    """Eight lives of different seeds on the same day, three ways."""
    born = [create(mind, body(14, 4), jax.random.key(seed)) for seed in range(SEEDS)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *born)

    def live(state):
        return jax.lax.scan(partial(awake_step, mind), state, stretch)[1]["loss"]

    one, mapped, vmapped = jax.jit(live), jax.jit(partial(jax.lax.map, live)), jax.jit(jax.vmap(live))
    ways = {
        "one": lambda: one(born[0]),
        "loop": lambda: [one(state) for state in born],
        "lax.map": lambda: mapped(together),
        "vmap": lambda: vmapped(together),
    }
    for run in ways.values():
        timed(run)
    rounds = [{name: timed(run) for name, run in ways.items()} for _ in range(3)]
    print(
        f"{SEEDS} seeds, time / one seed: "
        + ", ".join(
            f"{name} {median(turn[name] / turn['one'] for turn in rounds):.1f}" for name in ways if name != "one"
        )
    )


if __name__ == "__main__":
    main()
