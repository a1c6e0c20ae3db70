"""How long the pieces of a night are, and what its guard costs.

python scripts/bench/night.py     # two minutes

A life of size small lives a day of the digits and sleeps the same night again and again. An input that comes waits for
the end of a piece: of every stage how many pieces it has, their median, 95th percentile and longest, in ms, and the
share that is over within 50 ms. What the guard costs: the held-out episodes are asked in the evening and in the
morning, and after every chunk of what learns. And what putting memory in order does to the time that rehearsal takes.
Nights after the first, which compiles. By the clock on the wall, and by that of the processor, which is what the wall's
would be on a machine that nobody else uses.
"""

import sys
from time import perf_counter, process_time

import jax
import numpy as np
from hydra import compose, initialize_config_dir

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic
from dellm_jax.mind import awake, create
from dellm_jax.rest import gated
from dellm_jax.rest.judge import judge
from dellm_jax.rest.pieces import in_pieces, pieces_of
from dellm_jax.streams import days
from dellm_jax.trees import named_key
from experiments import build
from experiments.config import register, sound
from experiments.train import CONF

NIGHTS, BOUND, DRAWS, BATCH = 8, 50.0, 200, 64


def now():
    """Ms by the clock on the wall and by that of the processor."""
    return 1000 * np.array([perf_counter(), process_time()])


def milliseconds(what, *arguments):
    """How long it takes, by both clocks."""
    began = now()
    jax.block_until_ready(what(*arguments))
    return now() - began


def timed(stage, times):
    """The same stage, which notes how long each of its pieces took."""

    def pieces(mind, state, key):
        began = now()
        for changed, report in pieces_of(stage)(mind, state, key):
            jax.block_until_ready(changed)
            times.append(now() - began)
            yield changed, report
            began = now()

    return in_pieces(pieces)


def slept(plan, state, key):
    """One night: ms of every piece of every stage, how many chunks were judged, and the memory before and after it was
    put in order."""
    times, chunks, memories = {}, 0, {}
    for name, stage in plan.schedule.night:
        before = state.memory.episodic
        state, report = timed(stage, times.setdefault(name, []))(plan.mind, state, named_key(key, name))
        chunks += -(-int(report.get("updates", 0)) // 50) + ("updates" in report)  # after every chunk, and at first
        if name == "reorganise":
            memories = {"before": before, "after": state.memory.episodic}
    return times, chunks, memories


def rehearsals(state, memories):
    """Median ms of drawing and decoding a batch of episodes from each memory, turn about."""

    @jax.jit
    def rehearsed(memory, key):
        drawn = episodic.recall(memory, key, BATCH)
        return experiences.decode(state.architecture, drawn.codes, drawn.present)

    taken = {name: [] for name in memories}
    for turn in range(DRAWS):
        for name, memory in memories.items():
            taken[name].append(milliseconds(rehearsed, memory, jax.random.key(turn)))
    return {name: np.median(ms[DRAWS // 10 :], axis=0) for name, ms in taken.items()}


def table(nights, clock):
    """What the nights come to by one of the clocks."""
    print(f"{'':>12}  {'seconds':>8}  {'pieces':>6}  {'median':>7}  {'p95':>7}  {'longest':>7}  <= {BOUND:.0f} ms")
    every = {name: np.concatenate([np.array(times[name])[:, clock] for times, *_ in nights]) for name in nights[0][0]}
    for name, ms in (every | {"all": np.concatenate(list(every.values()))}).items():
        shown = "  ".join(f"{of:7.1f}" for of in (np.median(ms), np.quantile(ms, 0.95), ms.max()))
        share = 100 * (ms <= BOUND).mean()
        print(f"{name:>12}  {ms.sum() / len(nights) / 1000:8.3f}  {ms.size // len(nights):6d}  {shown}  {share:6.1f} %")
    whole = np.median([sum(np.sum(of, axis=0)[clock] for of in times.values()) for times, *_ in nights])
    guard = np.median([2 * judged[clock] for *_, (judged, _) in nights])
    gate = np.median([chunks * judged[clock] for _, chunks, _, (_, judged) in nights])
    print(f"the guard is {100 * guard / (guard + whole):.1f} % of a night of {(guard + whole) / 1000:.2f} s", end="; ")
    print(f"with what judges chunks, {100 * (guard + gate) / (guard + whole):.1f} %")


def main():
    """Print the tables."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = sound(compose("config", ["+cycle=fast", "imagery=[image,audio]", *sys.argv[1:]]))
    plan = build.plan(config, "night")
    stream = days.stretches(plan.curriculum, plan.batch, plan.stretch)
    state = create(plan.mind, plan.architecture, jax.random.key(0))
    for _, stretch in zip(range(3), stream, strict=False):
        state, _ = awake(plan.mind, state, stretch)

    nights = []
    for night in range(NIGHTS):
        belief = gated.held_out_belief(plan.mind, state)
        judged = milliseconds(gated.held_out_losses, plan.mind, state, belief, 0.0)
        asked = milliseconds(judge, plan.mind, state), judged
        nights.append((*slept(plan, state, jax.random.key(night)), asked))
    for clock, name in enumerate(("by the clock on the wall", "by the clock of the processor")):
        print(name)
        table(nights[1:], clock)
    before, after = rehearsals(state, nights[-1][2]).values()
    print(f"{BATCH} episodes are rehearsed in {before[0]:.3f} ms before they are put in order, {after[0]:.3f} after")


if __name__ == "__main__":
    main()
