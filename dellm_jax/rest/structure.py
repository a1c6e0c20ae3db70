"""What a body is made of, told at the end of a night: its assemblies, their sizes, and who listens to whom."""

import jax
import numpy as np

from dellm_jax import surgery
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def structure() -> Stage:
    """Changes nothing; reports `described`. Comes last, for the stages before it change the body.

    Births, deaths, recruits, merges and effective ranks are reported by the stages that see to them.
    """

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del mind, key
        return state, described(state)

    return stage


def described(state: Dellm) -> Report:
    """How many assemblies there are; of each, its living `units_`, its `parameters_` (weights between the living, its
    own and what it predicts) and its `age_` in nights; and the `strength_<reader>_from_<source>` of connections.

    The strength is the mean |w| of living units over that of all the reader hears, 1 where it hears all sources alike;
    of readers with two sources or more.
    """
    report = {"assemblies": float(len(state.architecture.assemblies))}
    params, homeostasis = jax.device_get((state.params, state.homeostasis))
    for name, units in surgery.living(state).items():
        report[f"units_{name}"] = float(units)
        report[f"parameters_{name}"] = float(sum(np.count_nonzero(leaf) for leaf in params[name].values()))
        report[f"age_{name}"] = float(homeostasis[name]["age"].max())
    for reader, sources in state.architecture.reads.items():
        if len(sources) < 2:
            continue
        heard = {source: _between_the_living(params, homeostasis, reader, source) for source in sources}
        mean = np.concatenate([np.ravel(weights) for weights in heard.values()]).mean()
        for source, weights in heard.items():
            strength = float(weights.mean() / mean) if weights.size and mean > 0 else 0.0
            report[f"strength_{reader}_from_{source}"] = strength
    return report


def _between_the_living(params: dict, homeostasis: dict, reader: str, source: str) -> np.ndarray:
    """|w| of a connection, without the rows and columns of silent units."""
    weights = np.abs(params[reader][f"from_{source}"])[..., homeostasis[reader]["active"] > 0]
    return weights[..., homeostasis[source]["active"] > 0, :] if source in homeostasis else weights
