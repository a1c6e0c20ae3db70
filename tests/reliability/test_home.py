"""A life in a folder is what it acknowledged, wherever it was killed, and it says so when something is not there."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from lives import bits, same

from dellm_jax import home as homes
from dellm_jax import surgery
from dellm_jax.acts import all_finite, experience_of, experience_payload, live_through, moment
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.errors import DellmError, ExperienceError, JournalError, SnapshotError
from dellm_jax.home import Home, night
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import create, respond
from dellm_jax.persistence import Payload, generations
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.senses import Image
from dellm_jax.types import Dellm, Experience, Mind

SENSE = Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2)
BODY = Architecture((SENSE,), (Assembly("seen", ("image",), 4),), 4, 4, 400, semantic=False)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.with_extra_args_support(optax.adam(1e-3)), rehearse=2)
birth = partial(create, MIND, BODY, jax.random.key(0))


def seen(seed: int, many: int = 1) -> Experience:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (many, 4, 4, 1), np.uint8)
    return Experience({"image": image}, random.integers(0, 4, many).astype(np.int32), np.ones(many, np.float32))


def corrected(mind: Mind, state: Dellm, what: Payload) -> tuple[Dellm, dict]:
    target = np.full_like(experience_of(what).target, what.meta["answer"])
    return live_through(mind, state, experience_payload(experience_of(what).replace(target=target), batch=4))


def broken(mind: Mind, state: Dellm, what: Payload) -> tuple[Dellm, dict]:
    return state.replace(clock=state.clock.replace(loss_fast=jnp.float32(what.meta["loss"]) / 0)), {}


ACTS = {"contradict": corrected, "broken": broken}
opened = partial(Home.open, MIND, birth=birth, acts=ACTS)


def drift(mind: Mind, state: Dellm, key: jax.Array) -> Iterator[tuple[Dellm, dict]]:
    """A stage in three pieces that leaves its traces in every weight."""
    for piece in range(3):
        state = state.replace(params=jax.tree.map(lambda leaf: leaf * 0.99 + 1e-3 * key_number(key), state.params))
        yield state, {"pieces": float(piece + 1)}


FILES = ["journal.sqlite", "journal.sqlite-last", "life-000000000.safetensors", "lock"]


def key_number(key: jax.Array) -> float:
    return float(jax.random.key_data(key)[0] % 7)


def widen(mind: Mind, state: Dellm, key: jax.Array) -> tuple[Dellm, dict]:
    """A stage that changes the body."""
    units = state.architecture.assemblies[0].capacity
    return (surgery.resize(mind, state, "seen.units", 8) if units < 8 else state), {}


STAGES = (("drift", in_pieces(drift)), ("widen", widen), ("settle", in_pieces(drift)))


def test_a_life_is_there_again_bit_for_bit(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        born = bits(home.state)
        for seed in range(5):
            assert home.experience(seen(seed, seed + 1)).seq == seed + 1
        wrong = seen(9)
        done = home.apply("contradict", experience_payload(wrong, answer=3))
        assert done.seq == home.seq == 6 and set(done.report) == {"loss", "accuracy", "lived"}
        said, state = home.respond(seen(7, 6)), home.state
        assert bits(state) != born and int(state.clock.experiences) == 16
    with opened(tmp_path) as home:
        assert same(home.state, state) and home.seq == 6 and home.told == []
        again = home.respond(seen(7, 6))
        assert jax.tree.map(np.array_equal, again, said) == jax.tree.map(lambda leaf: True, said)
        whole = respond(MIND, state, seen(7, 6))
        np.testing.assert_allclose(again.log_probability, whole.log_probability, atol=1e-5)
        compiled = moment._cache_size()
        for many in (1, 2, 3, 4, 5):
            home.experience(seen(1, many))
        assert moment._cache_size() == compiled
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


def test_filling_up_a_moment_is_learned_from_by_nobody(tmp_path: Path) -> None:
    """An experience of one, and the same with three of weight 0 beside it, are one and the same."""
    alone = live_through(MIND, birth(), experience_payload(seen(3), batch=4))[0]
    ghosts = seen(3, 4).replace(weight=np.array([1, 0, 0, 0], np.float32))
    image = np.concatenate([seen(3).senses["image"], seen(5, 3).senses["image"]])
    ghosts = ghosts.replace(senses={"image": image}, target=np.r_[seen(3).target, [0, 0, 0]].astype(np.int32))
    crowd = live_through(MIND, birth(), experience_payload(ghosts, batch=4))[0]
    assert jax.tree.map(np.array_equal, crowd.params, alone.params) == jax.tree.map(lambda leaf: True, alone.params)
    assert int(crowd.clock.experiences) == int(alone.clock.experiences) == 1


def test_snapshots_shorten_the_journal_but_the_oldest_kept_is_still_enough(tmp_path: Path) -> None:
    with opened(tmp_path, keep=2) as home:
        for seed in range(6):
            home.experience(seen(seed))
            if seed % 2:
                home.save()
        state = home.state
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        assert connection.execute("SELECT min(seq), max(seq) FROM records").fetchone() == (5, 6)
    connection.close()
    newest = generations(tmp_path)[0][1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with opened(tmp_path) as home:
        assert same(home.state, state) and home.seq == 6
        assert len(home.told) == 1 and newest.name in home.told[0]
        home.save()
    with opened(tmp_path) as home:
        assert same(home.state, state) and home.told == []


def test_a_night_is_in_the_life_and_what_came_meanwhile_is_too(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        home.experience(seen(0))
        evening = home.state

        def meanwhile() -> bool:
            if home.seq == 2:  # in another thread, as a conversation would
                teacher = threading.Thread(target=lambda: home.experience(seen(1)))
                teacher.start()
                teacher.join()
                assert int(home.state.clock.experiences) == 2, "acknowledged and effective before the night is over"
            return False

        report = home.rest(STAGES, meanwhile)
        assert report["drift/pieces"] == 3
        expected, _ = night(MIND, STAGES, evening)
        expected, _ = live_through(MIND, expected, experience_payload(seen(1), batch=4))
        assert same(home.state, expected) and int(home.state.clock.nights) == 1
        compiled = moment._cache_size(), all_finite._cache_size()
        home.experience(seen(2))
        assert (moment._cache_size(), all_finite._cache_size()) == compiled, (
            "the new body was compiled for before the morning"
        )
        state = home.state
    with opened(tmp_path) as home:
        assert same(home.state, state) and home.told == []


def picky(mind: Mind, state: Dellm, what: Payload) -> tuple[Dellm, dict]:
    """What a narrow body can do, and a wide one cannot."""
    if state.architecture.assemblies[0].capacity > 4:
        raise ExperienceError("too wide")
    return state, {}


def test_nobody_waits_for_a_snapshot_and_what_comes_meanwhile_is_in_the_night(tmp_path: Path, monkeypatch) -> None:
    """Taught by another while the file is written: acknowledged before it is, and in the life that wakes up. What
    cannot be done again undoes the night, not the word."""
    act, save = ("experience", experience_payload(seen(1), batch=4)), homes.save_generation

    def slowly(*given: object, **named: object) -> Path:
        teacher = threading.Thread(target=lambda: home.apply(*act))
        teacher.start()
        teacher.join(60)
        assert not teacher.is_alive() and home.seq == seq + 1, "acknowledged while the night is written"
        return save(*given, **named)

    with opened(tmp_path, acts=ACTS | {"picky": picky}) as home:
        home.experience(seen(0))
        evening, seq = home.state, home.seq + 1
        with monkeypatch.context() as patch:
            patch.setattr(homes, "save_generation", slowly)
            home.rest(STAGES)
        expected, _ = live_through(MIND, night(MIND, STAGES, evening)[0], act[1])
        assert same(home.state, expected)
    with opened(tmp_path) as home:
        assert same(home.state, expected) and home.told == []
    with opened(tmp_path / "other", acts=ACTS | {"picky": picky}) as home:
        before, seq, act = home.state, 1, ("picky", Payload({}, {}))
        with monkeypatch.context() as patch, pytest.raises(ExperienceError, match="too wide"):
            patch.setattr(homes, "save_generation", slowly)
            home.rest(STAGES)
        assert home.state is before and home.seq == 2 and len(generations(tmp_path / "other")) == 1
        assert not list((tmp_path / "other").glob(".*"))
    with opened(tmp_path / "other", acts=ACTS | {"picky": picky}) as home:
        assert same(home.state, before) and home.seq == 2


class Images:
    """The folder as kill -9 would leave it, whenever a file is about to be synced or renamed and in between."""

    def __init__(self, life: Path, kept: Path) -> None:
        self.life, self.kept, self.taken = life, kept, []
        self.seq, self.nights, self.moment = 0, 0, "opening"

    def take(self, where: str) -> None:
        folder = self.kept / str(len(self.taken))
        shutil.copytree(self.life, folder)
        self.taken.append((folder, f"{self.moment}: {where}", self.seq, self.nights))

    def around(self, where: str, original: Callable) -> Callable:
        def call(*given: object, **named: object) -> object:
            self.take(f"before {where}")
            result = original(*given, **named)
            self.take(f"after {where}")
            return result

        return call


def test_killed_at_any_instruction_it_has_what_it_acknowledged(tmp_path: Path, monkeypatch) -> None:
    """Acts, three nights (one disturbed), saves; every stage, every sync, rename and write to the journal between."""
    images = Images(tmp_path / "life", tmp_path)
    home, states = opened(tmp_path / "life", keep=2), {}
    monkeypatch.setattr(os, "fsync", images.around("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", images.around("rename", Path.replace))
    monkeypatch.setattr(homes, "save_generation", images.around("save", homes.save_generation))
    monkeypatch.setattr(homes, "replay", images.around("replay", homes.replay))
    for name in ("append", "forget"):
        monkeypatch.setattr(homes.Journal, name, images.around(name, getattr(homes.Journal, name)))
    stages = [(name, images.around(name, stage)) for name, stage in STAGES]
    states[0, 0] = home.state
    for turn in range(16):
        images.moment = f"turn {turn}"
        if turn % 5 == 4:
            before = home.state
            home.rest(stages, (lambda: True) if turn == 9 else lambda: False)
            states[home.seq, images.nights] = before  # the night has begun
            images.nights += 1
        elif turn % 4 == 3:
            home.save()
        else:
            home.experience(seen(turn))
        images.seq = home.seq
        states[home.seq, images.nights] = home.state
    home.close()
    monkeypatch.undo()
    assert len(images.taken) > 100
    for folder, label, seq, nights in images.taken:
        with opened(folder) as woken:
            assert seq <= woken.seq <= seq + 1, label
            candidates = [states.get((woken.seq, nights)), states.get((woken.seq, nights + 1))]
            assert any(state is not None and same(woken.state, state) for state in candidates), label
            litter = {path.name for path in folder.iterdir()} - {*FILES, "journal.sqlite-wal"}
            assert all(name.startswith("life-") for name in litter), label


BAD = {
    "sense": (Experience({"smell": np.zeros((1, 4))}, np.zeros(1, np.int32), np.ones(1)), "smell"),
    "shape": (seen(1).replace(senses={"image": np.zeros((1, 5, 5, 1), np.uint8)}), "shape"),
    "target": (seen(1).replace(target=np.array([99], np.int32)), "target"),
    "weight": (seen(1).replace(weight=np.array([np.nan], np.float32)), "weight"),
    "a stretch": (jax.tree.map(lambda leaf: leaf[None], seen(1)), "stretch"),
    "nothing": (seen(1, 0), "target"),
}


def test_what_is_refused_changes_nothing(tmp_path: Path, monkeypatch) -> None:
    with opened(tmp_path) as home:
        home.experience(seen(0))
        before, size = home.state, (tmp_path / "journal.sqlite-wal").stat().st_size

        def unchanged() -> None:
            assert home.state is before and home.seq == 1
            assert (tmp_path / "journal.sqlite-wal").stat().st_size == size

        for experience, said in BAD.values():
            with pytest.raises(ExperienceError, match=said):
                home.experience(experience)
            unchanged()
        for kind, what in {
            "unheard of": Payload({}, {}),
            "broken": Payload({"loss": 1.0}, {}),  # leaves the life infinite
            "experience": Payload({"batch": 4}, {}),
            "contradict": Payload({"answer": 77}, experience_payload(seen(1)).arrays),
        }.items():
            with pytest.raises(DellmError):
                home.apply(kind, what)
            unchanged()
        home._journal._connection.execute("PRAGMA query_only=ON")
        with pytest.raises(JournalError, match="readonly"):
            home.experience(seen(1))
        with pytest.raises(JournalError, match="readonly"):
            home.rest(STAGES)
        unchanged()
        home._journal._connection.execute("PRAGMA query_only=OFF")

        def full(_: int) -> None:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(SnapshotError, match="No space"):
                home.save()
        unchanged()
        assert home.experience(seen(1)).seq == 2
    with pytest.raises(JournalError, match="closed"):
        home.experience(seen(1))


HOLD = """
import sys
from pathlib import Path
from dellm_jax.persistence.lock import seize
seize(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_on_one_life_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as home, pytest.raises(JournalError, match=f"process {os.getpid()} .this one."):
        opened(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(JournalError, match=f"process {other.pid};"):
            opened(tmp_path)
        other.kill()  # whoever dies, however, holds nothing
        other.wait()
        with opened(tmp_path) as home:
            assert home.seq == 0


def test_folders_that_cannot_be_lived_in_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "lock_link").mkdir()
    (tmp_path / "lock_link" / "lock").symlink_to(tmp_path / "file")
    for folder in ("file", "lock_link", "file/below"):
        with pytest.raises(JournalError, match=folder.split("/")[0]):
            opened(tmp_path / folder)
    with pytest.raises(SnapshotError, match="found none"):
        Home.open(MIND, tmp_path / "empty")
    assert (tmp_path / "file").read_text() == "x"


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A snapshot that is a link is not believed, and nothing is written through one."""
    outside = tmp_path / "outside"
    outside.write_text("precious")
    with opened(tmp_path / "life") as home:
        home.experience(seen(0))
        state = home.state
    (tmp_path / "life" / "life-000000007.safetensors").symlink_to(tmp_path / "life" / "life-000000000.safetensors")
    (tmp_path / "life" / ".life-000000001.safetensors.tmp").symlink_to(outside)
    with opened(tmp_path / "life") as home:
        assert same(home.state, state) and "a link" in home.told[0]
        (tmp_path / "life" / ".life-000000001.safetensors.tmp").symlink_to(outside)
        home.save()
    assert outside.read_text() == "precious"


def test_what_is_not_there_any_more_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        home.experience(seen(0))
        home.save()
        home.experience(seen(1))
    (tmp_path / "journal.sqlite").unlink()
    with opened(tmp_path) as home:
        assert home.seq == 1 and "last record is not there" in home.told[0]
    for file in tmp_path.glob("journal.sqlite*"):
        file.unlink()
    with opened(tmp_path) as home:
        assert home.seq == 1 and "nothing says how far it went" in home.told[0]
        assert home.experience(seen(2)).seq == 2
    with pytest.raises(JournalError, match=r"open the life with acts"), opened(tmp_path) as home:
        home.apply("contradict", experience_payload(seen(1), answer=1))
        home.close()
        Home.open(MIND, tmp_path)
