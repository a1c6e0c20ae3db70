"""The protocol of corrections, whole and in little: digits seen, a body of the least size."""

import jobs
import pytest

from experiments.config import sound
from experiments.corrections import PROTOCOLS

LITTLE = (
    "size=tiny",
    "stream.senses=[image]",
    "stream.query=[image]",
    "rules=32",
    "cycle.rest_every=0",
    "cycle.night_steps=20",
    "rest.internalise.steps=20",
    "log=none",
)


@pytest.mark.slow
def test_errors_are_put_right_and_stay_right_in_another_process() -> None:
    """Obeyed at once and after a night; what another process knows of it without fast memory is reported."""
    config = sound(jobs.composed(*LITTLE))
    told = dict(PROTOCOLS["fixes"](config, "dellm", 0, knowledge=10, many=10))
    assert list(told) == [", before", ", 1 awake", ", 10 awake", ", after a night", ", fast memory wiped"]
    assert (
        told[", 10 awake"]["efficacy"] == told[", 10 awake"]["retention"] == told[", after a night"]["retention"] == 1
    )
    assert 0.5 < told[", fast memory wiped"]["retention"] <= 1
    assert all(scores["locality"] > 0.9 for scores in list(told.values())[1:])
