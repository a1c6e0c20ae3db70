"""How fast a life answers what it hears: p50 and p95 of one second of sound, after compilation.

python scripts/bench/listen.py     # half a minute

A life of size small, new, asked one clip at a time. `respond`: from int16 samples to the answer, both on the host,
features included; `whole`: the same, and before it what makes an experience of an utterance of the listener (int16 at
16 kHz, resampled, trimmed, brought to one loudness). `fsdd` hears 1 s at 8 kHz; `listen` (conf/listen.yaml) also reads
what was understood. Target: p50 of `respond` at most 30 ms on two cores.
"""

import os
from time import monotonic, perf_counter

import jax
import numpy as np
from hydra import compose, initialize_config_dir

from dellm_jax.mind import create, respond
from dellm_jax.speech.utterances import RATE, Utterance, experience_of
from experiments import build
from experiments.config import register, sound
from experiments.train import CONF

TIMES, WARM = 300, 10
BODIES = {
    "fsdd": ("config", ["stream=fsdd", "size=small"], ""),
    "listen": ("listen", ["size=small"], "part of the week"),
}


def utterance(number: int, text: str) -> Utterance:
    """A second of a chord that swells and fades, another one each time."""
    time = np.arange(RATE) / RATE
    chord = sum(np.sin(2 * np.pi * (200 + 37 * number % 900) * k * time) / k for k in range(1, 9))
    audio = np.int16(4000 * chord * np.hanning(RATE))
    return Utterance(audio, text, 0.0, 1.0, *[monotonic()] * 3)


def main() -> None:
    """Print a table."""
    register()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'body':>8} {'what':>8} {'p50 ms':>8} {'p95 ms':>8}")
    for body, (name, overrides, text) in BODIES.items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = sound(compose(name, overrides))
        mind = build.mind(config)
        life = create(mind, build.architecture(config, 10), jax.random.key(0))
        took = {"respond": [], "whole": []}
        for number in range(WARM + TIMES):
            said = utterance(number, text)
            began = perf_counter()
            experience = experience_of(life.architecture, said)
            made = perf_counter()
            jax.device_get(respond(mind, life, experience))
            answered = perf_counter()
            took["respond"].append(1e3 * (answered - made))
            took["whole"].append(1e3 * (answered - began))
        for what, times in took.items():
            middle, late = np.percentile(times[WARM:], [50, 95])
            print(f"{body:>8} {what:>8} {middle:8.2f} {late:8.2f}")


if __name__ == "__main__":
    main()
