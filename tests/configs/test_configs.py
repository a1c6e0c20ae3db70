"""Every file of the configuration composes, says what it is for, and can be lived; what a run leaves is as promised."""

import json
import math
from pathlib import Path

import jobs
import pytest
import safetensors.numpy
from omegaconf import OmegaConf

from dellm_jax import streams
from experiments import build
from experiments.config import sound

GROUPS = sorted({path.parent.name for path in jobs.CONF.glob("*/*.yaml")})
FILES = sorted(path.relative_to(jobs.CONF).with_suffix("") for path in jobs.CONF.glob("*/*.yaml"))
EXPERIMENTS = sorted(jobs.CONF.glob("experiment/*.yaml"))
IN_DEFAULTS = ("size", "stream", "learning", "rest", "log")


def chosen(file: Path) -> str:
    """What is typed to choose a file: `size=tiny`, but `+cycle=fast`, which has no default."""
    return f"{'' if file.parent.name in IN_DEFAULTS else '+'}{file.parent.name}={file.name}"


def test_the_groups_are_known() -> None:
    assert set(GROUPS) >= {*IN_DEFAULTS, "cycle", "experiment"}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_composes_into_the_schema(file: Path) -> None:
    config = sound(jobs.composed(chosen(file)))
    assert OmegaConf.missing_keys(config) == set()
    own = OmegaConf.load((jobs.CONF / file).with_suffix(".yaml"))
    if file.parent.name in jobs.composed():
        # What the file says is what is had: nothing later overrides it.
        for name in own:
            if not OmegaConf.is_interpolation(own, name) and not OmegaConf.is_config(own[name]):
                assert config[file.parent.name][name] == own[name], name


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_builds_laws_and_rhythm(file: Path) -> None:
    config = sound(jobs.composed(chosen(file)))
    mind = build.mind(config)
    schedule = build.schedule(config)
    build.rule(config.learning.joint)
    body = build.architecture(config, concepts=10)
    assert mind.rehearse == config.cycle.rehearse
    assert [name for name, _ in schedule.night] == [name for name, stage in config.rest.items() if stage]
    assert [sense.name for sense in body.senses] == list(config.stream.senses)
    assert all(assembly.units == config.size.units for assembly in body.assemblies)


@pytest.mark.parametrize("name", ["fast", "standard", "long"])
def test_a_rhythm_is_laid_over_the_default(name: str) -> None:
    config, default = jobs.composed(f"+cycle={name}"), jobs.composed()
    said = OmegaConf.load(jobs.CONF / "cycle" / f"{name}.yaml")
    for knob, value in default.cycle.items():
        assert config.cycle[knob] == said.get(knob, value), knob


def test_sizes_grow() -> None:
    sizes = [jobs.composed(f"size={name}").size for name in ("tiny", "small", "base", "large")]
    for knob in ("units", "max_units", "quantum", "episodic_bytes"):
        values = [size[knob] for size in sizes]
        assert values == sorted(values), knob


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_opens_with_command_cost_and_expectation(path: Path) -> None:
    lines = path.read_text().splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    assert comment[0] == "@package _global_"
    command = f"python -m experiments.train +experiment={path.stem}"
    assert comment[1].startswith(command), f"the first line says how to run it: {command}"
    text = " ".join(comment[2:]).lower()
    assert any(unit in text for unit in ("second", "minute", "hour")), "what it costs"
    assert "%" in text or "expect" in text, "what to expect of it"
    # The command given is one that composes.
    jobs.composed(*comment[1].split()[3:])


def test_the_jobs_say_how_they_are_run() -> None:
    for job in ("train", "evaluate"):
        assert f"python -m experiments.{job} " in (jobs.ROOT / "experiments" / f"{job}.py").read_text().split('"""')[1]


