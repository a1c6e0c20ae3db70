"""Pictures in the format of MNIST: digits, and the clothes that were made to take their place.

MNIST: LeCun, Cortes & Burges 1998 (CC BY-SA 3.0). Fashion-MNIST: Xiao, Rasul & Vollgraf 2017 (MIT).
"""

import gzip
from pathlib import Path

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split
from dellm_jax.streams.digits import WORDS
from dellm_jax.streams.fetch import locate

CLOTHES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def mnist(root: Path | str | None = None) -> Corpus:
    """Handwritten digits, pictures only: 60,000 for training, 10,000 for testing, image uint8 [K, 28, 28, 1].

    `root`: see `fetch.locate`.
    """
    return _corpus("mnist", WORDS, root)


def fashion_mnist(root: Path | str | None = None) -> Corpus:
    """Clothes of ten kinds, pictures only: 60,000 for training, 10,000 for testing, image uint8 [K, 28, 28, 1].

    `root`: see `fetch.locate`.
    """
    return _corpus("fashion_mnist", CLOTHES, root)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped IDX file of bytes (its header: 0, 0, 8, rank, then big-endian sizes) -> uint8 [sizes]."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise StreamError(f"{path} opens with {content[:3]!r}, expected an IDX file of bytes; copy it again")
    rank = content[3]
    sizes = np.frombuffer(content, ">u4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def _corpus(name: str, concepts: tuple[str, ...], root: Path | str | None) -> Corpus:
    """The four files that MNIST and its successors consist of."""
    files = locate(name, root)
    train, test = (
        _split(files[f"{part}-images-idx3-ubyte.gz"], files[f"{part}-labels-idx1-ubyte.gz"])
        for part in ("train", "t10k")
    )
    return Corpus(name, concepts, train, test, sample_rate=0)


def _split(images: Path, labels: Path) -> Split:
    """Every picture once, with its label."""
    pictures, target = read_idx(images)[..., None], read_idx(labels).astype(np.int32)
    return Split(target, {"image": pictures}, {"image": np.arange(len(target), dtype=np.int32)})
