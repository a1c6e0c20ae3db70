"""A life in a folder: it can be killed at any instruction, and nothing that it acknowledged is lost.

What it is after a restart is the newest snapshot that verifies, and every act of the journal since, done again.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from dellm_jax import mind as laws
from dellm_jax.acts import ACTS, Act, all_finite, do, experience_payload, moment, moments, replay
from dellm_jax.errors import JournalError, SnapshotError
from dellm_jax.experience import validate
from dellm_jax.persistence import (
    Journal,
    Payload,
    Record,
    generations,
    load_newest,
    payload,
    read_note,
    save_generation,
)
from dellm_jax.persistence.faults import fault
from dellm_jax.persistence.files import sweep
from dellm_jax.persistence.lock import seize
from dellm_jax.rest.night import aged, rest, undisturbed
from dellm_jax.trees import form, named_key
from dellm_jax.types import Dellm, Experience, Mind, Report, Response, Stage

BATCH = 4
LOG = logging.getLogger(__name__)


class Done(NamedTuple):
    """An act that is on disk: its place in the life, and its report."""

    seq: int
    report: Report


class Home:
    """The one stateful shell around the pure functions; `Home.open` it, and close it. Acts may come from any thread.

    `state` is the life, `seq` the last act that is in it, `told` a line for each thing that its owner should know.
    """

    mind: Mind
    folder: Path
    state: Dellm
    seq: int
    told: list[str]

    @classmethod
    def open(
        cls,
        mind: Mind,
        folder: str | Path,
        birth: Callable[[], Dellm] | None = None,
        acts: Mapping[str, Act] | None = None,
        keep: int = 3,
        batch: int = BATCH,
        ready: Callable[[Dellm], None] | None = None,
    ) -> Self:
        """The life in `folder`, as it was; where none is, what `birth()` gives: `partial(create, mind, body, key)`.

        `acts` {kind: (mind, state, payload) -> (state, report)}: what else can be done to it, by pure functions that
        donate nothing. `keep` generations of snapshots are kept; experiences are lived `batch` at a time. What a night
        made is shown to `ready` before it is the life, so that whatever it needs is compiled by then. Raises
        JournalError (somebody else lives it; its journal is damaged; no room), SnapshotError (no snapshot verifies).
        """
        home = cls()
        home.mind, home.folder, home.told = mind, Path(folder), []
        home._acts, home._keep = dict(ACTS) | dict(acts or {}), keep
        home._night, home._saving, home._guard = RLock(), RLock(), RLock()  # taken in this order
        home._examples, home._compiled, home._ready = {}, set(), ready
        with ExitStack() as stack:
            try:
                home.folder.mkdir(parents=True, exist_ok=True)
                stack.callback(os.close, seize(home.folder / "lock"))
                sweep(home.folder, "life-*.safetensors")
            except OSError as error:
                raise fault(folder, "a folder to live in", error.strerror, "use another", JournalError) from error
            home._wake_up(birth, stack)
            home._batch = min(batch, home.state.architecture.semantic_chunk)
            home._stack = stack.pop_all()
        return home

    def _wake_up(self, birth: Callable[[], Dellm] | None, stack: ExitStack) -> None:
        """Newest snapshot, then the tail of the journal."""
        if not generations(self.folder) and birth and not (self.folder / "journal.sqlite").exists():
            save_generation(self.folder, self.mind, birth(), self._keep, {"seq": "0"}, number=0)
        newborn = partial(laws.create, self.mind, key=jax.random.key(0))
        state, path, skipped = load_newest(self.folder, newborn)
        held = _held(path)
        self.generation = int(path.stem.removeprefix("life-"))
        self._journal = Journal(self.folder / "journal.sqlite", after=held)
        stack.callback(self._journal.close)
        self.told += skipped + self._journal.told
        nights = []

        def tail() -> Iterator[Record]:
            for record in self._journal.tail(after=held):
                nights.extend([record.seq] * (record.kind == "rest"))
                yield record

        self.state, self.seq = replay(self._acts, self.mind, state, tail()), self._journal.last
        if nights:
            lost = f"{len(nights)} night(s) begun after it did not end, or their snapshot is damaged"
            self.told.append(f"{path}: {lost}")
        for line in self.told:
            LOG.warning(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the folder back. Nothing needs to be saved: what was acknowledged is on disk."""
        with self._guard:
            self._stack.close()

    def apply(self, kind: str, what: Payload) -> Done:
        """Do an act, write it down, and return when it is on disk; if it cannot be done or written, nothing changed.

        Raises what the act raises, and JournalError.
        """
        with self._guard:
            # The act sees what a replay would see.
            what = payload.unpack(f"act {kind!r}", payload.pack(f"act {kind!r}", what))
            after, report = do(self._acts, self.mind, self.state, kind, what)
            self.seq = self._journal.append(kind, what)
            self.state = after
            return Done(self.seq, report)

    def experience(self, experience: Experience) -> Done:
        """Live experiences [B, ...], and return when they are on disk. Raises ExperienceError, JournalError."""
        validate(self.state.architecture, experience)
        done = self.apply("experience", experience_payload(experience, batch=self._batch))
        self._remember_shape(experience)
        return done

    def respond(self, experience: Experience) -> Response:
        """What it thinks of a batch [B, ...], asked `batch` at a time, so that no size of B compiles anew.

        Raises ExperienceError.
        """
        state = self.state
        validate(state.architecture, experience)
        parts = [laws.respond(self.mind, state, part) for part in moments(experience, self._batch)]
        self._remember_shape(experience)
        many = len(experience.target)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:many], *jax.device_get(parts))

    def rest(self, stages: Sequence[tuple[str, Stage]], disturbed: Callable[[], bool] = undisturbed) -> Report:
        """Sleep a night, save what came of it, and return its report. It is in the life when its snapshot is, or never.

        Meanwhile other threads may ask, teach and be acknowledged: what they did is done again on what the night made.
        `disturbed` ends it early, as in `rest.rest`. Raises SnapshotError or JournalError; then there was no night.
        """
        with self._night:
            with self._guard:  # nobody lives between the mark in the journal and the life that falls asleep
                began, tired = self.apply("rest", Payload({}, {})).seq, self.state
            woken, report = night(self.mind, stages, tired, disturbed)
            self._compile(woken)
            with self._saving:
                woken, seq = self._done_again(woken, began)
                self._save(woken, seq, partial(self._awakening, woken, seq))
            return report

    def save(self) -> Path:
        """Write a snapshot; what every kept snapshot holds leaves the journal. Raises SnapshotError or JournalError."""
        with self._saving:
            with self._guard:
                now = self.state, self.seq
            return self._save(*now)

    def _done_again(self, state: Dellm, after: int) -> tuple[Dellm, int]:
        """What was done since the act `after`, on another life; and the last of these acts."""
        with self._guard:
            records, seq = list(self._journal.tail(after)), self.seq
        return replay(self._acts, self.mind, state, records), seq

    @contextmanager
    def _awakening(self, woken: Dellm, seq: int) -> Iterator[None]:
        """A night's snapshot becomes the life: only now do others wait. What they did is done again, or it is not."""
        with self._guard:
            woken, _ = self._done_again(woken, seq)
            yield
            self.state = woken

    def _save(self, state: Dellm, seq: int, committing: Callable[[], AbstractContextManager] = nullcontext) -> Path:
        """Write the life as it was after the act `seq`; others go on. Then forget what no snapshot needs."""
        note, self.generation = {"seq": str(seq)}, self.generation + 1
        path = save_generation(self.folder, self.mind, state, self._keep, note, self.generation, committing)
        self._forget()
        return path

    def _forget(self) -> None:
        """The oldest kept must be enough to go on from."""
        held = []
        for _, path in generations(self.folder):
            try:
                held.append(_held(path))
            except SnapshotError:  # nobody will go on from it
                continue
        with self._guard:
            self._journal.forget(upto=min(held, default=0))

    def _remember_shape(self, experience: Experience) -> None:
        senses = tuple(sorted(experience.senses)) + (("value",) if experience.value is not None else ())
        if senses not in self._examples:
            self._examples[senses] = next(moments(experience, self._batch))

    def _compile(self, state: Dellm) -> None:
        """Answer and live once in every form that was met, so that nobody waits in the morning; but nothing twice."""
        kind = form(state)
        for senses, example in list(self._examples.items()):
            if (kind, senses) not in self._compiled:
                jax.block_until_ready(all_finite(moment(self.mind, state, example)[0]))
                jax.block_until_ready(laws.respond(self.mind, state, example))
                self._compiled.add((kind, senses))
        if self._ready:
            self._ready(state)


def night(
    mind: Mind, stages: Sequence[tuple[str, Stage]], state: Dellm, disturbed: Callable[[], bool] = undisturbed
) -> tuple[Dellm, Report]:
    """The night that a life has at home: `stages`, waking, a key of its own; the same life sleeps the same night."""
    tonight = (*stages, ("wake", lambda mind, state, key: (aged(state), {})))
    return rest(mind, tonight, state, named_key(state.key, "night"), disturbed)


def _held(path: Path) -> int:
    """The last act that is in a snapshot. Raises SnapshotError."""
    seq: Any = read_note(path).get("seq")
    if not isinstance(seq, str) or not seq.isascii() or not seq.isdigit() or len(seq) > 18:
        raise fault(f"{path}: note 'seq'", "the number of an act", repr(seq), "it is no snapshot of a life in a folder")
    return int(seq)
