"""What growth saves, what pruning costs, and whether a life that grew wakes at once.

python scripts/bench/structure.py                    # three seeds, 20 minutes on a core
python scripts/bench/structure.py seeds=1 validation=0.1   # other settings of a run go on to its configuration

MNIST, two new digits a day, lived online as in conf/experiment/split_mnist_online.yaml; the cortex alone, since it is
what grows: no semantic memory, and nights of 500 updates, for want of time. Mean and SD over seeds of:
growth: test accuracy and operations of a life of 2 x 100 units, of 2 x 400, and of two that grow from the former toward
  the latter in five nights, by need and at random (as many units in as many events, at nights and in assemblies drawn
  by lot); then the same from 2 x 25 to 2 x 100, where width matters more. Operations are counted as 6 batch sum(in out)
  of every update awake and at night, of the shapes that really ran; what nights ask of the held-out is not counted.
pruning: what the life of 2 x 400 loses when a part of either assembly is cut in one night and what it said is left to
  nobody, to the bias or to the living, at once and after 100 more updates at night.
waking: seconds of the first stretch after a night that grew, over the median of its day.
"""

import sys
from collections import Counter
from dataclasses import replace
from itertools import product
from statistics import mean, median, stdev
from time import perf_counter
from typing import NamedTuple

import jax
import numpy as np
import optax
from hydra import compose, initialize_config_dir

from dellm_jax.life import live
from dellm_jax.mind import create
from dellm_jax.rest import grow, prune, replay
from dellm_jax.rest.grow import recruit
from dellm_jax.rest.prune import nobody, the_bias, the_living
from dellm_jax.rest.statistics import utility
from dellm_jax.streams import days
from dellm_jax.surgery import living
from dellm_jax.trees import named_key
from experiments import build
from experiments.config import register, sound
from experiments.diagnose import REHEARSED
from experiments.examine import examine
from experiments.train import CONF

PAIRS, NIGHTS, MENDED = ((100, 400), (25, 100)), 5, 100
NEED = grow(per_concept=0, share=0.32)  # about four times as wide after five nights
HEIRS = {"nobody": nobody, "the bias": the_bias, "the living": the_living()}
SETTINGS = ["+experiment=split_mnist_online", "semantic=false", "cycle.night_steps=500"]
SETTINGS += ["size.quantum=4", "rest.replay.taught=0", "rest.prune=null", "rest.grow=null"]


class Life(NamedTuple):
    """A life at its end: accuracy of its cortex in %, operations, births [night] {assembly: n}, and the seconds of the
    first awake stretch after a night of growth over the median of its day."""

    state: object
    accuracy: float
    flops: float
    births: list
    waking: list


def asked(plan, state):
    """Accuracy of the cortex in %."""
    return 100 * examine(plan.mind, state, plan.curriculum).accuracy("cortex")


def flops(state):
    """Of one example that is learned from: 6 sum(in out)."""
    return 6 * sum(leaf.size for leaf in jax.tree.leaves(state.params) if leaf.ndim == 2)


def lived(plan, seed, units, stage, most):
    """The life of `plan` in a body of `units` a layer, which sleeps with `stage` before everything else."""
    bodies = tuple(replace(a, units=units, capacity=0, max_units=most) for a in plan.architecture.assemblies)
    state = create(plan.mind, replace(plan.architecture, assemblies=bodies), jax.random.key(seed))
    night = ((("grow", stage),) if stage else ()) + plan.schedule.night
    total, births, seconds, grew = 0.0, [], [[]], [False]
    stream = list(days.stretches(plan.curriculum, plan.batch, plan.stretch))  # so that no loading is timed
    life = live(plan.mind, state, stream, replace(plan.schedule, night=night))
    while True:
        before, began = living(state), perf_counter()
        try:
            phase, state, report = next(life)
        except StopIteration:
            break
        if phase == "awake":
            seconds[-1].append(perf_counter() - began)
            total += plan.stretch * (plan.batch + plan.mind.rehearse) * flops(state)
        else:
            total += report["replay/updates"] * REHEARSED * flops(state)
            births.append({name: many - before[name] for name, many in living(state).items()})
            seconds.append([])
            grew.append(any(births[-1].values()))
    waking = [day[0] / median(day) for day, big in zip(seconds, grew, strict=True) if big and day]
    return Life(state, asked(plan, state), total, births, waking)


