"""Older and slower selves, kept beside the learner because they are shaped like the body: they teach, or they speak."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import ScheduleError
from dellm_jax.trees import map_named
from dellm_jax.types import Array, Lesson

SPEECHLESS = -1e9
Node = TypeVar("Node")


class SlowSelves(NamedTuple):
    """Running means of the params, each followed at its own pace."""

    count: Array
    key: Array
    copies: dict[str, Any]


class Elder(NamedTuple):
    """The params of the last evening, and which concepts it `knew` {"concepts": {"bias": [C]}}, none before the first.

    What is 0 was not known, so that an elder stays silent on concepts that there is made room for later.
    """

    params: Any
    knew: Any


def find(learner: Any, kind: type[Node]) -> Node:
    """The node of this kind in a learner's state. ScheduleError when its rule keeps none."""
    nodes = [node for node in jax.tree.leaves(learner, is_leaf=lambda n: isinstance(n, kind)) if isinstance(node, kind)]
    if not nodes:
        raise ScheduleError(f"the learning rule keeps no {kind.__name__}; chain the transformation that does into it")
    return nodes[0]


def slow_selves(
    decay: float = 0.999, often: tuple[tuple[str, float], ...] = (("stable", 0.7), ("plastic", 0.9)), seed: int = 0
) -> optax.GradientTransformation:
    """Slow copies theta_s <- a theta_s + (1 - a) theta, a = min(1 - 1/(step + 1), decay), each followed with its own
    probability a step. Comes last in a chain, so that it sees what the updates will make of the params.

    Source: CLS-ER (Arani et al., 2022).
    """
    often = tuple((name, float(chance)) for name, chance in often)

    def init(params: Any) -> SlowSelves:
        return SlowSelves(jnp.zeros((), jnp.int32), jax.random.key(seed), {name: params for name, _ in often})

    def update(updates: Any, state: SlowSelves, params: Any) -> tuple[Any, SlowSelves]:
        key, draw = jax.random.split(state.key)
        count = state.count + 1
        moved = optax.apply_updates(params, updates)
        pace = jnp.minimum(1 - 1 / (count + 1), decay)
        copies = {}
        for (name, chance), luck in zip(often, jax.random.uniform(draw, (len(often),)), strict=True):
            step = jnp.where(luck < chance, 1 - pace, 0.0)
            copies[name] = jax.tree.map(lambda slow, fast, s=step: slow + s * (fast - slow), state.copies[name], moved)
        return updates, SlowSelves(count, key, copies)

    return optax.GradientTransformation(init, update)


def better_of_slow_selves(answer: Callable[[Any], Array], learner: Any, lesson: Lesson) -> Array:
    """A teacher: of the slow selves, for each example the one that gives its concept the highest probability.

    Source: CLS-ER (Arani et al., 2022).
    """
    said = jnp.stack([answer(copy) for copy in find(learner, SlowSelves).copies.values()])
    return _better(said, lesson.target)


def better_of_then_and_now(answer: Callable[[Any], Array], learner: Any, lesson: Lesson) -> Array:
    """A teacher: of what an episode was answered when it was lived and what the stable self says of it now, for each
    the one that gives its concept the higher probability.

    What was lived while a task was new was answered badly; what is long past is answered worse now than then.
    """
    if lesson.taught is None:
        raise ScheduleError(
            "this teacher needs rehearsed episodes with the answers they were given: rehearse some, answers=true"
        )
    return _better(jnp.stack([lesson.taught, answer(stable_self(None, learner))]), lesson.target)


def _better(said: Array, target: Array) -> Array:
    """Of logits [S, B, C], for each example those that give its concept the highest probability [B, C]."""
    own = jnp.take_along_axis(jax.nn.log_softmax(said), target[None, :, None], axis=2)[..., 0]
    return jnp.take_along_axis(said, own.argmax(0)[None, :, None], axis=0)[0]


def stable_self(params: Any, learner: Any) -> Any:
    """A voice: the slow self called "stable" answers."""
    del params
    return find(learner, SlowSelves).copies["stable"]


def keep_elder() -> optax.GradientTransformation:
    """Changes no update; keeps a place for the self of the last evening, which the stage `hand_over` fills."""
    return optax.GradientTransformation(
        lambda params: Elder(params, {CONCEPTS: {"bias": jnp.zeros_like(params[CONCEPTS]["bias"])}}),
        lambda updates, state, params=None: (updates, state),
    )


def speechless(params: Any, knew: Array) -> Any:
    """The same params, silent on concepts that are 0 in `knew` [C]: an older self does not name what it had not met."""

    def one(path: str, leaf: Array) -> Array:
        return jnp.where(knew > 0, leaf, SPEECHLESS) if path.endswith(f"{CONCEPTS}/bias") else leaf

    return map_named(one, params)


def elder(learner: Any) -> Any:
    """The params of the last evening, silent on what it did not know."""
    kept = find(learner, Elder)
    return speechless(kept.params, kept.knew[CONCEPTS]["bias"])


def last_evening(answer: Callable[[Any], Array], learner: Any, lesson: Lesson) -> Array:
    """A teacher: the self of the last evening."""
    del lesson
    return answer(elder(learner))
