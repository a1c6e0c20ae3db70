"""The senses: frozen dataclasses of pure functions, raw array -> percept, code and frozen features."""

from dellm_jax.senses.bytes import Bytes
from dellm_jax.senses.fourier import FourierImage
from dellm_jax.senses.hearing import Audio
from dellm_jax.senses.reading import Text
from dellm_jax.senses.signal import Signal
from dellm_jax.senses.vision import Image
from dellm_jax.senses.waveform import Waveform

KINDS = {kind.__name__: kind for kind in (Image, FourierImage, Audio, Waveform, Text, Bytes, Signal)}

__all__ = ["KINDS", "Audio", "Bytes", "FourierImage", "Image", "Signal", "Text", "Waveform"]
