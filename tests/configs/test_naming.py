"""The protocol of naming, in little: eight things of noise, in a body of the least size."""

import jobs
import numpy as np
import pytest

from dellm_jax import streams
from dellm_jax.streams import Corpus, Split
from experiments.config import sound
from experiments.naming import naming

THINGS = 8


def things(root: None = None, languages: tuple[str, ...] = ("en", "de")) -> Corpus:
    """Eight things; the last has no name in the second language, and the first two are called alike in the first."""
    drawn = np.random.default_rng(0)
    pictures = drawn.integers(0, 256, (THINGS, 16, 16, 1), np.uint8)
    target = np.r_[np.arange(THINGS), np.arange(THINGS - 1)].astype(np.int32)
    foreign = np.random.default_rng(len(languages[1]) + ord(languages[1][0]))
    clips = np.r_[
        drawn.normal(0, 3000, (THINGS, 4000)).cumsum(1) % 9000,
        foreign.normal(0, 3000, (THINGS - 1, 4000)).cumsum(1) % 9000,
    ].astype(np.int16)
    words = [f"{name}{thing}" for name in ("thing ", languages[1]) for thing in range(THINGS)][:-1]
    clips[1], words[1] = clips[0], words[0]
    rows = np.arange(target.size, dtype=np.int32)
    text = streams.corpus.written(words, 8)
    group = (rows >= THINGS).astype(np.int32)
    split = Split(
        target, {"image": pictures, "audio": clips, "text": text}, {"image": target, "audio": rows, "text": rows}, group
    )
    return Corpus("things", tuple(map(str, range(THINGS))), split, split, 8000)


LITTLE = (
    "stream=art4apps",
    "size=tiny",
    "log=none",
    "cycle.at_pauses=true",
    "cycle.rest_every=0",
    "cycle.batch=4",
    "cycle.stretch=3",  # the last moment of a day is empty, so that semantic memory follows all of it
    "rest=none",
    "cycle.rehearse=0",
    "semantic_chunk=4",
    "stream.image.height=16",
    "stream.image.width=16",
    "stream.image.channels=1",
    "stream.image.filters=8",
    "stream.audio.samples=4000",
    "stream.text.width=8",
    "stream.text.buckets=256",
)


@pytest.mark.slow
def test_what_was_named_once_is_called_so_in_both_languages(monkeypatch) -> None:
    monkeypatch.setattr(streams, "art4apps", things)
    told = dict(naming(sound(jobs.composed(*LITTLE)), "dellm", 0, unseen=("fr",)))
    moments = [f", day {day}, {when}" for day in (1, 2) for when in ("evening", "morning after")]
    assert list(told) == [m + way for m in moments for way in ("", ", cortex alone", ", semantic memory alone")]
    first, second = told[", day 1, morning after"], told[", day 2, morning after"]
    taught = ("image_to_word_en", "sound_to_word_en", "sound_en_to_thing", "named_by_image", "pictured_by_sound")
    assert {first[what] for what in taught} == {1.0}, "two things of one name are right for either"
    assert "image_to_word_de" not in first
    after = (*taught[:3], "image_to_word_de", "sound_to_word_de", "sound_de_to_word_en", "sound_de_to_thing")
    assert {second[what] for what in after} == {1.0}
    assert second["sound_en_to_word_de"] == pytest.approx(6 / 7), "which of the two was meant cannot be heard"
    assert first["new_sound_noisy"] > 0.7 and first["new_sound_fr_to_thing"] < 0.5, "as taught; as never taught"
