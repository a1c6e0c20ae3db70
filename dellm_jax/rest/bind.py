"""What binds the senses is solved anew, and kept if it tells no less of moments that were set apart."""

from collections.abc import Iterator

import jax

from dellm_jax import experience as experiences
from dellm_jax.memory import apart, binding, moments
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.types import Array, Dellm, Mind, Report, Stage

MOMENTS = 256
SLACK = 0.02


def bind() -> Stage:
    """The directions that bind the senses, solved exactly; no name is asked for. Of a life that binds none, nothing.

    What moments set apart do not bear out counts as chance. The evening's directions stay where those of the morning
    carry less `information` from sense to sense in these moments, by more than SLACK of it.
    """

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        del mind, key
        if state.memory.binding is None:
            yield state, {}
            return
        evening = float(_measured(state)[1])
        solved = state.replace(memory=state.memory.replace(binding=_solve(state.memory.binding)))
        sober, morning = _measured(solved)
        kept = float(morning) >= (1 - SLACK) * evening
        yield (
            (state.replace(memory=state.memory.replace(binding=sober)) if kept else state),
            {
                "information_before": evening,
                "information_after": float(morning),
                "chance": float(sober.chance),
                "kept": float(kept),
            },
        )

    return in_pieces(pieces)


_solve = jax.jit(binding.solve)


@jax.jit
def _measured(state: Dellm) -> tuple[binding.Binding, Array]:
    """What binds, without what moments set apart show to be chance; and the information in those moments."""
    known = state.memory.binding
    percepts = experiences.decode(state.architecture, *moments.some(known.moments, MOMENTS))
    told = {sense: binding.told(known, sense, x) for sense, x in experiences.features_of(state, percepts).items()}
    return apart.sobered(known, told, percepts.presence), apart.information(known, told, percepts.presence)
