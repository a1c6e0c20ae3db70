"""What every test shares: where real data is, and programs compiled once for all of them."""

import os
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that several tests compile are compiled by the first, in haste.

    All of them in haste: jit remembers a program whatever it was compiled for, so a process in which some were
    optimised would live a life that differs in its last bits from that of another.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.getbasetemp() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, from DELLM_DATA or beside the checkout; tests that need it are skipped without."""
    folder = Path(os.environ.get("DELLM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: set DELLM_DATA (looked in {folder})")
    return folder
