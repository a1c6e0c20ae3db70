"""Small jobs, composed and run as the command line would: shared by the tests of the jobs.

Runs of one process share what is compiled for the same configuration; nothing is written outside of temporary folders.
"""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import matplotlib
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from dellm_jax import compilation, streams
from dellm_jax.streams import Corpus
from dellm_jax.streams.corpus import Split
from experiments import build, train
from experiments.command import guarded

ROOT = Path(__file__).parents[2]
CONF = Path(train.CONF)
KEPT = TemporaryDirectory(prefix="jobs-")  # the run that several tests look at, and the cache of other processes
SUMMARY = ("final_accuracy", "forgetting", "awake_compilations", "births", "deaths", "parameters", "state_bytes")
# A life of seconds: 240 experiences in three days and three nights, the second in the middle of a day; births, deaths.
SHORT = (
    "size=tiny",
    "size.max_units=32",
    "size.episodic_bytes=8000",
    "log=none",
    "semantic_chunk=16",
    "stream.corpus._target_=jobs.few_digits",
    "stream.senses=[image]",
    "stream.query=[image]",
    "stream.image.filters=4",
    "+stream.image.cells=1",
    "cycle.days=3",
    "cycle.batch=8",
    "cycle.stretch=5",
    "cycle.rehearse=4",
    "cycle.rest_every=90",
    "cycle.night_steps=4",
    "cycle.joint_epochs=1",
)


@cache
def few_digits(seed: int) -> Corpus:
    """The shipped digits, 24 of each to live and 6 of each to be asked about."""
    whole = streams.digits(seed)
    return whole._replace(train=few(whole.train, 24), test=few(whole.test, 6))


def few(split: Split, each: int) -> Split:
    """The first examples of every concept."""
    rows = np.sort(np.concatenate([np.flatnonzero(split.target == c)[:each] for c in np.unique(split.target)]))
    return streams.subset(split, rows)


def resembling(concepts: int, each: int, groups: int = 0, **items: np.ndarray) -> Corpus:
    """A corpus of noise, `each` examples of every concept to live and one to be asked; `items`: one of each sense.

    Stands in for data that is downloaded, wherever only its shapes matter.
    """
    random = np.random.default_rng(0)

    def split(times: int) -> Split:
        rows = np.arange(concepts * times, dtype=np.int32)
        banks = {
            sense: random.integers(0, 100, (rows.size, *item.shape)).astype(item.dtype) for sense, item in items.items()
        }
        return Split(
            (rows % concepts).astype(np.int32), banks, dict.fromkeys(items, rows), rows % groups if groups else None
        )

    return Corpus("noise", tuple(f"concept {i}" for i in range(concepts)), split(each), split(1), 8000)


def stand_ins(patch: pytest.MonkeyPatch) -> None:
    """From now on nothing is downloaded or read: every corpus is noise of its shapes and number of concepts."""
    picture, sound = np.zeros((28, 28, 1), np.uint8), np.zeros(8000, np.int16)
    flips = streams.slowly_changing_regression(100)
    named = {
        "image": np.zeros((64, 64, 3), np.uint8),
        "audio": np.zeros(12800, np.int16),
        "text": np.zeros(28, np.uint8),
    }
    made = {
        "art4apps": resembling(9, 2, groups=2, **named),
        "mnist": resembling(10, 3, image=picture),
        "fashion_mnist": resembling(10, 3, image=picture),
        "fsdd": resembling(10, 6, groups=6, audio=sound),
        "mnist_fsdd": resembling(10, 3, image=picture, audio=sound, text=np.zeros(8, np.uint8)),
        "banking77": resembling(77, 1, text=np.zeros(256, np.uint8)),
        "clinc150": resembling(150, 1, text=np.zeros(136, np.uint8)),
        "slowly_changing_regression": flips,
    }
    for name, corpus in made.items():
        patch.setattr(streams, name, lambda *_, corpus=corpus, **__: corpus)


def composed(*overrides: str) -> DictConfig:
    """The configuration that `python -m experiments.train <overrides>` would run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def lived(folder: Path, *overrides: str) -> dict[str, Any]:
    """The summary of a run with `overrides`, its record in `folder`, its story untold."""
    with lightly():
        return train.run(composed(*overrides), folder, Console(file=io.StringIO()))


@cache
def short_run() -> Path:
    """The folder of an uninterrupted run of SHORT with all its baselines. Look, but change nothing."""
    folder = Path(KEPT.name) / "short"
    lived(folder, *SHORT)
    return folder


def commanded(main: Callable[[], Any], *arguments: str, trust: str = "jobs") -> int:
    """Exit code of a command typed with `arguments`, run in this process, which trusts what runs of SHORT name."""
    with lightly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{main.__module__.split('.')[-1]}.py", *arguments])
        patch.setenv("HYDRA_FULL_ERROR", "1")
        patch.setenv("DELLM_TRUST", trust)
        # Hydra would set up logging anew, which closes the streams that pytest captures.
        for module in ("hydra.core.utils", "hydra._internal.hydra"):
            patch.setattr(f"{module}.configure_log", lambda *_: None)
        GlobalHydra.instance().clear()
        try:
            guarded(main)
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            GlobalHydra.instance().clear()
    return 0


def process(command: str, *arguments: str, cwd: Path) -> subprocess.Popen:
    """`python -m experiments.<command> <arguments>`, begun in a process of its own, with our compiled programs."""
    compiled = Path(KEPT.name) / "dellm_jax" / "compiled"
    if not compiled.exists() and jax.config.jax_compilation_cache_dir:
        compiled.parent.mkdir(exist_ok=True)
        Path(jax.config.jax_compilation_cache_dir).mkdir(exist_ok=True)
        compiled.symlink_to(jax.config.jax_compilation_cache_dir)
    environment = os.environ | {
        "DELLM_TRUST": "jobs",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "MPLCONFIGDIR": matplotlib.get_configdir(),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "XDG_CACHE_HOME": KEPT.name,
    }
    return subprocess.Popen(
        [sys.executable, "-m", f"experiments.{command}", *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(command: str, *arguments: str, cwd: Path) -> None:
    """`process`, waited for; it must end well."""
    running = process(command, *arguments, cwd=cwd)
    _, err = running.communicate(timeout=600)
    assert running.returncode == 0, err


@contextmanager
def lightly() -> Iterator[None]:
    """Laws built once for all configurations that agree on them, and compiled into the folder that all tests share."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("mind", "rule", "schedule"):
            patch.setattr(build, name, _remembered(name))
        patch.setattr(compilation, "persist", lambda folder: None)
        yield


@cache
def _remembered(name: str) -> Callable[[DictConfig], Any]:
    made: dict[str, Any] = {}

    def built(config: DictConfig) -> Any:
        read = repr(_READ[name](OmegaConf.to_container(config, resolve=True)))
        if read not in made:
            made[read] = _BUILDERS[name](config)
        return made[read]

    return built


_BUILDERS = {name: getattr(build, name) for name in ("mind", "rule", "schedule")}
_READ = {  # what of a configuration they read
    "mind": lambda config: (config["learning"], config["cycle"]["rehearse"]),
    "rule": lambda config: config,
    "schedule": lambda config: (config["rest"], config["cycle"]),
}
