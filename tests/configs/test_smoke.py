"""The smoke suite: every stream is lived by two methods or three, whatever data this machine has."""

import json
from pathlib import Path

import jobs
import pytest

from dellm_jax.streams.fetch import SOURCES
from experiments import benchmark
from experiments.tables import read_csv

NEEDS = {"split_fashion": "fashion_mnist", "banking77": "banking77"}


@pytest.mark.slow
@pytest.mark.realdata
def test_every_stream_is_lived_by_every_method(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell has its numbers, whatever stream it lives; streams whose data this machine lacks are left out."""
    monkeypatch.setenv("DELLM_DATA", str(data))
    for name in ("mnist", "fsdd", "clinc150"):
        if not (data / name).is_dir():
            pytest.skip(f"no {name} in {data}")
    plan = benchmark.suite("smoke")
    absent = {stream for stream, source in NEEDS.items() if not (data / source).is_dir()}
    present = ",".join(stream for stream in plan["streams"] if stream not in absent)
    # In processes of its own: a life of every stream is more than one process likes to have compiled.
    options = {"suite": "smoke", "streams": present, "jobs": "2"}
    options |= {"work": str(tmp_path / "work"), "results": str(tmp_path / "results")}
    command = jobs.process("benchmark", *(f"{name}={value}" for name, value in options.items()), cwd=tmp_path)
    said, errors = command.communicate()
    assert command.returncode == 0, errors
    cells = [one for file in (tmp_path / "work").rglob("cells.json") for one in json.loads(file.read_text())]
    assert "failed" not in said, said
    lived = {(cell["stream"], cell["method"]) for cell in cells}
    for stream, where in plan["streams"].items():
        if stream not in absent:
            for method in plan["methods"]:
                assert ((stream, method) in lived) == (method not in where.get("without", []))
    assert all(0 <= cell["metrics"]["accuracy"] <= 1 for cell in cells if "accuracy" in cell["metrics"])
    assert all("prequential_accuracy" in cell["metrics"] for cell in cells)
    assert {row.stream for row in read_csv(tmp_path / "results" / "smoke.csv")} == {cell["stream"] for cell in cells}
    assert set(NEEDS.values()) <= set(SOURCES)
