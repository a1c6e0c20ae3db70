"""A listener: an imperative shell around the recorder, whose callbacks only enqueue."""

import queue
import threading
from collections.abc import Callable, Iterator
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any, Self

import numpy as np

from dellm_jax.errors import SpeechError
from dellm_jax.speech import recorder as recorders
from dellm_jax.speech.engines import Transcribe
from dellm_jax.speech.feeding import FASTEST, Feeder
from dellm_jax.speech.utterances import CHUNK, RATE, Event, Partial, Tape, Utterance

CONFIRMATION_S = 0.16  # RealtimeSTT's own: for so long a silence is doubted
SHORTEST_S = 0.5
POLL_S = 0.05


class Listener:
    """Listens to what is fed or to the microphone, and yields what was said.

    `transcribe`: float32 [N] in [-1, 1] at 16 kHz -> text, called in a thread of its own, one call at a time;
    `partial`: the same for what is still being said, which `heard` tells. `silence_s` of silence end an utterance,
    `longest_s` of speech at the latest; a transcriber has `patience_s`. Sound is fed `speed` times as fast as it was
    said, at most 4.
    Raises SpeechError where RealtimeSTT or a microphone is missing. Close it, or use it as a context.
    """

    def __init__(
        self,
        transcribe: Transcribe,
        partial: Transcribe | None = None,
        microphone: bool = False,
        speed: float = 1.0,
        silence_s: float = 0.6,
        longest_s: float = 30.0,
        patience_s: float = 30.0,
    ) -> None:
        if not 0 < speed <= FASTEST or (microphone and speed != 1):
            raise SpeechError(f"speed is {speed}; expected more than 0 and at most {FASTEST:g}, 1 for a microphone")
        if not 0 < silence_s < longest_s or patience_s <= 0:
            raise SpeechError(f"silence_s={silence_s}, longest_s={longest_s}, patience_s={patience_s}: expected 0 < "
                              "silence_s < longest_s and 0 < patience_s")  # fmt: skip
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._tape = Tape(CONFIRMATION_S / speed)
        self._longest_s, self._patience_s = longest_s, patience_s
        self._one_at_a_time, self._closed, self._over = threading.Lock(), threading.Event(), False
        self._recorder, self._recorded, tell = None, 0, self._teller
        self._recorder = recorders.build(
            self._executor(transcribe),
            partial and self._executor(partial),
            microphone,
            on_recorded_chunk=self._tap,
            on_recording_start=tell("start"),
            on_recording_stop=tell("stop"),
            on_turn_detection_start=tell("silence"),
            on_turn_detection_stop=tell("voice"),
            on_realtime_transcription_update=tell("partial"),
            post_speech_silence_duration=silence_s / speed,  # by the clock on the wall
            deactivity_silence_confirmation_duration=CONFIRMATION_S / speed,
            min_length_of_recording=SHORTEST_S / speed,
        )
        self._transcribing = threading.Thread(target=self._transcribe, name="dellm-transcribing", daemon=True)
        self._transcribing.start()
        self._feeder = None if microphone else Feeder(self._recorder, speed, silence_s, tell("end"))

    def feed(self, samples: np.ndarray, rate: int) -> None:
        """Samples of any kind, rate and number of channels, in pieces of any length; returns at once.

        Raises MediaError on what is no sound, and SpeechError with a microphone or after the end; nothing is fed then.
        """
        self._fed("feed").feed(samples, rate)

    def end(self) -> None:
        """No more will be fed: utterances end when the last has been transcribed."""
        self._fed("end").end()

    def utterances(self, wait_s: float = inf) -> Iterator[Utterance]:
        """What is said, one by one, until the end of what is fed or until nobody has spoken for `wait_s`.

        Raises SpeechError where the transcriber fails or takes too long; that utterance is gone, and who calls again
        hears the next.
        """
        return (heard for heard in self.heard(wait_s) if isinstance(heard, Utterance))

    def heard(self, wait_s: float = inf) -> Iterator[Partial | Utterance]:
        """The same, and what is being said, as far as it is understood (with `partial`)."""
        quiet = monotonic()
        while True:
            try:
                event = self._events.get(timeout=POLL_S)
            except queue.Empty:
                self._check()
                event = None
            if event is not None:
                self._over = self._over or event.what == "end"
                heard = self._tape.take(event)
                if heard is not None:
                    yield heard
                if self._tape.recording or heard is not None:
                    quiet = monotonic()
            if not self._tape.pending and (self._over or monotonic() - quiet >= wait_s):
                return

    def close(self) -> None:
        """End all threads; what waits is not heard. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._feeder:
            self._feeder.close()
        recorders.shut(self._recorder)
        own = [self._transcribing, *([self._feeder.thread] if self._feeder else [])]
        if left := recorders.alive(own, within_s=2.0):
            raise SpeechError(f"{', '.join(left)} did not end within 2 s; end the program to be rid of it")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _fed(self, what: str) -> Feeder:
        if self._feeder is None:
            raise SpeechError(f"{what}() is for sound that is fed, and this Listener has a microphone")
        if self._closed.is_set():
            raise SpeechError(f"{what}() after close(); make a new Listener")
        return self._feeder

    def _teller(self, what: str) -> Callable[..., None]:
        return lambda said=None: self._events.put(Event(what, monotonic(), said))

    def _tap(self, chunk: bytes) -> None:
        """Every chunk, in the recorder's thread, which alone may stop it: two that do at once lose the utterance."""
        recorder = self._recorder
        self._recorded = self._recorded + 1 if recorder and recorder.is_recording else 0
        if self._recorded * CHUNK > self._longest_s * RATE:
            recorder.stop()
        self._events.put(Event("chunk", monotonic(), chunk))

    def _executor(self, transcribe: Transcribe) -> Callable[..., Any]:
        """The function in RealtimeSTT's words; an error is what it has understood, not what RealtimeSTT prints."""

        def executor(audio: np.ndarray, **_: Any) -> Any:
            from RealtimeSTT import TranscriptionResult

            about = {"samples": len(audio)}
            try:
                with self._one_at_a_time:
                    text = transcribe(audio)
                if not isinstance(text, str):
                    raise TypeError(f"it returned {type(text).__name__}, expected str")
                return TranscriptionResult(text, metadata=about)
            except Exception as error:
                return TranscriptionResult("", metadata=about | {"error": error})

        return executor

    def _transcribe(self) -> None:
        """One text() after the other, as long as there is a recorder."""
        while not self._closed.is_set():
            self._recorder.last_transcription_metadata = None
            text = self._recorder.text()
            about = self._recorder.last_transcription_metadata
            if about:  # else it was interrupted
                what, said = ("failed", about["error"]) if "error" in about else ("text", text or "")
                self._events.put(Event(what, monotonic(), said, about["samples"]))

    def _check(self) -> None:
        """Nothing is told any more: is there still somebody who could?"""
        if self._closed.is_set():
            raise SpeechError("nothing can be heard after close(); make a new Listener")
        if not self._recorder.recording_thread.is_alive():
            raise SpeechError("the recorder has stopped by itself; close this Listener and make a new one")
        if self._tape.pending and monotonic() - self._tape.pending[0].recorded > self._patience_s:
            lost = self._tape.give_up()
            raise SpeechError(
                f"the transcriber gave no answer to {lost.ended - lost.began:.1f} s of speech within "
                f"{self._patience_s:g} s; raise patience_s, or use a faster one"
            )
