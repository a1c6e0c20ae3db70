"""Throw bad input at a life, minute after minute: nothing may crash it, and what it refuses may change nothing.

    python scripts/bench/fuzz.py --minutes 5         # cases by surface; exit code 1 on the first fault, which it shows

Snapshots, journals, pictures, sounds, texts and console scripts, valid ones that were damaged by chance or malice and
generated ones, come to a small life in a folder through the doors that people use. Each must be taken, or refused by a
DellmError of one line, the life then being the same bit for bit; within LIMIT_S seconds and ROOM bytes of memory; and
in the end the life in the folder must be what was acknowledged. --seed chooses other cases. Needs hypothesis (`dev`).
"""

import argparse
import faulthandler
import itertools
import logging
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # programs of this size are compiled for longer than run

import pooch
from surfaces import SURFACES, Bench, bench, reopened, run

from dellm_jax import compilation

ROOM = 4 << 30  # bytes


def tell(bench: Bench, surfaces: list[str]) -> None:
    """A line a surface."""
    for surface in surfaces:
        taken, refused, slowest = bench.taken[surface], bench.refused[surface], bench.slowest[surface]
        print(
            f"{surface:>9}  {taken + refused:7d} cases  {taken:7d} taken  {refused:7d} refused  slowest {slowest:.2f} s"
        )


def main() -> int:
    """Print a table; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--surfaces", nargs="*", default=list(SURFACES), choices=list(SURFACES))
    asked = parser.parse_args()
    logging.disable()  # what is damaged is told thousands of times
    faulthandler.enable()
    compilation.persist(Path(pooch.os_cache("dellm_jax")) / "compiled-in-haste")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        at = bench(Path(scratch))
        for surface in asked.surfaces:
            run(at, surface, 3, asked.seed)  # whatever is to be compiled is compiled
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
        before, spent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, Counter()
        began, faults = time.monotonic(), []
        for number in itertools.count(asked.seed * 1_000_000 + 1):
            sound = [surface for surface in asked.surfaces if surface not in faults]
            if not sound or time.monotonic() >= began + 60 * asked.minutes:
                break
            surface, start = min(sound, key=spent.__getitem__), time.monotonic()
            try:
                run(at, surface, 25, number)
            except Exception:
                traceback.print_exc()
                faults.append(surface)
            spent[surface] += time.monotonic() - start
        reopened(at)
        tell(at, asked.surfaces)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        cases = at.taken.total() + at.refused.total()
        print(f"{cases} cases in {time.monotonic() - began:.0f} s, seed {asked.seed}; "
              f"{at.talk.home.seq} acts on disk; peak of memory + {grown} MiB; {len(faults)} faults")  # fmt: skip
        at.talk.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
