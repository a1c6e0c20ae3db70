"""The layer rule: imports point down only, so that any file can be read with what lies below it alone."""

import ast
from pathlib import Path

import pytest

import dellm_jax

FOLDER = Path(dellm_jax.__file__).parent
LEVELS = (
    ("architecture", "axes", "compilation", "errors", "metrics", "trees", "types"),
    ("assemblies", "learning", "memory", "persistence", "senses", "streams", "surgery"),
    (
        "acts",
        "amend",
        "agreement",
        "corrections",
        "experience",
        "media",
        "mind",
        "obey",
        "rehearsal",
        "remember",
        "rest",
        "speech",
        "study",
        "wiring",
    ),
    ("conversation", "home", "imagine", "life", "meta", "recall"),
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
FORBIDDEN = {"experiments", "hydra", "omegaconf", "rich", "wandb"}
# Only what its own senses are may be read back from a file, so persistence has to know them.
EXCEPTIONS = {("persistence", "senses")}


def imported(module, source):
    """Dotted names that a module imports, anywhere in it; `from a import b` is a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def fault(part, name):
    """Why the part of dellm_jax may not import what is called `name`, or None."""
    root, *below = name.split(".")
    if root in FORBIDDEN:
        return f"dellm_jax never imports {root}"
    if root != "dellm_jax" or not below or below[0] == part or (part, below[0]) in EXCEPTIONS:
        return None
    if below[0] not in LEVEL:
        return f"{below[0]} has no level: give it one in this test"
    if LEVEL[below[0]] > LEVEL[part]:
        return "imports point down only"
    return "parts of level 1 do not import each other" if LEVEL[below[0]] == LEVEL[part] == 1 else None


def violations(sources):
    """What breaks the rule in {dotted module: source}."""
    found = []
    for module, source in sources.items():
        part = module.split(".")[1]
        if part not in LEVEL:
            found.append(f"{module}: {part} has no level: give it one in this test")
            continue
        faults = {name: fault(part, name) for name in imported(module, source)}
        found += [f"{module} imports {name}: {why}" for name, why in faults.items() if why]
    return found


def test_imports_point_down_only():
    """Every module of dellm_jax keeps the rule."""
    paths = [path for path in FOLDER.rglob("*.py") if path != FOLDER / "__init__.py"]
    sources = {".".join(path.relative_to(FOLDER.parent).with_suffix("").parts): path.read_text() for path in paths}
    assert {module.split(".")[1] for module in sources} >= {"types", "surgery", "mind", "life"}
    assert violations(sources) == []


def test_the_package_itself_pulls_in_nothing():
    """`import dellm_jax` imports no part of it, so that each part can be used alone."""
    assert list(imported("dellm_jax", (FOLDER / "__init__.py").read_text())) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("types", "from dellm_jax.mind import create"),
        ("axes", "from dellm_jax import surgery"),
        ("memory.episodic", "import dellm_jax.senses.vision"),
        ("memory.semantic", "from ..learning import losses"),
        ("memory.semantic", "from .. import surgery"),
        ("surgery", "from dellm_jax.memory import episodic"),
        ("learning.rules", "from dellm_jax import trees, surgery"),
        ("senses.vision", "from dellm_jax.persistence import snapshot"),
        ("mind", "def late():\n    from dellm_jax.life import live"),
        ("rest.night", "from dellm_jax.conversation import Conversation"),
        ("life", "try:\n    import wandb\nexcept ImportError:\n    wandb = None"),
        ("streams.fetch", "from hydra.utils import instantiate"),
        ("life", "import rich.progress as progress"),
        ("life", "from experiments import report"),
        ("mind", "import omegaconf"),
        ("mind", "from dellm_jax.helpers import anything"),
        ("helpers", "import jax"),
    ],
)
def test_a_violation_is_seen(module, source):
    """Each of these breaks the rule."""
    assert len(violations({f"dellm_jax.{module}": source})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("memory.semantic", "from dellm_jax.memory import symmetric"),
        ("memory.semantic", "from . import symmetric"),
        ("persistence.snapshot", "from dellm_jax.senses import KINDS"),
        ("mind", "from dellm_jax import experience as experiences"),
        ("rest.night", "import dellm_jax.mind, dellm_jax.axes, numpy"),
        ("trees", "from dellm_jax.types import Dellm"),
        ("life", "import richness"),
    ],
)
def test_what_is_allowed_passes(module, source):
    """None of these breaks the rule."""
    assert violations({f"dellm_jax.{module}": source}) == []
