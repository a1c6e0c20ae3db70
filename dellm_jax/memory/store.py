"""All of a life's memory."""

from typing import Any

from flax import struct

from dellm_jax.memory.binding import Binding
from dellm_jax.memory.episodic import Episodic
from dellm_jax.memory.fast_weights import FastWeights
from dellm_jax.memory.imagery import Imagery
from dellm_jax.memory.lexicon import Lexicon
from dellm_jax.memory.procedural import Procedural
from dellm_jax.memory.semantic import Semantic


@struct.dataclass
class Memory:
    """`episodic`: lived experiences as codes; `semantic`: per sense, what each concept is like; `imagery`: per sense,
    what each concept looks or sounds like, to dream of; `generator`: what makes up percepts, in a mind that has
    imagination; in a life that can be corrected `procedural`: rules that were taught, `lexicon`: what can be said, and
    `fast`: per sense, what corrections say of all that is like them; `binding`: what is perceived together through
    several senses, in a life that binds them.
    """

    episodic: Episodic
    semantic: dict[str, Semantic]
    imagery: dict[str, Imagery]
    generator: Any = None
    procedural: Procedural | None = None
    lexicon: Lexicon | None = None
    fast: dict[str, FastWeights] = struct.field(default_factory=dict)
    binding: Binding | None = None
