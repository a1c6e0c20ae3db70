"""Named once: things seen, heard and read a single time, a day for every language, and what is known of them then.

Every question comes through one sense. `image_to_word_de` and `sound_to_word_de` choose among all German words taught
(recall@1 of `retrieve`), `sound_en_to_word_de` translates; `named_by_image` and `pictured_by_sound` are what comes to
mind without a choice (`recall`); `sound_de_to_thing` is the concept that is answered, of any. What two things have in
common (the picture, the sound, the word) is right for either. Then what was never met is asked: pictures moved by four
pixels or mirrored, sounds faster by a tenth or in noise 20 dB below them, words of languages that were never taught.
"""

from typing import NamedTuple

import jax
import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from dellm_jax.life import live
from dellm_jax.mind import create, respond
from dellm_jax.recall import recall, retrieve
from dellm_jax.streams import Corpus, days, gather
from dellm_jax.types import Dellm, Experience
from experiments import build
from experiments.cells import Scores
from experiments.lives import Plan

MOVED = 4  # pixels
FASTER = 1.1
NOISE = 0.1  # of the root mean square of a clip: 20 dB below it
WAYS = ("whole", "cortex", "semantic memory")
ROUNDING = 0.1  # codes of one picture may differ by a level of 1/15
SENSES = {"image": "image", "audio": "sound", "text": "word"}


class Items(NamedTuple):
    """What is named in one language: raw arrays [N, ...] of every sense, the concept of each [N], and how many there
    are of these."""

    senses: dict[str, np.ndarray]
    thing: np.ndarray
    many: int


def naming(config: DictConfig, method: str, seed: int, unseen: tuple[str, ...] = ()) -> Scores:
    """A day for every language of the stream, each followed by a night; asked every evening and every morning.

    `unseen`: languages that are never taught. The cortex and semantic memory are asked alone, too.
    """
    plan = build.plan(config, method, checkpoints=False)
    corpus, languages = plan.curriculum.corpus, list(config.stream.corpus.languages)
    taught = {language: _items(corpus, place) for place, language in enumerate(languages)}
    foreign = {language: _foreign(config, languages[0], language) for language in unseen}
    ends = days.ends(plan.curriculum, plan.batch, plan.stretch)
    newborn = create(plan.mind, plan.architecture, jax.random.key(seed))
    stream = days.stretches(plan.curriculum, plan.batch, plan.stretch, pauses=True)
    for phase, state, _ in live(plan.mind, newborn, stream, plan.schedule):
        if phase == "rest" or int(state.clock.steps) in ends:
            day = ends.index(int(state.clock.steps)) + 1
            when = f", day {day}, {'morning after' if phase == 'rest' else 'evening'}"
            known = {language: taught[language] for language in languages[:day]}
            things = [_things(plan, state, language, items) for language, items in known.items()]
            whole, *alone = [dict(pair for some in things for pair in some[way].items()) for way in WAYS]
            new = _new(plan, state, known[languages[0]], foreign, seed)
            yield when, whole | _named(plan, state, known) | new
            for way, scores in zip(WAYS[1:], alone, strict=True):
                yield f"{when}, {way} alone", scores


def _named(plan: Plan, state: Dellm, known: dict[str, Items]) -> dict[str, float]:
    """How things that were seen or heard are called in every language, and what comes to mind unasked."""
    found, first = {}, next(iter(known.values()))
    for language, words in known.items():
        found[f"image_to_word_{language}"] = _chosen(plan, state, "image", words, words)
        for spoken, heard in known.items():
            name = f"sound_to_word_{language}" if spoken == language else f"sound_{spoken}_to_word_{language}"
            found[name] = _chosen(plan, state, "audio", heard, words)
    for sense, name in (("image", "named_by_image"), ("audio", "named_by_sound")):
        found[name] = _recalled(plan, state, first, sense, "text", list(known.values()))
    return found | {"pictured_by_sound": _recalled(plan, state, first, "audio", "image", [first])}


def _chosen(plan: Plan, state: Dellm, sense: str, asked: Items, words: Items) -> float:
    """Share of the things asked through a sense, of those that have a word here, for which it is chosen among all."""
    row = _row_of(words)
    rows = np.flatnonzero(row[asked.thing] >= 0)
    query, collection = _experience(asked, sense, rows), _experience(words, "text", np.arange(words.thing.size))
    best = retrieve(plan.mind, state, query, collection)[: rows.size, 0] % words.thing.size
    kind = _kinds(words, "text")
    return float(np.mean(kind[best] == kind[row[asked.thing[rows]]]))


