"""REM: learning from what was never lived, drawn from imagery and checked by semantic memory."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.errors import ScheduleError
from dellm_jax.memory import episodic
from dellm_jax.rest import gated
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.rest.quality import quality
from dellm_jax.rest.replay import episodes, varied
from dellm_jax.rest.scenario import checked, preparing
from dellm_jax.types import Array, Dellm, Lesson, Mind, Report, Stage


def dream(
    rule: optax.GradientTransformationExtraArgs,
    steps: int,
    batch: int = 64,
    chunk: int = 50,
    rank: int = 30,
    blends: float = 0.0,
    agreement: float = 0.9,
    taught: float = 0.0,
    recombined: float = 0.0,
    doubt: float = 0.0,
) -> Stage:
    """`steps` updates by `rule` on `batch` examples: episodes, if there are any, and as many dreams.

    A dream is a concept seen, heard and read at once, each sense by itself: x = mean + sum_i eps_i deviation_i axis_i
    over the `rank` principal axes of the concept's latents, varied as in replay. A share `blends` of the dreams are
    hypotheses: two concepts mixed, x = lambda x_a + (1 - lambda) x_b, lambda ~ U(0.2, 0.8), which the evening's self
    names. A share `recombined`, of a life with several senses, keeps one sense of an episode as it was lived and dreams
    the others anew: a known voice, a new picture. A dream counts only where semantic memory agrees: that what is dreamt
    is of its concept, and that a blend is what it was named, with a probability above `agreement`. Judged as replay is;
    a life without imagery does not dream.
    Source: class-conditional Gaussians (as in streaming LDA); a dream needs a checker (DreamCoder, Ellis et al., 2021).
    """
    course = gated.Course("dream", rule, steps, batch, chunk, taught, doubt)
    for name, share in (("blends", blends), ("agreement", agreement), ("recombined", recombined)):
        if not 0 <= share <= 1:
            raise ScheduleError(f"dream has {name}={share}; expected a share from 0 to 1")
    learnt = gated.school(_material(batch, blends, agreement, recombined), course)

    def pieces(mind: Mind, state: Dellm, key: Array) -> Iterator[tuple[Dellm, Report]]:
        if not state.memory.imagery:
            yield state, {}
            return
        for_quality, for_dreams = jax.random.split(key)
        for so_far in preparing(state, rank):
            likely = so_far
            yield state, {}
        found: Report = {}
        for more in quality(mind, state, likely, agreement, recombined > 0, for_quality):
            found |= more
            yield state, dict(found)
        for woken, report in learnt(mind, state, likely, for_dreams):
            yield woken, report | found

    return in_pieces(pieces)


@cache
def _material(batch: int, blends: float, agreement: float, recombined: float) -> gated.Material:
    return partial(_dreams_among_episodes, batch, blends, agreement, recombined)


def _dreams_among_episodes(
    batch: int,
    blends: float,
    agreement: float,
    recombined: float,
    mind: Mind,
    state: Dellm,
    likely: Any,
    key: Array,
) -> tuple[experiences.Percepts, Lesson]:
    for_episodes, for_dreams, for_view = jax.random.split(key, 3)
    lived = episodic.capacity(state.memory.episodic) > 0
    many = batch - batch // 2 if lived else batch
    dreams = checked(mind, state, likely, many, blends, agreement, for_dreams, recombined)
    percepts = varied(state, dreams.percepts, for_view)
    lesson = Lesson(
        jnp.zeros((many, state.architecture.concepts)),
        dreams.named,
        dreams.counts.astype(jnp.float32),
        jnp.zeros((many,)),
        state.clock.nights.astype(jnp.float32),
    )
    if not lived or batch == many:
        return percepts, lesson
    recalled, of_recalled = episodes(batch - many)(mind, state, None, for_episodes)
    together = partial(jax.tree.map, lambda a, b: jnp.concatenate([a, b]))
    # What an episode was once answered with does not exist for a dream: labels and beliefs teach at night.
    of_recalled = of_recalled.replace(taught=None)
    joined = together(lesson.replace(nights=jnp.zeros(0)), of_recalled.replace(nights=jnp.zeros(0)))
    return together(percepts, recalled), joined.replace(nights=lesson.nights)
