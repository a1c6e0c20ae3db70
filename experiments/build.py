"""From a configuration to the things it names. The only file that instantiates."""

from typing import Any

import optax
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from dellm_jax.assemblies import Cortex
from dellm_jax.streams import Corpus, select
from dellm_jax.types import Architecture, Assembly, Mind, Schedule, StreamError

ASSEMBLY_OF = {"image": "vision", "audio": "hearing", "text": "reading"}
CONCEPT_QUANTUM = 16


def corpus(config: DictConfig) -> Corpus:
    """The data set of the stream, through the senses it is lived with."""
    whole: Corpus = instantiate(config.stream.corpus)
    senses = list(config.stream.senses)
    for which in ("senses", "query"):
        if not config.stream[which]:
            raise StreamError(f"stream.{which} is empty; name at least one of {sorted(whole.train.banks)}")
    for sense in config.stream.query:
        if sense not in senses:
            raise StreamError(f"stream.query asks through {sense!r}, but stream.senses is {senses}; add it there")
    return whole._replace(train=select(whole.train, senses), test=select(whole.test, list(config.stream.query)))


def architecture(config: DictConfig, concepts: int, remembers: bool = True) -> Architecture:
    """One sensory assembly a sense, one association assembly over them, room for the concepts.

    A body that need not remember has no semantic memory, and perceives at the full resolution of its senses.
    """
    size = config.size
    senses = tuple(instantiate(config.stream[sense]) for sense in config.stream.senses)
    senses = senses if remembers else tuple(sense.sharpest() for sense in senses)
    sensory = tuple(
        Assembly(ASSEMBLY_OF[sense.name], (sense.name,), size.units, max_units=size.max_units) for sense in senses
    )
    association = Assembly("association", tuple(a.name for a in sensory), size.units, max_units=size.max_units)
    return Architecture(
        senses=senses,
        assemblies=(*sensory, association),
        concepts=CONCEPT_QUANTUM * -(-concepts // CONCEPT_QUANTUM),
        quantum=size.quantum,
        episodic_bytes=size.episodic_bytes,
        semantic=remembers and config.semantic,
        semantic_chunk=max(config.semantic_chunk, config.cycle.batch),
        feedback=config.feedback,
    )


def mind(config: DictConfig) -> Mind:
    """The laws: body, loss, rules and how much is rehearsed awake."""
    learning = config.learning
    return Mind(
        module=Cortex,
        loss=instantiate(learning.loss),
        rule=instantiate(learning.awake),
        rehearse=config.cycle.rehearse,
        error=instantiate(learning.error) if learning.error else None,
    )


def rule(config: DictConfig) -> optax.GradientTransformationExtraArgs:
    """A learning rule by itself."""
    return instantiate(config)


def schedule(config: DictConfig) -> Schedule:
    """The rhythm, with the stages of the night in the order in which conf/rest lists them."""
    cycle = config.cycle
    return Schedule(
        rest_every=cycle.rest_every,
        pressure=cycle.pressure,
        full=cycle.full,
        inactivity_s=cycle.inactivity_s,
        min_awake=cycle.min_awake,
        night=tuple((name, instantiate(stage)) for name, stage in config.rest.items() if stage),
    )


def mirror(config: DictConfig, folder: str) -> Any:
    """What mirrors the run folder, or None."""
    if not config.log.mirror:
        return None
    return instantiate(config.log.mirror, _partial_=True)(
        folder=folder, settings=OmegaConf.to_container(config, resolve=True)
    )
