"""Fast weights begin anew: the night has taught the slow memories what they held."""

from dellm_jax.amend import anew
from dellm_jax.types import Array, Dellm, Mind, Report, Stage


def refresh() -> Stage:
    """Fast weights are made of what is left to say of the corrections that count. Nothing to do without any."""

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        del key
        return (anew(mind, state) if state.memory.fast else state), {}

    return stage