def lived_as_promised(folder: Path, summary: dict) -> None:
    """A run folder and its summary hold what other programs and people are promised."""
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert {*jobs.SUMMARY, "seconds", "baselines", "nights", "rolled_back"} <= set(summary)
    assert set(summary["baselines"]) == {"naive", "joint", "semantic", "awake_only"}
    for accuracy in (summary["final_accuracy"], summary["forgetting"], *summary["baselines"].values()):
        assert math.isfinite(accuracy) and -1 <= accuracy <= 1
    assert summary["awake_compilations"] == 0
    assert min(summary["births"], summary["deaths"], summary["rolled_back"]) >= 0
    assert min(summary["nights"], summary["parameters"], summary["state_bytes"], summary["seconds"]) > 0
    assert (folder / "life.png").read_bytes().startswith(b"\x89PNG")
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {event["life"] for event in events} == {"dellm", "naive", "joint", "awake_only"}
    of_dellm = [event for event in events if event["life"] == "dellm"]
    assert {event["phase"] for event in of_dellm} == {"awake", "rest"}
    assert [e["step"] for e in of_dellm] == sorted(e["step"] for e in of_dellm)
    assert sum(event["phase"] == "rest" for event in of_dellm) == summary["nights"]
    assert sum(event.get("compilations", 0) for event in of_dellm) == 0
    examined = [event["test/accuracy"] for event in of_dellm if "test/accuracy" in event]
    assert examined[-1] == pytest.approx(summary["final_accuracy"], abs=1e-6)
    snapshots = sorted((folder / "lives" / "dellm" / "snapshots").iterdir())
    assert snapshots and all(path.suffix == ".safetensors" for path in snapshots)
    assert f"{of_dellm[-1]['step']:09d}" in snapshots[-1].name
    tensors = safetensors.numpy.load_file(snapshots[-1])
    assert sum(array.nbytes for array in tensors.values()) == summary["state_bytes"]
    assert not list(folder.rglob("*.part")) + list(folder.rglob("*.pkl")) + list(folder.rglob(".*.tmp"))


def test_backprop_is_lived_as_promised() -> None:
    folder = jobs.short_run()
    lived_as_promised(folder, json.loads((folder / "summary.json").read_text()))


@pytest.mark.parametrize("rule", sorted({path.stem for path in jobs.CONF.glob("learning/*.yaml")} - {"backprop"}))
def test_every_other_learning_rule_is_lived_as_promised(rule: str, tmp_path: Path) -> None:
    summary = jobs.lived(
        tmp_path, *jobs.SHORT, f"learning={rule}", "size.max_units=16", "cycle.days=1", "cycle.rest_every=160"
    )
    lived_as_promised(tmp_path, summary)


def test_the_run_folder_holds_the_whole_configuration() -> None:
    """Resolved, so that it does not depend on the files of conf; and composing it again is the same run."""
    text = (jobs.short_run() / "config.yaml").read_text()
    assert "${" not in text and "???" not in text
    assert sound(OmegaConf.create(text)) == sound(jobs.composed(*jobs.SHORT))


def test_what_can_be_turned_off_is_off(tmp_path: Path) -> None:
    """Baselines, semantic memory, stages, rests, snapshots; and two senses are lived as well as one."""
    summary = jobs.lived(
        tmp_path,
        *jobs.SHORT,
        "stream.senses=[image,text]",
        "stream.query=[image,text]",
        "baselines=false",
        "semantic=false",
        "cycle.days=1",
        "cycle.rest_every=0",
        "cycle.inactivity_s=0",
        "rest.prune=null",
        "keep_snapshots=0",
    )
    assert summary["nights"] == 0 and summary["baselines"] == {}
    assert set(summary["by_sense"]) == {"together", "image", "text"}
    assert not (tmp_path / "lives" / "dellm" / "snapshots").exists()


@pytest.mark.realdata
def test_mnist_and_spoken_digits_are_lived(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = streams.mnist_fsdd(data, seed=0)
    assert (whole.train.target.size, whole.test.target.size) == (60_000, 10_000)
    small = whole._replace(train=jobs.few(whole.train, 16), test=jobs.few(whole.test, 4))
    monkeypatch.setattr(streams, "mnist_fsdd", lambda root, seed: small)
    summary = jobs.lived(
        tmp_path,
        "size=tiny",
        "stream=mnist_fsdd",
        f"data.root={data}",
        "log=none",
        "baselines=false",
        "semantic_chunk=16",
        "+stream.image={filters: 4, cells: 1}",
        "+stream.audio={filters: 4, cells: 1}",
        "size.max_units=16",
        "cycle.days=1",
        "cycle.stretch=4",
        "cycle.night_steps=2",
        "cycle.rest_every=100",
    )
    assert summary["nights"] >= 1 and summary["awake_compilations"] == 0
    assert set(summary["by_sense"]) == {"together", "image", "audio"}
    assert OmegaConf.load(tmp_path / "config.yaml").stream.corpus.root == str(data)
