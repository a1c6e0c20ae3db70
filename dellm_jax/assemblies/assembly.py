"""One assembly: a group of ReLU units with adaptive thresholds that reads several sources and predicts them back."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dellm_jax.architecture import CONCEPTS, Architecture
from dellm_jax.axes import named
from dellm_jax.types import Array


class AssemblyUnits(nn.Module):
    """a = active * relu(sum_s presence_s x_s W_s + b - theta), and top-down predictions x^_s = a V_s.

    Shapes: x_s [B, I_s], W_s [I_s, U], V_s [U, I_s], b and theta [U]. He initialisation over the *living* inputs; the
    weights of silent units are zero, so that capacity is invisible to the function and to its gradient.
    The concepts are an assembly without rectifier, threshold or feedback, whose weights begin at zero.
    """

    architecture: Architecture
    node: str

    def setup(self) -> None:
        architecture, units = self.architecture, self.architecture.axis(self.node)
        sizes, living = architecture.sizes(), _living(architecture)
        reads = architecture.reads[self.node]
        fan_in = sum(living[source] for source in reads)
        self.linear = self.node == CONCEPTS
        born = 0 if self.linear else living[self.node]
        spread = 0.0 if self.linear else (2.0 / fan_in) ** 0.5

        def weights(key: Array, shape: tuple[int, int], rows: int, scale: float, columns: int) -> Array:
            alive = (jnp.arange(shape[0]) < rows)[:, None] & (jnp.arange(shape[1]) < columns)
            return jnp.where(alive, scale * jax.random.normal(key, shape), 0.0)

        self.forward = {
            source: self.param(
                f"from_{source}",
                named(weights, architecture.axis(source), units),
                (sizes[architecture.axis(source)], sizes[units]),
                living[source],
                spread,
                born,
            )
            for source in reads
        }
        self.bias = self.param("bias", named(nn.initializers.zeros, units), (sizes[units],))
        self.feedback = {}
        if architecture.feedback and not self.linear:
            self.feedback = {
                source: self.param(
                    f"to_{source}",
                    named(weights, units, architecture.axis(source)),
                    (sizes[units], sizes[architecture.axis(source)]),
                    born,
                    (1.0 / born) ** 0.5,
                    living[source],
                )
                for source in reads
            }

        def state(name: str, init: nn.initializers.Initializer) -> Array:
            return self.variable("homeostasis", name, named(init, units), None, (sizes[units],)).value

        self.active = state("active", lambda _, shape: (jnp.arange(shape[0]) < born).astype(jnp.float32))
        self.age = state("age", nn.initializers.zeros)
        if not self.linear:
            self.threshold = state("threshold", nn.initializers.zeros)
            self.rate = state("rate", nn.initializers.zeros)

    def drive(self, values: dict[str, Array], presence: dict[str, Array]) -> Array:
        """Summed input [B, U] before threshold and rectifier; absent sources add nothing."""
        total = self.bias
        for source, weights in self.forward.items():
            if source in values:
                incoming = values[source] @ weights
                total = total + (incoming * presence[source][:, None] if source in presence else incoming)
        return total

    def __call__(self, values: dict[str, Array], presence: dict[str, Array]) -> Array:
        """Output [B, U]; zero in examples none of whose sources is present."""
        drive = self.drive(values, presence)
        if self.linear:
            return drive
        out = jax.nn.relu(drive - self.threshold) * self.active
        own = presence_of(self.forward, values, presence)
        return out if own is None else out * own[:, None]

    def predict(self, output: Array) -> dict[str, Array]:
        """Top-down prediction of every source from this assembly's output [B, U]."""
        return {source: output @ weights for source, weights in self.feedback.items()}


def presence_of(reads: dict[str, Array], values: dict[str, Array], presence: dict[str, Array]) -> Array | None:
    """Presence [B] of an assembly: whether any of its sources is there; None when one is there for certain."""
    sources = [source for source in reads if source in values]
    if any(source not in presence for source in sources):
        return None
    return jnp.stack([presence[source] for source in sources]).max(0)


def _living(architecture: Architecture) -> dict[str, int]:
    return {sense.name: sense.inputs for sense in architecture.senses} | {
        assembly.name: assembly.units for assembly in architecture.assemblies
    }
