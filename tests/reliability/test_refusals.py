"""Whatever is wrong with a saved life, it is refused in one line that names file, place, expected, found and fix."""

import json
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import safetensors
import safetensors.numpy
from lives import BODY, MIND, newborn

from dellm_jax.errors import SnapshotError
from dellm_jax.mind import create
from dellm_jax.persistence import Misfit, load, manifest, save, to_json


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("good") / "life.safetensors", MIND, newborn(BODY))


def refused(path: Path, because: str, kind: type[SnapshotError] = SnapshotError) -> None:
    """Loading must raise exactly `kind`, in one line that names the file and the reason."""
    with pytest.raises(SnapshotError) as caught:
        load(path, newborn)
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert "\n" not in message and len(message) < 2000
    assert path.name in message and because in message, message


def cut(data: bytes, part: float) -> bytes:
    return data[: int(len(data) * part)]


def header_only(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


LEAF = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
DAMAGE = {
    "empty": (lambda data: b"", "header"),
    "four bytes": (lambda data: data[:4], "header"),
    "cut in the header": (lambda data: data[:500], "header"),
    "cut early": (lambda data: cut(data, 0.6), "safetensors"),
    "cut late": (lambda data: cut(data, 0.99), "safetensors"),
    "last byte gone": (lambda data: data[:-1], "safetensors"),
    "a byte more": (lambda data: data + b"\0", "safetensors"),
    "pickle": (lambda data: b"\x80\x04\x95" + data, "header"),
    "zip": (lambda data: b"PK\x03\x04" + data, "header"),
    "no JSON": (lambda data: header_only(b"{" * 5000), "JSON"),
    "not UTF-8": (lambda data: header_only(b"\xff\xfe\xfd"), "JSON"),
    "deep JSON": (lambda data: header_only(b"[" * 200_000), "JSON"),
    "a list": (lambda data: header_only(b"[1, 2]"), "JSON object"),
    "one name twice": (lambda data: header_only(b'{"a": 1, "a": 2}'), "used twice"),
    "many names": (
        lambda data: header_only(json.dumps(dict.fromkeys(map(str, range(10_001)), LEAF)).encode()),
        "10000",
    ),
    "a giant header": (lambda data: (17 << 20).to_bytes(8, "little") + b" " * (17 << 20), "at most 16777216 bytes"),
    "a field more": (
        lambda data: header_only(json.dumps({"a": LEAF | {"run": "rm"}}).encode()),
        "leaf 'a': expected the",
    ),
    "a field less": (lambda data: header_only(b'{"a": {"dtype": "F32"}}'), "leaf 'a': expected the fields"),
    "a leaf that is none": (lambda data: header_only(b'{"a": 7}'), "leaf 'a': expected the fields"),
    "a number that is none": (lambda data: header_only(b'{"a": NaN}'), "JSON"),
    "no manifest": (lambda data: safetensors.numpy.save({"a": np.zeros(3)}), "manifest"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(name: str, good: Path, tmp_path: Path) -> None:
    harm, because = DAMAGE[name]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(harm(good.read_bytes()))
    refused(path, because)


def test_any_flipped_bit_is_refused(good: Path, tmp_path: Path) -> None:
    data, path, rng = good.read_bytes(), tmp_path / "flipped.safetensors", np.random.default_rng(0)
    for place in rng.integers(0, len(data), 150).tolist() + list(range(8)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with pytest.raises(SnapshotError) as caught:
            load(path, newborn)
        assert "\n" not in str(caught.value), place


def test_no_file_a_folder_and_a_giant_are_refused(good: Path, tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "No such file")
    refused(tmp_path, "no regular file")
    with pytest.raises(SnapshotError, match="at most 100 bytes"):
        load(good, newborn, most_bytes=100)


def forge(good: Path, path: Path, honest: bool, arrays: dict | None = None, without: str = "", **fields: str) -> None:
    """A copy with other arrays or manifest fields, sealed again; `honest`: fingerprints follow the arrays."""
    with safetensors.safe_open(good, framework="np") as file:
        metadata = file.metadata()
    tensors = {n: a for n, a in safetensors.numpy.load_file(good).items() if n != without} | (arrays or {})
    if honest:
        fields = {"leaves": json.dumps({n: manifest.fingerprint(a) for n, a in tensors.items()})} | fields
    metadata |= fields
    path.write_bytes(safetensors.numpy.save(tensors, metadata | {"seal": manifest.seal(metadata)}))


BIAS = "params/seen/bias"
ARRAYS = {
    "dtype": {"arrays": {BIAS: np.zeros(8, np.int32)}},
    "shape": {"arrays": {BIAS: np.zeros((2, 4), np.float32)}},
    "missing": {"without": BIAS},
    "extra": {"arrays": {"params/zeal": np.zeros(3, np.float32)}},
}


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("name", ARRAYS)
def test_foreign_arrays_are_refused(name: str, honest: bool, good: Path, tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    forge(good, path, honest, **ARRAYS[name])
    refused(path, "params/zeal" if name == "extra" else BIAS, Misfit if honest else SnapshotError)


def test_a_life_of_another_rule_is_refused(good: Path) -> None:
    with pytest.raises(Misfit, match=r"life.safetensors.*learner/.*no such leaf.*rule"):
        load(good, partial(create, MIND._replace(rule=optax.sgd(0.1)), key=jax.random.key(0)))


def changed(**fields: object) -> dict[str, str]:
    """A manifest field: the architecture of BODY with other fields, or without those that are None."""
    found = json.loads(to_json(BODY)) | fields
    return {"architecture": json.dumps({name: value for name, value in found.items() if value is not None})}


MANIFESTS = {
    "format": ({"format": "dellm-life/2"}, "dellm-life/2", Misfit),
    "architecture format": (changed(format=9), "architecture.format", Misfit),
    "field renamed": (changed(concepts=None, notions=4), "architecture.notions", Misfit),
    "sense unknown": (changed(senses=[{"kind": "Smell"}]), "architecture.senses[0].kind", Misfit),
    "impossible": (changed(concepts=1), "at least 2", Misfit),
    "larger": (changed(concepts=5), "expected float32 (5,), found float32 (4,)", Misfit),
    "huge": (changed(concepts=2**31), "architecture", Misfit),
    "gigantic": (changed(concepts=10**30), "architecture", Misfit),
    "kind of key": ({"keys": '{"key": "rot13"}'}, "'key'", Misfit),
    "kind of key a number": ({"keys": '{"key": 13}'}, "'key'", Misfit),
    "kind of key lost": ({"keys": "{}"}, "'key'", Misfit),
    "field unknown": ({"run": "os.system"}, "manifest field 'run'", Misfit),
    "keys no object": ({"keys": "[]"}, "'keys'", SnapshotError),
    "leaves no object": ({"leaves": "7"}, "'leaves'", SnapshotError),
    "not finite": ({"arrays": {BIAS: np.full(8, np.nan, np.float32)}}, BIAS, SnapshotError),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_forged_manifests_are_refused(name: str, good: Path, tmp_path: Path) -> None:
    changes, because, kind = MANIFESTS[name]
    path = tmp_path / "forged.safetensors"
    forge(good, path, True, **changes)
    refused(path, because, kind)


def test_an_unsealed_change_is_refused(good: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "unsealed.safetensors", good.read_bytes()
    assert b"turn" in data
    path.write_bytes(data.replace(b"turn", b"tuna"))
    refused(path, "seal")
