"""Examining a life on a test split: which concepts it names, through which senses, by which way of knowing."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import experience as experiences
from dellm_jax.mind import respond_to
from dellm_jax.streams import Curriculum
from dellm_jax.streams.days import Exam, stretch
from dellm_jax.types import Array, Dellm, Experience, Mind

CHUNK = 500
KNOWING = ("whole", "cortex", "semantic")
TOLD = tuple(f"{way}_told" for way in KNOWING)  # told the task: choosing among the concepts of the exam only
WAYS = KNOWING + TOLD
TOGETHER = "together"


class Answers(NamedTuple):
    """`right[way][query]`: an array [N] bool for each exam; queries: "together" (all senses), and each sense alone."""

    right: dict[str, dict[str, list[np.ndarray]]]

    def accuracy(self, way: str = "whole", query: str = TOGETHER) -> float:
        """Share of all questions answered rightly."""
        return float(np.concatenate(self.right[way][query]).mean())

    def by_exam(self, way: str = "whole") -> list[float]:
        """Accuracy in each exam."""
        return [float(right.mean()) for right in self.right[way][TOGETHER]]


def examine(
    mind: Mind,
    state: Dellm,
    curriculum: Curriculum,
    exams: Sequence[Exam] | None = None,
    most: int = 0,
    sharing: int | None = None,
) -> Answers:
    """Sit `exams` (default: all of the curriculum), through all senses together and through each alone.

    `most` > 0: at most so many questions an exam, evenly spread over it. Exams of the same examples, seen another way,
    ask for others each, as long as there are any: else a score would be that of a few examples, asked again and again.
    `sharing` is how many there are to share them (default: all of the curriculum, so that an exam asks the same
    whichever others are sat beside it).
    """
    exams = curriculum.exams if exams is None else exams
    sharing = sharing or len(curriculum.exams)
    senses = list(curriculum.corpus.test.banks)
    queries = [TOGETHER, *(senses if len(senses) > 1 else [])]
    asked = {sense: jnp.asarray([query in (TOGETHER, sense) for query in queries], jnp.float32) for sense in senses}
    right: dict[str, dict[str, list[np.ndarray]]] = {way: {query: [] for query in queries} for way in WAYS}
    for number, exam in enumerate(exams):
        rows = drawn(exam.rows, most, number, sharing)
        found = _sit(mind, state, curriculum, exam._replace(rows=rows), asked)
        for i, way in enumerate(WAYS):
            for j, query in enumerate(queries):
                right[way][query].append(found[i, j])
    return Answers(right)


def drawn(rows: np.ndarray, most: int, number: int, exams: int) -> np.ndarray:
    """At most so many of the rows, evenly spread: those of exam `number`, from 0, of so many that share them."""
    if not 0 < most < rows.size:
        return rows
    return rows[(np.arange(most) * exams + number) * rows.size // (most * exams)]


def _sit(mind: Mind, state: Dellm, curriculum: Curriculum, exam: Exam, asked: dict) -> np.ndarray:
    """Which questions were answered rightly [ways, queries, N]."""
    test, rows = curriculum.corpus.test, exam.rows
    among = jnp.asarray(np.isin(np.arange(state.architecture.concepts), exam.concepts))
    found = []
    for start in range(0, rows.size, CHUNK):
        part = rows[start : start + CHUNK]
        batch = stretch(test, part, 1, CHUNK, curriculum.views, np.full(part.size, exam.view))
        batch = Experience({sense: raw[0] for sense, raw in batch.senses.items()}, batch.target[0], batch.weight[0])
        found.append(np.asarray(_named(mind, state, batch, asked, among))[:, :, : part.size])
    return np.concatenate(found, axis=2) == test.target[rows]


@partial(jax.jit, static_argnums=0)
def _named(mind: Mind, state: Dellm, batch: Experience, asked: dict[str, Array], among: Array) -> Array:
    """Concepts named [ways, queries, B]; `asked` {sense: [queries]} says which senses each query may use, `among` [C]
    which concepts a told life chooses from."""
    percepts = experiences.perceive(state.architecture, batch)

    def ask(through: dict[str, Array]) -> Array:
        there = {sense: jnp.broadcast_to(may, batch.target.shape) for sense, may in through.items()}
        one_sense = len(state.architecture.senses) == 1
        values = {s: x if one_sense else x * there[s][:, None] for s, x in percepts.values.items()}
        response = respond_to(mind, state, experiences.Percepts(values, {} if one_sense else there))
        nobody = jnp.zeros_like(response.log_probability)
        semantic = sum((log_p for way, log_p in response.by.items() if way != "cortex"), nobody)
        said = [response.log_probability, response.by["cortex"], semantic]
        named = [log_p.argmax(1) for log_p in said] + [jnp.where(among, log_p, -jnp.inf).argmax(1) for log_p in said]
        if not state.memory.semantic:  # there is no such way of knowing
            named[2] = named[5] = jnp.full_like(named[0], -1)
        return jnp.stack(named)

    return jnp.moveaxis(jax.lax.map(ask, asked), 0, 1)
