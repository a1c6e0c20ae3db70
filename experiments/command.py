"""What every command shares: bad input ends in one clear line and exit code 2."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import SafeLoader, YAMLError, parse
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from dellm_jax.errors import DellmError, SnapshotError
from experiments.config import ConfigError, settings, sound

Result = TypeVar("Result")
# One name in one of these: further dots would lead from any module to those it imports.
OURS = re.compile(r"(dellm_jax\.(learning|memory\.generative|rest|senses|streams)|experiments\.log|optax)\.\w+")
TRUST = "DELLM_TRUST"  # packages, separated by commas, of which configurations that are found may build things, too
MOST_BYTES, DEEPEST = 1 << 20, 40  # of a configuration


def guarded(main: Callable[[], Result]) -> Result:
    """Run `main`; an error the user caused is told in one line."""
    try:
        return main()
    except (DellmError, HydraException, OmegaConfBaseException) as error:
        print(f"{Path(sys.argv[0]).stem}: {one_line(error)}", file=sys.stderr)
        sys.exit(2)


def one_line(error: BaseException) -> str:
    """The innermost cause that is the user's: what, where and the fix."""
    while isinstance(error.__cause__, DellmError | OmegaConfBaseException):
        error = error.__cause__
    text, place = str(error), getattr(error, "full_key", None)
    if place and isinstance(error, ConfigAttributeError | ConfigKeyError):
        return _unknown(place, "not in struct" in text)
    if place and isinstance(error, OmegaConfBaseException):
        text = f"{place}: {text.splitlines()[0]}"
    text = text.split("Config search path")[0]  # Hydra's list of folders, of no help here
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _unknown(name: str, may_be_added: bool) -> str:
    if may_be_added:
        return f"{name} is not set in this configuration; check its spelling, or write +{name}=... to add it"
    near = get_close_matches(name, settings(), 2)
    fix = f"did you mean {' or '.join(near)}?" if near else "`python -m experiments.train --cfg job` prints them all"
    return f"there is no setting {name}; {fix}"


def own_settings(kind: type[Result], arguments: Sequence[str]) -> tuple[Result, list[str]]:
    """Arguments that a command has for itself, as its dataclass `kind`, and the others: of a new life."""
    own = {field.name for field in fields(kind)}
    mine = [argument for argument in arguments if argument.split("=", 1)[0] in own]
    others = [argument for argument in arguments if argument not in mine]
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), OmegaConf.from_dotlist(mine))), others


def resumed(arguments: Sequence[str]) -> Path | None:
    """The folder of `resume=<folder>`, which must be a run's and comes alone."""
    named = [a.split("=", 1)[1] for a in arguments if a.startswith("resume=")]
    if not named:
        return None
    if len(arguments) > 1:
        raise SnapshotError("resume= goes on with a run as it was configured; give no other argument beside it")
    return run_folder(named[0])


def run_argument() -> Path:
    """The folder of `run=<folder>`, which must be a run's and is the only argument."""
    named = [argument.split("=", 1)[1] for argument in sys.argv[1:] if argument.startswith("run=")]
    if len(named) != 1 or len(sys.argv) != 2:
        raise SnapshotError("expected exactly one argument, run=<folder of a run>")
    return run_folder(named[0])


def run_folder(name: str) -> Path:
    """A folder that holds a run."""
    folder = Path(name)
    if not (folder / "config.yaml").is_file():
        raise SnapshotError(
            f"{folder} holds no config.yaml, so it is no run folder; give the folder a run printed at its end"
        )
    return folder


def configuration(folder: Path) -> DictConfig:
    """The configuration that a run or a life was given, checked again; it builds nothing that is not trusted.

    Raises SnapshotError. Whoever instantiates what a folder holds has read it here.
    """
    path, fix = folder / "config.yaml", "copy it back or start a new run"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SnapshotError(f"{path} has {path.stat().st_size} bytes; expected at most {MOST_BYTES}; {fix}")
        _refuse_unfolding(path, fix)
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig) or not config:
            raise SnapshotError(f"{path} holds no settings; {fix}")
        return harmless(sound(config), path)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise SnapshotError(f"{path} cannot be read as YAML ({type(error).__name__}); {fix}") from error
    except (ConfigError, OmegaConfBaseException) as error:
        raise SnapshotError(f"{path}: {one_line(error)}") from None


def _refuse_unfolding(path: Path, fix: str) -> None:
    """SnapshotError on a file that is small, and would take a minute or all memory to read."""
    depth = 0
    for event in parse(path.read_text(encoding="utf-8"), SafeLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise SnapshotError(f"{path} is nested more than {DEEPEST} deep; {fix}")
        if isinstance(event, AliasEvent):
            raise SnapshotError(f"{path} refers to itself by aliases, which may unfold without end; {fix}")


def trusted() -> list[str]:
    """The packages that DELLM_TRUST names. SnapshotError if what it says is no such list."""
    packages = [package.strip() for package in os.environ.get(TRUST, "").split(",") if package.strip()]
    for package in packages:
        if not all(part.isidentifier() for part in package.split(".")):
            raise SnapshotError(
                f"{TRUST} names {package!r:.80}; expected packages separated by commas: my_package,other"
            )
    return packages


def harmless(config: DictConfig, path: Path) -> DictConfig:
    """The same configuration, if it builds nothing but what is ours, optax's or trusted; else SnapshotError.

    A folder may come from somebody else, and its configuration may name any function there is.
    """
    packages = trusted()
    for where, name in _built(OmegaConf.to_container(config)):
        own = any(name.startswith(f"{package}.") for package in packages)
        if not (own or OURS.fullmatch(name) or name == "hydra.utils.get_method"):
            raise SnapshotError(
                f"{path}: {where} is {name!r:.80}; expected something of dellm_jax or optax: who wrote it? "
                f"If the package is yours, name it: {TRUST}=<package>"
            )
    return config


def _built(node: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Where and what a configuration builds."""
    if isinstance(node, dict):
        for name, below in node.items():
            if name in ("_target_", "path"):
                yield f"{where}{name}", str(below)
            yield from _built(below, f"{where}{name}.")
    elif isinstance(node, list):
        for below in node:
            yield from _built(below, where)
