"""What every test shares: where real data is, and programs compiled once for all of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]


# All programs are compiled in haste, those of imports too: jit remembers a program whatever it was compiled for, and a
# life of which some programs were optimised is another life in its last bits.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that several tests compile are compiled by the first."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.getbasetemp() / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Programs do not outlive their module: XLA maps memory for each, and a process may have only so many maps."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, from DELLM_DATA or beside the checkout; tests that need it are skipped without."""
    folder = Path(os.environ.get("DELLM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: set DELLM_DATA (looked in {folder})")
    return folder
