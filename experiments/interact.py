"""Talk to a life, and correct it: from the terminal, or from a script.

python -m experiments.interact life=outputs/life
python -m experiments.interact life=outputs/talk run=outputs/2026-01-31/12-00-00     # born as a run left it
printf 'play a song\n/do play jazz\nplay a song\n/why\n' | python -m experiments.interact life=/tmp/x

A new life is born as conf/interact.yaml and further settings say, or as the newest snapshot of a run (of a life with
rules); one that is there goes on. Everything acknowledged is on disk. /help says what can be said.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path

import jax
import pooch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from dellm_jax import compilation
from dellm_jax.conversation import Conversation
from dellm_jax.errors import CorrectionError
from dellm_jax.media import displayed
from dellm_jax.mind import create
from dellm_jax.persistence import generations
from dellm_jax.persistence.files import write_atomically
from dellm_jax.senses import Text
from dellm_jax.types import Dellm, Mind
from experiments import build
from experiments.command import configuration, guarded, own_settings, run_folder
from experiments.config import register, sound
from experiments.left import left_by
from experiments.terminal import Terminal
from experiments.train import CONF

ROOM = 64  # concepts of a new life
register()


@dataclass
class Settings:
    """Where the life is, and the run it is born from; `prepare`: compile before the first turn, not during it;
    `teacher`: the number of whoever speaks, which is kept with what they correct."""

    life: str = ""
    run: str = ""
    prepare: bool = True
    teacher: int = 0


def parsed(arguments: list[str]) -> tuple[Settings, list[str]]:
    """Own settings, and those of a new life. Raises CorrectionError, and what OmegaConf raises."""
    settings, rest = own_settings(Settings, arguments)
    if not settings.life:
        raise CorrectionError("expected life=<folder>: a life that is there goes on, else one is born there")
    if settings.run and rest:
        raise CorrectionError(f"run= is born as it was configured; {rest[0]} is for a life of its own")
    return settings, rest


def configured(settings: Settings, overrides: list[str]) -> tuple[DictConfig, Callable[[Mind], Dellm] | None]:
    """The configuration of the life in the folder, or of the one to be born there and how it is born."""
    folder = Path(settings.life)
    if generations(folder) or (folder / "journal.sqlite").exists():
        if settings.run or overrides:
            given = overrides[0] if overrides else f"run={settings.run}"
            raise CorrectionError(f"{folder} holds a life already, which goes on as it is; leave {given} out")
        return configuration(folder), None
    if settings.run:
        folder = run_folder(settings.run)
        config = configuration(folder)
        return config, lambda mind: left_by(folder, config, mind)[0]
    with initialize_config_dir(CONF, version_base="1.3"):
        config = sound(compose("interact", overrides))
    return config, lambda mind: create(mind, build.architecture(config, ROOM), jax.random.key(config.seed))


def opened(settings: Settings, overrides: list[str], terminal: Terminal) -> Conversation:
    """The conversation with the life in the folder."""
    config, born = configured(settings, overrides)
    mind, folder = build.mind(config), Path(settings.life)
    if born:  # first of all, or what is born after it could not be opened again
        write_atomically(folder / "config.yaml", OmegaConf.to_yaml(config).encode())
    talk = Conversation.open(
        mind,
        folder,
        birth=partial(born, mind) if born else None,
        schedule=build.schedule(config),
        on_state=terminal.show,
        keep=max(1, config.keep_snapshots),
        teacher=settings.teacher,
    )
    try:
        if settings.prepare and terminal.live:
            terminal.say("getting ready: a minute for a new body, then a moment")
            talk.ready(*[(sense.name,) for sense in talk.home.state.architecture.senses if isinstance(sense, Text)])
    except BaseException:
        talk.close()
        raise
    return talk


def main() -> None:
    """`life=<folder>`, and what a new life is to be."""
    settings, overrides = parsed(sys.argv[1:])
    compilation.persist(Path(pooch.os_cache("dellm_jax")) / "compiled")
    for stream in (sys.stdin, sys.stdout):  # bytes that are no text are shown as such, and end nothing
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    terminal = Terminal(sys.stdin, Console(highlight=False, soft_wrap=True), Path(settings.life))
    terminal.say(f"waking up in {displayed(settings.life)}")
    with opened(settings, overrides, terminal) as talk:
        terminal.converse(talk)


if __name__ == "__main__":
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    guarded(main)
