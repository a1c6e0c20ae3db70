"""A life that is corrected: how it is schooled, asked, sent to sleep, and asked again in another process."""

import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from omegaconf import DictConfig, OmegaConf

from dellm_jax import trees
from dellm_jax.errors import StreamError
from dellm_jax.life import live
from dellm_jax.memory import episodic, fast_weights, procedural
from dellm_jax.mind import create, respond
from dellm_jax.persistence import load, save
from dellm_jax.rest.night import rest
from dellm_jax.streams import Split, days
from dellm_jax.streams.days import Curriculum, Day
from dellm_jax.types import Dellm, Experience
from experiments import build
from experiments.lives import Plan

TOGETHER = 250


class Pupil(NamedTuple):
    """A life as its `config` describes it; the rows of the training split that it lived, `knows`, and the `others`."""

    config: DictConfig
    plan: Plan
    state: Dellm
    knows: np.ndarray
    others: np.ndarray


class Answers(NamedTuple):
    """What is said to N questions: `concept` [N], and `answer` [N], a place in the lexicon (-1: the concept's name)."""

    concept: np.ndarray
    answer: np.ndarray


class Questions(NamedTuple):
    """Rows of the "train" or the "test" split, through `senses` (none named: all there are)."""

    split: str
    rows: np.ndarray
    senses: tuple[str, ...] = ()


def schooled(config: DictConfig, seed: int, knowledge: int) -> Pupil:
    """A life that lived `knowledge` examples of every concept once, mixed, and slept as it does."""
    plan = build.plan(config, "dellm", checkpoints=False)
    train = plan.curriculum.corpus.train
    order = np.random.default_rng(seed).permutation(train.target.size)
    rank = np.empty(order.size, int)
    for concept in np.unique(train.target):
        own = np.flatnonzero(train.target[order] == concept)
        rank[own] = np.arange(own.size)
    knows, others = order[rank < knowledge], order[rank >= knowledge]
    if not others.size:
        raise StreamError(f"knowledge={knowledge} leaves no example of {plan.curriculum.corpus.name!r} to be corrected")
    return Pupil(config, plan, schooled_on(plan, seed, knows), knows, others)


def schooled_on(plan: Plan, seed: int, rows: np.ndarray) -> Dellm:
    """A life that lived these rows of the training split once, and slept as it does."""
    school = Curriculum(plan.curriculum.corpus, (Day(rows, np.zeros(rows.size, int)),), (), (None,))
    newborn = create(plan.mind, plan.architecture, jax.random.key(seed))
    *_, (_, state, _) = live(plan.mind, newborn, days.stretches(school, plan.batch, plan.stretch), plan.schedule)
    return state


def moment(split: Split, rows: np.ndarray, batch: int, senses: tuple[str, ...] = ()) -> Experience:
    """The examples `rows` as one batch, filled up with weight 0, through some of the senses."""
    one = jax.tree.map(lambda leaf: leaf[0], days.stretch(split, rows, 1, batch))
    return one.replace(senses={sense: one.senses[sense] for sense in senses}) if senses else one


def ask(plan: Plan, state: Dellm, questions: Questions) -> Answers:
    """What the life says, by the call a user makes."""
    split, said = getattr(plan.curriculum.corpus, questions.split), []
    for start in range(0, questions.rows.size, TOGETHER):
        rows = questions.rows[start : start + TOGETHER]
        response = respond(plan.mind, state, moment(split, rows, TOGETHER, questions.senses))
        said.append(np.stack([np.asarray(response.concept), np.asarray(response.answer)]))
    return Answers(*np.concatenate(said, axis=1)[:, : questions.rows.size])


def slept(pupil: Pupil, state: Dellm, key: int) -> Dellm:
    """The life after a whole night."""
    return rest(pupil.plan.mind, pupil.plan.schedule.night, state, jax.random.key(key))[0]


def wiped(state: Dellm) -> Dellm:
    """Without fast memory: no episode, rule or fast weight is left; what concepts are called and its habits are."""
    memory, past = state.memory.procedural, state.memory.episodic
    codes = {sense: known.shape[1] for sense, known in memory.codes.items()}
    blank = procedural.empty(codes, memory.concept.size, memory.habit.size)
    none = episodic.empty(codes, trees.nbytes(past.codes) + past.present.size, past.start.size, held_out=past.held_out)
    blank = blank.replace(named=memory.named, habit=memory.habit)
    known = state.memory.semantic
    fast = {sense: fast_weights.empty(own.total.shape[1], memory.habit.size) for sense, own in known.items()}
    return state.replace(memory=state.memory.replace(procedural=blank, episodic=none, fast=fast))


def ask_elsewhere(pupil: Pupil, state: Dellm, questions: list[Questions]) -> list[Answers]:
    """What it says in another process that has only the snapshot of the life without its fast memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "life.safetensors", pupil.plan.mind, wiped(state))
        with ProcessPoolExecutor(1, get_context("spawn")) as other:
            return other.submit(_asked, path, OmegaConf.to_yaml(pupil.config), questions).result()


def _asked(path: Path, config: str, questions: list[Questions]) -> list[Answers]:
    plan = build.plan(OmegaConf.create(config), "dellm", checkpoints=False)
    newborn = partial(create, plan.mind, key=jax.random.key(0))
    state = load(path, newborn)
    memory = state.memory
    moved = any(np.asarray(own.moved).any() for own in memory.fast.values())
    if moved or int(episodic.born(memory.episodic)) or (np.asarray(memory.procedural.standing) > 0).any():
        raise StreamError(f"{path}: fast memory was not wiped")
    return [ask(plan, state, some) for some in questions]
