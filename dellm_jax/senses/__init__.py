"""The senses: frozen dataclasses of pure functions, raw array -> percept, code and frozen features."""

from dellm_jax.senses.hearing import Audio
from dellm_jax.senses.reading import Text
from dellm_jax.senses.vision import Image

KINDS = {kind.__name__: kind for kind in (Image, Audio, Text)}

__all__ = ["KINDS", "Audio", "Image", "Text"]
