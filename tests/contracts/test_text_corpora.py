"""Contracts of the corpora that are read: texts keep their labels, cuts whole characters, errors name the file."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from dellm_jax.errors import StreamError
from dellm_jax.streams import banking77, clinc150, clinc150_out_of_scope, fetch, gather
from dellm_jax.streams.texts import labelled_texts, read_clinc, read_csv, shortened

SHARED = Path(__file__).parents[3] / "shared" / "data"
DATA = Path(os.environ.get("DELLM_DATA", SHARED))
real_clinc = pytest.mark.skipif(not (DATA / "clinc150").is_dir(), reason=f"no clinc150 in {DATA}: set DELLM_DATA")
QUERIES = {
    "train": [["say hello", "translate"], ["what is my balance", "balance"], ["wie spät ist es", "time"]],
    "val": [["how late is it", "time"]],
    "test": [["my balance please", "balance"], ["hello in french", "translate"]],
    "oos_train": [["why", "oos"]],
    "oos_val": [["where am i", "oos"]],
    "oos_test": [["who is it", "oos"], ["ä" * 99, "oos"]],
}
DOMAINS = {"utility": ["time"], "banking": ["balance"], "travel": ["translate"]}
BANKING = [
    ('Why £1, and why "pending"?\nIt\'s been a week', "extra_charge"),
    ("Is it , lost?", "card_arrival"),
    ("é" * 200, "extra_charge"),
]


def texts(split) -> list[str]:
    """The texts that the examples show, in their order."""
    return [bytes(row).rstrip(b"\0").decode() for row in gather(split, np.arange(len(split.target)))["text"]]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with both data sets made up for the test, whose checksums are not those of the originals."""
    for name in ("clinc150", "banking77"):
        (tmp_path / name).mkdir()
        local = (r._replace(checksum=None, address="http://127.0.0.1:9/") for r in fetch.SOURCES[name])
        monkeypatch.setitem(fetch.SOURCES, name, tuple(local))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    (tmp_path / "clinc150" / "data_full.json").write_text(json.dumps(QUERIES), encoding="utf-8")
    (tmp_path / "clinc150" / "domains.json").write_text(json.dumps(DOMAINS), encoding="utf-8")
    for part, rows in (("train.csv", BANKING), ("test.csv", BANKING[:2])):
        with (tmp_path / "banking77" / part).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "category"), *rows])
    return tmp_path


def test_clinc_reads_queries_in_scope_with_intent_and_domain(root):
    corpus = clinc150(root)
    assert corpus.name == "clinc150" and corpus.concepts == ("balance", "time", "translate") and corpus.sample_rate == 0
    for split, part in ((corpus.train, "train"), (corpus.test, "test")):
        assert split.banks["text"].shape == (len(QUERIES[part]), 136)
        assert list(zip(texts(split), (corpus.concepts[c] for c in split.target), strict=True)) == [
            (query, intent) for query, intent in QUERIES[part]
        ]
        assert split.target.dtype == split.group.dtype == np.int32
    assert corpus.train.group.tolist() == [2, 1, 0] and corpus.test.group.tolist() == [1, 2]


def test_clinc_offers_its_validation_queries_and_does_without_domains(root):
    (root / "clinc150" / "domains.json").unlink()
    corpus = clinc150(root, validation=True)
    assert corpus.name == "clinc150/validation" and texts(corpus.test) == ["how late is it"]
    assert texts(corpus.train) == texts(clinc150(root).train)
    assert corpus.train.group is None and corpus.test.group is None


def test_clinc_offers_what_is_out_of_scope_apart(root):
    asked, chosen_on = clinc150_out_of_scope(root), clinc150_out_of_scope(root, validation=True)
    assert asked.shape == (2, 136) and asked.dtype == np.uint8
    said = [bytes(row).rstrip(b"\0").decode() for row in np.concatenate([chosen_on, asked])]
    assert said == ["where am i", "who is it", "ä" * 68]


def test_banking_reads_quoted_texts_and_cuts_the_long_ones(root):
    corpus = banking77(root)
    assert corpus.name == "banking77" and corpus.concepts == ("card_arrival", "extra_charge")
    assert corpus.train.banks["text"].shape == (3, 256) and corpus.train.group is None
    assert texts(corpus.test) == [text for text, _ in BANKING[:2]]
    assert texts(corpus.train)[2] == "é" * 128
    assert corpus.train.target.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "width, expected", [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (5, "aé"), (6, "aé€"), (99, "aé€")]
)
def test_texts_are_cut_between_characters(width, expected):
    assert shortened("aé€", width) == expected


def test_labels_must_be_trained_and_grouped():
    train, test = [("a", "one"), ("b", "two")], [("c", "three")]
    with pytest.raises(StreamError, match="toy tests labels that it never trains, such as 'three'"):
        labelled_texts("toy", train, test, 8)
    with pytest.raises(StreamError, match="toy has no group for the label 'two'"):
        labelled_texts("toy", train, train, 8, {"one": 0})


@pytest.mark.parametrize(
    "read, content, found",
    [
        (read_csv, "intent,words\na,b\n", r"it opens with \['intent', 'words'\], expected \['text', 'category'\]"),
        (read_csv, "", "not enough values"),
        (read_csv, "text,category\nonly one\n", "not enough values"),
        (read_clinc, "<html>", "Expecting value"),
        (read_clinc, "[1, 2]", "list indices must be"),
        (read_clinc, '{"train": []}', "'val'"),
        (read_clinc, '{"train": [["no intent"]]}', "not enough values"),
    ],
)
def test_a_broken_file_is_named(tmp_path, read, content, found):
    path = tmp_path / "file"
    path.write_text(content)
    with pytest.raises(StreamError, match=rf"file cannot be read.*{found}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_changed_file_is_refused(tmp_path):
    for dataset, name in (("clinc150", "data_full.json"), ("banking77", "train.csv")):
        (tmp_path / dataset).mkdir()
        (tmp_path / dataset / name).write_text("something else")
    with pytest.raises(StreamError, match=r"data_full.json is corrupt: sha256 is"):
        clinc150(tmp_path)
    with pytest.raises(StreamError, match=r"train.csv is corrupt: sha256 is"):
        banking77(tmp_path)


@pytest.mark.realdata
@real_clinc
def test_real_clinc_is_balanced_and_whole():
    corpus = clinc150(DATA)
    source = json.loads((DATA / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    domains = json.loads((DATA / "clinc150" / "domains.json").read_text(encoding="utf-8"))
    for split, part, each in (
        (corpus.train, "train", 100),
        (corpus.test, "test", 30),
        (clinc150(DATA, validation=True).test, "val", 20),
    ):
        assert np.bincount(split.target).tolist() == [each] * 150
        assert np.bincount(split.group).tolist() == [15 * each] * 10
        assert texts(split) == [query for query, _ in source[part]]
        for target, group in zip(split.target, split.group, strict=True):
            assert corpus.concepts[target] in domains[list(domains)[group]]
    shared = set(texts(corpus.train)) & set(texts(corpus.test))
    assert len(shared) == 2, "published so"
