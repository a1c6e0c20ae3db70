"""From files to experiences: pictures, sounds and texts of any kind, checked before they are decoded.

What cannot be taken is a MediaError of one line. Limits are arguments, so that who trusts a source can raise them.
"""

from dellm_jax.media.experiences import experience_from
from dellm_jax.media.pictures import read_image
from dellm_jax.media.sounds import fit_sound, mono, read_sound, read_windows, resample
from dellm_jax.media.texts import clean, displayed, read_text

__all__ = [
    "clean",
    "displayed",
    "experience_from",
    "fit_sound",
    "mono",
    "read_image",
    "read_sound",
    "read_text",
    "read_windows",
    "resample",
]
