"""Where results come from: the commit of the code, and the machine."""

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPUS = Path("/proc/cpuinfo")


def commit() -> str:
    """The commit of the code, marked when the code was changed since; tables that were made by it are not code."""
    try:
        named = _git("describe", "--always")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!experiments/results")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return named + "-dirty" * bool(changed)


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def machine(cpus: Path = CPUS) -> str:
    """The model of the CPU, where the system tells it, and the number of its cores."""
    try:
        lines = (line.partition(":") for line in cpus.read_text(encoding="utf-8").splitlines())
        models = [model.strip() for key, _, model in lines if key.strip() == "model name"]
    except (OSError, ValueError):
        models = []
    model = models[0] if models else platform.processor() or platform.machine() or "an unknown CPU"
    cores = os.cpu_count() or 1
    return f"{model}, {cores} core{'s' * (cores > 1)}"
