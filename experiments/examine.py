"""Examining a life on a test split: which concepts it names, through which senses, by which way of knowing."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dellm_jax import experience as experiences
from dellm_jax.mind import respond_to
from dellm_jax.streams.corpus import Split
from dellm_jax.streams.days import stretch
from dellm_jax.types import Array, Dellm, Experience, Mind

CHUNK = 500
WAYS = ("whole", "cortex", "semantic")


class Answers(NamedTuple):
    """`right[way][query]`: [N] bool; queries are "together" (all senses of the split) and each sense alone."""

    target: np.ndarray
    right: dict[str, dict[str, np.ndarray]]

    def accuracy(self, way: str = "whole", query: str = "together") -> float:
        """Share of the test split named rightly."""
        return float(self.right[way][query].mean())

    def by_group(self, groups: list[np.ndarray], way: str = "whole") -> list[float]:
        """Accuracy on the concepts of each group (of each day, for one)."""
        return [float(self.right[way]["together"][np.isin(self.target, g)].mean()) for g in groups]


def examine(mind: Mind, state: Dellm, test: Split) -> Answers:
    """Ask about every example of `test` through all its senses together and through each alone."""
    senses = list(test.banks)
    queries = {"together": np.ones(len(senses), np.float32)}
    if len(senses) > 1:
        queries |= {sense: np.eye(len(senses), dtype=np.float32)[place] for place, sense in enumerate(senses)}
    asked = jnp.asarray(np.stack(list(queries.values())))
    total = test.target.size
    found = []
    for start in range(0, total, CHUNK):
        rows = np.arange(start, min(start + CHUNK, total))
        batch = stretch(test, rows, 1, CHUNK)
        batch = Experience({s: x[0] for s, x in batch.senses.items()}, batch.target[0], batch.weight[0])
        found.append(np.asarray(_named(mind, state, batch, asked))[:, :, : rows.size])
    named = np.concatenate(found, axis=2)
    right = named == test.target
    return Answers(test.target, {way: {q: right[i, j] for j, q in enumerate(queries)} for i, way in enumerate(WAYS)})


@partial(jax.jit, static_argnums=0)
def _named(mind: Mind, state: Dellm, batch: Experience, asked: Array) -> Array:
    """Concepts named [ways, queries, B]; `asked` [queries, senses] says which senses each query may use."""
    percepts = experiences.perceive(state.architecture, batch)

    def ask(through: Array) -> Array:
        there = {
            sense: jnp.broadcast_to(through[place], batch.target.shape) for place, sense in enumerate(batch.senses)
        }
        one_sense = len(state.architecture.senses) == 1
        values = {s: x if one_sense else x * there[s][:, None] for s, x in percepts.values.items()}
        response = respond_to(mind, state, experiences.Percepts(values, {} if one_sense else there))
        semantic = sum((log_p for way, log_p in response.by.items() if way != "cortex"), jnp.zeros(()))
        if state.memory.semantic:
            closed_form = semantic.argmax(1)
        else:
            closed_form = jnp.full_like(response.concept, -1)
        return jnp.stack([response.concept, response.by["cortex"].argmax(1), closed_form])

    return jnp.moveaxis(jax.lax.map(ask, asked), 0, 1)
