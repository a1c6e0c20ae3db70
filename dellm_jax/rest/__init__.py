"""A night: stages in order, each a pure function `(mind, state, key) -> (state, report)`."""

from dellm_jax.rest.bind import bind
from dellm_jax.rest.consolidate import consolidate
from dellm_jax.rest.dream import dream
from dellm_jax.rest.dusk import estimate_importance, forget, hand_over, settle_synapses
from dellm_jax.rest.grow import grow
from dellm_jax.rest.internalise import internalise
from dellm_jax.rest.newborns import silent, steepest
from dellm_jax.rest.night import rest
from dellm_jax.rest.prune import nobody, prune, the_bias, the_living
from dellm_jax.rest.refresh import refresh
from dellm_jax.rest.reorganise import reorganise
from dellm_jax.rest.replay import replay
from dellm_jax.rest.rescale import rescale
from dellm_jax.rest.retire import retire
from dellm_jax.rest.specialise import specialise
from dellm_jax.rest.structure import structure
from dellm_jax.rest.wake import wake

__all__ = [
    "bind",
    "consolidate",
    "dream",
    "estimate_importance",
    "forget",
    "grow",
    "hand_over",
    "internalise",
    "nobody",
    "prune",
    "refresh",
    "reorganise",
    "replay",
    "rescale",
    "rest",
    "retire",
    "settle_synapses",
    "silent",
    "specialise",
    "steepest",
    "structure",
    "the_bias",
    "the_living",
    "wake",
]
