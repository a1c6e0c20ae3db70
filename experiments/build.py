"""From a configuration to the things it names. The only file that instantiates."""

from typing import Any

import optax
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from dellm_jax import rest
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import StreamError
from dellm_jax.streams import Corpus, Curriculum, days, select, validation
from dellm_jax.types import Mind, Schedule
from experiments.config import ConfigError
from experiments.lives import Plan

ASSEMBLY_OF = {"image": "vision", "audio": "hearing", "text": "reading", "signal": "touch"}
CONCEPT_QUANTUM = 16


def curriculum(config: DictConfig) -> Curriculum:
    """The data set of the stream through the senses it is lived with, laid out in days with their exams."""
    stream = config.stream
    if not stream.corpus:
        raise StreamError(f"stream {stream.name!r} has no corpus: a life that listens has no days and no exams")
    whole: Corpus = instantiate(stream.corpus)
    senses = list(stream.senses)
    for which in ("senses", "query"):
        if not stream[which]:
            raise StreamError(f"stream.{which} is empty; name at least one of {sorted(whole.train.banks)}")
    for sense in stream.query:
        if sense not in senses:
            raise StreamError(f"stream.query asks through {sense!r}, but stream.senses is {senses}; add it there")
    if config.validation:
        whole = validation(whole, config.validation, seed=config.seed)
    whole = whole._replace(train=select(whole.train, senses), test=select(whole.test, list(stream.query)))
    laid: Curriculum = instantiate(stream.days, corpus=whole)
    laid = laid if stream.exams else laid._replace(exams=())
    if stream.examples:
        laid = days.drawn(laid, stream.examples, config.seed)
    if stream.blur:
        laid = days.blurred(laid, stream.blur, config.seed)
    return days.mixed(laid, stream.mixed, config.seed) if stream.mixed else laid


def architecture(config: DictConfig, concepts: int, remembers: bool = True) -> Architecture:
    """One sensory assembly a sense, or its stack of them, an association assembly over them, room for the concepts.

    Who has no nights has nothing to be judged by, and rehearses all that is remembered.
    A body that need not remember has no episodes and no semantic memory, and perceives at full resolution.
    """
    size = config.size
    senses = tuple(instantiate(config.stream[sense]) for sense in config.stream.senses)
    senses = tuple(sense.sharpest() for sense in senses) if config.sharp or not remembers else senses
    sensory = [_stack(config, sense.name) for sense in senses]
    above = Assembly("association", tuple(s[-1].name for s in sensory), size.units, max_units=size.max_units)
    return Architecture(
        senses=senses,
        assemblies=(*(assembly for stack in sensory for assembly in stack), *([above] if size.association else [])),
        concepts=CONCEPT_QUANTUM * -(-concepts // CONCEPT_QUANTUM),
        quantum=size.quantum,
        episodic_bytes=size.episodic_bytes if remembers else 0,
        answers=config.answers,
        held_out=config.held_out if stages(config) else 0,
        semantic=remembers and config.semantic,
        semantic_chunk=max(config.semantic_chunk, config.cycle.batch),
        imagery=tuple(config.imagery) if remembers else (),
        feedback=config.feedback,
        rules=config.rules if remembers else 0,
        binding=config.binding if remembers else 0,
    )


def _stack(config: DictConfig, sense: str) -> list[Assembly]:
    """The assemblies from a sense upwards, each reading the one before."""
    stack, before = [], sense
    for how in config.stream.stacks.get(sense, []):
        try:
            stack.append(Assembly(reads=(before,), **how))
        except TypeError as error:
            raise ConfigError(f"stream.stacks.{sense}: {error}; give the fields of an assembly but `reads`") from error
        before = stack[-1].name
    size = config.size
    return stack or [Assembly(ASSEMBLY_OF[sense], (sense,), size.units, max_units=size.max_units)]


def mind(config: DictConfig) -> Mind:
    """The laws: body, loss, rules, how much is rehearsed awake, and who else has a say."""
    learning = config.learning
    for what in ("awake", "loss"):
        if not learning[what]:
            raise ConfigError(f"learning.{what} is empty; choose a rule by learning=, or a whole method by +method=")

    def other(what: str) -> Any:
        return instantiate(learning[what]) if learning[what] else None

    return Mind(
        module=Cortex,
        loss=instantiate(learning.loss),
        rule=optax.with_extra_args_support(instantiate(learning.awake)),
        rehearse=config.cycle.rehearse,
        error=other("error"),
        teacher=other("teacher"),
        voice=other("voice"),
        imagination=other("imagination"),
        threshold_speed=learning.threshold_speed,
    )


def plan(config: DictConfig, name: str, **how: Any) -> Plan:
    """The life that a configuration describes."""
    laid = curriculum(config)
    return Plan(
        name,
        mind(config),
        architecture(config, len(laid.corpus.concepts)),
        laid,
        schedule(config),
        batch=config.cycle.batch,
        stretch=config.cycle.stretch,
        questions=config.questions,
        examine_every=config.examine_every,
        **how,
    )


def rule(config: DictConfig) -> optax.GradientTransformationExtraArgs:
    """A learning rule by itself."""
    return optax.with_extra_args_support(instantiate(config))


def schedule(config: DictConfig) -> Schedule:
    """The rhythm, with the stages of the night in the order in which conf/rest lists them."""
    cycle = config.cycle
    return Schedule(
        rest_every=cycle.rest_every,
        pressure=cycle.pressure,
        full=cycle.full,
        inactivity_s=cycle.inactivity_s,
        min_awake=cycle.min_awake,
        at_pauses=cycle.at_pauses,
        night=tuple((name, instantiate(stage)) for name, stage in stages(config).items()),
    )


def stages(config: DictConfig) -> dict[str, Any]:
    """The stages of a night, as they are configured, by name.

    An experiment may say how to sleep, and a method laid over it that one does not: what is said of a stage that is not
    there counts for nothing. Raises ConfigError where no stage could be meant.
    """
    said = {name: stage for name, stage in config.rest.items() if stage}
    for name, stage in said.items():
        if "_target_" not in stage and name not in rest.__all__:
            raise ConfigError(f"rest.{name} has no _target_, and no stage is called so; expected one of {rest.__all__}")
    return {name: stage for name, stage in said.items() if "_target_" in stage}


def mirror(config: DictConfig, folder: str) -> Any:
    """What mirrors the run folder, or None."""
    if not config.log.mirror:
        return None
    return instantiate(config.log.mirror, _partial_=True)(
        folder=folder, settings=OmegaConf.to_container(config, resolve=True)
    )
