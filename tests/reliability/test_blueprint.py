"""An architecture survives JSON, and JSON that is no architecture is refused by the name of the field."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from lives import BODY

from dellm_jax.errors import SnapshotError
from dellm_jax.persistence import from_json, to_json
from dellm_jax.senses import Image

SENSE, *OTHERS = json.loads(to_json(BODY))["senses"]


def changed(**fields: object) -> str:
    """The architecture of BODY as JSON with other fields, or without those that are None."""
    found = json.loads(to_json(BODY)) | fields
    return json.dumps({name: value for name, value in found.items() if value is not None})


def test_architectures_round_trip() -> None:
    assert from_json(to_json(BODY)) == BODY
    grown = BODY.resized("joined.units", 24).resized("concepts", 6)
    assert from_json(to_json(grown)) == grown
    assert from_json(to_json(replace(BODY, concepts=np.int64(4)))) == BODY


def test_a_field_that_a_later_version_added_takes_its_default() -> None:
    assert from_json(changed(feedback=None)) == BODY


WRONG = {
    "{": "architecture: expected JSON",
    "[" * 100_000: "architecture: expected JSON",
    "[1]": "architecture.format",
    changed(format=9): "architecture.format: expected 1, found 9",
    changed(format=None): "architecture.format",
    changed(notions=4): "architecture.notions",
    changed(assemblies=None): "architecture.assemblies",
    changed(assemblies=[3]): r"architecture.assemblies\[0\]",
    changed(assemblies=[{"name": "a", "reads": ["image", 3], "units": 4}]): r"assemblies\[0\].reads\[1\]: expected str",
    changed(assemblies=[{"name": "a", "reads": ["smell"], "units": 4}]): "architecture: .*smell",
    changed(assemblies=[{"name": "a", "reads": [], "units": 4}], quantum=0): "architecture: expected a body",
    changed(quantum="8"): "architecture.quantum: expected int, found '8'",
    changed(concepts=True): "architecture.concepts: expected int, found True",
    changed(concepts=4.0): "architecture.concepts: expected int",
    changed(feedback=1): "architecture.feedback: expected bool",
    changed(concepts=1): "architecture: .*at least 2",
    changed(senses="Image"): "architecture.senses: expected a list",
    changed(senses=[3]): r"architecture.senses\[0\].kind",
    changed(senses=[{"kind": ["Image"]}]): r"architecture.senses\[0\].kind",
    changed(senses=[{"kind": "Smell"}]): r"senses\[0\].kind: expected one of .*'Text'.*found 'Smell'",
    changed(senses=[{"kind": "os.system"}]): r"senses\[0\].kind",
    changed(senses=[SENSE | {"perceive": "x"}, *OTHERS]): r"architecture.senses\[0\].perceive",
    changed(senses=[SENSE | {"turn": float("nan")}, *OTHERS]): r"senses\[0\].turn: expected a finite float, found nan",
    changed(senses=[SENSE | {"turn": "0.2"}, *OTHERS]): r"senses\[0\].turn",
    changed(senses=[SENSE | {"code_bits": 3}, *OTHERS]): r"senses\[0\]: .*code_bits",
    changed(senses=[SENSE | {"name": "a\nb"}, *OTHERS]): "architecture",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(SnapshotError, match=WRONG[text]) as caught:
        from_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000


@dataclass(frozen=True)
class Echo(Image):
    """A sense that no whitelist knows."""


def test_a_sense_that_could_not_be_loaded_is_not_saved() -> None:
    with pytest.raises(SnapshotError, match=r"senses\[0\].*Echo"):
        to_json(replace(BODY, senses=(Echo(8, 8), *BODY.senses[1:])))
    with pytest.raises(SnapshotError, match="numbers, names and switches"):
        to_json(replace(BODY, senses=(Image(8, 8, shift=1j), *BODY.senses[1:])))
