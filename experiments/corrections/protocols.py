"""What a life is told, and what is asked of it then.

Words as Yao et al. (2023) and Hartvigsen et al. (2023) define them. Of one correction, on the very next call: efficacy.
Of all of them, later: retention, on the very instances; generalisation, on questions of the test split that they should
reach; and locality, on those that they should not touch. Of fixes the former are the questions that were answered
wrongly, of concepts that were fixed, and the latter those that were answered rightly; of remaps, the questions of the
concepts that were given another answer, and all the others.
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import jax
import numpy as np
from omegaconf import DictConfig

from dellm_jax import corrections, trees
from dellm_jax.memory import semantic
from dellm_jax.mind import awake, respond
from dellm_jax.types import Dellm
from experiments.corrections.pupil import Answers, Pupil, Questions, ask, ask_elsewhere, moment, schooled, slept

MILESTONES = (1, 10, 100, 1000)
Scores = Iterator[tuple[str, dict[str, float]]]


def fixes(config: DictConfig, method: str, seed: int, knowledge: int, many: int, wrong: float = 0.0) -> Scores:
    """C1 and C4: `many` of its errors are put right one by one, a share `wrong` of them wrongly; then a night; then its
    fast memory is wiped. What was told wrongly counts as told: newest wins."""
    pupil = schooled(config, seed, knowledge)
    train, test = pupil.plan.curriculum.corpus.train, pupil.plan.curriculum.corpus.test
    exam = Questions("test", np.arange(test.target.size))
    before = ask(pupil.plan, pupil.state, exam).concept == test.target
    pool = ask(pupil.plan, pupil.state, Questions("train", pupil.others)).concept
    errors = pupil.others[pool != train.target[pupil.others]][:many]
    rng, told = np.random.default_rng(seed), train.target[errors].copy()
    mistaken = rng.random(errors.size) < wrong
    told[mistaken] = (told[mistaken] + rng.integers(1, train.target.max() + 1, mistaken.sum())) % (
        train.target.max() + 1
    )
    reach = ~before & np.isin(test.target, train.target[errors])

    def scores(answers: Answers, kept: Answers, far: int) -> dict[str, float]:
        right = answers.concept == test.target
        return {
            "retention": float((kept.concept == told[:far]).mean()),
            "generalisation": float(right[reach].mean()),
            "locality": float(right[before].mean()),
            "accuracy": float(right.mean()),
        }

    yield ", before", {"accuracy": float(before.mean())}
    teach, state = TEACHERS[method], pupil.state
    efficacy, seconds, replies = [], [], []
    for number, row in enumerate(errors, 1):
        one = moment(train, np.array([row]), 1).replace(target=told[number - 1 : number])
        began = perf_counter()
        state = jax.block_until_ready(teach(pupil, state, one))
        taught = perf_counter()
        said = int(respond(pupil.plan.mind, state, one).concept[0])
        efficacy.append(said == told[number - 1])
        seconds.append(taught - began)
        replies.append(perf_counter() - taught)
        if number in MILESTONES or number == errors.size:
            kept = ask(pupil.plan, state, Questions("train", errors[:number]))
            yield (
                f", {number} awake",
                scores(ask(pupil.plan, state, exam), kept, number)
                | {
                    "efficacy": float(np.mean(efficacy)),
                    "ms_taught_p50": 1000 * float(np.median(seconds[1:] or seconds)),
                    "ms_taught_p95": 1000 * float(np.quantile(seconds[1:] or seconds, 0.95)),
                    "ms_reply_p50": 1000 * float(np.median(replies[1:] or replies)),
                    "ms_reply_p95": 1000 * float(np.quantile(replies[1:] or replies, 0.95)),
                    "bytes_of_rules": float(trees.nbytes(state.memory.procedural)),
                },
            )
    state = slept(pupil, state, seed)
    again = Questions("train", errors)
    yield ", after a night", scores(ask(pupil.plan, state, exam), ask(pupil.plan, state, again), errors.size)
    answers, kept = ask_elsewhere(pupil, state, [exam, again])
    yield ", fast memory wiped", scores(answers, kept, errors.size)
    if mistaken.any():
        state, won = pupil.state if not method.startswith("dellm") else state, []
        for row in errors[mistaken][:50]:
            one = moment(train, np.array([row]), 1)
            state = teach(pupil, state, one)
            won.append(int(respond(pupil.plan.mind, state, one).concept[0]) == train.target[row])
        yield ", newest", {"efficacy": float(np.mean(won))}


def remaps(config: DictConfig, method: str, seed: int, knowledge: int, many: int, lived: bool) -> Scores:
    """C2 and C3: `many` concepts are given another answer, by one example each, which it `lived` or never met; a fifth
    of them then yet another."""
    pupil = schooled(config, seed, knowledge)
    corpus = pupil.plan.curriculum.corpus
    train, test = corpus.train, corpus.test
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(corpus.concepts))[:many]
    known = pupil.knows if lived else pupil.others
    examples = np.array([rng.choice(known[train.target[known] == concept]) for concept in chosen])
    exam, reach = Questions("test", np.arange(test.target.size)), np.isin(test.target, chosen)
    before = ask(pupil.plan, pupil.state, exam)
    place, state, efficacy = np.full(len(corpus.concepts), -2), pupil.state, []

    def tell(state: Dellm, row: int, text: str) -> Dellm:
        asked = moment(train, np.array([row]), 1)
        state, _ = corrections.correct(
            pupil.plan.mind, state, asked.replace(target=np.int32([corrections.AS_IT_THOUGHT])), text
        )
        response = respond(pupil.plan.mind, state, asked)
        efficacy.append(corrections.said(state, response)[0] == text)
        place[train.target[row]] = int(response.answer[0])
        return state

    def scores(answers: Answers, kept: Answers) -> dict[str, float]:
        same = (answers.concept == before.concept) & (answers.answer == before.answer)
        return {
            "retention": float((kept.answer == place[chosen]).mean()),
            "generalisation": float((answers.answer == place[test.target])[reach].mean()),
            "locality": float(same[~reach].mean()),
        }

    for concept, row in zip(chosen, examples, strict=True):
        state = tell(state, row, f"do {concept}")
    again = Questions("train", examples)
    yield (
        ", awake",
        scores(ask(pupil.plan, state, exam), ask(pupil.plan, state, again)) | {"efficacy": float(np.mean(efficacy))},
    )
    efficacy.clear()
    old = place.copy()
    for concept, row in zip(chosen[: many // 5], examples, strict=False):
        state = tell(state, row, f"rather do {concept}")
    answers = ask(pupil.plan, state, exam)
    gone = np.isin(answers.answer, old[chosen[: many // 5]])
    yield (
        ", told again",
        scores(answers, ask(pupil.plan, state, again))
        | {
            "efficacy": float(np.mean(efficacy)),
            "old_answers": float(gone.mean()),
        },
    )
    state = slept(pupil, state, seed)
    yield ", after a night", scores(ask(pupil.plan, state, exam), ask(pupil.plan, state, again))
    yield ", fast memory wiped", scores(*ask_elsewhere(pupil, state, [exam, again]))


def cycles(config: DictConfig, method: str, seed: int, knowledge: int, many: int, nights: int) -> Scores:
    """`nights` times: `many` errors are put right, and it sleeps. Retention is of all corrections there ever were."""
    pupil = schooled(config, seed, knowledge)
    train, test = pupil.plan.curriculum.corpus.train, pupil.plan.curriculum.corpus.test
    exam, state, told = Questions("test", np.arange(test.target.size)), pupil.state, np.zeros(0, int)
    before = ask(pupil.plan, state, exam).concept == test.target
    yield ", before", {"accuracy": float(before.mean())}
    for turn in range(1, nights + 1):
        left = np.setdiff1d(pupil.others, told, assume_unique=True)
        left = np.random.default_rng((seed, turn)).permutation(left)[: 200 * many // 20]
        missed = left[ask(pupil.plan, state, Questions("train", left)).concept != train.target[left]][:many]
        for row in missed:
            state = TEACHERS[method](pupil, state, moment(train, np.array([row]), 1))
        told = np.concatenate([told, missed])
        state = slept(pupil, state, turn)
        if turn in (1, 2, 5, 10, 20, nights):
            right = ask(pupil.plan, state, exam).concept == test.target
            kept = ask(pupil.plan, state, Questions("train", told)).concept == train.target[told]
            yield (
                f", {turn} nights",
                {
                    "retention": float(kept.mean()),
                    "locality": float(right[before].mean()),
                    "accuracy": float(right.mean()),
                    "count_told": float(told.size),
                },
            )
    answers, kept = ask_elsewhere(pupil, state, [exam, Questions("train", told)])
    yield (
        ", fast memory wiped",
        {
            "retention": float((kept.concept == train.target[told]).mean()),
            "accuracy": float((answers.concept == test.target).mean()),
        },
    )


def senses(config: DictConfig, method: str, seed: int, knowledge: int, many: int) -> Scores:
    """C5: another answer is taught through one sense, by one example a concept, and asked for through the other."""
    pupil = schooled(config, seed, knowledge)
    corpus = pupil.plan.curriculum.corpus
    train, test = corpus.train, corpus.test
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(corpus.concepts))[:many]
    several = [sense for sense in ("audio", "image") if sense in train.banks]
    for by in several:
        state, place = pupil.state, np.full(len(corpus.concepts), -2)
        for concept in chosen:
            row = rng.choice(pupil.others[train.target[pupil.others] == concept])
            asked = moment(train, np.array([row]), 1, (by,))
            state, _ = corrections.correct(
                pupil.plan.mind, state, asked.replace(target=np.int32([corrections.AS_IT_THOUGHT])), f"do {concept}"
            )
            place[concept] = int(respond(pupil.plan.mind, state, asked).answer[0])
        for through in several:
            exam, reach = Questions("test", np.arange(test.target.size), (through,)), np.isin(test.target, chosen)
            before, after = ask(pupil.plan, pupil.state, exam), ask(pupil.plan, state, exam)
            same = (after.concept == before.concept) & (after.answer == before.answer)
            yield (
                f", told by {by}, asked by {through}",
                {
                    "generalisation": float((after.answer == place[test.target])[reach].mean()),
                    "locality": float(same[~reach].mean()),
                    "accuracy": float((before.concept == test.target).mean()),
                },
            )


def _obey(pupil: Pupil, state: Dellm, one: Any) -> Dellm:
    return corrections.correct(pupil.plan.mind, state, one)[0]


def _step(pupil: Pupil, state: Dellm, one: Any) -> Dellm:
    """One waking moment: a gradient step with rehearsal, semantic and episodic memory, and no rule."""
    return awake(pupil.plan.mind, trees.copy(state), jax.tree.map(lambda leaf: leaf[None], one))[0]


def _obey_and_live(pupil: Pupil, state: Dellm, one: Any) -> Dellm:
    """A rule, and then a waking moment."""
    return _step(pupil, _obey(pupil, state, one), one)


def _observe(pupil: Pupil, state: Dellm, one: Any) -> Dellm:
    """Semantic memory alone: streaming discriminant analysis, solved anew each time."""
    observed, _ = corrections.correct(pupil.plan.mind, state, one)
    solved = {sense: semantic.solve(known) for sense, known in observed.memory.semantic.items()}
    return observed.replace(memory=observed.memory.replace(semantic=solved, procedural=state.memory.procedural))


TEACHERS: dict[str, Callable[[Pupil, Dellm, Any], Dellm]] = {
    "dellm": _obey,
    "dellm_living": _obey_and_live,
    "awake_step": _step,
    "lda": _observe,
}
PROTOCOLS: dict[str, Callable[..., Scores]] = {
    "fixes": fixes,
    "remaps": remaps,
    "cycles": cycles,
    "senses": senses,
}
