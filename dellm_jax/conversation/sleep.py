"""When a life that is talked to goes to sleep; its nights in the background, and who wakes it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Event, RLock, Thread

import jax.numpy as jnp
import numpy as np

from dellm_jax.conversation.words import State
from dellm_jax.errors import DellmError
from dellm_jax.home import Home
from dellm_jax.life import tired
from dellm_jax.memory.procedural import ALIVE
from dellm_jax.rest.pieces import in_pieces, pieces_of
from dellm_jax.types import Array, Dellm, Mind, Report, Schedule, Stage

POLL_S = 0.2
LULL_S = 3.0  # nobody is sent to sleep in the middle of a conversation, however tired
BREATH_S, MOST_BREATHS = 0.25, 12  # what a night that was ended has still to do waits for such a pause; not for ever


def restless(state: Dellm) -> int:
    """How much there is to sleep on when a life is opened: what it lived since its last night, and living rules."""
    return int(state.clock.since_rest) + int((np.asarray(state.memory.procedural.standing) == ALIVE).sum())


def drowsy(schedule: Schedule, state: Dellm, fresh: int, silence_s: float) -> bool:
    """Whether it is time to rest: `life.tired`, where `fresh` corrections and experiences came since the last night."""
    clock = state.clock.replace(since_rest=jnp.int32(max(fresh, 0)))
    lull = silence_s >= min(LULL_S, schedule.inactivity_s or LULL_S)
    return lull and bool(schedule.night) and tired(schedule, state.replace(clock=clock), silence_s)


def watched(night: Sequence[tuple[str, Stage]], tell: Callable[[str, float], None]) -> list[tuple[str, Stage]]:
    """The same stages; each tells its name, and the share of stages that are behind, when it begins."""

    def seen(place: int, name: str, stage: Stage) -> Stage:
        def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
            tell(name, place / len(night))
            yield from pieces_of(stage)(mind, state, key)

        return in_pieces(pieces)

    return [(name, seen(place, name, stage)) for place, (name, stage) in enumerate(night)]


class Sleeper:
    """The nights of a life at `home`, one at a time, in threads of their own.

    `fresh`: how many acts there are to sleep on; `report`: of the last night; `show` is told of every stage. A night
    that fails is a line in `home.told`, and changes nothing.
    """

    def __init__(
        self, home: Home, schedule: Schedule, clock: Callable[[], float], show: Callable[[State], None]
    ) -> None:
        self._home, self._schedule, self._clock, self._show = home, schedule, clock, show
        self._bed, self._closed, self._disturbed = RLock(), Event(), Event()
        self._night: Thread | None = None
        self._quiet_since, self._spoken = clock(), 0
        self.fresh, self.report = restless(home.state), {}

    def disturb(self) -> None:
        """Whoever sleeps wakes up after the piece that goes on."""
        self._disturbed.set()

    def silence(self) -> None:
        """Nobody says anything from now on."""
        self._quiet_since = self._clock()
        self._spoken += 1

    def _woken(self, disturbed: Event) -> bool:
        """Whether somebody woke the sleeper, who lets them finish first: judging and saving take the same processor."""
        if disturbed.is_set():
            for _ in range(MOST_BREATHS):
                spoken = self._spoken
                if self._closed.wait(BREATH_S) or spoken == self._spoken:
                    break
        return disturbed.is_set()

    def idle(self) -> bool:
        """Whether a night goes on; one begins where it is time for it."""
        with self._bed:
            if self._night and self._night.is_alive():
                return True
            due = not self._closed.is_set() and drowsy(
                self._schedule, self._home.state, self.fresh, self._clock() - self._quiet_since
            )
            if due:
                self.begin()
            return due

    def begin(self) -> Thread:
        """The thread of the night that goes on; of a new one, if none does or somebody has ended it."""
        with self._bed:
            if self._night is None or not self._night.is_alive() or self._disturbed.is_set():
                self._disturbed = Event()
                self._night = Thread(target=self._sleep, args=(self._disturbed,), name="dellm-night", daemon=True)
                self._night.start()
            return self._night

    def watch(self) -> None:
        """Ask `idle` again and again, in a thread of its own."""

        def look() -> None:
            while not self._closed.wait(POLL_S):
                self.idle()

        Thread(target=look, name="dellm-watch", daemon=True).start()

    def close(self) -> None:
        """Wake up, and sleep no more."""
        with self._bed:
            self._closed.set()
            self.disturb()
        if self._night:
            self._night.join()

    def _sleep(self, disturbed: Event) -> None:
        fresh = self.fresh

        def tell(stage: str, share: float) -> None:
            if not disturbed.is_set():
                self._show(State("resting", stage, share))

        try:
            self.report = self._home.rest(watched(self._schedule.night, tell), partial(self._woken, disturbed))
            interrupted = any(what.endswith("/interrupted") for what in self.report)
            self.fresh -= 0 if interrupted else fresh
        except Exception as error:  # whatever it is, memory that ran out too: who sleeps must not fall silent
            kind = "" if isinstance(error, DellmError) else f"{type(error).__name__}: "
            self._home.told.append(f"a night was lost: {kind}{error}")
            self.fresh -= fresh  # or it would be tried again at once, and for ever
        finally:
            if not disturbed.is_set():
                self._show(State("listening"))
