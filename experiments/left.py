"""The life that a run left: its newest snapshot, which calls its concepts by their names."""

from functools import partial
from pathlib import Path

import jax
from omegaconf import DictConfig

from dellm_jax import corrections
from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import CorrectionError
from dellm_jax.mind import create
from dellm_jax.persistence import load_newest
from dellm_jax.types import Dellm, Mind
from experiments import build


def snapshots(folder: Path) -> Path:
    """Where a run keeps the snapshots of its life."""
    return folder / "lives" / "dellm" / "snapshots"


def left_by(folder: Path, config: DictConfig, mind: Mind) -> tuple[Dellm, list[str]]:
    """The life of a run, and why snapshots newer than its own were skipped.

    What it met in a corpus is called as there; any other life says itself how its concepts are called. CorrectionError
    if it has no room for names.
    """
    newborn = partial(create, mind, key=jax.random.key(config.seed))
    life, _, skipped = load_newest(snapshots(folder), newborn)
    if life.memory.procedural is None:
        raise CorrectionError(f"{folder} is of a life that cannot be corrected; live one with rules=256")
    if not config.stream.corpus:
        return life, skipped
    alive = life.homeostasis[CONCEPTS]["active"]
    names = enumerate(build.curriculum(config).corpus.concepts)
    return corrections.name(life, {concept: name for concept, name in names if alive[concept] > 0}), skipped
