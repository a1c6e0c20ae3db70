"""Its errors are put right, one by one: a thousand in a day, with a teacher who errs, or a few before every night."""

from time import perf_counter
from typing import NamedTuple

import jax
import numpy as np
from omegaconf import DictConfig

from dellm_jax import trees
from dellm_jax.mind import respond
from dellm_jax.types import Dellm
from experiments.cells import Scores
from experiments.corrections.pupil import Answers, Pupil, Questions, ask, ask_elsewhere, moment, schooled, slept
from experiments.corrections.teachers import TEACHERS, Teacher

MILESTONES = (1, 10, 100, 1000)
TOLD_AGAIN = 50


class Errors(NamedTuple):
    """Rows of the training split that are answered wrongly, and what it is `told` of each; of the questions of the test
    split, which were answered rightly `before`, and which ones the corrections should `reach`."""

    rows: np.ndarray
    told: np.ndarray
    before: np.ndarray
    reach: np.ndarray

    def scores(self, target: np.ndarray, answers: Answers, kept: Answers) -> dict[str, float]:
        """From the answers to the test split, and to the first so many of the corrected questions."""
        right = answers.concept == target
        return {
            "retention": float((kept.concept == self.told[: kept.concept.size]).mean()),
            "generalisation": float(right[self.reach].mean()),
            "locality": float(right[self.before].mean()),
            "accuracy": float(right.mean()),
        }


def fixes(config: DictConfig, method: str, seed: int, knowledge: int, many: int, wrong: float = 0.0) -> Scores:
    """C1 and C4: `many` of its errors are put right one by one, a share `wrong` of them wrongly; then a night; then its
    fast memory is wiped. What was told wrongly counts as told: newest wins."""
    pupil, teacher = schooled(config, seed, knowledge), TEACHERS[method]
    test = pupil.plan.curriculum.corpus.test
    exam, errors = Questions("test", np.arange(test.target.size)), _errors(pupil, many, wrong, seed)
    yield ", before", {"accuracy": float(errors.before.mean())}
    state = asked = teacher.first(pupil, pupil.state)
    turns = []
    for number, (row, concept) in enumerate(zip(errors.rows, errors.told, strict=True), 1):
        state, turn = _turn(pupil, teacher, state, row, concept)
        turns.append(turn)
        if number in MILESTONES or number == errors.rows.size:
            asked = teacher.examined(pupil, state, errors.rows[:number])
            kept = ask(pupil.plan, asked, Questions("train", errors.rows[:number]))
            scores = errors.scores(test.target, ask(pupil.plan, asked, exam), kept)
            bytes_ = {"bytes_of_rules": float(trees.nbytes((state.memory.procedural, state.memory.fast)))}
            yield f", {number} awake", scores | _of_turns(turns) | bytes_
    again = Questions("train", errors.rows)
    state = slept(pupil, asked, seed)
    rested = [ask(pupil.plan, state, questions) for questions in (exam, again)]
    yield ", after a night", errors.scores(test.target, *rested)
    yield ", fast memory wiped", errors.scores(test.target, *ask_elsewhere(pupil, state, [exam, again]))
    if wrong:
        train = pupil.plan.curriculum.corpus.train
        mistaken = errors.rows[errors.told != train.target[errors.rows]][:TOLD_AGAIN]
        turns = []
        for row in mistaken:
            state, turn = _turn(pupil, teacher, state, row, train.target[row])
            turns.append(turn)
        kept = ask(pupil.plan, state, Questions("train", mistaken)).concept == train.target[mistaken]
        yield ", told otherwise", _of_turns(turns) | {"retention": float(kept.mean())}


def _errors(pupil: Pupil, many: int, wrong: float, seed: int) -> Errors:
    train, test = pupil.plan.curriculum.corpus.train, pupil.plan.curriculum.corpus.test
    before = ask(pupil.plan, pupil.state, Questions("test", np.arange(test.target.size))).concept == test.target
    said = ask(pupil.plan, pupil.state, Questions("train", pupil.others)).concept
    rows = pupil.others[said != train.target[pupil.others]][:many]
    random, told, concepts = np.random.default_rng(seed), train.target[rows].copy(), int(train.target.max()) + 1
    mistaken = random.random(rows.size) < wrong
    told[mistaken] = (told[mistaken] + random.integers(1, concepts, mistaken.sum())) % concepts
    return Errors(rows, told, before, ~before & np.isin(test.target, train.target[rows]))


class Turn(NamedTuple):
    """Whether the next call obeyed, and the seconds that telling and replying took."""

    obeyed: bool
    telling: float
    replying: float


def _turn(pupil: Pupil, teacher: Teacher, state: Dellm, row: int, concept: int) -> tuple[Dellm, Turn]:
    one = moment(pupil.plan.curriculum.corpus.train, np.array([row]), 1).replace(target=np.int32([concept]))
    began = perf_counter()
    state = jax.block_until_ready(teacher.tell(pupil, state, one))
    told = perf_counter()
    said = int(respond(pupil.plan.mind, state, one).concept[0])
    return state, Turn(said == concept, told - began, perf_counter() - told)


def _of_turns(turns: list[Turn]) -> dict[str, float]:
    """Efficacy, and milliseconds but of the first turn, which compiles."""
    obeyed, telling, replying = np.array(turns).T
    scores = {"efficacy": float(obeyed.mean())}
    for what, seconds in (("taught", telling), ("reply", replying)):
        warm = 1000 * (seconds[1:] if seconds.size > 1 else seconds)
        scores |= {f"ms_{what}_p50": float(np.median(warm)), f"ms_{what}_p95": float(np.quantile(warm, 0.95))}
    return scores


def cycles(config: DictConfig, method: str, seed: int, knowledge: int, many: int, nights: int) -> Scores:
    """`nights` times: `many` errors are put right, and it sleeps. Retention is of all corrections there ever were."""
    pupil, teacher = schooled(config, seed, knowledge), TEACHERS[method]
    train, test = pupil.plan.curriculum.corpus.train, pupil.plan.curriculum.corpus.test
    exam, state, told = Questions("test", np.arange(test.target.size)), pupil.state, np.zeros(0, int)
    before = ask(pupil.plan, state, exam).concept == test.target
    yield ", before", {"accuracy": float(before.mean())}
    for turn in range(1, nights + 1):
        left = np.setdiff1d(pupil.others, told, assume_unique=True)
        left = np.random.default_rng((seed, turn)).permutation(left)[: 25 * many]
        missed = left[ask(pupil.plan, state, Questions("train", left)).concept != train.target[left]][:many]
        for row in missed:
            state, _ = _turn(pupil, teacher, state, row, train.target[row])
        told = np.concatenate([told, missed])
        state = slept(pupil, state, turn)
        if turn in (1, 2, 5, 10, 20, nights):
            right = ask(pupil.plan, state, exam).concept == test.target
            kept = ask(pupil.plan, state, Questions("train", told)).concept == train.target[told]
            scores = {"retention": kept.mean(), "locality": right[before].mean(), "accuracy": right.mean()}
            yield f", {turn} nights", {what: float(value) for what, value in scores.items()} | {"count_told": told.size}
    answers, kept = ask_elsewhere(pupil, state, [exam, Questions("train", told)])
    scores = {"retention": kept.concept == train.target[told], "accuracy": answers.concept == test.target}
    yield ", fast memory wiped", {what: float(value.mean()) for what, value in scores.items()}
