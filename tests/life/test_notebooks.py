"""The notebooks run from the first cell to the last."""

from pathlib import Path

import jupytext
import nbclient
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_says_what_its_script_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell executes; the paired script holds the same source."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # its kernel compiles in haste, as we do
    notebook = jupytext.read(path)
    script = jupytext.read(path.with_suffix(".py"))
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in script.cells]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
