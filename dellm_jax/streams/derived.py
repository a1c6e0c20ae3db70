"""Corpora made from corpora: a validation split cut from training, and other questions about the same examples."""

from collections.abc import Sequence

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split, subset


def validation(
    corpus: Corpus, share: float = 0.1, count: int | None = None, seed: int = 0, by_group: bool = False
) -> Corpus:
    """The corpus to choose hyper-parameters on: it tests on a part of its training examples and trains on the rest.

    The part is `share` of every concept, or `count` examples in all in the proportions of the concepts, to within one
    example; with `by_group` it is a whole group, drawn by the seed. Banks are shared, and an item that many examples
    show (a clip dealt to several pictures) may be on both sides. StreamError when nothing could be tested or trained.
    """
    target, group = corpus.train.target, corpus.train.group
    generator = np.random.default_rng(seed)
    if by_group:
        if group is None:
            raise StreamError(f"by_group=True, but {corpus.name} has no groups; leave it out")
        held = group == generator.choice(np.unique(group))
    else:
        total = round(share * len(target)) if count is None else count
        if not 0 < total < len(target):
            asked = f"share={share}" if count is None else f"count={count}"
            raise StreamError(
                f"{asked} tests {total} of {len(target)} examples; expected at least 1 and fewer than all"
            )
        held = _stratified(target, total, generator)
    if untrained := set(target.tolist()) - set(target[~held].tolist()):
        raise StreamError(
            f"validation leaves no training example of {corpus.concepts[min(untrained)]!r}; hold out fewer examples"
        )
    train, test = (subset(corpus.train, np.flatnonzero(part)) for part in (~held, held))
    return corpus._replace(name=f"{corpus.name}/validation", train=train, test=test)


def labelled_by(corpus: Corpus, concepts: Sequence[str], label_of: np.ndarray) -> Corpus:
    """The same examples with other targets: `label_of` [old concepts] int gives for each old concept a new one.

    StreamError unless every old concept is given one of the new.
    """
    if label_of.shape != (len(corpus.concepts),) or not np.all(np.isin(label_of, np.arange(len(concepts)))):
        raise StreamError(
            f"label_of is {label_of.tolist()}, expected for each of {len(corpus.concepts)} concepts a number in "
            f"0..{len(concepts) - 1}"
        )
    train, test = (_labelled(split, label_of) for split in (corpus.train, corpus.test))
    return corpus._replace(concepts=tuple(concepts), train=train, test=test)


def parity(corpus: Corpus) -> Corpus:
    """Domain-incremental Split-MNIST: is the digit even or odd? `group` is digit // 2, the pair that a day brings.

    Of any corpus: whether the number of the concept is. Source: van de Ven & Tolias 2019.
    """
    asked = labelled_by(corpus, ("even", "odd"), np.arange(len(corpus.concepts)) % 2)
    train, test = (
        split._replace(group=(old.target // 2).astype(np.int32))
        for split, old in ((asked.train, corpus.train), (asked.test, corpus.test))
    )
    return asked._replace(name=f"{corpus.name}/parity", train=train, test=test)


def _labelled(split: Split, label_of: np.ndarray) -> Split:
    """One split of `labelled_by`."""
    return split._replace(target=label_of[split.target].astype(np.int32))


def _stratified(target: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """Which of the examples are drawn, bool [N]: `total` of them, of each concept its share to within one example."""
    _, concept, members = np.unique(target, return_inverse=True, return_counts=True)
    exact = members * total / len(target)
    each = np.floor(exact).astype(int)
    each[np.argsort(each - exact, kind="stable")[: total - each.sum()]] += 1  # largest remainders first
    shuffled = generator.permutation(len(target))
    shuffled = shuffled[np.argsort(concept[shuffled], kind="stable")]
    place = np.arange(len(target)) - np.repeat(np.cumsum(members) - members, members)  # within the concept
    held = np.zeros(len(target), bool)
    held[shuffled[place < np.repeat(each, members)]] = True
    return held
