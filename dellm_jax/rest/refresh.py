"""Fast weights begin anew: the night has taught the slow memories what they held."""

from dellm_jax.amend import anew
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def refresh() -> Stage:
    """Fast weights are made anew of the rules that did not retire. Nothing to do in a life that cannot be corrected."""

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del key
        return (anew(mind, state) if state.memory.fast else state), {}

    return stage
