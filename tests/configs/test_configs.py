"""Every file of the configuration composes, says what it is for, and can be lived; what a run leaves is as promised."""

import json
import math
from pathlib import Path

import jobs
import pytest
import safetensors.numpy
from omegaconf import OmegaConf

from dellm_jax import streams
from experiments import benchmark, build, dream, evaluate, lives
from experiments.config import sound

GROUPS = sorted({path.parent.name for path in jobs.CONF.glob("*/*.yaml")})
FILES = sorted(
    path.relative_to(jobs.CONF).with_suffix("") for path in jobs.CONF.glob("*/*.yaml") if path.parent.name != "suite"
)
LAWFUL = [file for file in FILES if str(file) != "learning/method"]  # which is what the laws of conf/method begin from
METHODS = sorted(path.stem for path in jobs.CONF.glob("method/*.yaml"))
STREAMS = sorted(path.stem for path in jobs.CONF.glob("stream/*.yaml"))
SUITES = sorted(path.stem for path in jobs.CONF.glob("suite/*.yaml"))
CELLS = [
    pytest.param(cell, id=f"{suite}-{cell.stream}-{cell.method}")
    for suite in SUITES
    for cell in benchmark.planned(benchmark.suite(suite), [], [], [0])
]
CHECKED: set[tuple] = set()  # bodies and laws that were found to live a batch of that size and shape
EXPERIMENTS = sorted(jobs.CONF.glob("experiment/*.yaml"))
# The one is lived in little by test_naming.py, the other is clinc150 with other numbers: a minute saved.
LIVED = [path for path in EXPERIMENTS if path.stem not in ("art4apps", "clinc150_offline")]
IN_DEFAULTS = ("size", "stream", "learning", "rest", "log")


def chosen(file: Path) -> str:
    """What is typed to choose a file: `size=tiny`, but `+cycle=fast`, which has no default."""
    return f"{'' if file.parent.name in IN_DEFAULTS else '+'}{file.parent.name}={file.name}"


def test_the_groups_are_known() -> None:
    assert set(GROUPS) >= {*IN_DEFAULTS, "cycle", "experiment", "method", "suite"}


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


