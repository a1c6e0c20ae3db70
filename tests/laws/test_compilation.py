"""Laws of compilation: awake is traced once for each capacity, before it is needed, and in place."""

import math
from contextlib import contextmanager

import jax
import optax
import pytest
from small_lives import IMAGE, experiences, laws, lived, newborn

from dellm_jax import surgery
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.life import live
from dellm_jax.mind import awake
from dellm_jax.rest.grow import recruit
from dellm_jax.trees import copy
from dellm_jax.types import Schedule

SEEN, QUANTUM = "seen.units", 8
MIND = laws(optax.adam(1e-3))
COMPILED = "/jax/core/compile/backend_compile_duration"


# image -> seen -> concepts, 3 of 8 units alive
BODY = Architecture((IMAGE,), (Assembly("seen", ("image",), 3, 8),), 4, QUANTUM, 400, semantic=False)


@contextmanager
def counting(event):
    """How often jax itself reports an event; one entry in the list for each."""
    seen = []

    def listen(name, _, **__):
        if name == event:
            seen.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_stretch_is_traced_once():
    """Living many stretches of one shape traces and compiles awake for the first and never again."""
    state = lived(MIND, BODY, 0)
    state, _ = awake(MIND, state, experiences((1, 4)))
    with jax.no_tracing(), counting(COMPILED) as compiled:
        for day in range(5):
            state, _ = awake(MIND, state, experiences((1, 4), seed=day))
    assert compiled == [] and int(state.clock.steps) == 6


def test_another_shape_is_seen():
    """What the other laws rely on: both ways of counting notice a stretch of another shape."""
    state = lived(MIND, BODY, 0)
    with jax.no_tracing(), pytest.raises(RuntimeError, match="no_tracing"):
        awake(MIND, copy(state), experiences((1, 3)))
    with counting(COMPILED) as compiled:
        awake(MIND, state, experiences((1, 3)))
    assert compiled


def test_births_and_deaths_within_a_capacity_trace_nothing():
    """awaken and silence make no new shape: awake runs on what is compiled, and so does the second birth itself."""
    state = lived(MIND, BODY, 0)
    state = surgery.awaken(MIND, state, SEEN, [3], jax.random.key(0))
    state, _ = awake(MIND, copy(state), experiences((1, 4)))
    with counting(COMPILED) as compiled:
        state = surgery.awaken(MIND, state, SEEN, [4, 5, 6], jax.random.key(1))
        state, _ = awake(MIND, state, experiences((1, 4)))
        state = surgery.silence(MIND, state, SEEN, [0, 5])
        state = surgery.awaken(MIND, state, SEEN, [5, 7], jax.random.key(2), warm=False)
        state, _ = awake(MIND, state, experiences((1, 4)))
    assert compiled == [] and surgery.living(state) == {"seen": 7}


def test_awake_donates_the_life_it_is_given():
    """After awake every array of the life passed in is gone: it was changed in place."""
    state = lived(MIND, BODY, 0)
    after, _ = awake(MIND, state, experiences((1, 4)))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


def test_many_growth_events_cost_one_trace_per_quantum():
    """16 births, one after another, at a quantum of 8 trace awake at most ceil(16 / 8) + 1 times."""
    events, before = 16, awake._cache_size()
    state, _ = awake(MIND, lived(MIND, BODY, 0), experiences((1, 4)))
    for event in range(events):
        state = recruit(MIND, state, "seen", 1, jax.random.key(event), warm=True)
        state, _ = awake(MIND, state, experiences((1, 4)))
    assert surgery.living(state) == {"seen": 3 + events}
    assert awake._cache_size() - before <= math.ceil(events / QUANTUM) + 1


def growing(mind, state, key):
    """A stage of the night that grows by one quantum and wakes it all."""
    size = state.architecture.sizes()[SEEN]
    state = surgery.resize(mind, state, SEEN, size + QUANTUM)
    return surgery.awaken(mind, state, SEEN, range(size, size + QUANTUM), key), {}


def test_awake_never_waits_for_a_compiler():
    """A night that grows past the capacity compiles what the morning needs: every awake report says 0 compilations.

    jax's own count agrees: after the first stretch nothing compiles while the stream is lived.
    """
    mind = laws(optax.sgd(1e-3))  # of its own, so that no other test has compiled for it
    stream = [experiences((1, 4), seed=day) for day in range(4)]
    life = live(mind, newborn(mind, BODY), stream, Schedule(rest_every=12, night=(("grow", growing),)))
    lived_through = []
    with counting(COMPILED) as compiled:
        for phase, state, report in life:
            lived_through.append((phase, state.architecture.sizes()[SEEN]))
            if phase == "awake":
                assert report["compilations"] == 0
                assert compiled == [] or len(lived_through) == 1
            compiled.clear()
    assert lived_through == [("awake", 8), ("awake", 8), ("awake", 8), ("rest", 16), ("awake", 16)]