def _recalled(plan: Plan, state: Dellm, asked: Items, through: str, sense: str, among: list[Items]) -> float:
    """Share of the things asked through one sense of which another brings to mind an item of their own among these."""
    said = recall(plan.mind, state, _experience(asked, through, np.arange(asked.thing.size)), sense)
    (kind,) = (one for one in plan.architecture.senses if one.name == sense)
    right = np.zeros(said.concept.size, bool)
    for items in among:
        own, row = kind.latent(kind.encode(items.senses[sense])), _row_of(items)[said.concept]
        apart = np.abs(np.asarray(own)[row] - np.asarray(kind.latent(said.codes))).max(1)
        right |= (row >= 0) & (apart <= ROUNDING)
    many = asked.thing.size
    return float(np.mean(right[:many] & _right(asked, through, said.concept[:many])))


def _things(plan: Plan, state: Dellm, language: str, items: Items) -> dict[str, dict[str, float]]:
    """Share of the items whose concept is answered, through every sense, by every way of knowing."""
    found: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    for sense, name in SENSES.items():
        for way, concept in _answers(plan, state, items, sense).items():
            found[way][f"{name}_{language}_to_thing"] = float(np.mean(_right(items, sense, concept)))
    return found


def _new(plan: Plan, state: Dellm, items: Items, foreign: dict[str, Items], seed: int) -> dict[str, float]:
    """The same of what was never met: other pictures and recordings made of the taught, and languages never taught."""
    pictures, clips = items.senses["image"], items.senses["audio"]
    moved = np.pad(pictures, ((0, 0), (MOVED, 0), (MOVED, 0), (0, 0)), mode="edge")[:, :-MOVED, :-MOVED]
    changed = {
        "new_image_moved": ("image", moved),
        "new_image_mirrored": ("image", pictures[:, :, ::-1]),
        "new_sound_faster": ("audio", _faster(clips)),
        "new_sound_noisy": ("audio", _noisy(clips, np.random.default_rng(seed))),
    }
    found = {}
    for name, (sense, raw) in changed.items():
        concept = _answers(plan, state, items._replace(senses={sense: raw}), sense)["whole"]
        found[name] = float(np.mean(_right(items, sense, concept)))
    for language, strange in foreign.items():
        found |= {f"new_{name}": share for name, share in _things(plan, state, language, strange)["whole"].items()}
    return found


def _answers(plan: Plan, state: Dellm, items: Items, sense: str) -> dict[str, np.ndarray]:
    """The concepts answered [N] through one sense, by every way of knowing."""
    response = respond(plan.mind, state, _experience(items, sense, np.arange(items.thing.size)))
    said = (response.log_probability, response.by["cortex"], response.by[sense])
    return {way: np.asarray(log_p.argmax(1))[: items.thing.size] for way, log_p in zip(WAYS, said, strict=True)}


def _right(items: Items, sense: str, concept: np.ndarray) -> np.ndarray:
    """Whether what was answered to every item [N] has that very item of this sense in common with what was meant."""
    row, kind = _row_of(items)[concept], _kinds(items, sense)
    return (row >= 0) & (kind[row] == kind)


def _kinds(items: Items, sense: str) -> np.ndarray:
    """A number for every item [N], the same for the same bytes."""
    raw = items.senses[sense].reshape(items.thing.size, -1)
    return np.unique(raw, axis=0, return_inverse=True)[1].reshape(-1)


def _row_of(items: Items) -> np.ndarray:
    """For every concept its row among the items, -1 where it has none."""
    row = np.full(items.many, -1)
    row[items.thing] = np.arange(items.thing.size)
    return row


def _items(corpus: Corpus, place: int) -> Items:
    """The examples of the `place`-th language of a corpus."""
    rows = np.flatnonzero(corpus.train.group == place)
    return Items(gather(corpus.train, rows), corpus.train.target[rows], len(corpus.concepts))


def _foreign(config: DictConfig, first: str, language: str) -> Items:
    """Another language's names of the same things; concepts have the same numbers, as the first language gives them."""
    return _items(instantiate(config.stream.corpus, languages=[first, language]), 1)


def _experience(items: Items, sense: str, rows: np.ndarray) -> Experience:
    """Rows of the items through one sense, repeated until they are as many as there are things: one shape for all."""
    rows = np.resize(rows, items.many)
    return Experience({sense: items.senses[sense][rows]}, items.thing[rows], np.ones(rows.size, np.float32))


def _faster(clips: np.ndarray) -> np.ndarray:
    """int16 [N, samples], the same sounds in less time, by linear interpolation."""
    places = np.arange(clips.shape[1]) * FASTER
    low = np.minimum(places.astype(int), clips.shape[1] - 2)
    share = np.clip(places - low, 0, 1)
    said = clips[:, low] * (1 - share) + clips[:, low + 1] * share
    return np.where(places < clips.shape[1] - 1, said, 0).astype(np.int16)


def _noisy(clips: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """int16 [N, samples] in white noise."""
    loud = np.sqrt(np.mean(clips.astype(np.float64) ** 2, axis=1, where=clips != 0, keepdims=True))
    return np.clip(clips + NOISE * loud * generator.standard_normal(clips.shape), -32768, 32767).astype(np.int16)
