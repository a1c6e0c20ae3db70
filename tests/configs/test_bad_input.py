"""Bad input ends in exit code 2 and one line that names what, where and the fix; nothing is left behind."""

import shutil
from pathlib import Path

import jobs
import pytest

from experiments import dream, evaluate, interact, train

# What is typed, and what the line must name: the thing, and the way out.
TYPED: dict[str, tuple[str, ...]] = {
    # names
    "siez=tiny": ("siez", "did you mean size"),
    "size.unitz=3": ("size.unitz", "did you mean size.units"),
    "cycle.batchs=3": ("cycle.batchs", "did you mean cycle.batch"),
    "+cycel=fast": ("cycel", "did you mean cycle"),
    "+size.unitz=3": ("size.unitz", "did you mean size.units"),
    "xyzzy=1": ("xyzzy", "--cfg job"),
    "stream.image.code_bitz=4": ("stream.image.code_bitz", "spelling", "+stream.image.code_bitz"),
    "+stream.image.sparkle=3": ("sparkle", "stream.image"),
    "seed": ("seed", "EQUAL"),
    "~seed": ("seed",),
    "seed=${nope}": ("seed", "nope"),
    # choices
    "size=gigantic": ("size/gigantic", "base large mlp100 mlp1000 mlp400 small tiny"),
    "stream=smells": ("stream/smells", "digits fsdd fsdd_speakers mnist_fsdd"),
    "+cycle=quick": ("cycle/quick", "fast long standard"),
    "cycle=fast": ("cycle", "+cycle=fast"),
    "+method=magic": ("method/magic", "cls_er", "slda"),
    "learning=method": ("learning.awake is empty", "+method="),
    "+method=er baselines=true": ("learning.joint is empty", "baselines=false"),
    # kinds
    "seed=abc": ("seed", "'abc'", "Integer"),
    "seed=1.5": ("seed", "'1.5'", "Integer"),
    "cycle.batch=many": ("cycle.batch", "'many'", "Integer"),
    "size.units=null": ("size.units", "not Optional"),
    "baselines=maybe": ("baselines", "'maybe'", "bool"),
    "stream.senses=image": ("stream.senses", "list"),
    # sizes
    "size.units=0": ("size.units is 0", "1 or more"),
    "size.units=-3": ("size.units is -3", "1 or more"),
    "size.quantum=0": ("size.quantum is 0", "1 or more"),
    "size.max_units=4": ("max_units=4", "raise max_units or lower units"),
    "size.episodic_bytes=10": ("episodic_bytes=10", "give at least"),
    "+stream.image.code_bits=3": ("'image'", "code_bits is 3", "1, 2, 4 or 8"),
    "stream.image.height=9": ("'image'", "(1, 1, 8, 8, 1)", "(1, 1, 9, 8, 1)"),
    "stream.senses=[image,text] stream.text.width=0": ("'text'", "at least 1"),
    "semantic_chunk=0": ("semantic_chunk is 0", "1 or more"),
    "keep_snapshots=-1": ("keep_snapshots is -1", "0 or more"),
    "seed=-1": ("seed is -1", "0 to 4294967295"),
    "seed=4294967296": ("seed is 4294967296", "0 to 4294967295"),
    # rhythm
    "cycle.days=99": ("days=99", "choose 1 to 10"),
    "cycle.days=0": ("days=0", "choose 1 to 10"),
    "cycle.batch=0": ("cycle.batch is 0", "1 or more"),
    "cycle.stretch=0": ("cycle.stretch is 0", "1 or more"),
    "cycle.rehearse=-1": ("cycle.rehearse is -1", "0 or more"),
    "cycle.night_steps=0": ("cycle.night_steps is 0", "1 or more"),
    "cycle.night_steps=-1": ("cycle.night_steps is -1", "1 or more"),
    "cycle.joint_epochs=0": ("cycle.joint_epochs is 0", "1 or more"),
    "cycle.rest_every=-5": ("rest_every is -5", "0 (off) or more"),
    "cycle.inactivity_s=-1": ("inactivity_s is -1", "0 (off) or more"),
    "cycle.pressure=0.5 cycle.full=0": ("full is 0", "at least 1"),
    "rest.replay.steps=0": ("steps=0", "1 or more"),
    "+rest.dreem.steps=5": ("rest.dreem has no _target_", "'dream'"),
    # streams
    "stream=mnist_fsdd data.root=/nowhere": ("data.root=/nowhere", "leave it out"),
    "stream=slowly_changing cycle.rehearse=0 +method=naive": ("slowly_changing", "no exam", "experiments.benchmark"),
    "stream.blur=2": ("blur=2", "0 (sharp) to 1"),
    "stream.senses=[]": ("stream.senses is empty", "'image', 'text'"),
    "stream.query=[]": ("stream.query is empty", "name at least one"),
    "stream.query=[smell]": ("'smell'", "stream.senses is ['image']"),
    "stream.senses=[smell] stream.query=[smell]": ("'smell'", "choose among"),
}


