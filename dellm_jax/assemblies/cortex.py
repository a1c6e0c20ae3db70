"""The hierarchy: senses -> sensory assemblies -> association assemblies -> concepts."""

import jax.numpy as jnp
from flax import linen as nn

from dellm_jax.architecture import CONCEPTS, Architecture
from dellm_jax.assemblies.assembly import AssemblyUnits, presence_of
from dellm_jax.assemblies.in_time import TimeUnits
from dellm_jax.types import Array, Thought

UNBORN = -1e9


class Cortex(nn.Module):
    """One pass bottom-up through every assembly whose sources are there."""

    architecture: Architecture

    def setup(self) -> None:
        self.in_time = {assembly.name for assembly in self.architecture.assemblies if assembly.in_time}
        self.nodes = {
            node: (TimeUnits if node in self.in_time else AssemblyUnits)(self.architecture, node, name=node)
            for node in self.architecture.reads
        }

    def __call__(self, percepts: dict[str, Array] | None = None, presence: dict[str, Array] | None = None) -> Thought:
        """Percepts {sense: [B, inputs]} and presence {sense: [B]} -> Thought. Unborn concepts have logit -1e9."""
        if percepts is None:
            percepts = {sense.name: jnp.zeros((1, sense.inputs)) for sense in self.architecture.senses}
        values, known, moments = dict(percepts), dict(presence or {}), {}
        for node, assembly in self.nodes.items():
            if node == CONCEPTS or not any(source in values for source in assembly.forward):
                continue
            if node in self.in_time:
                moments[node] = assembly(values | moments, known)
                values[node] = moments[node].mean((1, 2))
            else:
                values[node] = assembly(values, known)
            own = presence_of(assembly.forward, values, known)
            if own is not None:
                known[node] = own
        return Thought(self._logits(values, known), values, known, moments)

    def predictions(self, values: dict[str, Array]) -> dict[str, dict[str, Array]]:
        """Top-down predictions {assembly: {source: [B, N_source]}} from the outputs of a thought."""
        return {
            node: assembly.predict(values[node])
            for node, assembly in self.nodes.items()
            if node in values and node != CONCEPTS
        }

    def descend(self, values: dict[str, Array]) -> dict[str, Array]:
        """Top-down from outputs of the readers {assembly: [B, U]} to a guess of every source: {sense: [B, inputs]} too.

        x^ = mean over those who read x of a V, in assemblies rectified and zero where a unit is silent. A body without
        feedback weights guesses nothing. Source: the generative pass of Rao & Ballard (1999).
        """
        known, guesses = dict(values), {}
        for node in (assembly.name for assembly in reversed(self.architecture.assemblies)):
            if node not in known:
                if node not in guesses:
                    continue
                known[node] = nn.relu(_mean(guesses.pop(node))) * self.nodes[node].active
            for source, guess in self.nodes[node].predict(known[node]).items():
                guesses.setdefault(source, []).append(guess)
        return known | {source: _mean(several) for source, several in guesses.items()}

    def drives(self, values: dict[str, Array], presence: dict[str, Array]) -> dict[str, Array]:
        """Output of every assembly and of the concepts given *fixed* values of its sources: predictive coding's mu.

        Assemblies in time are told what is heard, whatever is assumed of those they read.
        """
        mu, moments = {}, {}
        for node, assembly in self.nodes.items():
            if node == CONCEPTS or not any(source in values for source in assembly.forward):
                continue
            if node in self.in_time:
                moments[node] = assembly(values | moments, presence)
                mu[node] = moments[node].mean((1, 2))
            else:
                mu[node] = assembly(values, presence)
        return mu | {CONCEPTS: self._logits(values, presence)}

    def _logits(self, values: dict[str, Array], presence: dict[str, Array]) -> Array:
        concepts = self.nodes[CONCEPTS]
        return jnp.where(concepts.active > 0, concepts.drive(values, presence), UNBORN)


def _mean(several: list[Array]) -> Array:
    return sum(several) / len(several)
