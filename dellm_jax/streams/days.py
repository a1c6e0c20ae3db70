"""A corpus laid out in time: a curriculum of days, each with its exam, cut into stretches that `awake` can scan."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split, gather
from dellm_jax.streams.views import permutation, rotation, rotation_angles, seen
from dellm_jax.types import Experience

AS_IT_IS = 0


class Day(NamedTuple):
    """What comes, in order: `rows` [N] of the training split, and the `view` [N] through which each is seen."""

    rows: np.ndarray
    view: np.ndarray


class Exam(NamedTuple):
    """What is asked: `rows` of the test split, through one `view`; `concepts` are those among which to choose, for a
    life that is told the task."""

    rows: np.ndarray
    view: int
    concepts: np.ndarray


class Curriculum(NamedTuple):
    """Days and exams on one corpus. `views[v]` is a map of pixels (see `views`), or None for pictures as they are."""

    corpus: Corpus
    days: tuple[Day, ...]
    exams: tuple[Exam, ...]
    views: tuple[np.ndarray | None, ...] = (None,)


def class_incremental(corpus: Corpus, days: int, seed: int, shuffled: bool = False) -> Curriculum:
    """Concepts in their order (or `shuffled`), shared evenly over `days`; a day's rows are shuffled.

    The exam of a day asks about its concepts.
    """
    concepts = np.unique(corpus.train.target)
    if not 1 <= days <= concepts.size:
        raise StreamError(f"days={days}, but the stream has {concepts.size} concepts; choose 1 to {concepts.size} days")
    generator = np.random.default_rng(seed)
    shares = np.array_split(generator.permutation(concepts) if shuffled else concepts, days)
    lived = [generator.permutation(np.flatnonzero(np.isin(corpus.train.target, share))) for share in shares]
    exams = [
        Exam(np.flatnonzero(np.isin(corpus.test.target, share)), AS_IT_IS, np.sort(share).astype(np.int32))
        for share in shares
    ]
    return Curriculum(corpus, tuple(_plain(rows) for rows in lived), tuple(exams))


def by_group(corpus: Corpus, seed: int) -> Curriculum:
    """A day for each group of the training split (speaker, pair of digits, domain), all concepts every day.

    The exam of a day asks about its group; about everything, where the test split has other groups.
    """
    if corpus.train.group is None:
        raise StreamError(f"stream {corpus.name!r} has no groups to form days by; use class-incremental days")
    generator = np.random.default_rng(seed)
    everything = np.unique(corpus.train.target)
    lived, exams = [], []
    for group in np.unique(corpus.train.group):
        lived.append(generator.permutation(np.flatnonzero(corpus.train.group == group)))
        asked = np.flatnonzero(corpus.test.group == group) if corpus.test.group is not None else np.array([], int)
        exams.append(Exam(asked if asked.size else np.arange(corpus.test.target.size), AS_IT_IS, everything))
    return Curriculum(corpus, tuple(_plain(rows) for rows in lived), tuple(exams))


def through_views(corpus: Corpus, views: Sequence[np.ndarray | None], seed: int) -> Curriculum:
    """Domain-incremental: every day all examples, shuffled, through another of `views`; so asks its exam."""
    generator = np.random.default_rng(seed)
    rows = np.arange(corpus.train.target.size)
    everything = np.unique(corpus.train.target)
    days = tuple(Day(generator.permutation(rows), np.full(rows.size, v, np.int32)) for v in range(len(views)))
    exams = tuple(Exam(np.arange(corpus.test.target.size), v, everything) for v in range(len(views)))
    return Curriculum(corpus, days, exams, tuple(views))


def permuted(corpus: Corpus, tasks: int, seed: int, first_identity: bool = False) -> Curriculum:
    """`tasks` days of the same pictures, their pixels permuted anew every day (but the first, if `first_identity`)."""
    _, height, width, _ = corpus.train.banks["image"].shape
    views = [permutation(height, width, seed, task, first_identity) for task in range(tasks)]
    return through_views(corpus, views, seed)


def rotated(corpus: Corpus, tasks: int, seed: int) -> Curriculum:
    """`tasks` days of the same pictures, turned by another angle in [0, 180) degrees every day."""
    _, height, width, _ = corpus.train.banks["image"].shape
    return through_views(corpus, [rotation(height, width, angle) for angle in rotation_angles(tasks, seed)], seed)


def in_order(corpus: Corpus) -> Curriculum:
    """One day of everything in its own order, and no exam: for streams that are judged as they go."""
    return Curriculum(corpus, (_plain(np.arange(corpus.train.target.size)),), ())


def mixed(curriculum: Curriculum, epochs: int, seed: int) -> Curriculum:
    """Everything of all days, shuffled, `epochs` times: what joint training sees; one pass is i.i.d. online."""
    generator = np.random.default_rng(seed)
    rows, view = (np.concatenate(parts) for parts in zip(*curriculum.days, strict=True))
    orders = [generator.permutation(rows.size) for _ in range(epochs)]
    return curriculum._replace(days=tuple(Day(rows[order], view[order]) for order in orders))


def drawn(curriculum: Curriculum, examples: int, seed: int) -> Curriculum:
    """Every day has `examples`, drawn from its own in shuffled rounds: a part of them, or each several times."""
    generator = np.random.default_rng(seed)

    def draw(day: Day) -> Day:
        rounds = -(-examples // day.rows.size)
        order = np.concatenate([generator.permutation(day.rows.size) for _ in range(rounds)])[:examples]
        return Day(day.rows[order], day.view[order])

    return curriculum._replace(days=tuple(draw(day) for day in curriculum.days))


def blurred(curriculum: Curriculum, share: float, seed: int) -> Curriculum:
    """Days without sharp boundaries: a `share` of every day's examples change places with examples of other days."""
    if not 0 <= share <= 1:
        raise StreamError(f"blur={share}; expected a share of every day from 0 (sharp) to 1 (no days at all)")
    generator = np.random.default_rng(seed)
    sizes = [day.rows.size for day in curriculum.days]
    rows, view = (np.concatenate(parts) for parts in zip(*curriculum.days, strict=True))
    starts = np.cumsum([0, *sizes[:-1]])
    leaving = [
        start + generator.choice(size, round(share * size), replace=False)
        for start, size in zip(starts, sizes, strict=True)
    ]
    places = np.concatenate(leaving).astype(int)
    others = generator.permutation(places)
    rows[places], view[places] = rows[others], view[others]
    cuts = starts[1:]
    parts = zip(np.split(rows, cuts), np.split(view, cuts), strict=True)
    return curriculum._replace(days=tuple(Day(*part) for part in parts))


