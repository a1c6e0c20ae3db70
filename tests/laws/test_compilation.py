"""Laws of compilation: awake is traced once for each capacity, before it is needed, and in place."""

import math
from contextlib import contextmanager

import jax
import optax
import pytest
from small_lives import IMAGE, experiences, laws, lived

from dellm_jax import surgery
from dellm_jax.life import live
from dellm_jax.mind import awake, create
from dellm_jax.rest.grow import _recruit as recruit
from dellm_jax.rest.grow import grow
from dellm_jax.trees import copy
from dellm_jax.types import Architecture, Assembly, Schedule

SEEN = "seen.units"
ADAM = optax.adam(1e-3)
TRACED = "/jax/core/compile/jaxpr_trace_duration"
COMPILED = "/jax/core/compile/backend_compile_duration"


def one_assembly(units, capacity=0, quantum=4):
    """image -> seen -> concepts."""
    return Architecture((IMAGE,), (Assembly("seen", ("image",), units, capacity),), 4, quantum, 400, semantic=False)


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


def traces_of(mind):
    """The same mind, and a list that grows by one whenever its awake step is traced."""
    traced = []

    def loss(*arguments):
        traced.append(arguments)
        return mind.loss(*arguments)

    return mind._replace(loss=loss), traced


def test_a_stretch_is_traced_once():
    """Living many stretches of one shape traces and compiles awake for the first and never again."""
    mind, traced = traces_of(laws(ADAM, rehearse=2))
    state = create(mind, one_assembly(3), jax.random.key(0))
    state, _ = awake(mind, state, experiences((2, 4)))
    first = len(traced)
    with jax.no_tracing(), counting(COMPILED) as compiled:
        for day in range(5):
            state, _ = awake(mind, state, experiences((2, 4), seed=day))
    assert first >= 1 and len(traced) == first and compiled == []
    assert int(state.clock.steps) == 12


def test_the_counters_can_count():
    """What the other laws rely on: another shape is seen by both ways of counting."""
    mind, traced = traces_of(laws(optax.sgd(1e-3)))
    state = lived(mind, one_assembly(2), 0)
    with counting(COMPILED) as compiled, counting(TRACED) as traces:
        state, _ = awake(mind, state, experiences((1, 2)))
    assert traced and compiled and traces
    with jax.no_tracing(), pytest.raises(RuntimeError, match="no_tracing"):
        awake(mind, state, experiences((1, 3)))


def test_births_and_deaths_within_a_capacity_trace_nothing():
    """awaken and silence make no new shape: awake runs on what is compiled, and so does the second birth itself."""
    mind, state = laws(ADAM), lived(laws(ADAM), one_assembly(3, 8), 0)
    state = surgery.awaken(mind, state, SEEN, [3], jax.random.key(0))
    state, _ = awake(mind, copy(state), experiences((1, 4)))
    with counting(COMPILED) as compiled:
        state = surgery.awaken(mind, state, SEEN, [4, 5, 6], jax.random.key(1))
        state, _ = awake(mind, state, experiences((1, 4)))
        state = surgery.silence(mind, state, SEEN, [0, 5])
        state = surgery.awaken(mind, state, SEEN, [5, 7], jax.random.key(2), warm=False)
        state, _ = awake(mind, state, experiences((1, 4)))
    assert compiled == [] and surgery.living(state) == {"seen": 7}


def test_awake_donates_the_life_it_is_given():
    """After awake every array of the life passed in is gone: it was changed in place."""
    state = lived(laws(ADAM), one_assembly(3, 8), 0)
    after, _ = awake(laws(ADAM), state, experiences((1, 4)))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


def test_many_growth_events_cost_one_trace_per_quantum():
    """24 births, one after another, at a quantum of 12 trace awake at most ceil(24 / 12) + 1 times."""
    events, quantum = 24, 12
    mind = laws(ADAM)
    state, before = lived(mind, one_assembly(quantum, quantum=quantum), 0), awake._cache_size()
    state, _ = awake(mind, state, experiences((1, 4)))
    for event in range(events):
        state = recruit(mind, state, "seen", 1, jax.random.key(event), warm=True)
        state, _ = awake(mind, copy(state), experiences((1, 4)))
    assert surgery.living(state) == {"seen": quantum + events}
    assert awake._cache_size() - before <= math.ceil(events / quantum) + 1


def test_awake_never_waits_for_a_compiler():
    """A night that grows past the capacity compiles what the morning needs: every awake report says 0 compilations.

    jax's own count agrees: after the first stretch nothing compiles while the stream is lived.
    """
    mind = laws(ADAM)
    schedule = Schedule(rest_every=16, night=(("grow", grow(per_concept=2, error=-1.0)),))
    life = live(
        mind,
        create(mind, one_assembly(4), jax.random.key(0)),
        [experiences((2, 4), seed=day) for day in range(4)],
        schedule,
    )
    capacities = []
    with counting(COMPILED) as compiled:
        for phase, state, report in life:
            capacities.append((phase, state.architecture.sizes()[SEEN]))
            if phase == "awake":
                assert report["compilations"] == 0
                assert compiled == [] or len(capacities) == 1
            compiled.clear()
    # Three concepts are met on the first two days, so that 4 + 2 x 3 units do not fit two quanta of 4.
    days = [("awake", 4), ("awake", 4), ("rest", 12), ("awake", 12), ("awake", 12), ("rest", 12)]
    assert capacities == days
