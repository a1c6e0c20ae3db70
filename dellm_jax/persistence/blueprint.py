"""An architecture as JSON and back. Only known senses and known fields are accepted; nothing loaded is executed."""

import dataclasses
import json
import math
from typing import Any, get_type_hints

import numpy as np

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.persistence.faults import fault, named
from dellm_jax.senses import KINDS

FORMAT = 1
OLDER = "it is damaged: use an older save"
VERSION = "read it with the version of dellm_jax that wrote it"


def to_json(architecture: Architecture) -> str:
    """Every field by name, senses as `{"kind": class name, ...fields}`.

    Raises SnapshotError on a sense or a value that `from_json` would refuse.
    """
    senses = []
    for place, sense in enumerate(architecture.senses):
        kind = type(sense).__name__
        if KINDS.get(kind) is not type(sense):
            where = f"architecture.senses[{place}]"
            raise fault(where, f"one of {sorted(KINDS)}", repr(kind), "add its class to dellm_jax.senses.KINDS")
        senses.append({"kind": kind} | dataclasses.asdict(sense))
    fields = {"format": FORMAT} | dataclasses.asdict(architecture) | {"senses": senses}
    return json.dumps(fields, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):  # sizes computed with numpy
        return value.item()
    raise fault("architecture", "numbers, names and switches", repr(value), "replace it by one of those")


def from_json(text: str) -> Architecture:
    """The architecture that `to_json` wrote. A field that a later version added takes its default.

    Raises SnapshotError naming the field, what was expected and the fix.
    """
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise fault("architecture", "JSON", named(error), OLDER) from error
    version = found.pop("format", None) if isinstance(found, dict) else None
    if version != FORMAT:
        raise fault("architecture.format", FORMAT, repr(version), VERSION)
    return _build(Architecture, found, "architecture")


def _build(kind: type, fields: Any, where: str) -> Any:
    """`kind(**fields)` after every name and every type has been checked."""
    if not isinstance(fields, dict):
        raise fault(where, f"the fields of {kind.__name__}", repr(fields), OLDER)
    hints = get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    for name in fields:
        if name not in known:
            raise fault(f"{where}.{name}", f"one of {sorted(known)}", "a field that is none of them", VERSION)
    for name, field in known.items():
        if name not in fields and field.default is dataclasses.MISSING:
            raise fault(f"{where}.{name}", "a value", "none", OLDER)
    checked = {name: _value(hints[name], value, f"{where}.{name}") for name, value in fields.items()}
    try:
        return kind(**checked)
    except (ArithmeticError, ValueError) as error:
        raise fault(where, "a body that can exist", error, OLDER) from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if hint == tuple[Any, ...]:
        return tuple(_sense(one, f"{where}[{place}]") for place, one in enumerate(_items(value, where)))
    if hint == tuple[Assembly, ...]:
        return tuple(_build(Assembly, one, f"{where}[{place}]") for place, one in enumerate(_items(value, where)))
    if hint == tuple[str, ...]:
        return tuple(_value(str, one, f"{where}[{place}]") for place, one in enumerate(_items(value, where)))
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return value
    if type(value) is not hint or hint is float:
        raise fault(where, f"a finite {hint.__name__}" if hint is float else hint.__name__, repr(value), OLDER)
    return value


def _items(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise fault(where, "a list", repr(value), OLDER)
    return value


def _sense(fields: Any, where: str) -> Any:
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise fault(f"{where}.kind", f"one of {sorted(KINDS)}", repr(kind), VERSION)
    return _build(KINDS[kind], {name: value for name, value in fields.items() if name != "kind"}, where)