def stretches(curriculum: Curriculum, batch: int, length: int, pauses: bool = False) -> Iterator[Experience | None]:
    """Experience stretches [length, batch, ...], day after day; the last of a day is filled up with weight 0.

    With `pauses`, None comes after every day: for lives that are told when a task is over.
    """
    for day in curriculum.days:
        for start in range(0, day.rows.size, length * batch):
            part = slice(start, start + length * batch)
            yield stretch(curriculum.corpus.train, day.rows[part], length, batch, curriculum.views, day.view[part])
        if pauses:
            yield None


def stretch(
    split: Split,
    rows: np.ndarray,
    length: int,
    batch: int,
    views: Sequence[np.ndarray | None] = (None,),
    view: np.ndarray | None = None,
) -> Experience:
    """One stretch of up to length * batch rows, each seen through `views[view]`, filled up with weight 0."""
    filled = np.resize(rows, length * batch)
    weight = (np.arange(filled.size) < rows.size).astype(np.float32).reshape(length, batch)
    items = gather(split, filled)
    if view is not None and any(kind is not None for kind in views):
        items = _viewed(items, views, np.resize(view, filled.size))
    senses = {sense: raw.reshape(length, batch, *raw.shape[1:]) for sense, raw in items.items()}
    value = None if split.value is None else split.value[filled].reshape(length, batch).astype(np.float32)
    return Experience(senses, split.target[filled].reshape(length, batch).astype(np.int32), weight, value)


def _viewed(items: dict[str, np.ndarray], views: Sequence[np.ndarray | None], view: np.ndarray) -> dict:
    """The same items, with every picture seen through its own view."""
    if "image" not in items:
        raise StreamError(f"views are of pictures, and this stream has {sorted(items)}; give it the sense 'image'")
    pictures = items["image"].copy()
    for v in np.unique(view):
        if views[v] is not None:
            pictures[view == v] = seen(items["image"][view == v], views[v])
    return dict(items) | {"image": pictures}


def ends(curriculum: Curriculum, batch: int, length: int) -> list[int]:
    """How many awake steps have been lived when each day is over."""
    return np.cumsum([length * -(-day.rows.size // (length * batch)) for day in curriculum.days]).tolist()


def _plain(rows: np.ndarray) -> Day:
    return Day(rows, np.full(rows.size, AS_IT_IS, np.int32))
