"""NREM: interleaved, class-balanced learning on episodic memory, short and slow, keeping the best of its chunks."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dellm_jax import experience as experiences
from dellm_jax.memory import episodic
from dellm_jax.mind import learn
from dellm_jax.rest.judge import judge
from dellm_jax.trees import named_key
from dellm_jax.types import Array, Dellm, Lesson, Mind, Report, ScheduleError, Stage


def replay(rule: optax.GradientTransformationExtraArgs, steps: int, batch: int = 64, chunk: int = 50) -> Stage:
    """`steps` updates by `rule`, whose state is born and dies with the night, on `batch` episodes each.

    After every `chunk` steps the held-out episodes judge; the chunk with the least loss is kept, which may be none.
    Known invariances are used: every episode is seen a little differently each time.
    """
    if min(steps, batch, chunk) < 1:
        raise ScheduleError(f"replay has steps={steps}, batch={batch}, chunk={chunk}; expected 1 or more of each")
    chunk = min(chunk, steps)

    def stage(mind: Mind, state: Dellm, key: Array) -> tuple[Dellm, Report]:
        learner = rule.init(state.params)
        best, best_loss = state.params, float(judge(mind, state).loss)
        report = {"held_out_loss_before": best_loss, "kept_step": 0.0, "updates": 0.0}
        params, last = state.params, 0.0
        for turn in range(-(-steps // chunk)):
            params, learner, loss = _rehearse(
                mind, rule, chunk, batch, state, params, learner, named_key(key, f"chunk {turn}")
            )
            held_out = float(judge(mind, state.replace(params=params)).loss)
            report["updates"] += chunk
            if held_out <= best_loss:
                best, best_loss, report["kept_step"] = params, held_out, report["updates"]
            last = float(loss)
        return state.replace(params=best), report | {"held_out_loss_after": best_loss, "loss": last}

    return stage


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _rehearse(
    mind: Mind,
    rule: optax.GradientTransformationExtraArgs,
    steps: int,
    batch: int,
    state: Dellm,
    params: Any,
    learner: Any,
    key: Array,
) -> tuple[Any, Any, Array]:
    architecture = state.architecture

    def step(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Array]:
        for_recall, for_view, for_senses = jax.random.split(key, 3)
        recalled = episodic.recall(state.memory.episodic, for_recall, batch)
        percepts = experiences.decode(architecture, recalled.codes, recalled.present)
        seen = {
            sense.name: sense.augment(named_key(for_view, sense.name), percepts.values[sense.name])
            for sense in architecture.senses
        }
        percepts = experiences.Percepts(seen, percepts.presence)
        percepts = experiences.drop_senses(jax.random.uniform(for_senses, (batch,)), percepts)
        lesson = Lesson(
            jnp.zeros((batch, architecture.concepts)),
            recalled.target,
            recalled.weight,
            jnp.zeros((batch,)),
            state.clock.nights.astype(jnp.float32),
            recalled.answers,
        )
        params, learner, loss, _ = learn(
            mind._replace(teacher=None),
            architecture,
            carry[0],
            state.homeostasis,
            carry[1],
            rule,
            percepts,
            lesson,
        )
        return (params, learner), loss

    (params, learner), losses = jax.lax.scan(step, (params, learner), jax.random.split(key, steps))
    return params, learner, losses.mean()