def one_line(text: str, *named: str) -> None:
    """Exactly one line, without a traceback, that says what is expected of it."""
    assert text.count("\n") == 1 and text.endswith("\n"), text
    assert "Traceback" not in text and "object_type" not in text
    for part in named:
        assert part in text, f"{part!r} is not said: {text}"


def untouched(folder: Path) -> None:
    """Nothing of a run is there; what Hydra notes before the job begins may be."""
    left = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert left <= {".hydra"}, left


@pytest.mark.parametrize("typed", TYPED)
def test_train_refuses_in_one_line(typed: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "run"
    short = () if typed.startswith("stream=") else jobs.SHORT
    code = jobs.commanded(train.main, *short, f"hydra.run.dir={folder}", *typed.split())
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    one_line(err, "train: ", *TYPED[typed])
    assert not out
    untouched(folder)


RESUMED = {
    "resume=/nowhere": ("/nowhere", "config.yaml", "give the folder"),
    "resume=": ("config.yaml", "give the folder"),
    "resume=/nowhere seed=1": ("resume=", "no other argument"),
    "-m resume=/nowhere": ("resume=", "no other argument"),
}


@pytest.mark.parametrize("typed", RESUMED)
def test_resume_refuses_in_one_line(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert jobs.commanded(train.main, *typed.split()) == 2
    one_line(capsys.readouterr().err, "train: ", *RESUMED[typed])
    assert not list(tmp_path.iterdir()) and not Path("/nowhere").exists()


EVALUATED = {
    "": ("exactly one argument", "run=<folder"),
    "outputs": ("exactly one argument", "run=<folder"),
    "run=/nowhere": ("/nowhere", "give the folder"),
    "run=/nowhere run=/nowhere": ("exactly one argument",),
    "run=/nowhere seed=3": ("exactly one argument",),
}


@pytest.mark.parametrize("typed", EVALUATED)
def test_evaluate_refuses_in_one_line(typed: str, capsys: pytest.CaptureFixture) -> None:
    assert jobs.commanded(evaluate.main, *typed.split()) == 2
    one_line(capsys.readouterr().err, "evaluate: ", *EVALUATED[typed])


CONFIGURATIONS = {
    "nothing": (b"", ("config.yaml", "no settings")),
    "a list": (b"- 1\n- 2\n", ("config.yaml", "no settings")),
    "a word": (b"hello", ("config.yaml", "hello")),
    "no YAML": (b"seed: [1", ("config.yaml", "YAML", "copy it back")),
    "no text": (b"\xff\xfe\x00\x80", ("config.yaml", "YAML", "copy it back")),
    "a tag that runs": (
        b"seed: !!python/object/apply:os.system [touch owned]",
        ("config.yaml", "YAML", "copy it back"),
    ),
    "a bomb of aliases": (
        b"a: &a [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"%c: &%c [%b]\n" % (n, n, b", ".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 109)),
        ("config.yaml", "aliases", "copy it back"),
    ),
    "more than a configuration": (b"# " + b"x" * (1 << 20), ("config.yaml", "at most 1048576", "copy it back")),
    "very deep": (b"[" * 30_000, ("config.yaml", "nested more than 40 deep", "copy it back")),
    "a misspelt setting": (b"sead: 1", ("config.yaml", "sead", "did you mean seed")),
    "a wrong kind": (b"seed: abc", ("config.yaml", "seed", "'abc'", "Integer")),
    "an impossible number": (b"cycle: {batch: 0}", ("config.yaml", "cycle.batch is 0", "1 or more")),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("job", [train, evaluate], ids=lambda job: job.__name__.split(".")[-1])
def test_a_damaged_configuration_is_refused(name: str, job, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    content, named = CONFIGURATIONS[name]
    (tmp_path / "config.yaml").write_bytes(content)
    argument = f"{'resume' if job is train else 'run'}={tmp_path}"
    assert jobs.commanded(job.main, argument) == 2
    one_line(capsys.readouterr().err, *named)
    assert (tmp_path / "config.yaml").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


READERS = {
    "train": (train, "resume={}"),
    "evaluate": (evaluate, "run={}"),
    "dream": (dream, "run={}"),
    "interact": (interact, "life={0}/life run={0}"),
    "interact again": (interact, "life={}"),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_a_folder_names_is_not_run_unless_its_package_is_trusted(
    reader: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Every command that instantiates what a found configuration names; of a life, too."""
    job, typed = READERS[reader]
    config = (jobs.short_run() / "config.yaml").read_text()
    assert "_target_: jobs.few_digits" in config
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "life-000000001.safetensors").touch()
    arguments = typed.format(tmp_path).split()
    for trust in ("", "job,jobs.few_digit", "optax"):
        assert jobs.commanded(job.main, *arguments, trust=trust) == 2
        said = (
            "config.yaml",
            "stream.corpus._target_ is 'jobs.few_digits'",
            "dellm_jax or optax",
            "DELLM_TRUST=<package>",
        )
        one_line(capsys.readouterr().err, *said)
    assert jobs.commanded(job.main, *arguments, trust="os;system") == 2
    one_line(capsys.readouterr().err, "DELLM_TRUST", "'os;system'", "separated by commas")
    (tmp_path / "config.yaml").write_text(config.replace("jobs.few_digits", "os.system"))
    assert jobs.commanded(job.main, *arguments) == 2
    one_line(capsys.readouterr().err, "'os.system'")
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "life-000000001.safetensors"}


def test_a_new_run_does_not_take_the_lives_of_another_for_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(jobs.short_run(), folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert jobs.commanded(train.main, *jobs.SHORT, "seed=1", f"hydra.run.dir={folder}") == 2
    one_line(capsys.readouterr().err, str(folder), "holds a run already", f"resume={folder}")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path in before} == before
    shutil.rmtree(folder / ".hydra")
    assert {path for path in folder.rglob("*") if path.is_file()} == set(before)


def test_evaluate_falls_back_loudly_and_gives_up_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "a run [of mine]"
    shutil.copytree(jobs.short_run(), folder)
    newest, *older = sorted((folder / "lives" / "dellm" / "snapshots").iterdir(), reverse=True)
    newest.write_bytes(newest.read_bytes()[:-100])
    assert jobs.commanded(evaluate.main, f"run={folder}") == 0
    out, err = capsys.readouterr()
    assert not err
    assert f"{newest}: expected" in out, "the whole path, in one piece"
    assert older[0].name in out and "final accuracy" in out
    for path in older:
        path.write_bytes(path.read_bytes()[:500])
    assert jobs.commanded(evaluate.main, f"run={folder}") == 2
    out, err = capsys.readouterr()
    assert "accuracy" not in out
    one_line(err, "evaluate: ", "found none", *(path.name for path in (newest, *older)))


def test_a_run_without_snapshots_cannot_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copy(jobs.short_run() / "config.yaml", tmp_path)
    assert jobs.commanded(evaluate.main, f"run={tmp_path}") == 2
    one_line(capsys.readouterr().err, str(tmp_path), "found none", "save a life there first")


@pytest.mark.parametrize("typed", ["train +cycel=fast", "evaluate run=/nowhere"])
def test_the_same_in_a_process_of_its_own(typed: str, tmp_path: Path) -> None:
    """No warning, no word of Hydra or of the interpreter is added on the way out."""
    command, *arguments = typed.split()
    process = jobs.process(command, *arguments, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    one_line(err, f"{command}: ")
    assert not list(tmp_path.rglob("config.yaml")) or all(".hydra" in str(p) for p in tmp_path.rglob("config.yaml"))
    assert not list(tmp_path.rglob("lives")) + list(tmp_path.rglob("summary.json"))
    assert "Traceback" not in out
