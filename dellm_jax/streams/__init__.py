"""Data sets as arrays: banks of items per sense, joined by index into examples."""

from dellm_jax.streams.corpus import Corpus, Split, gather, select, subset
from dellm_jax.streams.derived import labelled_by, parity, validation
from dellm_jax.streams.digits import digits
from dellm_jax.streams.fsdd import fsdd
from dellm_jax.streams.mnist_fsdd import mnist_fsdd
from dellm_jax.streams.pictures import fashion_mnist, mnist
from dellm_jax.streams.texts import banking77, clinc150

__all__ = [
    "Corpus",
    "Split",
    "banking77",
    "clinc150",
    "digits",
    "fashion_mnist",
    "fsdd",
    "gather",
    "labelled_by",
    "mnist",
    "mnist_fsdd",
    "parity",
    "select",
    "subset",
    "validation",
]
