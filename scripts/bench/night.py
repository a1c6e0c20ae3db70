"""How long the pieces of a night are, and what its guard costs.

python scripts/bench/night.py     # a minute

A life of size small lives a day of the digits and sleeps the same night again and again: seconds of every stage, of its
longest piece (an input that comes waits for the end of a piece), and of the guard, which asks the held-out episodes in
the evening and in the morning. Medians of the nights after the first, which compiles.
"""

from statistics import median
from time import perf_counter

import jax
from hydra import compose, initialize_config_dir

from dellm_jax.mind import awake, create
from dellm_jax.rest.judge import judge
from dellm_jax.rest.pieces import in_pieces, pieces_of
from dellm_jax.streams import days
from dellm_jax.trees import named_key
from experiments import build
from experiments.config import register, sound
from experiments.train import CONF

NIGHTS = 6


def timed(name, stage, times):
    """The same stage, which notes how long each of its pieces took."""

    def pieces(mind, state, key):
        began = perf_counter()
        for changed, report in pieces_of(stage)(mind, state, key):
            jax.block_until_ready(changed)
            times.setdefault(name, []).append(perf_counter() - began)
            yield changed, report
            began = perf_counter()

    return in_pieces(pieces)


def main():
    """Print a table."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = sound(compose("config", ["+cycle=fast", "imagery=[image,audio]"]))
    plan = build.plan(config, "night")
    stream = days.stretches(plan.curriculum, plan.batch, plan.stretch)
    state = create(plan.mind, plan.architecture, jax.random.key(0))
    for _, stretch in zip(range(3), stream, strict=False):
        state, _ = awake(plan.mind, state, stretch)
    nights = []
    for night in range(NIGHTS):
        times = {}
        began = perf_counter()
        jax.block_until_ready(judge(plan.mind, state))
        times["guard"] = [2 * (perf_counter() - began)]
        woken = state
        for name, stage in plan.schedule.night:
            woken, _ = timed(name, stage, times)(plan.mind, woken, named_key(jax.random.key(night), name))
        nights.append(times)
    total = median(sum(sum(night[name]) for name in night if name != "guard") for night in nights[1:])
    print(f"{'':>12}  {'seconds':>8}  {'longest piece, ms':>18}")
    for name in nights[-1]:
        seconds = median(sum(night[name]) for night in nights[1:])
        longest = median(max(night[name]) for night in nights[1:])
        print(f"{name:>12}  {seconds:8.3f}  {1000 * longest:18.1f}")
    guard = median(night["guard"][0] for night in nights[1:])
    print(f"the guard is {100 * guard / (guard + total):.1f} % of a night of {guard + total:.2f} s")


if __name__ == "__main__":
    main()
