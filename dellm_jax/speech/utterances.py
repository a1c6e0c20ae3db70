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
    failed or end; what it `said`, and, with a text, how many `samples` it is the text of."""

    what: str
    when: float
    said: Any = None
    samples: int = 0


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
        self._late: deque[Utterance] = deque()  # given up, but their texts may come yet
        # The recorder's own buffer, and the chunk in which speech was noticed.
        self._frames: deque[bytes] = deque(maxlen=int(RATE // CHUNK * BEFORE_S) + 1)

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
            case "text" if self._answers(event):
                return self.pending.popleft()._replace(text=event.said, transcribed=event.when)
            case "failed" if self._answers(event):
                lost = self.pending.popleft()
                raise SpeechError(
                    f"the transcriber failed on {lost.ended - lost.began:.1f} s of speech "
                    f"({type(event.said).__name__}: {event.said}); repair it, or give another"
                ) from event.said
        return None

    def give_up(self) -> Utterance:
        """The oldest that waits for its text waits no more; the text is not taken for that of the next."""
        self._late.append(self.pending.popleft())
        return self._late[-1]

    def _answers(self, event: Event) -> bool:
        """Whether a text is that of the oldest utterance that waits, else of nobody: a wrong pair teaches wrongly."""
        for waiting in (self._late, self.pending):
            # An utterance that was cut short may be a chunk longer for one thread than for the other.
            if waiting and abs(len(waiting[0].audio) - event.samples) <= 2 * CHUNK:
                if waiting is self._late:
                    self._late.popleft()
                return waiting is self.pending
        return False

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
