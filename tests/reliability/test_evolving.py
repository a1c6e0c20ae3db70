"""A life whose assemblies come and go is interrupted, saved and asked like any other, and its body can be looked at."""

import json
from pathlib import Path

import jobs
import pytest
from test_resume import PLACES, cut, ended_alike, told

from dellm_jax.persistence import read_architecture
from experiments import evaluate, structure, train

# One assembly comes in the first night and is taken in again in the second, however little speaks for it. Stages that
# change no shape are left out: they would be compiled for every body.
EVOLVING = (
    *jobs.SHORT,
    "baselines=false",
    "rest=evolving",
    "+rest.specialise.enough=0.01",
    "+rest.specialise.few=1",
    "+rest.specialise.min_age=1",
    "+rest.specialise.redundant=0.01",
    *(f"~rest.{stage}" for stage in ("replay", "dream", "rescale")),
)


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run of EVOLVING. Look, but change nothing."""
    folder = tmp_path_factory.mktemp("evolved")
    jobs.lived(folder, *EVOLVING)
    return folder


def bodies(folder: Path) -> list[list[str]]:
    """The assemblies of every snapshot."""
    paths = sorted((folder / "lives" / "dellm" / "snapshots").glob("*.safetensors"))
    return [[assembly.name for assembly in read_architecture(path).assemblies] for path in paths]


def test_assemblies_come_and_go_in_the_run_that_is_resumed(evolved: Path) -> None:
    """Otherwise the next tests would show nothing."""
    _, summary, _ = told(evolved)
    assert summary["recruits"] >= 1 and summary["merges"] >= 1 and summary["awake_compilations"] == 0
    assert len({tuple(body) for body in bodies(evolved)}) > 1


@pytest.mark.parametrize(
    "place",
    ["told of a night that is not yet kept", "between snapshot and checkpoint", "in the middle of the last day"],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(place: str, evolved: Path, tmp_path: Path) -> None:
    cut(tmp_path, *PLACES[place], settings=EVOLVING)
    assert jobs.commanded(train.main, f"resume={tmp_path}") == 0
    ended_alike(tmp_path, evolved)


def test_its_newest_snapshot_answers_as_the_run_did(evolved: Path, capsys: pytest.CaptureFixture) -> None:
    said = json.loads((evolved / "summary.json").read_text())["final_accuracy"]
    assert jobs.commanded(evaluate.main, f"run={evolved}") == 0
    assert f"final accuracy {said:.6f}, the run said {said:.6f}" in capsys.readouterr().out


def test_its_body_is_told_night_by_night(evolved: Path, capsys: pytest.CaptureFixture) -> None:
    """Three rows, a sibling that came in the first night and is not there in the morning it was taken in, a figure."""
    assert jobs.commanded(structure.main, f"run={evolved}") == 0
    out = capsys.readouterr().out
    assert (evolved / "structure.png").stat().st_size > 1000 and str(evolved / "structure.png") in out
    nights = structure.nights(evolved)
    (sibling,) = set(bodies(evolved)[0]) - {"vision", "association"}
    assert len(nights) == 3 and set(structure.assemblies(nights)) == {name for body in bodies(evolved) for name in body}
    assert [f"structure/units_{sibling}" in night for night in nights] == [sibling in body for body in bodies(evolved)]
    assert "1 recruited" in structure.happened(nights[0]) and sibling in out
    assert structure.table(nights).row_count == sum(len(body) for body in bodies(evolved))


def test_a_life_that_tells_nothing_of_its_body_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One line, exit code 2, and what to do."""
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "metrics.jsonl").write_text('{"life": "dellm", "phase": "rest", "step": 1, "grow/births": 2.0}\n')
    assert jobs.commanded(structure.main, f"run={tmp_path}") == 2
    assert "rest=told" in capsys.readouterr().err


def test_what_a_night_changed_is_told_from_the_exams_around_it(tmp_path: Path) -> None:
    """Morning less evening, in points, of what was lived so far; nights without an exam before them are left out."""
    events = [
        {"life": "dellm", "phase": "awake", "step": 1, "test/accuracy": 0.1, "test/seen": 0.50},
        {"life": "dellm", "phase": "rest", "step": 1, "test/seen": 0.75, "structure/assemblies": 1},
        {"life": "dellm", "phase": "awake", "step": 2},
        {"life": "dellm", "phase": "rest", "step": 2, "test/seen": 0.80, "structure/assemblies": 1},
        {"life": "joint", "phase": "awake", "step": 3, "test/seen": 0.10},
        {"life": "dellm", "phase": "awake", "step": 3, "test/accuracy": 0.90},
        {"life": "dellm", "phase": "rest", "step": 3, "test/accuracy": 0.80, "structure/assemblies": 1},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert structure.gains(structure.nights(tmp_path)) == pytest.approx([25, -10])
