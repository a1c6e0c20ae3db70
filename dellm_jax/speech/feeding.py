"""Sound that is fed: resampled on its way in, handed on in chunks no faster than voice activity can be followed."""

import queue
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
import soxr

from dellm_jax.errors import SpeechError
from dellm_jax.media.sounds import checked_rate, mono
from dellm_jax.speech.utterances import CHUNK, RATE

LEAD_S = 0.5  # silence before the first sound, without which speech is noticed late
IDLE_S = 0.5  # after so long without sound, silence is fed while somebody speaks: else the end would never be noticed
BEHIND_S = 0.03  # a burst would shorten silences, by which utterances are told apart
CATCH_UP = 1.05  # so much faster, and delays are made up for little by little
FASTEST = 4.0  # times real time: voice activity goes by the clock on the wall, and loses sound beyond
SETTLE_S = 1.0
STUCK_S = 10.0
MOST_SECONDS = 3_600.0


class Feeder:
    """Feeds a recorder from a thread of its own; `ended` is called when all that was fed has been recorded."""

    def __init__(self, recorder: Any, speed: float, silence_s: float, ended: Callable[[], None]) -> None:
        self._recorder, self._speed, self._silence_s, self._ended = recorder, speed, silence_s, ended
        self._sounds: queue.Queue[np.ndarray | None] = queue.Queue()
        self._came = self._went = 0  # samples; each is counted by one thread only
        self._closed, self._over = threading.Event(), False
        self._resampler: tuple[int, Any] | None = None
        self._due = monotonic()
        self.thread = threading.Thread(target=self._run, name="dellm-feeder", daemon=True)
        self.thread.start()

    def feed(self, samples: np.ndarray, rate: int) -> None:
        """Any sound that `mono` takes. Raises MediaError, or SpeechError after the end or far ahead of the listener."""
        sound, rate = mono(samples, "what is fed"), checked_rate(rate, "what is fed")
        if self._over or self._closed.is_set():
            raise SpeechError("sound is fed after the end; make a new Listener")
        if self._came - self._went + len(sound) * RATE / rate > MOST_SECONDS * RATE:
            raise SpeechError(f"more than {MOST_SECONDS:g} s of sound wait to be heard; feed it more slowly")
        self._flush(unless=rate)
        if self._resampler:
            sound = self._resampler[1].resample_chunk(sound)
        self._put(sound)

    def end(self) -> None:
        """No more will be fed."""
        if not self._over:
            self._flush()
            self._over = True
            self._sounds.put(None)

    def close(self) -> None:
        """Stop now; what waits is not heard."""
        self._closed.set()

    def _flush(self, unless: int = RATE) -> None:
        """What is left in the resampler comes out; then it is made for the rate `unless`."""
        if self._resampler and self._resampler[0] != unless:
            self._put(self._resampler[1].resample_chunk(np.zeros(0, np.float32), last=True))
            self._resampler = None
        if not self._resampler and unless != RATE:
            self._resampler = unless, soxr.ResampleStream(unless, RATE, 1, "float32")

    def _put(self, sound: np.ndarray) -> None:
        self._came += len(sound)
        self._sounds.put(np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16))

    def _run(self) -> None:
        rest = self._chunks(np.zeros(int(LEAD_S * RATE), np.int16))
        idle = False
        while not self._closed.is_set():
            try:
                more = self._sounds.get(timeout=CHUNK / RATE / self._speed if idle else IDLE_S)
            except queue.Empty:
                idle = self._recorder.is_recording
                if idle:
                    rest = self._chunks(np.pad(rest, (0, CHUNK - len(rest))))
                continue
            idle = False
            if more is None:
                self._chunks(np.pad(rest, (0, -len(rest) % CHUNK)))
                self._settle()
                return
            rest = self._chunks(np.concatenate([rest, more]))
            self._went += len(more)

    def _chunks(self, sound: np.ndarray) -> np.ndarray:
        """Hand on all whole chunks in their time; what is left."""
        whole = len(sound) // CHUNK * CHUNK
        for chunk in sound[:whole].reshape(-1, CHUNK):
            if self._closed.wait(max(0.0, self._due - monotonic())):
                break
            self._recorder.feed_audio(chunk.tobytes())
            self._due = max(self._due, monotonic() - BEHIND_S) + CHUNK / RATE / min(
                CATCH_UP * self._speed, max(FASTEST, self._speed)
            )
        return sound[whole:]

    def _settle(self) -> None:
        """Silence until nobody is recorded any more."""
        fed = 0.0
        while not self._closed.is_set():
            self._chunks(np.zeros(8 * CHUNK, np.int16))
            fed += 8 * CHUNK / RATE
            if fed >= self._silence_s + SETTLE_S:
                self._recorder.drain_audio_input(timeout=STUCK_S)
                if self._recorder.is_recording and fed > self._silence_s + STUCK_S:
                    self._recorder.stop()
                if not self._recorder.is_recording:
                    break
        self._ended()
