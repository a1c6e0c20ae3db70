"""Short questions read: what people ask an assistant or a bank, and the intent behind it.

CLINC150: Larson et al. 2019 (CC BY 3.0). BANKING77: Casanueva et al. 2020 (CC BY 4.0).
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split, written
from dellm_jax.streams.fetch import locate

CLINC_WIDTH = 136  # bytes: the longest query of all
BANKING_WIDTH = 256  # bytes: the few texts that are longer are cut
PARTS = ("train", "val", "test")
HEADER = ["text", "category"]

Pairs = list[tuple[str, str]]


def clinc150(root: Path | str | None = None, validation: bool = False) -> Corpus:
    """Queries of 150 intents, text uint8 [K, 136]: 15,000 for training and 4,500 for testing, none out of scope.

    `validation` tests on the official 3,000 validation queries instead, so that nothing is chosen on the test queries.
    `group` is the domain's number in the order of domains.json, or None without that file. Few test and validation
    queries are in the training part word for word, as published. `root`: see `fetch.locate`.
    """
    files = locate("clinc150", root)
    parts = read_clinc(files["data_full.json"])
    domain = read_domains(files["domains.json"]) if "domains.json" in files else None
    name, test = ("clinc150/validation", "val") if validation else ("clinc150", "test")
    return labelled_texts(name, parts["train"], parts[test], CLINC_WIDTH, domain)


def clinc150_out_of_scope(root: Path | str | None = None, validation: bool = False) -> np.ndarray:
    """Queries that mean none of the 150 intents, uint8 [K, 136]: 1,000 for testing, or 100 for choosing by.

    `root`: see `fetch.locate`.
    """
    part = "oos_val" if validation else "oos_test"
    queries = read_clinc(locate("clinc150", root)["data_full.json"], (part,))[part]
    return written([shortened(query, CLINC_WIDTH) for query, _ in queries], CLINC_WIDTH)


def banking77(root: Path | str | None = None) -> Corpus:
    """Questions of 77 intents to a bank, text uint8 [K, 256]: 10,003 for training and 3,080 for testing.

    Texts of more than 256 bytes are cut there, at the last whole character. `root`: see `fetch.locate`.
    """
    files = locate("banking77", root)
    return labelled_texts("banking77", *(read_csv(files[part]) for part in ("train.csv", "test.csv")), BANKING_WIDTH)


def labelled_texts(name: str, train: Pairs, test: Pairs, width: int, group: Mapping[str, int] | None = None) -> Corpus:
    """A corpus of (text, label) pairs: text uint8 [K, width], concepts the training labels in alphabetical order.

    Texts longer than `width` bytes are cut at the last whole character. `group` numbers the group of every label.
    StreamError when a test label is never trained, or a label has no group.
    """
    concepts = tuple(sorted({label for _, label in train}))
    if unknown := {label for _, label in test} - set(concepts):
        raise StreamError(f"{name} tests labels that it never trains, such as {min(unknown)!r}; use the original files")
    if group is not None and (lacking := set(concepts) - set(group)):
        raise StreamError(f"{name} has no group for the label {min(lacking)!r}; use the original files")
    number = {label: row for row, label in enumerate(concepts)}
    parts = (_split(pairs, number, width, group) for pairs in (train, test))
    return Corpus(name, concepts, *parts, sample_rate=0)


def shortened(text: str, width: int) -> str:
    """As much of the text as `width` bytes of UTF-8 hold, in whole characters."""
    return text.encode()[:width].decode(errors="ignore")


def read_clinc(path: Path, parts: Sequence[str] = PARTS) -> dict[str, Pairs]:
    """data_full.json -> (query, intent) pairs of its `parts`; what is out of scope is in parts of its own."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {part: [(str(query), str(intent)) for query, intent in content[part]] for part in parts}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StreamError(f"{path} cannot be read as queries ({error}); delete it or copy it again") from error


def read_domains(path: Path) -> dict[str, int]:
    """domains.json -> for every intent the number of its domain."""
    try:
        domains = json.loads(path.read_text(encoding="utf-8")).values()
        return {intent: number for number, intents in enumerate(domains) for intent in intents}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StreamError(f"{path} cannot be read as domains ({error}); delete it or copy it again") from error


def read_csv(path: Path) -> Pairs:
    """A .csv file with the columns text and category, as (text, category) pairs."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if header != HEADER:
            raise ValueError(f"it opens with {header}, expected {HEADER}")
        return [(text, category) for text, category in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise StreamError(f"{path} cannot be read ({error}); delete it or copy it again") from error


def _split(pairs: Sequence[tuple[str, str]], number: Mapping[str, int], width: int, group: Mapping | None) -> Split:
    """Every text once, with the number of its label and of its group."""
    target = np.array([number[label] for _, label in pairs], np.int32)
    bank = written([shortened(text, width) for text, _ in pairs], width)
    groups = None if group is None else np.array([group[label] for _, label in pairs], np.int32)
    return Split(target, {"text": bank}, {"text": np.arange(len(target), dtype=np.int32)}, groups)
