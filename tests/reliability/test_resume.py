"""A run that is interrupted and goes on ends as if it had not been; one seed, one life; a snapshot is the life."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import jobs
import numpy as np
import pytest
import safetensors.numpy

from dellm_jax.persistence import read_architecture
from experiments import build, evaluate, lives, report, train
from experiments.log import Record


class PowerCut(BaseException):
    """What stops a run; no handler in it may know this."""


def told(folder: Path) -> tuple[bytes, dict, dict[str, dict[str, np.ndarray]]]:
    """What a run leaves: its events byte for byte, its summary but for the seconds, and its snapshots."""
    summary = json.loads((folder / "summary.json").read_text())
    assert summary.pop("seconds") > 0
    snapshots = {
        path.name: safetensors.numpy.load_file(path)
        for path in sorted((folder / "lives" / "dellm" / "snapshots").glob("*.safetensors"))
    }
    return (folder / "metrics.jsonl").read_bytes(), summary, snapshots


def ended_alike(one: Path, other: Path) -> None:
    """Bit for bit the same events, summary and snapshots."""
    (events, summary, snapshots), (events_too, summary_too, snapshots_too) = told(one), told(other)
    assert events == events_too
    assert summary == summary_too
    assert list(snapshots) == list(snapshots_too)
    for name, tensors in snapshots.items():
        assert set(tensors) == set(snapshots_too[name])
        for leaf, array in tensors.items():
            same = snapshots_too[name][leaf]
            assert (array.dtype, array.shape) == (same.dtype, same.shape), (name, leaf)
            assert array.tobytes() == same.tobytes(), (name, leaf)


def nth(count: int, original: Callable, after: bool) -> Callable:
    """`original`, but its call number `count` (from 1) is the last: cut before or after it is done."""
    calls = 0

    def call(*args: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == count and not after:
            raise PowerCut
        result = original(*args, **named)
        if calls == count:
            raise PowerCut
        return result

    return call


def cut(
    folder: Path, where: object, name: str, count: int, after: bool, settings: tuple[str, ...] = jobs.SHORT
) -> None:
    """Begin or go on with the run in `folder`, and stop it at that call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, name, nth(count, getattr(where, name), after))
        with pytest.raises(PowerCut):
            if (folder / "config.yaml").exists():
                jobs.commanded(train.main, f"resume={folder}")
            else:
                jobs.lived(folder, *settings)


