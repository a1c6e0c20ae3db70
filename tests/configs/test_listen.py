"""A life listens to a file, learns what it heard, and goes on in another process; bad input ends in one line."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jobs
import numpy as np
import pytest
import soundfile
from rich.console import Console

from dellm_jax import speech
from dellm_jax.errors import SpeechError
from experiments import build, evaluate, listen
from experiments.command import guarded
from experiments.config import sound

needed = pytest.mark.skipif(speech.missing() is not None, reason=f"speech: {speech.missing()}")
TINY = ("size=tiny", "stream.text.buckets=256", "stream.text.expansion=0", "semantic_chunk=8")


def transcribed(*texts):
    """Whoever transcribes says one of these after the other."""
    left = iter(texts)
    return lambda audio: next(left)


@pytest.fixture
def talk(data, tmp_path):
    """A file in which a real voice says something twice."""
    said, rate = soundfile.read(data / "speech_transcribed" / "spk2_snt2.wav", dtype="int16")
    soundfile.write(tmp_path / "talk.flac", np.tile(np.r_[said, np.zeros(4 * rate, np.int16)], 2), rate)
    return str(tmp_path / "talk.flac")


@needed
@pytest.mark.slow
@pytest.mark.realdata
def test_a_life_learns_what_it_hears_and_goes_on(talk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = Console(file=io.StringIO())
    how, said = listen.Settings(file=talk, speed=4.0, silence_s=2.4), listen.sounds(talk)
    hearer = listen.newborn(list(TINY))
    listen.hear(how, said, hearer, transcribed("Good morning", "\x1b[2Jwell good morning"), told)
    assert hearer.names == ["good morning"]
    story = told.file.getvalue()
    for line in ("heard  Good morning", "nothing: no concept is known yet", "learn it as a new concept",
                 "heard  ␛[2Jwell good morning", "understood  good morning, 100% sure", "as a known concept",
                 "from the end of speech to the response: median"):  # fmt: skip
        assert line in story, line
    assert "\x1b" not in story
    again = listen.reloaded(hearer.folder, told)
    assert again.names == ["good morning"] and int(again.life.clock.experiences) == 2
    again.mind = hearer.mind  # the same laws, which are compiled
    listen.hear(replace(how, learn=False), said, again, transcribed("Hi", ""), told)
    assert int(again.life.clock.experiences) == 2 and again.names == ["good morning"]
    story = told.file.getvalue()[len(story) :]
    assert story.count("answer only") == 2 and "(nothing that is a word)" in story
    with pytest.raises(Exception, match="no exams"):
        evaluate.evaluate(hearer.folder, told)


def test_what_is_said_names_a_concept():
    born = SimpleNamespace(stream=SimpleNamespace(corpus={}))
    hearer = listen.Hearer(None, None, None, ["one", "twenty one"], Path(), born)
    assert listen.concept_of(hearer, " Twenty  ONE men") == 1
    hearer.life = SimpleNamespace(architecture=SimpleNamespace(concepts=3))
    assert listen.concept_of(hearer, "someone") == 2 and hearer.names[2] == "someone"
    assert listen.concept_of(hearer, "no room is left") is None
    assert listen.concept_of(hearer, " ") is None
    examined = SimpleNamespace(stream=SimpleNamespace(corpus={"_target_": "digits"}))
    hearer = listen.Hearer(None, hearer.life, None, ["one"], Path(), examined)
    assert listen.concept_of(hearer, "they") is None and listen.concept_of(hearer, "one") == 0


def test_its_configuration_is_a_life():
    with listen.initialize_config_dir(str(jobs.CONF), version_base="1.3"):
        config = sound(listen.compose("listen", ["size=tiny"]))
    body = build.architecture(config, listen.ROOM)
    assert [sense.name for sense in body.senses] == ["audio", "text"] and body.concepts == listen.ROOM
    assert build.schedule(config).night == () and build.mind(config).rehearse == config.cycle.rehearse


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ((), "file=<a sound file> or mic=true"),
        (("file=a.wav", "mic=true"), "one of the two"),
        (("file=a.wav", "run=x", "size=tiny"), "size=tiny is for a new one"),
        (("file=a.wav", "speed=fast"), "speed"),
    ],
)
def test_what_is_typed_wrongly_is_refused(typed, why):
    with pytest.raises(Exception, match=why):
        listen.parsed(list(typed))


@needed
@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("file=/nowhere.wav", "cannot be opened"),
        ("file=/etc/hostname", "cannot be heard"),
        ("file={talk} siez=tiny", "did you mean size"),
        ("file={talk} engine=telepathy", "no engine"),
        ("file={talk} run=/nowhere", "no run folder"),
        ("file={talk} device=abacus", "expected one of cpu, cuda"),
    ],
)
def test_bad_input_ends_in_one_line(typed, why, talk, tmp_path, monkeypatch, capsys):
    pytest.importorskip("pocketsphinx", reason="speech: pocketsphinx is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["listen", *typed.format(talk=talk).split()])
    monkeypatch.setattr(listen.compilation, "persist", lambda folder: None)
    with pytest.raises(SystemExit, match="2"):
        guarded(listen.main)
    line = capsys.readouterr().err
    assert why in line and line.count("\n") == 1 and line.startswith("listen: ")
    assert [path.name for path in tmp_path.iterdir()] == ["talk.flac"]


def test_without_the_extra_it_says_so(monkeypatch):
    monkeypatch.setattr(speech.engines, "find_spec", lambda name: None)
    with pytest.raises(SpeechError, match=r"dellm_jax\[speech\]"):
        speech.transcriber("pocketsphinx")
