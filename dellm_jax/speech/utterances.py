"""What the recorder's threads tell, event by event, cut into utterances. Nothing here waits or computes."""

from collections import deque
from typing import Any, NamedTuple

import numpy as np

from dellm_jax.architecture import Architecture
from dellm_jax.errors import SpeechError
from dellm_jax.media import experience_from
from dellm_jax.types import Experience

RATE = 16_000  # Hz, what voice activity is found and speech is transcribed at
CHUNK = 512  # samples, 32 ms
BEFORE_S = 1.0  # how much of what was heard before speech was noticed belongs to it


class Partial(NamedTuple):
    """What an utterance that still goes on sounds like so far."""

    text: str


class Utterance(NamedTuple):
    """What was said: `audio` int16 [N] at 16 kHz with the silence around it, and `text`.

    `began`, `ended`: seconds of sound since listening began. `ceased`, `recorded`, `transcribed`: the moments of
    `time.monotonic` at which speech fell silent, at which it was known to be over, and at which the text was there.
    """

    audio: np.ndarray
    text: str
    began: float
    ended: float
    ceased: float
    recorded: float
    transcribed: float


class Event(NamedTuple):
    """`what` a thread of the recorder told at `when` (monotonic): chunk, start, silence, voice, stop, partial, text,
    failed or end; and what it `said`."""

    what: str
    when: float
    said: Any = None


class Tape:
    """The tapped chunks, kept for as long as they may belong to an utterance, and utterances that wait for their text.

    Cuts as the recorder does: an utterance is the second before it was noticed, and all until the recorder stops.
    """

    def __init__(self, confirmation_s: float) -> None:
        self.chunks = 0
        self.recording = False
        self.pending: deque[Utterance] = deque()
        self._confirmation_s = confirmation_s  # for so long silence is doubted
        self._ceased: float | None = None
        # The recorder's own buffer, and the chunk in which speech was noticed.
        self._frames: deque[bytes] = deque(maxlen=int(RATE // CHUNK * BEFORE_S) + 1)

    @property
    def seconds(self) -> float:
        """How long the utterance is so far."""
        return len(self._frames) * CHUNK / RATE if self.recording else 0.0

    def take(self, event: Event) -> Partial | Utterance | None:
        """What an event completes. SpeechError where a transcriber failed; its utterance is gone then."""
        match event.what:
            case "chunk":
                self.chunks += 1
                self._frames.append(event.said)
            case "start":
                self.recording, self._ceased = True, None
                self._frames = deque(self._frames)
            case "silence":
                self._ceased = event.when - self._confirmation_s
            case "voice":
                self._ceased = None
            case "stop" if self.recording:
                self.pending.append(self._cut(event.when))
            case "partial" if event.said.strip():
                return Partial(event.said)
            case "text" if self.pending:
                return self.pending.popleft()._replace(text=event.said, transcribed=event.when)
            case "failed" if self.pending:
                lost = self.pending.popleft()
                raise SpeechError(
                    f"the transcriber failed on {lost.ended - lost.began:.1f} s of speech "
                    f"({type(event.said).__name__}: {event.said}); repair it, or give another"
                ) from event.said
        return None

    def _cut(self, when: float) -> Utterance:
        frames, last = list(self._frames), self.chunks * CHUNK / RATE
        self.recording = False
        # The last chunk is the first of what comes before the next utterance, too: so the recorder has it.
        self._frames = deque(frames[-1:], maxlen=int(RATE // CHUNK * BEFORE_S) + 1)
        audio = np.frombuffer(b"".join(frames), np.int16)
        began = last - len(audio) / RATE
        return Utterance(audio, "", began, last, when if self._ceased is None else self._ceased, when, when)


def experience_of(architecture: Architecture, utterance: Utterance, target: int | None = None) -> Experience:
    """An utterance as a batch of one, through the senses `audio` and `text`, those of the two that the body has.

    Raises as `experience_from` does. Where nothing was understood, there is nothing to read.
    """
    senses = {sense.name for sense in architecture.senses}
    given = {"audio": (utterance.audio, RATE), "text": utterance.text.strip() or None}
    return experience_from(architecture, target, **{name: what for name, what in given.items() if name in senses})
