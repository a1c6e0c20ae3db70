"""Listening: the parts by themselves, and the real recorder on real utterances with a transcriber that knows them."""

import logging
import multiprocessing
import threading
from itertools import pairwise
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from dellm_jax import speech
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.errors import MediaError, SpeechError
from dellm_jax.media import resample
from dellm_jax.senses import Audio, Image, Text
from dellm_jax.speech import RATE, Listener, Partial, Utterance, experience_of, feeding, recorder
from dellm_jax.speech.feeding import LEAD_S, Feeder
from dellm_jax.speech.utterances import CHUNK, Event, Tape

FAST = 4.0
PAUSE_S = 4.0  # a second by the clock on the wall, so that a busy machine is not taken for a silent speaker
SILENCE_S = 2.4
SAID = {
    "spk1_snt1.wav": "the child almost hurt the small dog",
    "LJ001-0002.wav": "in being comparatively modern",
    "spk2_snt2.wav": "what joy there is in living",
}
needed = pytest.mark.skipif(speech.missing() is not None, reason=f"speech: {speech.missing()}")


def silence(seconds=PAUSE_S, rate=RATE):
    return np.zeros(int(seconds * rate), np.int16)


def chunk(value):
    return np.full(CHUNK, value, np.int16).tobytes()


def told(tape, *events):
    """What each event completes, a second apart."""
    return [tape.take(Event(*event, when) if len(event) == 1 else Event(event[0], when, event[1]))
            for when, event in enumerate(events)]  # fmt: skip


def test_a_tape_is_cut_where_the_recorder_cuts():
    """32 chunks before speech, those of speech, and the last one again before the next utterance."""
    tape = Tape(confirmation_s=0.5)
    told(tape, *[("chunk", chunk(i)) for i in range(50)], ("start",), ("chunk", chunk(50)), ("silence",))
    *_, nothing = told(tape, ("chunk", chunk(51)), ("stop",), ("partial", " "))
    first = tape.take(Event("text", 3, "one", 34 * CHUNK))
    assert nothing is None and first.text == "one"
    assert first.audio.reshape(-1, CHUNK)[:, 0].tolist() == list(range(18, 52))
    assert (first.began, first.ended) == pytest.approx((18 * CHUNK / RATE, 52 * CHUNK / RATE))
    assert (first.ceased, first.recorded, first.transcribed) == (52 - 0.5, 1, 3)
    told(tape, ("chunk", chunk(52)), ("start",), ("voice",), ("stop",))
    second = tape.take(Event("text", 9, "two", 2 * CHUNK))
    assert second.audio.reshape(-1, CHUNK)[:, 0].tolist() == [51, 52] and second.ceased == second.recorded