# The short run tells of 7 stretches and 3 nights of the main life, then of 7, 7 and 6 stretches of the others.
PLACES = {
    "before anything is told": (Record, "event", 1, False),
    "on the first day": (Record, "event", 2, True),
    "told of a night that is not yet kept": (Record, "event", 4, True),
    "before a snapshot": (lives, "save_generation", 2, False),
    "between snapshot and checkpoint": (lives, "save_generation", 2, True),
    "as a night is kept": (lives.Checkpoints, "save", 2, True),
    "in the middle of the last day": (Record, "event", 8, True),
    "after the last night": (lives.Checkpoints, "save", 3, True),
    "before the life is put down": (lives, "write_atomically", 1, False),
    "between two lives": (lives, "write_atomically", 1, True),
    "in another life": (Record, "event", 14, True),
    "before the figure": (report, "figure", 1, False),
    "before the summary": (report, "write_summary", 1, False),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupted_run_ends_as_if_it_had_not_been(place: str, tmp_path: Path) -> None:
    cut(tmp_path, *PLACES[place])
    assert not (tmp_path / "summary.json").exists(), "no summary of a life that is not over"
    assert jobs.commanded(train.main, f"resume={tmp_path}") == 0
    ended_alike(tmp_path, jobs.short_run())


# A life that is told when each of three days is over, and rests then and only then.
TOLD = (*jobs.SHORT, "baselines=false", "cycle.rest_every=0", "cycle.inactivity_s=0", "cycle.at_pauses=true")


@pytest.fixture(scope="module")
def told_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run of TOLD. Look, but change nothing."""
    folder = tmp_path_factory.mktemp("told")
    jobs.lived(folder, *TOLD)
    return folder


def test_a_life_that_is_told_rests_at_the_end_of_every_day(told_run: Path) -> None:
    """3, 2 and 2 stretches, a night after each; otherwise the next test would show nothing."""
    phases = [json.loads(line)["phase"] for line in (told_run / "metrics.jsonl").read_text().splitlines()]
    assert phases == ["awake"] * 3 + ["rest"] + 2 * (["awake"] * 2 + ["rest"])


@pytest.mark.parametrize(
    "place",
    [
        "on the first day",
        "told of a night that is not yet kept",
        "between snapshot and checkpoint",
        "as a night is kept",
        "in the middle of the last day",
        "after the last night",
        "before the life is put down",
    ],
)
def test_a_life_that_rests_at_pauses_goes_on_as_if_it_had_not_been_interrupted(
    place: str, told_run: Path, tmp_path: Path
) -> None:
    """The pause it rested at is not rested at again, and no later one is missed."""
    cut(tmp_path, *PLACES[place], settings=TOLD)
    assert jobs.commanded(train.main, f"resume={tmp_path}") == 0
    ended_alike(tmp_path, told_run)


def test_a_run_may_be_interrupted_again_and_again(tmp_path: Path) -> None:
    for count in (5, 1, 3, 4, 2):
        cut(tmp_path, Record, "event", count, after=True)
    assert jobs.commanded(train.main, f"resume={tmp_path}") == 0
    ended_alike(tmp_path, jobs.short_run())


def test_a_half_written_event_and_lost_checkpoints_do_no_harm(tmp_path: Path) -> None:
    """A disk that was full, or a newest checkpoint that is damaged: it goes on from what is whole."""
    cut(tmp_path, Record, "event", 9, after=True)
    events = tmp_path / "metrics.jsonl"
    events.write_bytes(events.read_bytes()[:-7])
    newest = max((tmp_path / "lives" / "dellm" / "checkpoints").iterdir())
    for path in [path for path in newest.rglob("*") if path.is_file() and path.stat().st_size > 1000]:
        path.write_bytes(path.read_bytes()[:-10])
    assert jobs.commanded(train.main, f"resume={tmp_path}") == 0
    ended_alike(tmp_path, jobs.short_run())


def test_a_half_written_event_of_a_life_just_begun_is_forgotten(tmp_path: Path) -> None:
    cut(tmp_path, Record, "event", 11, after=False)
    with (tmp_path / "metrics.jsonl").open("a") as events:
        events.write('{"life": "awake_o')
    assert jobs.commanded(train.main, f"resume={tmp_path}") == 0
    ended_alike(tmp_path, jobs.short_run())


def test_a_finished_run_goes_on_to_the_same_end(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "run"
    shutil.copytree(jobs.short_run(), folder)
    assert jobs.commanded(train.main, f"resume={folder}") == 0
    ended_alike(folder, jobs.short_run())
    assert str(folder) in capsys.readouterr().out


def test_the_same_seed_is_the_same_life_and_another_is_another(tmp_path: Path) -> None:
    jobs.lived(tmp_path / "same", *jobs.SHORT)
    ended_alike(tmp_path / "same", jobs.short_run())
    jobs.lived(tmp_path / "other", *jobs.SHORT, "seed=1", "baselines=false")
    events = [
        (folder / "metrics.jsonl").read_text().splitlines()[0] for folder in (tmp_path / "other", jobs.short_run())
    ]
    assert events[0] != events[1]


def test_a_life_that_ends_awake_is_kept_as_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """What the summary says is of the last moment, and so is the newest snapshot, though no night came after it."""
    summary = jobs.lived(tmp_path, *jobs.SHORT, "baselines=false", "cycle.inactivity_s=0")
    assert summary["nights"] == 2
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["phase"] == "awake"
    assert jobs.commanded(evaluate.main, f"run={tmp_path}") == 0
    told = capsys.readouterr().out
    assert f"final accuracy {summary['final_accuracy']:.6f}, the run said {summary['final_accuracy']:.6f}" in told


def test_the_body_changed_in_the_run_that_is_resumed() -> None:
    """Otherwise these tests would not show that a changed body is resumed."""
    _, summary, snapshots = told(jobs.short_run())
    assert summary["births"] > 0 and summary["deaths"] > 0 and summary["nights"] == len(snapshots) == 3
    born = build.architecture(jobs.composed(*jobs.SHORT), concepts=10)
    for name in snapshots:
        assert read_architecture(jobs.short_run() / "lives" / "dellm" / "snapshots" / name) != born


def test_evaluate_in_a_new_process_says_what_the_run_said(tmp_path: Path) -> None:
    said = json.loads((jobs.short_run() / "summary.json").read_text())["final_accuracy"]
    process = jobs.process("evaluate", f"run={jobs.short_run()}", cwd=tmp_path)
    out, err = process.communicate(timeout=180)
    assert (process.returncode, err) == (0, "")
    assert f"final accuracy {said:.6f}, the run said {said:.6f}" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_in_new_processes(tmp_path: Path) -> None:
    """kill -9, twice, each a little later than the last; then it is let be."""
    folder = tmp_path / "run"
    command = (*jobs.SHORT, f"hydra.run.dir={folder}")
    rng = random.Random(os.getpid())
    kills = []
    for _ in range(2):
        process = jobs.process("train", *command, cwd=tmp_path)
        deadline, least = time.monotonic() + 180, _lines(folder) + rng.randrange(1, 9)
        while _lines(folder) < least and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.random() / 5)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills.append(_lines(folder))
        assert folder.exists(), "the run had begun"
        command = (f"resume={folder}",)
    process = jobs.process("train", *command, cwd=tmp_path)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, (kills, err)
    # Set against a life in a process of its own too: one that has run other tests remembers programs of theirs.
    undisturbed = tmp_path / "undisturbed"
    jobs.finished("train", *jobs.SHORT, f"hydra.run.dir={undisturbed}", cwd=tmp_path)
    ended_alike(folder, undisturbed)


def _lines(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_a_sweep_over_two_seeds_lives_two_lives(tmp_path: Path) -> None:
    arguments = (*jobs.SHORT, "baselines=false", "cycle.days=1", "hydra.sweep.dir=many", "seed=0,1", "-m")
    jobs.finished("train", *arguments, cwd=tmp_path)
    folders = sorted(path.parent for path in (tmp_path / "many").glob("*/summary.json"))
    assert [folder.name for folder in folders] == ["0", "1"]
    assert len({(folder / "metrics.jsonl").read_bytes() for folder in folders}) == 2
    # A life in a sweep is the life it would be alone.
    alone = (*jobs.SHORT, "baselines=false", "cycle.days=1", "seed=1", f"hydra.run.dir={tmp_path / 'alone'}")
    jobs.finished("train", *alone, cwd=tmp_path)
    ended_alike(folders[1], tmp_path / "alone")
