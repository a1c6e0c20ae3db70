"""It is told to answer otherwise: by one example of a concept, and through another sense than it is asked by."""

import numpy as np
from omegaconf import DictConfig

from dellm_jax import corrections
from dellm_jax.mind import respond
from dellm_jax.types import Dellm
from experiments.cells import Scores
from experiments.corrections.pupil import Answers, Questions, ask, ask_elsewhere, moment, schooled, slept


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
