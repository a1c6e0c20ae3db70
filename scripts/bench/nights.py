"""Whether a night ever harms: fifty evenings and mornings, the same questions asked twice.

python scripts/bench/nights.py     # seven minutes on one core; further arguments are overrides

The life of +experiment=fifty_nights. Every evening and the morning after, the same questions are asked of all the days
so far, from the test split: all 10,000 pictures, each turned as it was on one of the days, so that no picture is asked
twice and their number is what the standard error says it is. Of every night: accuracy before and after, the change in
points with its standard error, which is that of a paired difference, how many answers were lost and won, and what the
episodes said that are held out, who judge the night. A change of 0.1 points is ten questions, which is one standard
error: a night harms for certain where lost - won > 2 sqrt(lost + won) (McNemar), and of fifty harmless ones one or two
would.
"""

import sys

import jax
import numpy as np
from hydra import compose, initialize_config_dir

from dellm_jax.life import live, tired
from dellm_jax.mind import create
from dellm_jax.streams import days
from dellm_jax.surgery import living
from experiments import build
from experiments.config import register, sound
from experiments.examine import TOGETHER, examine
from experiments.train import CONF

WAYS = ("whole", "cortex")


def answered(plan, state, lived):
    """Which of the questions about the first `lived` days are answered rightly {way: [N]}."""
    most = plan.curriculum.corpus.test.target.size // lived
    found = examine(plan.mind, state, plan.curriculum, plan.curriculum.exams[:lived], most).right
    return {way: np.concatenate(found[way][TOGETHER]).astype(float) for way in WAYS}


def told(night, evening, morning):
    """A line of the table; the change and its standard error in points, answers lost and won."""
    change = 100 * (morning - evening)
    lost, won = int((change < 0).sum()), int((change > 0).sum())
    error = change.std() / np.sqrt(change.size)
    line = f"{100 * evening.mean():7.2f}  {100 * morning.mean():7.2f}  {change.mean():+6.2f} ({error:.2f})"
    return f"{line}  {lost:4d} {won:4d}", (change.mean(), error, lost, won, night)


def summary(way, nights):
    """What fifty nights did to a way of knowing."""
    change, error, lost, won, number = map(np.array, zip(*nights, strict=True))
    sure = lost - won > 2 * np.sqrt(lost + won)
    print(
        f"{way}: {change.mean():+.3f} points a night on average, standard error {error.mean():.2f} of a night,", end=" "
    )
    print(f"worst {change.min():+.2f} ({error[change.argmin()]:.2f}) in night {number[change.argmin()]};", end=" ")
    print(f"{(change < -0.1).sum()} of {change.size} below -0.1, {sure.sum()} of them for certain")


def main():
    """Print a line a night, and what they come to."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = sound(compose("config", ["+experiment=fifty_nights", "seed=0", *sys.argv[1:]]))
    plan = build.plan(config, "nights")
    stream = days.stretches(plan.curriculum, plan.batch, plan.stretch)
    born, nights = create(plan.mind, plan.architecture, jax.random.key(config.seed)), {way: [] for way in WAYS}
    gaps, rolled_back = [], 0
    print("night  whole: evening, morning, change (error), lost, won  cortex: the same  held out, units")
    for phase, state, report in live(plan.mind, born, stream, plan.schedule):
        if phase == "awake" and tired(plan.schedule, state):
            number = len(nights["whole"]) + 1
            lived = min(number, len(plan.curriculum.exams))
            evening = answered(plan, state, lived)
        elif phase == "rest":
            morning, lines = answered(plan, state, lived), []
            for way in WAYS:
                line, one = told(number, evening[way], morning[way])
                nights[way].append(one)
                lines.append(line)
            held_out, units = 100 * report["held_out_after"], sum(living(state).values())
            gaps.append(held_out - 100 * morning["whole"].mean())
            rolled_back += report["rolled_back"] > 0
            print(f"{number:5d}  {'  '.join(lines)}  {held_out:6.2f}  {units:.0f}", flush=True)
    for way in WAYS:
        summary(way, nights[way])
    first, last = np.array_split(np.array(gaps), 2)
    print(f"held out less test split: {first.mean():+.2f} points in the first half, {last.mean():+.2f} in the second;")
    print(f"{rolled_back} nights rolled back")


if __name__ == "__main__":
    main()
