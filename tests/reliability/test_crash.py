"""kill -9, in processes of their own, at random moments: the short version of scripts/bench/crash.py."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[2]
# What is compiled for long is left out; the whole night is killed by the script when it is run without settings.
LIGHT = ("semantic=false", "cycle.night_steps=10", *(f"~rest.{stage}" for stage in ("prune", "grow", "dream")))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks its children")
def test_nothing_acknowledged_is_lost() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "crash.py"), "--kills", "6", *LIGHT]
    compiled = jax.config.jax_compilation_cache_dir
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--compiled", str(compiled)], env=environment, capture_output=True, text=True, timeout=540
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 faults" in done.stdout and "woken up 0 times" not in done.stdout
