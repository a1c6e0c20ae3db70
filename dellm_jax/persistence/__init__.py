"""Lives on disk: portable snapshots, kept in generations; a journal of what was done since; and checkpoints that resume
an experiment bit for bit.

Nothing is pickled and nothing loaded is executed; whatever is wrong with a file is a SnapshotError or a JournalError of
one line.
"""

from dellm_jax.persistence.blueprint import from_json, to_json
from dellm_jax.persistence.checkpoint import Checkpoints, Restored
from dellm_jax.persistence.faults import Misfit
from dellm_jax.persistence.generations import Loaded, generations, load_newest, save_generation
from dellm_jax.persistence.journal import Journal, Record
from dellm_jax.persistence.leaves import Newborn
from dellm_jax.persistence.payload import Payload
from dellm_jax.persistence.snapshot import load, read_architecture, read_note, save, verify

__all__ = [
    "Checkpoints",
    "Journal",
    "Loaded",
    "Misfit",
    "Newborn",
    "Payload",
    "Record",
    "Restored",
    "from_json",
    "generations",
    "load",
    "load_newest",
    "read_architecture",
    "read_note",
    "save",
    "save_generation",
    "to_json",
    "verify",
]
