"""Real digits seen, heard and read: MNIST pictures, Free Spoken Digit Dataset recordings, English words."""

from pathlib import Path

import numpy as np

from dellm_jax.streams.corpus import Corpus
from dellm_jax.streams.digits import WORDS, triples
from dellm_jax.streams.fsdd import fsdd
from dellm_jax.streams.pictures import mnist


def mnist_fsdd(root: Path | str | None = None, seed: int = 0) -> Corpus:
    """60,000 training and 10,000 test triples; `seed` deals 2,700 and 300 clips to the pictures.

    image uint8 [K, 28, 28, 1], audio int16 [K, 8000] at 8 kHz, text uint8 [10, 8]. `root`: see `fetch.locate`.
    """
    generator = np.random.default_rng(seed)
    pictures, sounds = mnist(root), fsdd(root)
    train, test = (
        triples(seen.banks["image"], seen.target, heard.banks["audio"], heard.target, generator)
        for seen, heard in ((pictures.train, sounds.train), (pictures.test, sounds.test))
    )
    return Corpus("mnist_fsdd", WORDS, train, test, sounds.sample_rate)
