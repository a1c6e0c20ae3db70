"""All of a life's memory."""

from flax import struct

from dellm_jax.memory.episodic import Episodic
from dellm_jax.memory.semantic import Semantic


@struct.dataclass
class Memory:
    """`episodic`: lived experiences as codes; `semantic`: per sense, what each concept is like."""

    episodic: Episodic
    semantic: dict[str, Semantic]
