"""The record of a run is its own folder. The console tells the same story; a mirror may repeat it elsewhere."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Scalars = Mapping[str, float]


class Mirror(Protocol):
    """Where a run may be repeated; losing it loses nothing."""

    def log(self, event: Mapping[str, Any]) -> None: ...
    def finish(self, summary: Mapping[str, Any], figure: Path | None) -> None: ...


class Record:
    """Appends events to `metrics.jsonl`, tells them on the console and passes them to the mirror.

    Events hold no times, so that the same seed writes the same file, byte for byte.
    """

    def __init__(self, folder: Path, console: Console, mirror: Mirror | None = None) -> None:
        self.console, self.mirror = console, mirror
        self.path = folder / "metrics.jsonl"
        self.path.touch()
        self.truncate(len(self.path.read_bytes().splitlines()))

    def lines_before(self, life: str) -> int:
        """Lines ahead of the first event of a life: what to keep when that life starts anew."""
        events = self.path.read_text().splitlines()
        return next((i for i, event in enumerate(events) if f'"life": "{life}"' in event), len(events))

    def truncate(self, lines: int) -> None:
        """Forget every event after the first `lines`: what an interrupted run wrote beyond its last checkpoint.

        So is a last line without an end. The file is cut, not rewritten: being interrupted here loses nothing.
        """
        kept = [line for line in self.path.read_bytes().splitlines(keepends=True)[:lines] if line.endswith(b"\n")]
        os.truncate(self.path, sum(map(len, kept)))
        self.lines = len(kept)

    def event(self, life: str, phase: str, step: int, scalars: Scalars) -> None:
        """One line of the record."""
        event = {"life": life, "phase": phase, "step": step} | {k: round(float(v), 6) for k, v in scalars.items()}
        with self.path.open("a") as out:
            out.write(json.dumps(event) + "\n")
        self.lines += 1
        if self.mirror:
            self.mirror.log(event)

    def say(self, line: str) -> None:
        """A line for whoever watches."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watching(console: Console, life: str, steps: int) -> Iterator[Callable[[int, str], None]]:
    """A live bar on a terminal, told by `(step, what is going on)`; nothing elsewhere, where lines tell the story."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(life, total=steps)
        yield lambda step, told: progress.update(task, completed=step, description=f"{life}  {told}")


class WandbMirror:
    """wandb: online when a key is set, offline otherwise, never a prompt."""

    def __init__(self, project: str, folder: str, settings: Mapping[str, Any]) -> None:
        import wandb  # 0.7 s to import, and not needed with log=none

        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        quiet = wandb.Settings(silent=True, console="off")
        self.run = wandb.init(project=project, dir=folder, config=dict(settings), mode=mode, settings=quiet)
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")

    def log(self, event: Mapping[str, Any]) -> None:
        """Scalars under `<life>/<phase>/<what>`, against the life's own awake steps."""
        prefix = f"{event['life']}/{event['phase']}"
        scalars = {f"{prefix}/{k}": v for k, v in event.items() if k not in ("life", "phase", "step")}
        self.run.log(scalars | {"step": event["step"]})

    def finish(self, summary: Mapping[str, Any], figure: Path | None) -> None:
        """The summary and the figure, then the end of the run."""
        import wandb

        self.run.summary.update(dict(summary))
        if figure:
            self.run.log({"figure": wandb.Image(str(figure))})
        self.run.finish()
