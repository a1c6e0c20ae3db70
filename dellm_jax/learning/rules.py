"""Which rule learns which pathway."""

from typing import Any

import optax

from dellm_jax.trees import map_named


def by_pathway(
    forward: optax.GradientTransformation, feedback: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """One rule for what goes up (`from_*`, biases), another for what comes down (`to_*`)."""

    def labels(params: Any) -> Any:
        return map_named(lambda path, _: "feedback" if "/to_" in f"/{path}" else "forward", params)

    return optax.partition({"forward": forward, "feedback": feedback}, labels)
