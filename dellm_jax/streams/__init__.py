"""Data sets as arrays: banks of items per sense, joined by index into examples, and laid out in days."""

from dellm_jax.streams.art4apps import art4apps
from dellm_jax.streams.corpus import Corpus, Split, gather, select, subset
from dellm_jax.streams.days import (
    Curriculum,
    by_group,
    class_incremental,
    in_order,
    permuted,
    rotated,
)
from dellm_jax.streams.derived import labelled_by, parity, validation
from dellm_jax.streams.digits import digits
from dellm_jax.streams.fsdd import fsdd
from dellm_jax.streams.mnist_fsdd import mnist_fsdd
from dellm_jax.streams.pictures import fashion_mnist, mnist
from dellm_jax.streams.regression import slowly_changing_regression
from dellm_jax.streams.texts import banking77, clinc150, clinc150_out_of_scope
from dellm_jax.streams.views import padded

__all__ = [
    "Corpus",
    "Curriculum",
    "Split",
    "art4apps",
    "banking77",
    "by_group",
    "class_incremental",
    "clinc150",
    "clinc150_out_of_scope",
    "digits",
    "fashion_mnist",
    "fsdd",
    "gather",
    "in_order",
    "labelled_by",
    "mnist",
    "mnist_fsdd",
    "padded",
    "parity",
    "permuted",
    "rotated",
    "select",
    "slowly_changing_regression",
    "subset",
    "validation",
]
