"""A life listens to a file, learns what it heard, and goes on in another process; bad input ends in one line."""

import io
from dataclasses import replace

import jobs
import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf
from rich.console import Console

from dellm_jax import corrections, speech
from dellm_jax.architecture import CONCEPTS
from dellm_jax.conversation import Conversation, words
from dellm_jax.errors import SpeechError
from dellm_jax.persistence import generations, read_note
from experiments import build, evaluate, interact, left, listen
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
    assert words.names(hearer.life).known == {"good morning": 0}
    story = told.file.getvalue()
    for line in ("heard  Good morning", "nothing: no concept is known yet", "learn it as a new concept",
                 "heard  ␛[2Jwell good morning", "understood  good morning, 100% sure", "as a known concept",
                 "from the end of speech to the response: median"):  # fmt: skip
        assert line in story, line
    assert "\x1b" not in story
    again = listen.reloaded(hearer.folder, told)
    assert words.names(again.life).known == {"good morning": 0} and int(again.life.clock.experiences) == 2
    again.mind = hearer.mind  # the same laws, which are compiled
    listen.hear(replace(how, learn=False), said, again, transcribed("Hi", ""), told)
    assert int(again.life.clock.experiences) == 2 and words.called(again.life, 0) == "good morning"
    story = told.file.getvalue()[len(story) :]
    assert story.count("answer only") == 2 and "(nothing that is a word)" in story
    with pytest.raises(Exception, match="no exams"):
        evaluate.evaluate(hearer.folder, told)


@pytest.fixture(scope="module")
def born() -> listen.Hearer:
    """A life that listens, newly born; the laws are its own."""
    return listen.newborn([*TINY])


def test_what_is_said_names_a_concept(born):
    """The longest name that is spoken of; else it is new, and the life says so. One with exams learns no name."""
    hearer = replace(born, life=corrections.name(born.life, {0: "one", 1: "twenty one"}), told={})
    assert listen.concept_of(hearer, " Twenty  ONE men") == 1 and not hearer.told
    assert listen.concept_of(hearer, "someone") == 2 and words.called(hearer.life, 2) == "someone"
    assert listen.concept_of(hearer, " ") is None
    long = "ä" * 200
    assert listen.concept_of(hearer, long) == 3 and words.called(hearer.life, 3) == "ä" * 128
    full = {concept: f"the {concept}th" for concept in range(4, listen.ROOM)}
    hearer.life = corrections.name(hearer.life, full)
    assert listen.concept_of(hearer, "no room is left") is None
    examined = OmegaConf.merge(born.config, {"stream": {"corpus": {"_target_": "dellm_jax.streams.digits"}}})
    hearer = replace(born, config=examined, life=corrections.name(born.life, {0: "one"}), told={})
    assert listen.concept_of(hearer, "they") is None and listen.concept_of(hearer, "one") == 0


@pytest.mark.slow
def test_who_listened_is_talked_to(born, tmp_path):
    """The folder that `listen` leaves is a run that `interact` is born of, names and all, without a note beside it."""
    hearer = replace(born, folder=tmp_path / "heard", told={})
    assert listen.concept_of(hearer, "good morning") == 0
    concepts = dict(hearer.life.homeostasis[CONCEPTS])
    concepts["active"] = concepts["active"].at[0].set(1.0)
    hearer.life = hearer.life.replace(homeostasis=dict(hearer.life.homeostasis) | {CONCEPTS: concepts})
    listen.save(hearer)
    assert not read_note(generations(left.snapshots(hearer.folder))[0][1])
    settings, overrides = interact.parsed([f"life={tmp_path / 'life'}", f"run={hearer.folder}", "prepare=false"])
    config, birth = interact.configured(settings, overrides)
    assert config == hearer.config
    with Conversation.open(born.mind, tmp_path / "life", birth=lambda: birth(born.mind)) as talk:
        assert [one["name"] for one in talk.memory()["concepts"]] == ["good morning"]


def test_a_life_without_room_for_names_is_refused(tmp_path):
    with pytest.raises(SpeechError, match="rules=0 leaves a life no room for names"):
        listen.newborn([*TINY, "rules=0"])


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
