"""Slowly-Changing Regression: a fixed function whose inputs drift, on which networks lose their plasticity.

Source: Dohare et al. 2024, "Loss of plasticity in deep continual learning" (Nature), Methods. The program published
with it adds a constant of -1 or 1 to the value, and its thresholds are 0.5 lower where the constant input weighs 1 and
1.5 higher where it weighs -1.
"""

import numpy as np

from dellm_jax.errors import StreamError
from dellm_jax.streams.corpus import Corpus, Split, subset

SLOW, FAST = 15, 5
INPUTS = SLOW + FAST + 1  # the last is always one
UNITS = 100
BETA = 0.7  # share of its inputs that must be as a unit wants them before it fires
CHUNK = 65_536  # examples evaluated at once: 26 MB of units


def slowly_changing_regression(examples: int = 1_000_000, seed: int = 0, flip_every: int = 10_000) -> Corpus:
    """`slowly_changing` as a corpus of one concept, "value", felt through the sense "signal"; no test split."""
    bits, value = slowly_changing(examples, seed, flip_every)
    rows = np.arange(examples, dtype=np.int32)
    train = Split(np.zeros(examples, np.int32), {"signal": bits}, {"signal": rows}, value=value)
    return Corpus("slowly_changing", ("value",), train, subset(train, rows[:0]), 0)


def slowly_changing(examples: int, seed: int, flip_every: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Inputs in {0, 1}, float32 [N, 21], and the value to predict, float32 [N]; a pure function of its arguments.

    Inputs: 15 slow bits, of which one at random flips after every `flip_every` examples, 5 bits drawn anew for every
    example, and a constant 1. The value is the sum over 100 threshold units i of w_i [v_i . x > theta_i], where
    theta_i = 0.7 (20 + 1) - S_i, S_i counts the negative weights in v_i, and all weights are -1 or 1.
    A longer stream begins with the shorter one of the same seed. StreamError when an argument is less than 1.
    """
    for field, value in (("examples", examples), ("flip_every", flip_every)):
        if value < 1:
            raise StreamError(f"{field}={value}, expected at least 1")
    network, slow, fast = np.random.default_rng(seed).spawn(3)
    bits = np.ones((examples, INPUTS), np.float32)
    bits[:, :SLOW] = _slow_bits(slow, -(-examples // flip_every))[np.arange(examples) // flip_every]
    bits[:, SLOW:-1] = fast.integers(2, size=(examples, FAST))
    incoming, outgoing = target_network(network)
    threshold = BETA * INPUTS - (incoming < 0).sum(axis=1)
    value = np.empty(examples, np.float32)
    for start in range(0, examples, CHUNK):
        part = slice(start, start + CHUNK)
        value[part] = (bits[part] @ incoming.T > threshold) @ outgoing
    return bits, value


def target_network(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights -1 or 1 into the threshold units, float32 [100, 21], and out of them, float32 [100]."""
    incoming = generator.integers(2, size=(UNITS, INPUTS)) * 2 - 1
    outgoing = generator.integers(2, size=UNITS) * 2 - 1
    return incoming.astype(np.float32), outgoing.astype(np.float32)


def _slow_bits(generator: np.random.Generator, periods: int) -> np.ndarray:
    """The slow bits of every period: int [periods, 15], each row one flip from the row before."""
    first = generator.integers(2, size=SLOW)
    flipped = generator.integers(SLOW, size=periods - 1)
    flips = np.concatenate([np.zeros((1, SLOW), int), np.eye(SLOW, dtype=int)[flipped]])
    return (first + np.cumsum(flips, axis=0)) % 2
