"""Whether a night ever harms: fifty evenings and mornings, the same questions asked twice.

python scripts/bench/nights.py     # half an hour on one core; further arguments are overrides

The life of +experiment=fifty_nights. Every evening and the morning after, the same questions are asked of all the days
so far, from the test split: all 10,000 pictures (but a few that do not divide), each turned as on four of the days, or
on as many as there were, and of every day as many. Of every night: accuracy before and after, the change in points with
its standard error, how many answers were lost and won, and what the episodes said that are held out, who judge the
night. The four answers about a picture go together: the error is that of the mean over pictures of the paired
difference. A night harms for certain where the change is below -2 errors; of fifty harmless ones, one would be.
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

WAYS, TURNS = ("whole", "cortex"), 4


def answered(plan, state, lived):
    """Which of the questions about the first `lived` days are answered rightly {way: [turns, pictures]}."""
    exams, many = plan.curriculum.exams[:lived], plan.curriculum.corpus.test.target.size
    right = {way: [] for way in WAYS}
    for turn in range(min(TURNS, lived)):
        first = turn * lived // min(TURNS, lived)
        days = [exams[(first + place) % lived] for place in range(lived)]
        found = examine(plan.mind, state, plan.curriculum, days, many // lived, lived).right
        for way in WAYS:
            right[way].append(np.concatenate(found[way][TOGETHER]).astype(float))
    return {way: np.stack(several) for way, several in right.items()}


def told(night, evening, morning):
    """A line of the table; the change and its standard error in points."""
    change = 100 * (morning - evening)
    lost, won = int((change < 0).sum()), int((change > 0).sum())
    of_pictures = change.mean(0)
    error = of_pictures.std() / np.sqrt(of_pictures.size)
    line = f"{100 * evening.mean():7.2f}  {100 * morning.mean():7.2f}  {change.mean():+6.3f} ({error:.3f})"
    return f"{line}  {lost:4d} {won:4d}", (change.mean(), error, night)


def summary(way, nights):
    """What fifty nights did to a way of knowing."""
    change, error, number = map(np.array, zip(*nights, strict=True))
    worst = f"{change.min():+.3f} ({error[change.argmin()]:.3f}) in night {number[change.argmin()]}"
    print(f"{way}: {change.mean():+.3f} points a night, standard error {error.mean():.3f} of a night, worst {worst};")
    print(f"{(change < -0.1).sum()} of {change.size} below -0.1, {(change < -2 * error).sum()} below 0 for certain")


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
