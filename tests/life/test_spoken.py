"""What is played and what is spoken in the console is heard, named, corrected and known again; what is none is not."""

import io
import logging
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from rich.console import Console
from surfaces import opened

from dellm_jax import speech
from dellm_jax.errors import SpeechError
from dellm_jax.speech import RATE, Listener, Utterance
from experiments.terminal import Terminal, aged


def told(talk, folder, *lines, ears=None):
    """What the console says to these lines, without white space at the ends."""
    out = io.StringIO()
    Terminal(io.StringIO("\n".join(lines)), Console(file=out, soft_wrap=True), folder, ears).converse(talk)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


@pytest.fixture
def voices(data):
    """Two sentences, each by another voice."""
    return [str(data / "speech_transcribed" / f"spk{n}_snt{n}.wav") for n in (1, 2)]


def utterance(path, text):
    """As a listener would hear it."""
    audio, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return Utterance(audio, text, *[0.0] * 5)


@pytest.mark.realdata
def test_a_sound_is_played_named_corrected_explained_and_known_again(voices, tmp_path):
    """From files that somebody spoke, and there again tomorrow."""
    script = (f"/hear {voices[0]}", "no, that is morning", f"/hear {voices[0]}", "/do sing", "/why")
    with opened(tmp_path) as talk:
        lines = told(talk, tmp_path, *script)
        assert lines.count("did ask: what is it, or what should I do?") == 1
        first = "did from now on this is a new thing, morning; applies to this and what is very like it"
        assert f"{first}, and to more after a night (undo takes it back)" in lines
        assert any(line.startswith("did from now on: sing; applies to everything taken for morning;") for line in lines)
        why = lines[lines.index("why instance: morning, says sing") :]
        assert why[1] == "told 2 audio is morning: sing (alive)" and why[2].startswith("by teacher 0, ")
        assert why[2].endswith("likeness 1.00") and why[3] == "told 1 audio is morning (superseded)"
    with opened(tmp_path) as talk:
        assert "did sing" in told(talk, tmp_path, f"/hear {voices[0]}")


@pytest.mark.realdata
def test_what_is_spoken_is_read_and_heard_and_its_words_are_obeyed(voices, tmp_path):
    """A listener with another ear; a transcriber that understands nothing; one that fails; and seconds to wait."""
    waited = []

    @contextmanager
    def ears():
        class Ear:
            def utterances(self, wait_s):
                waited.append(wait_s)
                yield utterance(voices[0], "good morning")
                yield utterance(voices[0], "greet")
                yield utterance(voices[0], "Good morning")
                yield utterance(voices[1], "")
                raise SpeechError("the transcriber failed")

        yield Ear()

    with opened(tmp_path) as talk:
        lines = told(talk, tmp_path, "/listen 3", "/listen soon", "/why", ears=ears)
        assert waited == [3.0] and "heard good morning" in lines
        assert any(line.startswith("did from now on this is a new thing, greet") for line in lines)
        assert "did greet" in lines and "error the transcriber failed" in lines
        assert any("'soon': expected seconds" in line for line in lines)
    with opened(tmp_path) as talk:
        assert talk.say("good morning").answer == "greet"


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.skipif(speech.missing() is not None, reason=f"speech: {speech.missing()}")
def test_a_real_listener_is_fed_what_was_spoken(voices, tmp_path):
    """RealtimeSTT finds the utterance in a recording; what it is called is injected."""
    sound, rate = soundfile.read(voices[1], dtype="int16")

    @contextmanager
    def ears():
        with Listener(lambda audio: "good evening", speed=4.0, silence_s=2.4) as listener:
            listener.feed(np.r_[sound, np.zeros(4 * rate, np.int16)], rate)
            listener.end()
            yield listener

    with opened(tmp_path) as talk:
        lines = told(talk, tmp_path, "/listen", "greet back", ears=ears)
        assert "heard good evening" in lines
        assert any(line.startswith("did from now on this is a new thing, greet back") for line in lines)


def test_ages_are_told_in_words():
    """Also where a clock was put back."""
    told = [aged(seconds) for seconds in (-99, 0, 59.9, 60, 7_199, 7_200, 86_400, 3 * 86_400)]
    assert told == ["0 s", "0 s", "59 s", "1 minute", "1 hour", "2 hours", "1 day", "3 days"]


@pytest.fixture(autouse=True)
def quiet():
    """Nothing is logged of what these lives tell."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