def at_random(births, seed):
    """As many events of as many units each as in `births`, every one at a night and in an assembly drawn by lot."""
    lot, drawn = np.random.default_rng(seed), [Counter() for _ in range(NIGHTS)]
    events = [many for night in births for many in night.values() if many]
    for many in events:
        drawn[lot.integers(NIGHTS)][lot.choice(list(births[0]))] += many

    def stage(mind, state, key):
        tonight = drawn[min(int(state.clock.nights), NIGHTS - 1)]
        for name, many in tonight.items():
            state = recruit(mind, state, name, many, named_key(key, name))
        return state, {"births": float(sum(tonight.values()))}

    return stage


def magnitude(state):
    """|w_in|."""
    params, bodies = state.params, state.architecture.assemblies
    return {a.name: sum((params[a.name][f"from_{s}"] ** 2).sum(0) for s in a.reads) ** 0.5 for a in bodies}


def by_chance(state):
    """Nothing that can be known."""
    key = named_key(state.key, "lot")
    return {name: jax.random.uniform(named_key(key, name), u.shape) for name, u in utility(state).items()}


def shown(values):
    """Mean and SD."""
    return f"{mean(values):7.2f} +-{stdev(values) if len(values) > 1 else 0.0:5.2f}"


def growth(plans, small, large):
    """Print the table of growth from `small` to `large`; the lives in large bodies, and those that grew by need."""
    full, need = [], []
    rows = {
        f"fixed {large}": (large, lambda seed: (None, large), full),
        f"fixed {small}": (small, lambda seed: (None, large), []),
        "grown by need": (small, lambda seed: (NEED, large), need),
        "grown at random": (small, lambda seed: (at_random(need[seed].births, seed), 4 * large), []),
    }
    print(f"\n{f'{small} to {large}':>16}  {'accuracy, %':>15}  {'points lost':>15}  {'operations, %':>15}  units")
    for name, (units, how, lives) in rows.items():
        for seed, plan in enumerate(plans):
            stage, most = how(seed)
            lives.append(lived(plan, seed, units, stage, most))
        jax.clear_caches()  # every program maps memory, and the kernel allows only so many maps
        lost = [b.accuracy - a.accuracy for a, b in zip(lives, full, strict=True)]
        share = [100 * a.flops / b.flops for a, b in zip(lives, full, strict=True)]
        sizes = [list(living(life.state).values()) for life in lives]
        print(f"{name:>16}  {shown([a.accuracy for a in lives])}  {shown(lost)}  {shown(share)}  {sizes}", flush=True)
    return full, need


def pruning(plans, lives):
    """Print the table of pruning."""
    mend = replay(optax.adam(optax.cosine_decay_schedule(5e-4, MENDED)), MENDED)
    scores = {"by utility": utility, "by magnitude": magnitude, "at random": by_chance}
    cuts = {"no cut": lambda mind, state, key: (state, {})}
    for part in (0.25, 0.5):
        for (name, score), (left_to, heirs) in product(scores.items(), HEIRS.items()):
            label = f"{100 * part:.0f} % {name}, to {left_to}"
            cuts[label] = prune(below=1e9, most=part, min_age=0, score=score, heirs=heirs)
    print(f"\n{'pruning':>35}  {'lost at once':>15}  {f'lost after {MENDED}':>15}")
    for name, cut in cuts.items():
        lost = []
        for plan, life in zip(plans, lives, strict=True):
            key = named_key(life.state.key, "knife")
            state, _ = cut(plan.mind, life.state, key)
            mended, _ = mend(plan.mind, state, key)
            lost.append([life.accuracy - asked(plan, after) for after in (state, mended)])
        print(f"{name:>35}  {'  '.join(shown(losses) for losses in zip(*lost, strict=True))}", flush=True)


def main():
    """Print the tables."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    seeds = int(given.pop("seeds", 3))
    register()
    plans = []
    for seed in range(seeds):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            rest = [f"{name}={value}" for name, value in given.items()]
            plan = build.plan(sound(compose("config", [*SETTINGS, f"seed={seed}", *rest])), "structure")
        plans.append(replace(plans[0], curriculum=plan.curriculum) if plans else plan)  # one mind: compiled once
    full, need = growth(plans, *PAIRS[0])
    waking = [ratio for life in need for ratio in life.waking]
    print(f"waking after growth: {median(waking):.2f} times the median stretch of the day, {max(waking):.2f} at most")
    pruning(plans, full)
    growth(plans, *PAIRS[1])


if __name__ == "__main__":
    main()
