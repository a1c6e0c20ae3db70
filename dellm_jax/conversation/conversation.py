"""A conversation with a life in a folder: it answers, is corrected and confirmed, rests, and is woken by any word."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Self

from dellm_jax.conversation import given, turns, words
from dellm_jax.conversation.familiar import limits
from dellm_jax.conversation.sleep import Sleeper
from dellm_jax.conversation.thoughts import Thought, evidence, forgotten, promise, thought, understood
from dellm_jax.conversation.turns import Ask, Confirm, Context, Drop, Exchange, Move, Tell, Undo, Wonder
from dellm_jax.conversation.words import Reply, State
from dellm_jax.errors import ConversationError, CorrectionError, ExperienceError
from dellm_jax.home import Done, Home
from dellm_jax.life import sleep_pressure
from dellm_jax.persistence import Payload
from dellm_jax.trees import form
from dellm_jax.types import Dellm, Experience, Mind, Report, Schedule

QUESTION = "ask: what is it, or what should I do?"


class Conversation(AbstractContextManager):
    """The one stateful class of interactive use, around a `Home`; any thread may call it, one turn goes on at a time.
    `state` is what it does now. Every call raises a DellmError where it cannot be done, and the life is then as it was.
    """

    home: Home

    @classmethod
    def open(
        cls,
        mind: Mind,
        folder: str | Path,
        birth: Callable[[], Dellm] | None = None,
        schedule: Schedule | None = None,
        on_state: Callable[[State], None] = lambda state: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        watch: bool = True,
        keep: int = 3,
        teacher: int = 0,
    ) -> Self:
        """The life in `folder`, or what `birth()` gives, ready to talk; close it, or use it as a context.

        It rests by itself as `schedule` says (`inactivity_s` by the monotonic `clock`, `pressure`), corrections counted
        as experiences, if it is to `watch` the time; else whenever `idle` is called. `on_state` is told of every
        change, from any thread. `wall` dates corrections, which are those of `teacher`. Raises as `Home.open` does,
        CorrectionError on a life that cannot be corrected.
        """
        talk = cls()
        talk._on_state, talk._wall, talk._turn, talk._teacher = on_state, wall, RLock(), teacher
        talk._state, talk._context, talk._forms, talk._prepared = State("listening"), Context(), [], set()
        talk.home = Home.open(mind, folder, birth, keep=keep, batch=1, ready=talk._woken)
        try:
            if talk.home.state.memory.procedural is None:
                raise CorrectionError("this life cannot be corrected: architecture.rules is 0; give it room at birth")
            talk._limits = limits(talk.home.state)
            talk._schedule = schedule or Schedule()
            talk._sleeper = Sleeper(talk.home, talk._schedule, clock, talk._show)
        except BaseException:
            talk.home.close()
            raise
        if watch:
            talk._sleeper.watch()
        return talk

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wake up, and give the folder back: everything acknowledged is on disk."""
        self._sleeper.close()
        self.home.close()

    @property
    def state(self) -> State:
        """Listening, thinking, or resting."""
        return self._state

    def ready(self, *forms: tuple[str, ...]) -> None:
        """Compile for what will come through these sets of senses (none named: each sense alone), so that no turn has
        to wait for it."""
        self._forms += forms or [(sense.name,) for sense in self.home.state.architecture.senses]
        self._prepare(self.home.state)

    def say(self, text: str, **senses: Any) -> Reply:
        """Say something: see `turns` for how it is taken. `senses` that came with it: such as audio=(samples, rate)."""
        with self._taken(text) as heard:
            if not heard and not senses:
                raise ExperienceError("the text is empty; say something")
            move = turns.meant(self._context, heard, words.names(self.home.state)) if heard else Ask("")
            if not isinstance(move, Ask):
                return self._done(move, heard)
            body = self.home.state.architecture
            return self._asked(heard, given.perceived(body, heard, **senses) if senses else given.read(body, heard))

    def see(self, path: str | Path) -> Reply:
        """Show it a picture file."""
        with self._taken(Path(path).name) as heard:
            return self._asked(heard, given.perceived(self.home.state.architecture, "", image=given.file(path)))

    def hear(self, path: str | Path) -> Reply:
        """Play it a sound file."""
        with self._taken(Path(path).name) as heard:
            return self._asked(heard, given.perceived(self.home.state.architecture, "", audio=given.file(path)))

    def perceive(self, heard: str, experience: Experience) -> Reply:
        """Give it raw senses [1, ...]; `heard` is what to call them."""
        with self._taken(heard) as heard:
            return self._asked(heard, experience)

    def no(self, name: str = "") -> Reply:
        """The last was wrong: it is, or it should do, what is named."""
        with self._taken(name) as name:
            names = words.names(self.home.state)
            move = turns.naming(self._context, name, names) if name else turns.meant(self._context, "no", names)
            return self._done(move, f"no, {name}" if name else "no")

    def do(self, answer: str) -> Reply:
        """What to do about the last, and about all that is like it."""
        with self._taken(answer) as answer:
            if not answer:
                raise CorrectionError("there is nothing to do; say what")
            return self._done(turns.doing(self._context, answer, words.names(self.home.state)), f"do {answer}")

    def undo(self) -> Reply:
        """The last correction counts no more."""
        with self._taken("undo") as heard:
            return self._done(Undo(), heard)

    def why(self) -> dict[str, Any]:
        """Why the last is answered as it is: see `thoughts.evidence`."""
        with self._turn:
            if not (last := self._context.last):
                raise ConversationError("nothing was said, seen or heard yet; ask something first")
            return evidence(self.home.mind, self.home.state, last, int(self._wall()))

    def rest(self, wait: bool = True) -> Report:
        """Sleep a night; if it does not `wait`, in the background, until it is over or something is said."""
        night = self._sleeper.begin()
        if wait:
            night.join()
        return self._sleeper.report if wait else {}

    def idle(self) -> bool:
        """Whether it rests; a night begins where it is time for one."""
        return self._sleeper.idle()

    def status(self) -> dict[str, Any]:
        """How it is: numbers and a few words."""
        return words.health(self.home.state) | {
            "state": str(self.state),
            "acts": self.home.seq,
            "new_since_rest": self._sleeper.fresh,
            "pressure": sleep_pressure(self.home.state, self._schedule.full),
            "known_from": {sense: float(least) for sense, least in self._limits.items()},
            "told": list(self.home.told),
        }

    def memory(self) -> dict[str, list[dict[str, Any]]]:
        """The `concepts` that it knows and the `corrections` that it remembers."""
        return {"concepts": words.concepts(self.home.state), "corrections": words.rules(self.home.state)}

    def save(self) -> Path:
        """Write a snapshot."""
        with self._turn:
            return self.home.save()

    @contextmanager
    def _taken(self, heard: str) -> Iterator[str]:
        """A turn: whoever rests is woken, and silence begins when it is over."""
        began = time.perf_counter()
        self._sleeper.disturb()
        with self._turn:
            self._began = began
            self._show(State("thinking"))
            try:
                yield words.clean(heard).strip()
            finally:
                self._sleeper.silence()
                self._show(State("listening"))

    def _reply(self, heard: str, as_what: str, did: str, what: Thought | None) -> Reply:
        took = 1e3 * (time.perf_counter() - self._began)
        if what is None or not what.exchange.known:
            sure, conflict = (what.confidence, what.conflict) if what else (0.0, 0.0)
            return Reply(heard, as_what, did, None, -1, sure, "unknown", took, conflict)
        concept = what.exchange.concept
        return Reply(heard, as_what, did, what.answer, concept, what.confidence, what.because, took, what.conflict)

    def _asked(self, heard: str, experience: Experience) -> Reply:
        what = self._thought(heard, given.alone(experience))
        self._forms = list(dict.fromkeys([*self._forms, tuple(experience.senses)]))
        self._context = Context(what.exchange, asking=not what.exchange.known)
        did = (what.answer or "nothing: nobody said what to do") if what.exchange.known else QUESTION
        return self._reply(heard, understood(self.home.state, what), did, what)

    def _thought(self, heard: str, experience: Experience) -> Thought:
        response = self.home.respond(experience)
        return thought(self.home.state, heard, experience, response, self._limits)

    def _done(self, move: Move, heard: str) -> Reply:
        last, state = self._context.last, self.home.state
        match move:
            case Wonder():
                self._context = Context(last, asking=True)
                not_it = f"not {words.called(state, last.concept)}" if last.known else "something else"
                return self._reply(heard, f"{last.heard} is {not_it}", QUESTION, None)
            case Drop():
                self._context = Context(last)
                return self._reply(heard, f"{last.heard} does not matter", "nothing", None)
            case Undo():
                did = forgotten(self._apply("undo", Payload({}, {})).report)
            case Confirm():
                self._apply("experience", given.lived(last.experience, last.concept))
                did = f"learn that this is {words.called(state, last.concept)}"
            case Tell():
                did = self._corrected(move, last)
        if last is None:
            return self._reply(heard, "the last correction was wrong", did, None)
        what = self._thought(last.heard, last.experience)
        self._context = Context(what.exchange)
        return self._reply(heard, f"{last.heard} is {understood(self.home.state, what)}", did, what)

    def _corrected(self, move: Tell, last: Exchange) -> str:
        done = self._apply("correct", given.correction(move, last, int(self._wall()), self._teacher))
        return promise(self.home.state, move, last.concept, done.report)

    def _apply(self, kind: str, what: Payload) -> Done:
        done = self.home.apply(kind, what)
        self._sleeper.fresh += 1
        return done

    def _woken(self, state: Dellm) -> None:
        """What a night made will be the life in a moment."""
        self._prepare(state)
        self._limits = limits(state)

    def _prepare(self, state: Dellm) -> None:
        """Compile for what was met and this body; nothing twice."""
        kind = form(state)
        if new := [senses for senses in self._forms if (kind, senses) not in self._prepared]:
            given.prepare(self.home.mind, state, new)
            self._prepared |= {(kind, senses) for senses in new}

    def _show(self, state: State) -> None:
        self._state = state
        self._on_state(state)
