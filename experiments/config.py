"""The scalar knobs, typed, so that a misspelt name or a wrong kind of value is refused before anything runs."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from dellm_jax.errors import DellmError

# The least and the most that a number may be, where no law of the library says so in the words of the configuration.
RANGES: dict[str, tuple[int, int | None]] = {
    "seed": (0, 2**32 - 1),
    "semantic_chunk": (1, None),
    "keep_snapshots": (0, None),
    "rules": (0, None),
    "binding": (0, None),
    "held_out": (0, None),
    "size.units": (1, None),
    "size.quantum": (1, None),
    "cycle.batch": (1, None),
    "cycle.stretch": (1, None),
    "cycle.rehearse": (0, None),
    "cycle.night_steps": (1, None),
    "cycle.joint_epochs": (1, None),
    "stream.examples": (0, None),
    "stream.mixed": (0, None),
    "questions": (0, None),
    "examine_every": (0, None),
}


class ConfigError(DellmError):
    """A configuration that no run can have."""


@dataclass
class Size:
    """How big the body is. `units` live at birth and `max_units` at most in each assembly; without `association` the
    concepts read what each sense's own assemblies say, and no assembly is above them all."""

    units: int = 48
    max_units: int = 192
    quantum: int = 32
    association: bool = True
    episodic_bytes: int = 100_000


@dataclass
class Cycle:
    """The rhythm: days of the stream, batches awake, when to rest and how long a night's rehearsal is."""

    days: int = 5
    batch: int = 10
    stretch: int = 10
    rehearse: int = 10
    rest_every: int = 280
    pressure: float = 0.0
    full: int = 10_000
    inactivity_s: float = 3600.0
    min_awake: int = 0
    at_pauses: bool = False
    night_steps: int = 300
    joint_epochs: int = 20


@dataclass
class Data:
    """Where data sets are: a folder, or null for $DELLM_DATA, then the download cache."""

    root: str | None = None


@dataclass
class Stream:
    """What is lived: a corpus, its days, the senses it is lived with, those it is asked through, and how each is built.

    `blur`: the share of every day that is mixed with other days; `examples`: how many a day has (0 = all there are);
    `mixed`: 0 lives day after day, n lives everything mixed, n times; without `exams` it is judged only as it goes.
    `stacks`: of a sense that is not heard by one dense assembly, those that hear it, each reading the one before.
    """

    name: str = "digits"
    corpus: dict[str, Any] = field(default_factory=dict)
    days: dict[str, Any] = field(default_factory=dict)
    blur: float = 0.0
    examples: int = 0
    mixed: int = 0
    exams: bool = True
    senses: list[str] = field(default_factory=lambda: ["image", "audio", "text"])
    query: list[str] = field(default_factory=lambda: ["image", "audio"])
    image: dict[str, Any] = field(default_factory=dict)
    audio: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    signal: dict[str, Any] = field(default_factory=dict)
    stacks: dict[str, Any] = field(default_factory=dict)


@dataclass
class Learning:
    """The rules: what learns awake, at night, and in joint training; the loss; errors for rules that ask for them; who
    teaches, who answers and who imagines, where that is somebody else. `rate` is the awake learning rate; `by` and
    `strength` are the optimizer and the one dial that published methods have besides.
    """

    rate: float = 1e-3
    strength: float = 0.0
    by: dict[str, Any] = field(default_factory=dict)
    awake: dict[str, Any] = field(default_factory=dict)
    night: dict[str, Any] = field(default_factory=dict)
    joint: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    teacher: dict[str, Any] | None = None
    voice: dict[str, Any] | None = None
    imagination: dict[str, Any] | None = None
    threshold_speed: float = 1e-4


@dataclass
class Log:
    """`target` null writes the run folder only; otherwise a mirror of it is built from `target`."""

    mirror: dict[str, Any] | None = None


@dataclass
class Config:
    """The whole configuration of a run.

    `validation` > 0 cuts that share from the training split and asks it instead of the test split, so that settings are
    never chosen on the latter. `sharp`: senses at full resolution, so that what is remembered is raw; `answers`:
    episodes keep how they were answered; `held_out`: one in so many is not learned from but judges nights; `imagery`:
    the senses dreamt of; `rules`: room for corrections; `binding`: how many numbers all senses share (0: they are not
    bound). `questions` bounds every exam but the last, `examine_every`
    (stretches) adds exams within days.
    """

    seed: int = 0
    validation: float = 0.0
    sharp: bool = False
    answers: bool = False
    held_out: int = 10
    questions: int = 0
    examine_every: int = 0
    semantic: bool = True
    semantic_chunk: int = 64
    imagery: list[str] = field(default_factory=list)
    feedback: bool = True
    rules: int = 0
    binding: int = 0
    baselines: bool = True
    keep_snapshots: int = 3
    size: Size = field(default_factory=Size)
    cycle: Cycle = field(default_factory=Cycle)
    data: Data = field(default_factory=Data)
    stream: Stream = field(default_factory=Stream)
    learning: Learning = field(default_factory=Learning)
    rest: dict[str, Any] = field(default_factory=dict)
    log: Log = field(default_factory=Log)


def sound(config: DictConfig) -> DictConfig:
    """The same configuration, resolved, if it has the settings of `Config` and no other, each of its kind and range.

    Raises ConfigError, or what OmegaConf raises. (Hydra alone lets `+cycel=fast` pass, and nobody checks a saved file.)
    """
    known = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.to_container(config, resolve=True))
    for name, (least, most) in RANGES.items():
        value = OmegaConf.select(known, name)
        if value < least or (most is not None and value > most):
            expected = f"{least} or more" if most is None else f"{least} to {most}"
            raise ConfigError(f"{name} is {value}; expected {expected}")
    return known


def settings() -> list[str]:
    """The dotted name of every typed setting."""
    defaults = OmegaConf.to_container(OmegaConf.structured(Config))
    inner = [f"{group}.{name}" for group, node in defaults.items() if isinstance(node, dict) for name in node]
    return [*defaults, *inner]


def register() -> None:
    """Make the schema known to Hydra."""
    ConfigStore.instance().store(name="schema", node=Config)
