"""Views: the same pictures seen otherwise, as in permuted and rotated MNIST.

A view is a flat map of pixels, int32 [H * W]: which pixel of the picture each pixel of the view shows, -1 for none. It
is a pure function of a seed or an angle and is applied on the host, so a picture is stored once for all its views.
"""

import math

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split

ONE = 1 << 16  # 1.0 in fixed point with 16 bits behind the point


def seen(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Pictures through a view: uint8 [..., H, W, C] and int32 [H * W] -> the same shape, 0 where it shows nothing.

    StreamError when the view is for pictures of another size.
    """
    *leading, height, width, channels = images.shape
    pixels = height * width
    if index.shape != (pixels,) or index.min() < -1 or index.max() >= pixels:
        raise StreamError(
            f"view is {list(index.shape)} of values in {index.min()}..{index.max()}, expected [{pixels}] in "
            f"-1..{pixels - 1}: make it for pictures of {height} x {width}"
        )
    view = np.take(
        images.reshape(*leading, pixels, channels), index, axis=-2
    )  # -1 takes the last pixel, darkened below
    view[..., index < 0, :] = 0
    return view.reshape(images.shape)


def permutation(height: int, width: int, seed: int, task: int, first_identity: bool = False) -> np.ndarray:
    """The view of one task of permuted pictures: int32 [height * width], independent for every (seed, task).

    Every task is permuted (Mammoth: Buzzega et al. 2020), or with `first_identity` all but task 0 (van de Ven & Tolias
    2019, who pad the pictures first: see `padded`).
    """
    pixels = height * width
    if first_identity and task == 0:
        return np.arange(pixels, dtype=np.int32)
    return np.random.default_rng((seed, task)).permutation(pixels).astype(np.int32)


def rotation(height: int, width: int, degrees: float) -> np.ndarray:
    """The view turned counter-clockwise about the centre, nearest pixel, corners empty: int32 [height * width].

    The arithmetic is that of Pillow's `Image.rotate`, which torchvision calls for Pillow's pictures: in its order and
    in its fixed point, so that the pictures are the same bit for bit.
    """
    angle = math.radians(degrees % 360.0)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    row, column = np.divmod(np.arange(height * width), width)
    # The first pixel's middle, turned back about the middle of the picture; then a step for every column and row.
    across, down = width / 2, height / 2
    x = _fixed(cosine * -across - sine * -down + across + cosine * 0.5 - sine * 0.5)
    y = _fixed(sine * -across + cosine * -down + down + sine * 0.5 + cosine * 0.5)
    x = (x + _fixed(cosine) * column - _fixed(sine) * row) // ONE
    y = (y + _fixed(sine) * column + _fixed(cosine) * row) // ONE
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(inside, y * width + x, -1).astype(np.int32)


def rotation_angles(tasks: int, seed: int) -> np.ndarray:
    """Degrees of every task of rotated pictures, uniform in [0, 180): float64 [tasks]; more begin with the same."""
    return np.random.default_rng(seed).uniform(0.0, 180.0, tasks)


def padded(corpus: Corpus, side: int = 32) -> Corpus:
    """The corpus with its pictures amid zeros: uint8 [K, H, W, C] -> [K, side, side, C]; the odd zero comes last.

    StreamError when there are no pictures, or larger ones.
    """
    return corpus._replace(train=_padded(corpus.train, side), test=_padded(corpus.test, side))


def _padded(split: Split, side: int) -> Split:
    """One split of `padded`."""
    if "image" not in split.banks:
        raise StreamError(f"corpus has no pictures to pad; it has {sorted(split.banks)}: choose one with images")
    height, width = split.banks["image"].shape[1:3]
    if max(height, width) > side:
        raise StreamError(f"side={side}, but the pictures are {height} x {width}; choose at least {max(height, width)}")
    above, left = (side - height) // 2, (side - width) // 2
    margins = ((0, 0), (above, side - height - above), (left, side - width - left), (0, 0))
    return split._replace(banks=split.banks | {"image": np.pad(split.banks["image"], margins)})


def _fixed(value: float) -> int:
    """A number in fixed point, rounded to nearest."""
    return math.floor(value * ONE + 0.5)
