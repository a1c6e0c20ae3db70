"""Contracts of the corpus of named things: who has a name in which language, and what its errors say."""

import os
from pathlib import Path

import numpy as np
import pytest

from dellm_jax.errors import StreamError
from dellm_jax.streams import art4apps, fetch, gather
from dellm_jax.streams.art4apps import FILE, SAMPLES, TEXT_WIDTH
from dellm_jax.streams.corpus import mu_law_encode

DATA = Path(os.environ.get("DELLM_DATA", Path(__file__).parents[3] / "shared" / "data"))
THINGS = ("ant", "bank", "cat", "dog", "egg")
SPOKEN = {"en": [0, 1, 2, 4], "es": [1], "fr": [], "de": [0, 3, 4]}  # things that have a recording
WORDS = {"en": list(THINGS), "es": ["", "banco", "", "", ""], "fr": [""] * 5, "de": ["Ameise", "", "", "Hund", ""]}


def made_up(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a file of five things; recording j of a language is a tone as long as its row and language say."""
    made = {
        "images": np.arange(5 * 64 * 64 * 3, dtype=np.uint32).reshape(5, 64, 64, 3).astype(np.uint8),
        "key": np.array(THINGS),
        "sample_rate": np.int32(8000),
    }
    for language, items in SPOKEN.items():
        tones = [mu_law_encode(np.full(800 + 80 * item, 0.5)) for item in items]
        made |= {
            f"text_{language}": np.array(WORDS[language]),
            f"audio_{language}": np.concatenate([*tones, np.zeros(0, np.uint8)]),
            f"audio_{language}_offsets": np.cumsum([0, *map(len, tones)]),
            f"audio_{language}_item": np.array(items, np.int32),
        }
    return made | changed


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data sets with such a file in it."""
    (tmp_path / "art4apps").mkdir()
    np.savez(tmp_path / "art4apps" / FILE, **made_up())
    remotes = tuple(remote._replace(checksum=None) for remote in fetch.SOURCES["art4apps"])
    monkeypatch.setitem(fetch.SOURCES, "art4apps", remotes)
    return tmp_path


def test_things_are_shown_with_their_name_in_every_language(folder):
    corpus = art4apps(folder, ("en", "de", "es"))
    assert corpus.concepts == ("ant", "bank", "cat", "egg") and corpus.sample_rate == 8000
    split = corpus.train
    assert corpus.test is split, "what is taught is what is asked"
    # The dog has no English word, so it is no concept; the egg has a German recording and no written word.
    assert list(zip(split.target.tolist(), split.group.tolist(), strict=True)) == [
        *((thing, 0) for thing in range(4)),
        (0, 1),
        (1, 2),
    ]
    shown = gather(split, np.arange(6))
    words = [bytes(row).rstrip(b"\0").decode() for row in shown["text"]]
    assert words == ["ant", "bank", "cat", "egg", "Ameise", "banco"]
    assert shown["image"].shape == (6, 64, 64, 3) and shown["text"].shape == (6, TEXT_WIDTH)
    np.testing.assert_array_equal(shown["image"][[0, 1, 3]], made_up()["images"][[0, 1, 4]])
    np.testing.assert_array_equal(shown["image"][4:], shown["image"][:2])
    assert shown["audio"].shape == (6, SAMPLES) and shown["audio"].dtype == np.int16
    assert (shown["audio"] != 0).sum(1).tolist() == [800, 880, 960, 1120, 800, 880]


@pytest.mark.parametrize("languages", [(), ("en", "en"), ("en", "it")])
def test_languages_are_known_and_named_once(folder, languages):
    with pytest.raises(StreamError, match=r"languages=.*name each once, of \['en', 'es', 'fr', 'de'\]"):
        art4apps(folder, languages)


@pytest.mark.parametrize(
    "broken", [{"sample_rate": np.int32(16000)}, {"audio_en_item": np.int32([9])}, {"key": np.array(["ant"])}]
)
def test_a_file_that_is_another_is_named(folder, broken):
    np.savez(folder / "art4apps" / FILE, **made_up(**broken))
    with pytest.raises(StreamError, match=rf"{FILE} cannot be read .*delete it or copy it again"):
        art4apps(folder)


def test_what_cannot_be_downloaded_says_where_it_belongs(tmp_path):
    with pytest.raises(StreamError, match=rf"art4apps/{FILE} is not in {tmp_path} and cannot be downloaded; set DELLM"):
        art4apps(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif(not (DATA / "art4apps").is_dir(), reason=f"no art4apps in {DATA}: set DELLM_DATA")
def test_six_hundred_things_have_an_english_and_most_a_german_name():
    corpus = art4apps(DATA)
    assert len(corpus.concepts) == 623 and np.bincount(corpus.train.group).tolist() == [623, 533]
    assert len(np.unique(corpus.train.target[corpus.train.group == 1])) == 533
    assert (corpus.train.banks["text"].max(1) > 0).all() and (np.abs(corpus.train.banks["audio"]).max(1) > 500).all()
