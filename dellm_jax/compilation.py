"""Compile once, ever: the persistent cache of compiled programs."""

from pathlib import Path

import jax


def persist(folder: Path) -> None:
    """Keep every compiled program under `folder`. (By default jax skips those that took less than a second: ours.)"""
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
