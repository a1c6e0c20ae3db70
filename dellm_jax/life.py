"""The only loop: a life lives its stream, rests when it is time, and tells its caller after every stretch."""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from time import monotonic

import jax
import numpy as np

from dellm_jax.experience import validate
from dellm_jax.mind import awake
from dellm_jax.rest.night import rest, undisturbed
from dellm_jax.rest.wake import wake
from dellm_jax.trees import named_key
from dellm_jax.types import Dellm, Experience, Mind, Report, Schedule

MOMENTS = ("awake", "rest")
PRESSURE_STEPS = 10_000


def sleep_pressure(state: Dellm, full: int) -> float:
    """p = 0.6 n_since / full + 0.3 clip(loss_fast / loss_slow - 1, 0, 1) + 0.1 min(1, steps / 10,000).

    Rises with what was lived since the last rest and surprise; `full` experiences fill it. Knows no task boundary.
    """
    clock = jax.device_get(state.clock)
    surprise = min(max(float(clock.loss_fast) / max(float(clock.loss_slow), 1e-6) - 1, 0.0), 1.0)
    return (
        0.6 * min(1.0, int(clock.since_rest) / max(full, 1))
        + 0.3 * surprise
        + 0.1 * min(1.0, int(clock.steps) / PRESSURE_STEPS)
    )


def tired(schedule: Schedule, state: Dellm, silence_s: float = 0.0) -> bool:
    """Whether it is time to rest: by count, by pressure, or by silence."""
    since = int(state.clock.since_rest)
    if since == 0 or since < schedule.min_awake:
        return False
    by_count = 0 < schedule.rest_every <= since
    by_pressure = schedule.pressure > 0 and sleep_pressure(state, schedule.full) >= schedule.pressure
    by_silence = 0 < schedule.inactivity_s <= silence_s
    return by_count or by_pressure or by_silence


def live(
    mind: Mind,
    state: Dellm,
    stream: Iterable[Experience | None],
    schedule: Schedule,
    clock: Callable[[], float] = monotonic,
    disturbed: Callable[[], bool] = undisturbed,
) -> Iterator[tuple[str, Dellm, Report]]:
    """Live a stream of stretches [T, B, ...] and yield ("awake" | "rest", state, report) after each.

    The state passed in is donated: keep the one that is yielded. Before the first stretch, and before the end of each
    night, the awake step is compiled, and `compilations` of an awake report counts what compiled all the same;
    `pressure` is the sleep pressure after it.
    Silence is the time the stream takes to bring the next stretch; a stream that ends leaves silence for ever, so a
    life that rests by inactivity rests a last time. A night ends early where `disturbed()` is true between two of its
    pieces, and the next goes on with it. A stream may yield None, a pause: where a task is over, for
    schedules that rest `at_pauses`; others do not notice. Raises ExperienceError before anything is learned from a
    stretch that is not fit to be lived.
    """
    waited = clock()
    lived = None
    for stretch in stream:
        if stretch is None:
            if schedule.at_pauses and lived is not None and int(state.clock.since_rest):
                state, report = _night(mind, state, schedule, lived, disturbed)
                yield "rest", state, report
            continue
        validate(state.architecture, stretch)
        if lived is not None and tired(schedule, state, clock() - waited):
            state, report = _night(mind, state, schedule, stretch, disturbed)
            yield "rest", state, report
        if lived is None:
            wake(stretch)(mind, state, state.key)
        lived = stretch
        known = awake._cache_size()
        state, reports = awake(mind, state, stretch)
        report = _averaged(jax.device_get(reports))
        report["compilations"] = float(awake._cache_size() - known)
        report["pressure"] = sleep_pressure(state, schedule.full)
        yield "awake", state, report
        if tired(schedule, state):
            state, report = _night(mind, state, schedule, stretch, disturbed)
            yield "rest", state, report
        waited = clock()
    if lived is not None and tired(schedule, state, inf):
        state, report = _night(mind, state, schedule, lived, disturbed)
        yield "rest", state, report


def _averaged(reports: dict[str, np.ndarray]) -> Report:
    """Means over a stretch [T], every experience counting alike; `lived`: how many they were, none of them if 0."""
    lived = reports["lived"]
    many = max(1, lived.sum())
    means = {what: float((values * lived).sum() / many) for what, values in reports.items() if what != "lived"}
    return means | {"lived": float(lived.sum())}


def _night(
    mind: Mind, state: Dellm, schedule: Schedule, stretch: Experience, disturbed: Callable[[], bool]
) -> tuple[Dellm, Report]:
    stages = (*schedule.night, ("wake", wake(stretch)))
    woken, report = rest(mind, stages, state, named_key(state.key, "night"), disturbed)
    if woken.architecture != state.architecture and int(woken.clock.stage):  # interrupted before it could compile
        wake(stretch)(mind, woken, state.key)
    return woken, report
