"""How well senses are bound that were only ever perceived together: nobody names anything, and days bring new things.

python -m experiments.benchmark suite=binding
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from omegaconf import DictConfig
from sklearn.metrics import roc_auc_score

from dellm_jax.life import live
from dellm_jax.mind import create, respond
from dellm_jax.recall import recall, retrieve
from dellm_jax.streams import Split, days
from dellm_jax.types import UNNAMED, Dellm, Experience
from experiments import build
from experiments.cells import Scores
from experiments.lives import Plan

TOGETHER = 500
QUESTIONS = 2000  # of every sense, which are also what is looked for
PAIRS = 2000  # that are asked whether they are in conflict: every other is


class Things(NamedTuple):
    """The items of a bank [K, ...] that one sense perceives, and what they are [K]."""

    sense: str
    raw: np.ndarray
    label: np.ndarray


def cooccurrence(config: DictConfig, method: str, seed: int) -> Scores:
    """What goes with what, in the evening and the morning of every day, among unseen things of all days so far.

    P@1 of `<one>_to_<other>`: whether the first thing found is of the same concept; `old_...`: asked with what earlier
    days brought; `forgetting_...`: how much less that is in the end than after its own night; `raised_...`: morning
    less evening, the mean of all nights. `conflict_auroc`: how well pairs of two concepts are told from pairs of one.
    The method "named" lives the same with names and finds by them; the label bottleneck is the product of its
    accuracies through either sense.
    """
    plan, named = build.plan(config, method, checkpoints=False), method == "named"
    test = plan.curriculum.corpus.test
    every = [things(test, sense, QUESTIONS) for sense in sorted(test.banks)]
    brought = [exam.concepts for exam in plan.curriculum.exams]
    mornings, raised = [], []
    self = create(plan.mind, plan.architecture, jax.random.key(seed))
    for phase, now, _ in live(plan.mind, self, _days(plan, named), plan.schedule):
        if phase == "rest":
            day = len(mornings) + 1
            morning = _asked(plan, now, every, brought[:day])
            if named:
                for by in ("whole", "LDA"):
                    yield f", label bottleneck by {by}, day {day}", _bottleneck(plan, now, every, brought[:day], by)
            else:
                evening = _told(_asked(plan, self, every, brought[:day]))
                yield f", day {day} evening", evening
                raised.append({f"raised_{what}": value - evening[what] for what, value in _told(morning).items()})
            yield f", day {day} morning", _told(morning)
            mornings.append(morning)
        self = now
    lost = {
        f"forgetting_{way}": [then[way][day] - right[day] for day, then in enumerate(mornings[:-1])]
        for way, right in morning.items()
        if isinstance(right, list)
    }
    gained = {what: [night[what] for night in raised] for what in (raised[0] if raised else {})}
    scores = {what: float(np.mean(values)) for what, values in (lost | gained).items() if values}
    yield ", in all", scores | ({} if named else recalled(plan, self))


def chain(config: DictConfig, method: str, seed: int, by: str) -> Scores:
    """Every stretch lacks one of the senses but `by`, in turns: what was never perceived together is bound by it."""
    plan = build.plan(config, method, checkpoints=False)
    self = create(plan.mind, plan.architecture, jax.random.key(seed))
    *_, (_, self, _) = live(plan.mind, self, _days(plan, method == "named", by), plan.schedule)
    yield ", in all", recalled(plan, self)


def _days(plan: Plan, named: bool, by: str = "") -> Iterator[Experience | None]:
    """The days of the curriculum, a pause after each; nothing has a name unless they are `named`."""
    others = sorted(set(plan.curriculum.corpus.train.banks) - {by})
    for turn, stretch in enumerate(days.stretches(plan.curriculum, plan.batch, plan.stretch, pauses=True)):
        if stretch is not None and not named:
            stretch = stretch.replace(target=np.full_like(stretch.target, UNNAMED))
        if stretch is not None and by:
            left = {s: raw for s, raw in stretch.senses.items() if s != others[turn % len(others)]}
            stretch = stretch.replace(senses=left)
        yield stretch


def things(split: Split, sense: str, most: int = 0) -> Things:
    """What a sense perceives in a split, each once; `most` > 0: so many of them, drawn once for all."""
    label = np.full(len(split.banks[sense]), -1)
    label[split.index[sense]] = split.target
    order = np.random.default_rng(0).permutation(label.size)[: most or label.size]
    return Things(sense, split.banks[sense][order], label[order])


def _experience(*of: Things) -> Experience:
    many = of[0].label.size
    return Experience({one.sense: one.raw for one in of}, np.zeros(many, np.int32), np.ones(many, np.float32))


def _parts(one: Things) -> Iterator[tuple[Things, int]]:
    """TOGETHER at a time, filled up, so that all are of one shape; and how many are not filling."""
    for start in range(0, one.label.size, TOGETHER):
        rows = np.resize(np.arange(start, min(start + TOGETHER, one.label.size)), TOGETHER)
        yield Things(one.sense, one.raw[rows], one.label[rows]), min(TOGETHER, one.label.size - start)


def _asked(plan: Plan, state: Dellm, every: list[Things], brought: list[np.ndarray]) -> dict[str, Any]:
    """P@1 by the day that brought what is asked, of every way between two senses; and the AUROC of the conflict."""
    so_far, out = np.concatenate(brought), {}
    for one in every:
        for other in (thing for thing in every if thing is not one):
            first = []
            for part, many in _parts(one):
                order = retrieve(plan.mind, state, _experience(part), _experience(other))[:many]
                here = np.isin(other.label[order], so_far).argmax(1)  # what is to come is not in the collection yet
                first.append(other.label[order[np.arange(many), here]])
            right = np.concatenate(first) == one.label
            out[f"{one.sense}_to_{other.sense}"] = [right[np.isin(one.label, some)].mean() for some in brought]
    return out | _conflict(plan, state, every, so_far)


def _told(asked: dict[str, Any]) -> dict[str, float]:
    """The means of all days, and of all but the last."""
    scores = {}
    for what, value in asked.items():
        many = isinstance(value, list)
        scores |= {what: float(np.mean(value))} | ({f"old_{what}": float(np.mean(value[:-1] or value))} if many else {})
    return scores


def _conflict(plan: Plan, state: Dellm, every: list[Things], so_far: np.ndarray) -> dict[str, float]:
    """Pairs of unseen things of one concept, and of two."""
    one, other = every[:2]
    rng, mixed = np.random.default_rng(0), np.arange(PAIRS) % 2
    mine = rng.choice(np.flatnonzero(np.isin(one.label, so_far)), PAIRS)
    known = np.flatnonzero(np.isin(other.label, so_far))
    unlike = other.label[known] != one.label[mine][:, None]
    chosen = [rng.choice(known[far == odd]) for far, odd in zip(unlike, mixed, strict=True)]
    pairs = _experience(*(Things(t.sense, t.raw[rows], t.label[rows]) for t, rows in ((one, mine), (other, chosen))))
    response = respond(plan.mind, state, pairs)
    conflict, sure = np.asarray(response.conflict), np.asarray(response.confidence)
    return {
        "conflict_auroc": float(roc_auc_score(mixed, conflict)),
        "conflict_alike": float(conflict[mixed == 0].mean()),
        "conflict_unlike": float(conflict[mixed == 1].mean()),
        "confidence_alike": float(sure[mixed == 0].mean()),
        "confidence_unlike": float(sure[mixed == 1].mean()),
    }


def _bottleneck(plan: Plan, state: Dellm, every: list[Things], brought: list[np.ndarray], by: str) -> dict[str, float]:
    """Who names both and compares the names is right as often as both names are: the same number for every way. Named
    by the whole, or by semantic memory (LDA) alone."""
    shares = {}
    for one in every:
        said = []
        for part, many in _parts(one):
            response = respond(plan.mind, state, _experience(part))
            said.append(np.asarray(response.concept if by == "whole" else response.by[one.sense].argmax(1))[:many])
        right = np.concatenate(said) == one.label
        shares[f"accuracy_{one.sense}"] = float(np.mean([right[np.isin(one.label, some)].mean() for some in brought]))
    product = float(np.prod(list(shares.values())))
    ways = [f"{one.sense}_to_{other.sense}" for one in every for other in every if one is not other]
    return shares | dict.fromkeys(ways, product)


def recalled(plan: Plan, state: Dellm) -> dict[str, float]:
    """How often what comes to mind of another sense is of the same concept, from every sense to every other."""
    train, test = plan.curriculum.corpus.train, plan.curriculum.corpus.test
    scores = {}
    for sense in state.architecture.senses:
        known = things(train, sense.name)
        encode = jax.jit(sense.encode)
        codes = [np.asarray(encode(part.raw))[:many] for part, many in _parts(known)]
        of = {code.tobytes(): label for code, label in zip(np.concatenate(codes), known.label, strict=True)}
        for one in (things(test, name, TOGETHER) for name in sorted(test.banks) if name != sense.name):
            part, many = next(_parts(one))
            found = recall(plan.mind, state, _experience(part), sense.name)
            same = [of.get(code.tobytes()) == label for code, label in zip(found.codes, part.label, strict=True)]
            scores[f"recall_{one.sense}_to_{sense.name}"] = float(np.mean(same[:many]))
    return scores


PROTOCOLS = {"cooccurrence": cooccurrence, "chain": chain}
