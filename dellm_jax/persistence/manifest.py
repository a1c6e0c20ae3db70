"""What is saved beside the arrays: format, architecture, a fingerprint of every leaf, and a seal over all of it."""

import hashlib
import json
from typing import Any

import numpy as np

from dellm_jax.architecture import Architecture
from dellm_jax.errors import SnapshotError
from dellm_jax.persistence import blueprint
from dellm_jax.persistence.blueprint import OLDER, VERSION
from dellm_jax.persistence.faults import Misfit, fault

FORMAT = "dellm-life/1"


def write(
    architecture: Architecture, arrays: dict[str, np.ndarray], keys: dict[str, str], **more: Any
) -> dict[str, str]:
    """The manifest, str -> str: `more` is stored as JSON. The seal shows damage; it is no signature."""
    fields = {
        "format": FORMAT,
        "architecture": blueprint.to_json(architecture),
        "leaves": json.dumps({path: fingerprint(array) for path, array in arrays.items()}),
        "keys": json.dumps(keys),
    } | {name: json.dumps(value) for name, value in more.items()}
    return fields | {"seal": seal(fields)}


def fingerprint(array: np.ndarray) -> str:
    """`float32 (2, 3) sha256:...`, the hash over the bytes in C order."""
    data = array.reshape(-1).view(np.uint8)
    return f"{array.dtype} {array.shape} sha256:{hashlib.sha256(data).hexdigest()}"


def seal(fields: dict[str, str]) -> str:
    """sha256 over every field but the seal itself."""
    text = json.dumps({name: value for name, value in fields.items() if name != "seal"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read(where: Any, found: Any, known: set[str] | None = None) -> dict[str, str]:
    """The manifest, if its format is known, its seal unbroken and every field one of `known`. Raises SnapshotError."""
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise fault(f"{where}: manifest", "text fields", type(found).__name__, "it is no saved life")
    whole = found.get("seal") == seal(found)
    if found.get("format") != FORMAT:
        kind = Misfit if whole else SnapshotError
        raise fault(f"{where}: format", repr(FORMAT), repr(found.get("format")), VERSION, kind)
    if not whole:
        raise fault(f"{where}: seal", seal(found), repr(found.get("seal")), OLDER)
    for name in sorted(found.keys() - (known or found.keys())):
        raise fault(f"{where}: manifest field {name!r}", f"one of {sorted(known)}", "another", VERSION, Misfit)
    return found


def field(where: Any, found: dict[str, str], name: str) -> dict[str, Any]:
    """One JSON field of a manifest. Raises SnapshotError."""
    try:
        value = json.loads(found.get(name, ""))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise fault(f"{where}: manifest field {name!r}", "a JSON object", repr(found.get(name)), OLDER)
    return value


def architecture(where: Any, found: dict[str, str]) -> Architecture:
    """The architecture of a manifest that is whole. Raises Misfit."""
    try:
        return blueprint.from_json(found.get("architecture", ""))
    except SnapshotError as error:
        raise Misfit(f"{where}: {error}") from error


def verify(where: Any, found: dict[str, str], arrays: dict[str, np.ndarray]) -> None:
    """Refuse arrays that are not, leaf by leaf, those that the manifest was written for. Raises SnapshotError."""
    expected = field(where, found, "leaves")
    for path in sorted(expected.keys() | arrays.keys()):
        wanted = expected.get(path, "no such leaf")
        here = fingerprint(arrays[path]) if path in arrays else "no such leaf"
        if wanted != here:
            raise fault(f"{where}: leaf {path!r}", wanted, here, OLDER)