@pytest.fixture
def two_waiting():
    """A tape with utterances of 10 and 21 chunks that wait for their texts."""
    tape = Tape(0.1)
    told(tape, *[("chunk", chunk(0))] * 10, ("start",), ("stop",), *[("chunk", chunk(1))] * 20, ("start",), ("stop",))
    assert [len(waiting.audio) // CHUNK for waiting in tape.pending] == [10, 21]
    return tape


def test_what_a_transcriber_fails_on_is_gone_and_the_next_is_heard(two_waiting):
    with pytest.raises(SpeechError, match=r"ValueError: no"):
        two_waiting.take(Event("failed", 0.0, ValueError("no"), 10 * CHUNK))
    assert two_waiting.take(Event("text", 0.0, "two", 21 * CHUNK)).text == "two"
    assert two_waiting.take(Event("text", 0.0, "three", 21 * CHUNK)) is None


def test_a_text_is_never_given_to_another_utterance(two_waiting):
    """Not the text of a fragment that nobody waits for, nor one that comes after it was given up."""
    assert two_waiting.take(Event("text", 0.0, "fragment", CHUNK)) is None
    assert len(two_waiting.give_up().audio) == 10 * CHUNK
    assert two_waiting.take(Event("text", 0.0, "too late", 10 * CHUNK)) is None
    assert two_waiting.take(Event("text", 0.0, "two", 22 * CHUNK)).text == "two"


class Fed(SimpleNamespace):
    """A recorder that only keeps what it is fed; nobody speaks to it."""

    def __init__(self):
        super().__init__(is_recording=False, heard=b"", over=threading.Event())

    def feed_audio(self, chunk):
        assert len(chunk) == 2 * CHUNK
        self.heard += chunk

    def drain_audio_input(self, timeout):
        return True


@pytest.mark.parametrize("rate", [8_000, RATE, 44_100])
def test_nothing_that_is_fed_is_lost(rate):
    """In pieces of any length, also the last; at another rate as if resampled at once."""
    fed, said = Fed(), np.random.default_rng(0).integers(-9999, 9999, 12_345).astype(np.int16)
    feeder = Feeder(fed, speed=1000, silence_s=0.1, ended=fed.over.set)
    for begin, end in pairwise([0, 1, 700, 5000, 12_345]):
        feeder.feed(said[begin:end], rate)
    feeder.end()
    assert fed.over.wait(10)
    heard = np.frombuffer(fed.heard, np.int16)[int(LEAD_S * RATE) :]
    whole = np.round(resample(said / np.float32(32768), rate, RATE) * 32768)
    if rate == RATE:
        np.testing.assert_array_equal(heard[: len(said)], said)
    np.testing.assert_allclose(heard[: len(whole)], whole, atol=2)
    assert not heard[len(whole) + 2 :].any() and len(heard) >= len(whole) + RATE


def test_sound_is_fed_no_faster_than_asked():
    fed = Fed()
    feeder = Feeder(fed, speed=4, silence_s=0.1, ended=fed.over.set)
    began = monotonic()
    feeder.feed(silence(1.0), RATE)
    while len(fed.heard) < 2 * 1.4 * RATE and monotonic() < began + 10:
        sleep(0.01)
    assert monotonic() - began > 1.3 / 4
    feeder.close()


@pytest.mark.parametrize(
    ("samples", "rate", "why"),
    [
        (np.float32([0.1, np.nan]), RATE, "NaN"),
        (np.float32([0.1, np.inf]), RATE, "NaN or infinite"),
        (np.float32([12_000.0]), RATE, "full scale"),
        (np.zeros((4, 4), np.int16), RATE, "shape"),
        (np.zeros(9, bool), RATE, "dtype"),
        (b"\0\0\0", RATE, "dtype|shape"),
        (silence(0.1), 0, "sample rate"),
        (silence(0.1), -8000, "sample rate"),
        (silence(0.1), 44_100.5, "sample rate"),
        (silence(0.1), None, "sample rate"),
    ],
)
def test_what_is_no_sound_is_not_fed(samples, rate, why):
    fed = Fed()
    feeder = Feeder(fed, speed=1000, silence_s=0.1, ended=fed.over.set)
    with pytest.raises(MediaError, match=why):
        feeder.feed(samples, rate)
    feeder.end()
    assert fed.over.wait(10) and not np.frombuffer(fed.heard, np.int16).any()
    with pytest.raises(SpeechError, match="after the end"):
        feeder.feed(silence(0.1), RATE)


def test_hours_do_not_wait_to_be_heard(monkeypatch):
    monkeypatch.setattr(feeding, "MOST_SECONDS", 5.0)
    feeder = Feeder(fed := Fed(), speed=1, silence_s=0.1, ended=fed.over.set)
    feeder.feed(silence(3.0), RATE)
    with pytest.raises(SpeechError, match="more slowly"):
        feeder.feed(silence(3.0), RATE)
    feeder.close()


def test_who_lacks_the_extra_is_told(monkeypatch):
    monkeypatch.setattr(recorder, "find_spec", lambda name: None)
    monkeypatch.setattr(recorder.sys, "version_info", (3, 12, 0))
    with pytest.raises(SpeechError, match=r"RealtimeSTT.* not installed; .*dellm_jax\[speech\]"):
        Listener(str)
    monkeypatch.setattr(recorder.sys, "version_info", (3, 13, 0))
    with pytest.raises(SpeechError, match=r"Python 3\.11 or 3\.12"):
        Listener(str)


@pytest.mark.parametrize("how", [{"speed": 0}, {"speed": 9}, {"silence_s": 0}, {"longest_s": 0.1}, {"patience_s": 0},
                                 {"microphone": True, "speed": 2.0}], ids=str)  # fmt: skip
def test_a_listener_that_cannot_be_is_refused(how):
    with pytest.raises(SpeechError, match="expected"):
        Listener(str, **how)


def conversation(data):
    """Three real utterances of two voices and two rates, fed at once, and all that came of it."""
    transcribed, before = [], (multiprocessing.get_start_method(allow_none=True), set(threading.enumerate()))

    def knowing(audio):
        transcribed.append(audio)
        return list(SAID.values())[len(transcribed) - 1]

    line, places = [silence(LEAD_S)], []
    with Listener(knowing, partial=lambda audio: f"{len(audio)} samples", speed=FAST, silence_s=SILENCE_S) as listener:
        for name in SAID:
            said, rate = soundfile.read(data / "speech_transcribed" / name, dtype="int16")
            listener.feed(np.concatenate([said, silence(PAUSE_S, rate)]), rate)
            line.append(
                resample(np.concatenate([said, silence(PAUSE_S, rate)]) / np.float32(32768), rate, RATE) * 32768
            )
            places.append((sum(map(len, line[:-1])) / RATE, sum(map(len, line[:-1])) / RATE + len(said) / rate))
        listener.end()
        heard = list(listener.heard())
    with pytest.raises(SpeechError, match="after close"):
        listener.feed(silence(), RATE)
    return SimpleNamespace(
        transcribed=transcribed, before=before, line=np.concatenate(line), places=places, heard=heard
    )


def said(conversation):
    return [heard for heard in conversation.heard if isinstance(heard, Utterance)]


def check_each_is_heard_with_its_text(conversation):
    utterances = said(conversation)
    assert [utterance.text for utterance in utterances] == list(SAID.values())
    assert all(u.ceased < u.recorded <= u.transcribed for u in utterances)


def check_what_is_tapped_is_what_is_transcribed(conversation):
    utterances = said(conversation)
    for utterance, audio in zip(utterances, conversation.transcribed, strict=True):
        np.testing.assert_array_equal(utterance.audio, np.int16(audio * 32768))


def check_what_is_tapped_is_what_was_fed_from_before_the_first_sound_to_after_the_last(conversation):
    utterances = said(conversation)
    for utterance, (first, last) in zip(utterances, conversation.places, strict=True):
        assert utterance.began < first + 0.3 and utterance.ended > last  # the files begin with a breath
        begin = round(utterance.began * RATE)
        fed = conversation.line[begin : begin + len(utterance.audio)]
        np.testing.assert_allclose(utterance.audio[: len(fed)], fed, atol=3)


def check_it_is_told_what_is_being_said(conversation):
    partial = [heard.text for heard in conversation.heard if isinstance(heard, Partial)]
    assert partial and all(text.endswith("samples") for text in partial)


def check_nothing_stays_behind(conversation):
    method, threads = conversation.before
    assert multiprocessing.get_start_method(allow_none=True) == method
    handlers = logging.getLogger("realtimestt").handlers
    assert [handler for handler in handlers if type(handler) is logging.StreamHandler] == []
    assert [thread.name for thread in threading.enumerate() if thread not in threads] == []


def check_an_utterance_is_an_experience(conversation):
    utterance = said(conversation)[0]
    senses = (Image(), Audio(samples=24_000), Text(width=16))
    body = Architecture(senses, (Assembly("all", ("image", "audio", "text"), 4),), concepts=4)
    lived = experience_of(body, utterance, target=2)
    assert sorted(lived.senses) == ["audio", "text"] and lived.target.tolist() == [2]
    assert bytes(lived.senses["text"][0]) == b"the child almost"
    assert np.abs(lived.senses["audio"]).max() > 1000
    only_heard = experience_of(body, utterance._replace(text=""))
    assert list(only_heard.senses) == ["audio"] and only_heard.weight.tolist() == [0.0]


@needed
@pytest.mark.slow
@pytest.mark.realdata
def test_real_utterances_are_heard(data):
    """The real recorder and voice activity detection; only who transcribes is known beforehand. One run for all."""
    lived = conversation(data)
    check_each_is_heard_with_its_text(lived)
    check_what_is_tapped_is_what_is_transcribed(lived)
    check_what_is_tapped_is_what_was_fed_from_before_the_first_sound_to_after_the_last(lived)
    check_it_is_told_what_is_being_said(lived)
    check_nothing_stays_behind(lived)
    check_an_utterance_is_an_experience(lived)


@needed
@pytest.mark.slow
@pytest.mark.realdata
def test_a_transcriber_may_fail_or_hang_and_the_next_utterance_is_heard(data):
    said, rate = soundfile.read(data / "speech_transcribed" / "spk2_snt2.wav", dtype="int16")
    released, calls = threading.Event(), []

    def moody(audio):
        calls.append(audio)
        if len(calls) == 1:
            raise ValueError("no idea")
        return "well" if len(calls) == 2 else str(released.wait(60))

    with Listener(moody, speed=FAST, silence_s=SILENCE_S, patience_s=2.0) as listener:
        listener.feed(np.tile(np.concatenate([said, silence()]), 3), rate)
        listener.end()
        with pytest.raises(SpeechError, match="no idea"):
            next(listener.utterances())
        assert next(listener.utterances()).text == "well"
        with pytest.raises(SpeechError, match=r"no answer .* within 2 s"):
            next(listener.utterances())
        assert list(listener.utterances()) == []
        began = monotonic()
    assert monotonic() - began < 10
    released.set()


@needed
@pytest.mark.slow
@pytest.mark.realdata
def test_who_talks_on_and_on_is_interrupted(data):
    said, rate = soundfile.read(data / "speech_transcribed" / "LJ001-0006.wav", dtype="int16")
    with Listener(lambda audio: "words", speed=FAST, silence_s=SILENCE_S, longest_s=3.0) as listener:
        listener.feed(np.concatenate([said, silence(PAUSE_S, rate)]), rate)
        listener.end()
        parts = list(listener.utterances(wait_s=20))
    assert len(parts) >= 2 and all(len(part.audio) < 4.2 * RATE for part in parts)


@needed
@pytest.mark.slow
def test_where_nobody_speaks_nothing_is_heard():
    """Nothing, one sample, zeros, a constant, silence in stereo: all are fed, and it ends."""
    with Listener(str, speed=FAST) as listener:
        for sound in (silence(0), silence(1 / RATE), silence(0.5), silence(0.5) + 9999, np.zeros((2, 8000))):
            listener.feed(sound, RATE)
        listener.end()
        listener.end()
        assert list(listener.heard()) == []
        with pytest.raises(SpeechError, match="after the end"):
            listener.feed(silence(1), RATE)


@needed
@pytest.mark.slow
@pytest.mark.realdata
def test_who_falls_silent_without_an_end_is_heard(data):
    """A source that stops in the middle of nothing, as when a line breaks, is taken for silence."""
    said, rate = soundfile.read(data / "speech_transcribed" / "spk2_snt2.wav", dtype="int16")
    with Listener(lambda audio: "hello", speed=FAST, silence_s=SILENCE_S) as listener:
        listener.feed(said, rate)
        assert next(listener.utterances(wait_s=20)).text == "hello"
        began = monotonic()
        assert list(listener.utterances(wait_s=0.3)) == []
        assert monotonic() - began < 10


@needed
def test_without_a_microphone_nobody_waits_for_one():
    try:
        speech.check_microphone()
    except SpeechError as error:
        assert "no microphone" in str(error)
    else:
        pytest.skip("there is a microphone")
    with pytest.raises(SpeechError, match="no microphone"):
        Listener(str, microphone=True)


@needed
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"engine": "telepathy"}, "there is no engine 'telepathy'"),
        ({"engine": "faster_whisper"}, "needs a model"),
        ({"engine": "faster_whisper", "model": "/nowhere/at/all"}, "does not exist"),
        ({"engine": "whisper_cpp", "model": "tiny"}, "cannot load 'tiny'"),
        ({"device": "tpu"}, "expected one of cpu, cuda"),
        ({"model": "tiny"}, "brings its own"),
    ],
)
def test_an_engine_that_cannot_be_had_is_told(how, why):
    with pytest.raises(SpeechError, match=why):
        speech.transcriber(**how)


@needed
@pytest.mark.realdata
def test_the_model_that_comes_with_its_package_understands_an_easy_sentence(data):
    pytest.importorskip("pocketsphinx", reason="speech: pocketsphinx is not installed")
    said, _ = soundfile.read(data / "speech_transcribed" / "spk1_snt5.wav", dtype="float32")
    transcribe = speech.transcriber("pocketsphinx")
    assert transcribe(said) == "sunday is the best part of the week"
    assert transcribe(np.zeros(0, np.float32)) == transcribe(np.zeros(999, np.float32)) == ""


@needed
def test_a_transcriber_that_has_died_is_told(monkeypatch):
    pytest.importorskip("pocketsphinx", reason="speech: pocketsphinx is not installed")
    processes, popen = [], speech.engines.subprocess.Popen
    monkeypatch.setattr(
        speech.engines.subprocess, "Popen", lambda *a, **k: processes.append(popen(*a, **k)) or processes[0]
    )
    transcribe = speech.transcriber("pocketsphinx")
    processes[0].kill()
    with pytest.raises(SpeechError, match="ended by itself"):
        transcribe(np.zeros(RATE, np.float32))
