"""Which rule learns which pathway."""

from typing import Any

import optax

from dellm_jax.architecture import CONCEPTS
from dellm_jax.trees import map_named


def by_pathway(
    forward: optax.GradientTransformation,
    feedback: optax.GradientTransformation,
    readout: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """One rule for what goes up (`from_*`, biases), another for what comes down (`to_*`); and `readout`, if given, for
    what the concepts read: the gradient of a single layer is a local rule (delta rule: Widrow & Hoff, 1960)."""
    rules = {"forward": forward, "feedback": feedback} | ({} if readout is None else {"readout": readout})

    def labels(params: Any) -> Any:
        return map_named(lambda path, _: _pathway(path, rules), params)

    return optax.partition(rules, labels)


def _pathway(path: str, rules: dict[str, Any]) -> str:
    assembly, weight = path.split("/")[-2:]
    if weight.startswith("to_"):
        return "feedback"
    return "readout" if assembly == CONCEPTS and "readout" in rules else "forward"
