"""The protocol of corrections, whole and in little: digits seen, a body of the least size."""

import jobs
import pytest

from experiments.config import sound
from experiments.corrections import PROTOCOLS

LITTLE = (
    "size=tiny",
    "stream.senses=[image]",
    "stream.query=[image]",
    "rules=128",
    "cycle.rest_every=0",
    "cycle.night_steps=20",
    "rest.internalise.steps=20",
    "log=none",
)


@pytest.mark.slow
def test_errors_are_put_right_and_stay_right_in_another_process() -> None:
    """Obeyed at once and after a night, right answers stay right, and the more it is told the more it knows.

    A hundred errors are all that is hard; lives that took them for what is usual forgot a tenth of what they knew.
    """
    config = sound(jobs.composed(*LITTLE))
    told = dict(PROTOCOLS["fixes"](config, "dellm", 0, knowledge=10, many=100))
    milestones = [", before", ", 1 awake", ", 10 awake", ", 100 awake", ", after a night", ", fast memory wiped"]
    assert list(told) == milestones
    before, *_, day, night, elsewhere = told.values()
    assert day["efficacy"] == day["retention"] == night["retention"] == 1
    assert elsewhere["retention"] > 0.9
    assert before["accuracy"] < day["accuracy"] < night["accuracy"] + 0.01
    assert all(scores["locality"] > 0.95 for scores in list(told.values())[1:])
