"""Data sets as arrays: banks of items per sense, joined by index into examples."""

from dellm_jax.streams.corpus import Corpus, Split, gather, select
from dellm_jax.streams.digits import digits
from dellm_jax.streams.mnist_fsdd import mnist_fsdd

__all__ = ["Corpus", "Split", "digits", "gather", "mnist_fsdd", "select"]
