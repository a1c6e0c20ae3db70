"""An exam tells the senses apart through which it asks, and does not ask the same thing again and again."""

from types import SimpleNamespace
from typing import Any

import jax
import jobs
import numpy as np
import pytest

from dellm_jax.architecture import CONCEPTS
from dellm_jax.mind import create, respond
from dellm_jax.streams.days import Curriculum, Exam
from dellm_jax.types import Experience
from experiments import build
from experiments.examine import WAYS, drawn, examine


def test_each_sense_is_asked_under_its_own_name() -> None:
    """Only pictures say anything to this life: if it is asked about what it makes of them, they alone are right."""
    few = ("stream=digits", "size=tiny", "stream.corpus._target_=jobs.few_digits", "semantic_chunk=16", "log=none")
    plan = build.plan(jobs.composed(*few, "stream.query=[image,audio]"), "life")
    state = create(plan.mind, plan.architecture, jax.random.key(0))
    seen = state.memory.semantic["image"]
    seen = seen.replace(readout=jax.random.normal(jax.random.key(1), seen.readout.shape))
    concepts = state.homeostasis[CONCEPTS]
    concepts = concepts | {"active": np.ones_like(concepts["active"])}
    state = state.replace(
        memory=state.memory.replace(semantic=dict(state.memory.semantic) | {"image": seen}),
        homeostasis=dict(state.homeostasis) | {CONCEPTS: concepts},
        hyper=state.hyper | {"trust": {"cortex": 0.0, "image": 1.0, "audio": 1.0, "text": 1.0}},
    )
    test, nothing = plan.curriculum.corpus.test, np.zeros(plan.curriculum.corpus.test.target.size)
    pictures = Experience({"image": test.banks["image"][test.index["image"]]}, nothing.astype(np.int32), nothing)
    asked = test._replace(target=np.asarray(respond(plan.mind, state, pictures).concept))
    corpus = plan.curriculum.corpus._replace(test=asked)
    answers = examine(plan.mind, state, plan.curriculum._replace(corpus=corpus))
    assert answers.accuracy(query="image") == answers.accuracy() == 1.0
    assert answers.accuracy(query="audio") < 0.5


@pytest.mark.parametrize("exams", [1, 7, 30, 50])
def test_exams_of_the_same_examples_ask_for_others_each(exams: int) -> None:
    """As many as there are, spread over all of them; a thousand answers are then of a thousand examples."""
    rows, most = np.arange(1000) + 5, 1000 // exams
    asked = [drawn(rows, most, number, exams) for number in range(exams)]
    assert all(one.size == most for one in asked)
    assert np.unique(np.concatenate(asked)).size == exams * most
    assert all(np.diff(one).max() - np.diff(one).min() <= 1 for one in asked if one.size > 1)
    assert (drawn(rows, 2000, 0, exams) == rows).all()


def test_an_exam_asks_the_same_day_after_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever others are sat beside it: what is lost from day to day is then lost, and not other questions."""
    asked: list[np.ndarray] = []

    def sit(*given: Any) -> np.ndarray:
        asked.append(given[3].rows)
        return np.ones((len(WAYS), 1, 1), bool)

    monkeypatch.setattr("experiments.examine._sit", sit)
    exams = tuple(Exam(np.arange(1000), view, np.arange(10)) for view in range(5))
    split = SimpleNamespace(banks={"image": None})
    curriculum = Curriculum(SimpleNamespace(test=split), (), exams, ())
    for day in range(1, 6):
        examine(None, None, curriculum, exams[:day], most=100)
    first = [asked[day * (day - 1) // 2] for day in range(1, 6)]
    assert all((one == first[0]).all() for one in first)
    assert np.unique(np.concatenate(asked[-5:])).size == 500
