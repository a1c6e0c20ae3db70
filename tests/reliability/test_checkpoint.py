"""A run resumes bit for bit where it was saved, whatever happened to it or to its newest checkpoint."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import optax
import pytest
from lives import MIND, ages, at_step, bits, day, live, newborn, same

from dellm_jax.errors import SnapshotError
from dellm_jax.mind import awake, create
from dellm_jax.persistence import Checkpoints, Misfit, load_newest, save
from dellm_jax.trees import copy
from dellm_jax.types import Dellm

# When one read of many fails, tensorstore still answers the others, to an event loop that Orbax has closed by then.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def lives() -> dict[str, Dellm]:
    return ages()


def restored(folder: Path) -> tuple[Dellm, dict, int, list[str]]:
    """What a new process would find."""
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.restore_latest(newborn)
    assert found is not None
    return found


@pytest.mark.parametrize("age", ["born", "lived", "grown"])
def test_a_life_and_its_cursor_come_back_bit_for_bit(age: str, lives: dict[str, Dellm], tmp_path: Path) -> None:
    extra = {"cursor": 17, "lines": 3, "loss": 0.1 + 0.2, "worst": math.inf, "names": ["a", "é"], "none": None}
    with Checkpoints(tmp_path / "run") as checkpoints:
        assert checkpoints.restore_latest(newborn) is None
        checkpoints.save(17, lives[age], extra)
    state, found, step, skipped = restored(tmp_path / "run")
    assert same(state, lives[age]) and (found, step, skipped) == (extra, 17, [])


def test_a_resumed_run_equals_an_uninterrupted_one(lives: dict[str, Dellm], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Checkpoints("run") as checkpoints:  # a relative folder
        checkpoints.save(1, lives["lived"])
    compiled = awake._cache_size()
    assert bits(live(restored(tmp_path / "run")[0], 2)) == bits(live(lives["lived"], 2))
    assert awake._cache_size() == compiled


def test_the_state_may_be_donated_while_it_is_being_saved(lives: dict[str, Dellm], tmp_path: Path) -> None:
    state = copy(lives["lived"])
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(4):
            expected = bits(state)
            checkpoints.save(step, state)
            state, _ = awake(MIND, state, day(step))
        checkpoints.wait()
    assert bits(restored(tmp_path)[0]) == expected


def test_the_last_few_are_kept_and_steps_only_rise(lives: dict[str, Dellm], tmp_path: Path) -> None:
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 5, 9, 12):
            checkpoints.save(step, lives["born"])
        checkpoints.wait()
        for step in (12, 3):
            with pytest.raises(SnapshotError, match=f"more than the newest, 12, found {step}"):
                checkpoints.save(step, lives["born"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000009", "000000012"]
    with pytest.raises(SnapshotError, match="keep"):
        Checkpoints(tmp_path, keep=0)


def largest(step: Path) -> Path:
    return max((path for path in (step / "life").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def rewrite(path: Path, **fields: str) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit flipped": lambda step: flip(largest(step)),
    "data cut": lambda step: os.truncate(largest(step), 100),
    "data gone": lambda step: largest(step).unlink(),
    "index cut": lambda step: os.truncate(step / "life" / "manifest.ocdbt", 10),
    "index gone": lambda step: (step / "life" / "manifest.ocdbt").unlink(),
    "manifest empty": lambda step: (step / "manifest" / "metadata").write_bytes(b""),
    "manifest changed": lambda step: rewrite(step / "manifest" / "metadata", extra='{"cursor": 1}'),
    "manifest gone": lambda step: shutil.rmtree(step / "manifest"),
    "arrays gone": lambda step: shutil.rmtree(step / "life"),
    "all gone": lambda step: [shutil.rmtree(step), step.mkdir()],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_skipped_loudly_and_can_be_saved_again(
    name: str, lives: dict[str, Dellm], tmp_path: Path
) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(10, lives["lived"], {"cursor": 10})
        checkpoints.save(20, lives["grown"], {"cursor": 20})
    DAMAGE[name](tmp_path / "000000020")
    with Checkpoints(tmp_path) as checkpoints:
        found = checkpoints.restore_latest(newborn)
        assert found is not None and found.step == 10 and found.extra == {"cursor": 10}
        assert same(found.state, lives["lived"])
        (message,) = found.skipped
        assert "000000020" in message and "\n" not in message
        assert (tmp_path / "damaged-000000020").is_dir()
        checkpoints.save(20, lives["grown"])
    again = restored(tmp_path)
    assert again[2:] == (20, []) and same(again[0], lives["grown"])


def test_nothing_sound_is_an_error_and_nothing_is_moved(lives: dict[str, Dellm], tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(10, lives["born"])
    flip(largest(tmp_path / "000000010"))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(SnapshotError, match=r"found none; skipped: .*000000010"):
        checkpoints.restore_latest(newborn)
    assert [path.name for path in tmp_path.iterdir()] == ["000000010"]


def test_another_mind_is_told_so_at_once(lives: dict[str, Dellm], tmp_path: Path) -> None:
    other = partial(create, MIND._replace(rule=optax.sgd(0.1)), key=jax.random.key(0))
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, lives["born"])
        with pytest.raises(Misfit, match=r"000000002: leaf 'learner/.*rule"):
            checkpoints.restore_latest(other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000001", "000000002"]


def test_an_unfinished_step_is_ignored_and_cleared(lives: dict[str, Dellm], tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(10, lives["born"])
    shutil.copytree(tmp_path / "000000010", tmp_path / "000000020.orbax-checkpoint-tmp")
    assert restored(tmp_path)[2] == 10
    assert [path.name for path in tmp_path.iterdir()] == ["000000010"]


SAVE_FOR_EVER = """
import sys
from itertools import count
from lives import MIND, at_step, newborn
from dellm_jax.persistence import Checkpoints, load, save_generation
base, run, first = load(sys.argv[1], newborn), sys.argv[2], int(sys.argv[3])
with Checkpoints(run + "/checkpoints") as checkpoints:
    for step in count(first):
        state = at_step(base, step)
        checkpoints.save(step, state, {"cursor": step})
        save_generation(run + "/life", MIND, state)
        print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_9_while_saving_costs_at_most_the_step_being_saved(lives: dict[str, Dellm], tmp_path: Path) -> None:
    base = save(tmp_path / "base.safetensors", MIND, lives["grown"])
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])}
    first = 0
    for patience in (0.0, 0.237):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(base), str(tmp_path), str(first)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
            seen = [int(child.stdout.readline()) for _ in range(3)]
            time.sleep(patience)
            child.kill()
            seen += [int(line) for line in child.stdout]
        life = load_newest(tmp_path / "life", newborn)
        steps = int(life.state.clock.steps)
        assert steps in (seen[-1], seen[-1] + 1) and not life.skipped
        assert same(life.state, at_step(lives["grown"], steps))
        state, extra, step, skipped = restored(tmp_path / "checkpoints")
        assert step in (seen[-1] - 1, seen[-1], seen[-1] + 1) and not skipped  # the last may still be on its way
        assert extra == {"cursor": step} and same(state, at_step(lives["grown"], step))
        first = max(step, steps) + 1
