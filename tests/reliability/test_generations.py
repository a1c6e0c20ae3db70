"""Of several generations the newest that verifies is the life."""

from functools import partial
from pathlib import Path

import jax
import optax
import pytest
from lives import BODY, MIND, at_step, grow, newborn, same

from dellm_jax.errors import SnapshotError
from dellm_jax.mind import create
from dellm_jax.persistence import Misfit, generations, load_newest, save_generation
from dellm_jax.types import Dellm


@pytest.fixture(scope="module")
def born() -> Dellm:
    return newborn(BODY)


def test_the_newest_that_verifies_is_the_life(born: Dellm, tmp_path: Path) -> None:
    for steps in (3, 10, 20, 1_000_000_000):
        save_generation(tmp_path, MIND, at_step(born, steps))
    assert [steps for steps, _ in generations(tmp_path)] == [1_000_000_000, 20, 10]
    (tmp_path / "life-old.safetensors").write_bytes(b"not ours")
    newest, second, oldest = (path for _, path in generations(tmp_path))
    newest.write_bytes(newest.read_bytes()[:-100])
    second.write_bytes(b"")
    loaded = load_newest(tmp_path, newborn)
    assert loaded.path == oldest and same(loaded.state, at_step(born, 10))
    assert [name in line for name, line in zip((newest.name, second.name), loaded.skipped, strict=True)] == [True, True]
    # The life goes on from step 10: what could not be read no longer stands in the way, and is not counted.
    save_generation(tmp_path, MIND, grow(at_step(born, 11)), keep=1)
    assert [steps for steps, _ in generations(tmp_path)] == [11]
    assert same(load_newest(tmp_path, newborn).state, grow(at_step(born, 11)))
    assert len(list(tmp_path.glob("*.abandoned"))) == 2


def test_no_sound_generation_is_an_error(born: Dellm, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="found none"):
        load_newest(tmp_path / "nowhere", newborn)
    (tmp_path / "life-000000001.safetensors").write_bytes(b"x")
    with pytest.raises(SnapshotError, match=r"found none; skipped: .*life-000000001"):
        load_newest(tmp_path, newborn)
    with pytest.raises(SnapshotError, match="keep"):
        save_generation(tmp_path, MIND, born, keep=0)


def test_another_mind_is_told_so_at_once(born: Dellm, tmp_path: Path) -> None:
    for steps in (1, 2):
        save_generation(tmp_path, MIND, at_step(born, steps))
    with pytest.raises(Misfit, match="life-000000002"):
        load_newest(tmp_path, partial(create, MIND._replace(rule=optax.sgd(0.1)), key=jax.random.key(0)))
