"""Pictures of any kind as the uint8 arrays that are seen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

from dellm_jax.errors import MediaError
from dellm_jax.media.files import Source, called, opened

MOST_BYTES = 64 << 20
MOST_PIXELS = 1 << 26  # 8,192 x 8,192, below what Pillow warns of
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none of these runs programs or reads other files
BILINEAR = Image.Resampling.BILINEAR
MODES = {1: "L", 3: "RGB"}


def read_image(source: Source, shape: tuple[int, int, int], most_bytes: int = MOST_BYTES) -> np.ndarray:
    """A picture file or its bytes -> uint8 `shape` = (height, width, 1 grey | 3 red, green, blue).

    Turned as its EXIF tag says, laid on white where it is transparent, 16 bits rounded to 8, the first of several
    frames, stretched to the shape (bilinear, averaged where it shrinks); a picture of that very shape stays as it is.
    Raises MediaError on anything else than FORMATS, on damage, and, before it is decoded, on more than MOST_PIXELS.
    """
    height, width, channels = shape
    if channels not in MODES:
        raise MediaError(f"a sense of {channels} channels has no picture files; expected 1 (grey) or 3 (colour)")
    with opened(source, most_bytes) as file:
        try:
            with _quiet(), Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                image.load()
                flat = _opaque(ImageOps.exif_transpose(image)).convert(MODES[channels])
                seen = flat if flat.size == (width, height) else flat.resize((width, height), BILINEAR)
                return np.array(seen, np.uint8).reshape(shape)
        except MediaError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise MediaError(f"{called(source)} unfolds to more than {MOST_PIXELS} pixels; shrink it") from error
        except Exception as error:  # a decoder that meets damage raises nearly anything
            raise MediaError(
                f"{called(source)} cannot be seen ({type(error).__name__}); give a whole file of {', '.join(FORMATS)}"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Bombs are errors; what else decoders warn of, of damage that they can pass over, is nobody's business."""
    with warnings.catch_warnings(action="ignore"):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _opaque(image: Image.Image) -> Image.Image:
    """The same picture of eight bits a channel, without transparency."""
    if image.mode in ("F", "I"):
        raise MediaError("a picture of numbers of 32 bits has no known white; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I;16"):  # convert("L") would cut off at 255
        return Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return image
