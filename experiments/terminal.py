"""The terminal side of a conversation: lines in, lines out, and what the commands do."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import localtime, strftime
from typing import Any, TextIO

from rich.console import Console

from dellm_jax.conversation import Conversation, Reply, State
from dellm_jax.errors import ConversationError, DellmError
from dellm_jax.media import displayed
from experiments import history

HISTORY = "history"
MOST_LINE = 1 << 16
FORM = "{:>10}  {}"
HELP = {
    "do": "/do TEXT      do this about the last, and about all that is like it",
    "no": "/no [NAME]    the last was wrong: it is NAME (or: `no, NAME`; `no, that is NAME`; `the other one`)",
    "yes": "/yes          the last was right: learn it (or: `yes`)",
    "undo": "/undo         the last correction counts no more",
    "why": "/why          which memory answered, with its evidence",
    "see": "/see FILE     show it a picture",
    "hear": "/hear FILE    play it a sound",
    "listen": "/listen [S]   listen to the microphone, until nobody has spoken for S seconds (10)",
    "rest": "/rest         sleep a night; in a terminal any line ends it",
    "status": "/status       how it is",
    "memory": "/memory       what it knows, and what it was told",
    "save": "/save         write a snapshot (everything acknowledged is on disk anyway)",
    "help": "/help         this",
    "quit": "/quit         end",
}


class Terminal:
    """Reads lines from a file, and tells; with history and completion where that is a terminal."""

    def __init__(self, lines: TextIO, console: Console, folder: Path, ears: Callable[[], Any] | None = None) -> None:
        """`ears`: whence /listen has a Listener, a context manager, if not from the microphone."""
        self.live, self._ears = lines.isatty() and console.is_terminal, ears
        self._lines, self._console, self._folder = lines, console, folder
        self._stage, self._reading = "", False

    def say(self, line: str, style: str | None = None) -> None:
        """A line; nothing in it is markup, and no terminal obeys it."""
        self._console.print(displayed(line, MOST_LINE), markup=False, style=style)

    def show(self, state: State) -> None:
        """The state, where it changes to another than listening or thinking, and back; called from any thread."""
        if self.live:
            self._console.set_window_title(f"DELLM, {displayed(str(state))}")
        if state.stage and str(state) != self._stage:
            self._note(str(state) + ("; any line wakes it" if self.live else ""))
        elif self._stage and not state.stage and state.phase == "listening":
            self._note("awake, and listening")
        self._stage = str(state) if state.stage else "" if state.phase == "listening" else self._stage

    def converse(self, talk: Conversation) -> None:
        """Take lines until they end, or /quit, or Ctrl-C; errors are lines, too. Saves in the end."""
        for line in talk.home.told:
            self.say(line, "yellow")
        self.say("listening; /help says what can be said")
        before = talk.home.seq
        with suppress(KeyboardInterrupt):
            for line in self._read():
                if line.split()[:1] in (["/quit"], ["/exit"]):
                    break
                self._answer(talk, line)
        if talk.home.seq > before:
            self._guarded(lambda: self.say(FORM.format("saved", talk.save())))

    def _answer(self, talk: Conversation, line: str) -> None:
        if not line.strip():
            return
        if not line.startswith("/"):
            self._guarded(lambda: self._tell(talk.say(line)))
            return
        name, _, rest = line[1:].partition(" ")
        command = getattr(self, f"_{name}", None) if name in HELP else None
        if command is None:
            known = " ".join(f"/{known}" for known in HELP)
            self.say(FORM.format("error", f"there is no command /{displayed(name, 40)}; there are {known}"), "red")
            return
        self._guarded(lambda: command(talk, rest.strip()))

    def _guarded(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except DellmError as error:
            self.say(FORM.format("error", str(error)), "red")
        except Exception as error:  # a fault of ours must not end what somebody is in the middle of
            self.say(FORM.format("error", f"{type(error).__name__}: {error} (this is a bug; nothing was lost)"), "red")

    def _tell(self, reply: Reply) -> None:
        sure = f", {reply.confidence:.0%} sure ({reply.because})" if reply.concept >= 0 else ""
        self.say(FORM.format("heard", displayed(reply.heard)))
        self.say(FORM.format("understood", displayed(reply.understood) + sure))
        self.say(FORM.format("did", reply.did), "bold")
        self.say(FORM.format("", f"{reply.ms:.0f} ms"), "dim")

    def _do(self, talk: Conversation, rest: str) -> None:
        self._tell(talk.do(rest))

    def _no(self, talk: Conversation, rest: str) -> None:
        self._tell(talk.no(rest))

    def _yes(self, talk: Conversation, rest: str) -> None:
        self._tell(talk.say("yes"))

    def _undo(self, talk: Conversation, rest: str) -> None:
        self._tell(talk.undo())

    def _see(self, talk: Conversation, rest: str) -> None:
        self._tell(talk.see(rest))

    def _hear(self, talk: Conversation, rest: str) -> None:
        self._tell(talk.hear(rest))

    def _why(self, talk: Conversation, rest: str) -> None:
        evidence = talk.why()
        what = evidence["name"] if evidence["known"] else "unknown"
        self.say(FORM.format("heard", displayed(evidence["heard"])))
        self.say(
            FORM.format(
                "why", f"{evidence['because']}: {displayed(str(what))}, says {displayed(evidence['answer']) or '-'}"
            )
        )
        if evidence["conflict"]:
            self.say(FORM.format("conflict", f"{evidence['conflict']:.0%} between what came together"))
        for one in evidence["told"]:
            about = f"{displayed(one['about'])} is {displayed(one['concept'])}"
            answer = f": {displayed(one['answer'])}" if one["answer"] else ""
            reach = "" if one["general"] else ", this only"
            self.say(FORM.format(f"told {one['number']}", f"{about}{answer}{reach} ({one['standing']})"))
            when = strftime("%Y-%m-%d %H:%M", localtime(one["when"]))
            like = f", likeness {evidence['likeness']:.2f}" if one["place"] == evidence.get("rule") else ""
            self.say(FORM.format("", f"by teacher {one['teacher']}, {aged(one['age_s'])} ago, {when}{like}"))
        for who, best in evidence["by"].items():
            self.say(
                FORM.format(displayed(who), ", ".join(f"{displayed(name)} {p:.0%}" for name, p in best if p >= 0.005))
            )

    def _rest(self, talk: Conversation, rest: str) -> None:
        report = talk.rest(wait=not self.live)
        for what in ("held_out_before", "held_out_after", "retire/retired", "retire/alive", "rolled_back"):
            if what in report:
                self.say(FORM.format("", f"{what} {report[what]:.4g}"))

    def _status(self, talk: Conversation, rest: str) -> None:
        for what, value in talk.status().items():
            shown = ", ".join(f"{k} {v:.2f}" for k, v in value.items()) if isinstance(value, dict) else value
            self.say(f"{what.replace('_', ' '):>22}  {displayed(str(shown), 400)}")

    def _memory(self, talk: Conversation, rest: str) -> None:
        memory = talk.memory()
        for one in memory["concepts"]:
            habit = f", does {displayed(one['habit'])}" if one["habit"] else ""
            self.say(FORM.format(one["concept"], f"{displayed(one['name'])}{habit}, {one['episodes']} episodes"))
        for one in memory["corrections"]:
            answer = f": {displayed(one['answer'])}" if one["answer"] else ""
            about = f"{displayed(one['about'])} is {displayed(one['concept'])}{answer} ({one['standing']})"
            self.say(FORM.format(f"told {one['number']}", about))

    def _save(self, talk: Conversation, rest: str) -> None:
        self.say(FORM.format("saved", talk.save()))

    def _help(self, talk: Conversation, rest: str) -> None:
        for line in HELP.values():
            self._console.print(line, markup=False)

    def _listen(self, talk: Conversation, rest: str) -> None:
        try:
            from dellm_jax.speech import RATE, Listener, transcriber
        except ImportError as error:
            raise ConversationError("listening needs dellm_jax.speech, which is not installed here") from error
        if rest and not re.fullmatch(r"\d{1,4}(\.\d+)?", rest):
            raise ConversationError(f"/listen {rest[:20]!r}: expected seconds")
        hears = any(sense.name == "audio" for sense in talk.home.state.architecture.senses)
        with self._ears() if self._ears else Listener(transcriber(), microphone=True) as listener:
            self.say("listening to the microphone; Ctrl-C ends it")
            with suppress(KeyboardInterrupt):
                for said in listener.utterances(wait_s=float(rest or 10)):
                    senses = {"audio": (said.audio, RATE)} if hears else {}
                    self._guarded(lambda said=said, senses=senses: self._tell(talk.say(said.text, **senses)))

    def _note(self, line: str) -> None:
        """A line above the one that is being typed."""
        if self.live:
            sys.stdout.write("\r\x1b[K")
        self.say(line, "dim")
        if self.live and self._reading:
            import readline

            sys.stdout.write(f"> {readline.get_line_buffer()}")
            sys.stdout.flush()

    def _read(self) -> Iterator[str]:
        if not self.live:
            while line := self._lines.readline(MOST_LINE):
                if len(line) == MOST_LINE and not line.endswith("\n"):  # its end is no line, let alone a command
                    while (rest := self._lines.readline(MOST_LINE)) and not rest.endswith("\n"):
                        pass
                    self.say(
                        FORM.format("error", f"a line of {MOST_LINE} characters or more is not taken; cut it"), "red"
                    )
                    continue
                yield line.rstrip("\n")
            return
        path = self._folder / HISTORY
        history.remembered(path, HELP)
        try:
            while True:
                self._reading = True
                line = input("> ")
                self._reading = False
                yield line[:MOST_LINE]
        except EOFError:
            self.say("")
        finally:
            history.kept(path)


def aged(seconds: float) -> str:
    """How long ago something was, in words; clocks may have been put back since."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            many = int(seconds // size)
            return f"{many} {unit}{'s' * (many > 1)}"
    return f"{max(int(seconds), 0)} s"