@pytest.mark.parametrize("file", LAWFUL, ids=str)
def test_every_file_builds_laws_and_rhythm(file: Path) -> None:
    config = sound(jobs.composed(chosen(file)))
    mind = build.mind(config)
    schedule = build.schedule(config)
    if config.baselines:
        build.rule(config.learning.joint)
    body = build.architecture(config, concepts=10)
    assert mind.rehearse == config.cycle.rehearse
    assert [name for name, _ in schedule.night] == [name for name, stage in config.rest.items() if stage]
    assert [sense.name for sense in body.senses] == list(config.stream.senses)
    stacked = {how["name"]: how["units"] for stack in config.stream.stacks.values() for how in stack}
    assert {a.name: a.units for a in body.assemblies if a.name in stacked} == stacked
    assert all(a.units == config.size.units for a in body.assemblies if a.name not in stacked)


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_can_be_lived_and_asked(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its days hold what is lived, through views there are; its exams ask through the senses it is asked through."""
    jobs.stand_ins(monkeypatch)
    config = sound(jobs.composed(f"stream={stream}", "cycle.rehearse=0" if stream == "slowly_changing" else "seed=0"))
    plan = build.plan(config, "life")
    lives.check(plan)
    laid = plan.curriculum
    assert list(laid.corpus.train.banks) == list(config.stream.senses)
    assert list(laid.corpus.test.banks) == list(config.stream.query)
    assert {int(view) for day in laid.days for view in day.view} <= set(range(len(laid.views)))
    assert all(day.rows.size for day in laid.days)
    assert all(exam.rows.size and exam.view < len(laid.views) for exam in laid.exams)
    assert len(laid.exams) == (0 if stream == "slowly_changing" else len(laid.days))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_lived(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On pictures, as the benchmark lives it: a body, laws, days and nights that fit each other."""
    jobs.stand_ins(monkeypatch)
    config = sound(jobs.composed("stream=split_mnist", "size=tiny", f"+method={method}"))
    assert not config.baselines and not config.keep_snapshots
    plan = build.plan(config, method)
    lives.check(plan)
    told = plan.schedule.at_pauses
    assert told == ("is told" in (jobs.CONF / "method" / f"{method}.yaml").read_text().lower()), "who is told says so"
    assert len(plan.curriculum.exams) == 5
    assert len(plan.curriculum.days) == config.stream.mixed or len(plan.curriculum.days) == 5
    assert bool(config.stream.mixed) == (method in ("joint", "iid_online"))


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_of_a_suite_can_be_lived(cell: benchmark.Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.stand_ins(monkeypatch)
    config = sound(jobs.composed(*cell.overrides))
    assert (config.seed, config.log.mirror) == (cell.seed, None)
    with jobs.lightly():
        plan = build.plan(config, cell.method, checkpoints=False)
    seen = tuple(bank.shape[1:] for bank in plan.curriculum.corpus.train.banks.values())
    if (plan.architecture, plan.mind, plan.batch, seen) not in CHECKED:
        lives.check(plan)
        CHECKED.add((plan.architecture, plan.mind, plan.batch, seen))


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_says_what_it_needs(suite: str) -> None:
    """Its first line is how it is run; what it leaves out or treats otherwise exists; no cell comes twice."""
    text, plan = (jobs.CONF / "suite" / f"{suite}.yaml").read_text(), benchmark.suite(suite)
    assert text.startswith(f"# python -m experiments.benchmark suite={suite}")
    known = {"averages", "against", "also", "metric", "methods", "plane", "seeds", "streams"}
    assert {"seeds", "streams", "methods"} <= set(plan) <= known
    for where in plan["streams"].values():
        assert {"overrides"} <= set(where) <= {"overrides", "told", "without", "methods", "protocol"}
        assert where.get("protocol", {}).get("kind") in (None, *benchmark.PROTOCOLS)
        assert {*where.get("without", []), *where.get("methods", {})} <= set(plan["methods"])
    assert plan.get("against") in (None, *plan["methods"])
    assert {stream for streams in plan.get("averages", {}).values() for stream in streams} <= set(plan["streams"])
    assert len(plan["seeds"]) == len(set(plan["seeds"])) > 0
    cells = list(benchmark.planned(plan, [], [], []))
    assert len({(cell.stream, cell.method, cell.seed) for cell in cells}) == len(cells)
    assert [cell.seed for cell in cells] == sorted((cell.seed for cell in cells), key=plan["seeds"].index)


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
    # What has exams is a run of its own; what is judged as it goes is a row of a table.
    exams = jobs.composed(f"+experiment={path.stem}").stream.exams
    command = f"train +experiment={path.stem}" if exams else f"benchmark suite={path.stem} methods=dellm"
    assert comment[1].startswith(f"python -m experiments.{command}"), f"the first line says how to run it: {command}"
    text = " ".join(comment[2:]).lower()
    assert any(unit in text for unit in ("second", "minute", "hour")), "what it costs"
    assert "%" in text or "expect" in text, "what to expect of it"
    # The command given is one that composes.
    if exams:
        jobs.composed(*comment[1].split()[3:])
    else:
        assert (jobs.CONF / "suite" / f"{path.stem}.yaml").exists()


@pytest.mark.parametrize("path", LIVED, ids=lambda path: path.stem)
def test_an_experiment_is_lived(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its laws, rhythm and kinds of memory, on noise of the shapes of its data, with a body of eight units."""
    jobs.stand_ins(monkeypatch)
    experiment = f"+experiment={path.stem}"
    rehearse = min(4, jobs.composed(experiment).cycle.rehearse)
    little = ("size.units=8", "size.max_units=8", "size.quantum=8", "cycle.days=2", "cycle.night_steps=2", "log=none")
    awake = ("cycle.batch=8", "cycle.stretch=2", f"cycle.rehearse={rehearse}")
    asked = ("stream.examples=20", "stream.exams=true")
    senses = {"image": ["+stream.image.cells=1"], "text": ["stream.text.buckets=512", "stream.text.expansion=64"]}
    fewer = [knob for sense in jobs.composed(experiment).stream.senses for knob in senses.get(sense, [])]
    summary = jobs.lived(tmp_path, experiment, "baselines=false", *little, *awake, *asked, *fewer)
    assert summary["awake_compilations"] == 0 and summary["rolled_back"] == 0
    assert json.loads((tmp_path / "summary.json").read_text()) == summary


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_method_without_nights_has_none_in_any_experiment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an experiment says of stages makes none of them, and nothing is held out of what the method rehearses."""
    jobs.stand_ins(monkeypatch)
    config = sound(jobs.composed(f"+experiment={path.stem}", "+method=er"))
    assert not build.schedule(config).night and not build.architecture(config, 10).held_out


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


def test_the_first_life_is_lived_in_little(tmp_path: Path) -> None:
    """What the README begins with, through all its senses, the written word too, which never varies; and it dreams."""
    # With room to grow in: bodies that change their shape are compiled anew every night, and lived elsewhere (SHORT).
    few = ("size=tiny", "size.quantum=64", "cycle.days=3", "cycle.rest_every=100", "cycle.night_steps=20")
    few = (*few, "stream.examples=100", "stream.image.filters=8", "stream.audio.filters=8")
    little = (*few, "baselines=false", "log=none", "imagery=[image,audio]")
    summary = jobs.lived(tmp_path, "+cycle=fast", *little)
    assert set(summary["by_sense"]) == {"together", "image", "audio"} and summary["final_accuracy"] > 0.8
    assert (summary["nights"], summary["rolled_back"], summary["awake_compilations"]) == (3, 0, 0)
    assert jobs.commanded(dream.main, f"run={tmp_path}") == 0
    assert (tmp_path / "dreams.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.glob("dream-*.wav"))) == 10
    assert jobs.commanded(dream.main, f"run={jobs.short_run()}") == 2, "a life without imagery does not dream"


@pytest.mark.parametrize(
    "rule", sorted({path.stem for path in jobs.CONF.glob("learning/*.yaml")} - {"backprop", "method"})
)
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


def test_days_of_views_are_lived_as_promised(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Beside all baselines, blurred and drawn; a new process would say what the run said."""
    summary = jobs.lived(
        tmp_path,
        *jobs.SHORT,
        "stream.days._target_=dellm_jax.streams.permuted",
        "~stream.days.days",
        "+stream.days.tasks=3",
        "stream.examples=80",
        "stream.blur=0.1",
    )
    lived_as_promised(tmp_path, summary)
    assert jobs.commanded(evaluate.main, f"run={tmp_path}") == 0
    assert f"final accuracy {summary['final_accuracy']:.6f}, the run said" in capsys.readouterr().out


@pytest.mark.realdata
@pytest.mark.parametrize(
    "stream", ["split_mnist", "split_mnist_domain", "permuted_mnist", "permuted_mnist_padded", "rotated_mnist"]
)
def test_streams_of_mnist_are_laid_out_as_they_are_known(stream: str, data: Path) -> None:
    """Five days; split ones share the pictures, the others live all of them through a view of their own every day."""
    laid = build.curriculum(sound(jobs.composed(f"stream={stream}", f"data.root={data}")))
    sizes, asked = [day.rows.size for day in laid.days], [exam.rows.size for exam in laid.exams]
    concepts = 2 if stream == "split_mnist_domain" else 10
    assert len(laid.corpus.concepts) == concepts
    if stream.startswith("split"):
        assert sizes == [12665, 12089, 11263, 12183, 11800] and asked == [2115, 2042, 1874, 1986, 1983]
        assert laid.views == (None,)
    else:
        assert sizes == [60_000] * 5 and asked == [10_000] * 5
        assert len({view.tobytes() for view in laid.views}) == 5
    side = 32 if stream.endswith("padded") else 28
    assert laid.corpus.train.banks["image"].shape == (60_000, side, side, 1)


@pytest.mark.realdata
def test_a_method_lives_mnist(data: Path, tmp_path: Path) -> None:
    """Experience replay, from validation pictures that are not in the test split, in a life of seconds."""
    config = ["stream=split_mnist", f"data.root={data}", "size=tiny", "+method=er", "validation=0.1", "log=none"]
    summary = jobs.lived(tmp_path, *config, "stream.examples=100", "questions=50")
    assert summary["baselines"] == {} and summary["nights"] == 0 and summary["awake_compilations"] == 0
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sum(event["lived"] for event in events) == 500
    assert OmegaConf.load(tmp_path / "config.yaml").stream.corpus.root == str(data)


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
