"""A life comes back from its snapshot bit for bit, and a save that is interrupted leaves the one before."""

import errno
import json
import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors
from lives import MIND, ages, at_step, bits, day, live, newborn, same

from dellm_jax import axes
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.errors import SnapshotError
from dellm_jax.mind import awake, create
from dellm_jax.persistence import Misfit, load, load_newest, read_architecture, read_note, save, save_generation
from dellm_jax.senses import Text
from dellm_jax.trees import copy
from dellm_jax.types import Dellm


@pytest.fixture(scope="module")
def lives() -> dict[str, Dellm]:
    return ages()


@pytest.mark.parametrize("age", ["born", "lived", "grown"])
def test_a_life_comes_back_bit_for_bit(age: str, lives: dict[str, Dellm], tmp_path: Path) -> None:
    path = save(tmp_path / "deep" / "life.safetensors", MIND, lives[age])
    loaded = load(path, newborn)
    assert same(loaded, lives[age])
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded))
    assert read_architecture(path) == lives[age].architecture
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_loaded_life_lives_on_as_the_saved_one_without_compiling_again(
    lives: dict[str, Dellm], tmp_path: Path
) -> None:
    loaded = load(save(tmp_path / "life.safetensors", MIND, lives["lived"]), newborn)
    expected = live(lives["lived"], 2)
    compiled = awake._cache_size()
    assert bits(live(loaded, 2)) == bits(expected)
    assert awake._cache_size() == compiled


def test_odd_arrays_come_back(tmp_path: Path) -> None:
    """Half-precision moments, a key of another kind, arrays of shape (0,), and views that are not contiguous."""
    mind = MIND._replace(rule=optax.adam(1e-3, mu_dtype=jnp.bfloat16))
    body = Architecture((Text(width=4, buckets=8),), (Assembly("read", ("text",), 4),), 2, 4, 16, semantic_chunk=4)
    make = partial(create, mind, key=jax.random.key(5, impl="rbg"))
    state = make(body)
    assert {leaf.shape for leaf in jax.tree.leaves(state)} >= {(), (0,), (0, 0, 0, 0)}
    turned = jax.tree.map(lambda leaf: np.asarray(leaf).T.copy().T, state.params)
    path = save(tmp_path / "odd.safetensors", mind, state.replace(params=turned))
    assert same(load(path, make), state)
    with pytest.raises(Misfit, match="key<fry>"):
        load(path, partial(create, mind, key=jax.random.key(5)))


def test_it_is_plain_safetensors_with_axis_names(lives: dict[str, Dellm], tmp_path: Path) -> None:
    path = save(tmp_path / "life.safetensors", MIND, lives["lived"], {"why": "test"})
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
    assert json.loads(metadata["axes"]) == {p: list(n) for p, n in axes.names(MIND, lives["lived"]).items()}
    assert read_note(path) == {"why": "test"}


def test_saving_looks_at_a_copy(lives: dict[str, Dellm], tmp_path: Path) -> None:
    state = copy(lives["lived"])
    path = save(tmp_path / "life.safetensors", MIND, state)
    awake(MIND, state, day(3))
    assert same(load(path, newborn), lives["lived"])


def test_a_life_that_could_not_be_loaded_is_not_saved(lives: dict[str, Dellm], tmp_path: Path) -> None:
    path, state = save(tmp_path / "life.safetensors", MIND, lives["lived"]), lives["lived"]
    ill = state.replace(clock=state.clock.replace(loss_fast=jnp.float32(jnp.inf)))
    odd = state.replace(hyper=dict(state.hyper) | {"trust": {"cortex": jnp.int4(1)}})
    for bad, leaf in ((ill, "clock/loss_fast"), (odd, "hyper/trust/cortex")):
        with pytest.raises(SnapshotError, match=f"life.safetensors.*{leaf}"):
            save(path, MIND, bad)
    assert same(load(path, newborn), state)


class Killed(BaseException):
    """The process ends here."""


def test_a_crash_before_the_rename_leaves_the_old_life(lives, tmp_path, monkeypatch) -> None:
    path = save(tmp_path / "life-000000007.safetensors", MIND, lives["born"])

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(Killed):
            save(path, MIND, lives["lived"])
    assert len(list(tmp_path.iterdir())) == 2
    assert same(load_newest(tmp_path, newborn).state, lives["born"])
    save_generation(tmp_path, MIND, at_step(lives["lived"], 8))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["life-000000007.safetensors", "life-000000008.safetensors"]


def test_a_full_disk_leaves_the_old_life_and_no_litter(lives, tmp_path, monkeypatch) -> None:
    path = save(tmp_path / "life.safetensors", MIND, lives["born"])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(SnapshotError, match=r"life.safetensors.*No space"):
            save(path, MIND, lives["lived"])
    assert same(load(path, newborn), lives["born"])
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_reach_the_disk_before_the_name_does(lives, tmp_path, monkeypatch) -> None:
    order, fsync, rename = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("sync"), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (order.append("rename"), rename(path, to))[1])
    save(tmp_path / "life.safetensors", MIND, lives["born"])
    assert order == ["sync", "rename", "sync"]
