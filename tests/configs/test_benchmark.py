"""One command a table: what is done is not done again, what fails is told in its row, and the tables are written."""

import io
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jobs
import numpy as np
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from experiments import benchmark, lives
from experiments.cells import averaged
from experiments.lives import Lived
from experiments.tables import COSTS, FAILED, read_csv

NAME = "small"
OF_METHODS = ("cycle.rest_every", "cycle.rehearse", "size.episodic_bytes", "log")  # what a suite leaves to them
SMALL = {
    "seeds": [0, 1],
    "against": "er",
    "streams": {
        "few": {
            "overrides": [override for override in jobs.SHORT if not override.startswith(OF_METHODS)],
            "told": "few_told",
            "without": ["uncalled"],
        },
    },
    "methods": {
        "naive": ["+method=naive"],
        "er": ["+method=er", "learning.rate=0.1"],
        "ewc": ["+method=ewc"],
        "iid_online": ["+method=iid_online"],
        "dellm": ["+method=dellm", "cycle.rest_every=90"],
        "impossible": ["+method=er", "size.episodic_bytes=10"],
        "broken": ["+method=er", "learning.awake._target_=optax.no_such_rule"],
        "uncalled": ["+method=er"],
    },
}
LIVED = ["naive", "er", "ewc", "iid_online", "dellm"]


class Place:
    """A folder with the configuration, a suite of its own, and what its runs leave."""

    def __init__(self, folder: Path) -> None:
        self.conf, self.work, self.results = folder / "conf", folder / "work", folder / "results"
        shutil.copytree(jobs.CONF, self.conf)
        self.suite(SMALL)

    def suite(self, plan: dict[str, Any]) -> None:
        """Write the suite."""
        OmegaConf.save(OmegaConf.create(plan), self.conf / "suite" / f"{NAME}.yaml")

    def run(self, **options: str) -> tuple[list[dict[str, Any]], str]:
        """The cells of a run and what it printed."""
        said = io.StringIO()
        options = {"work": str(self.work), "results": str(self.results)} | options
        with pytest.MonkeyPatch.context() as patch, jobs.lightly():
            patch.setattr(benchmark, "CONF", self.conf)
            found = benchmark.run(NAME, options, Console(file=said, width=200))
        return found, said.getvalue()

    def kept(self) -> dict[Path, tuple[bytes, int]]:
        """Every file of the work folder: its bytes and when it was written."""
        files = [path for path in self.work.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where the suite was run once, with its first seed."""
    where = Place(tmp_path_factory.mktemp("benchmark"))
    where.first, where.said = where.run(seeds="0")
    yield where


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the lives that are lived from now on."""
    names: list[str] = []
    original = lives.run

    def run(plan: lives.Plan, *rest: Any) -> Lived:
        names.append(plan.name)
        return original(plan, *rest)

    monkeypatch.setattr(lives, "run", run)
    return names


def lived(place: Place, method: str) -> Lived:
    """What the folder of a cell says of its life."""
    return Lived(**json.loads((place.work / NAME / "few" / method / "0" / "lived.json").read_text()))


def test_every_cell_has_the_numbers_of_its_life(place: Place) -> None:
    """Accuracy, costs and the exams that were told the task are those of the life that was lived."""
    cells = {(cell["stream"], cell["method"]): cell for cell in place.first}
    parts = [", cortex alone", ", semantic memory alone"]
    assert set(cells) == {
        *((stream, method) for stream in ("few", "few_told") for method in LIVED),
        *((stream, f"dellm{part}") for stream in ("few", "few_told") for part in parts),
        ("few", "impossible"),
        ("few", "broken"),
    }
    for method in LIVED:
        life, cell, told = lived(place, method), cells["few", method], cells["few_told", method]
        assert cell["seed"] == 0 and cell["metrics"]["accuracy"] == life.final()
        assert told["metrics"]["accuracy"] == life.final("whole_told") >= life.final()
        assert cell["metrics"]["prequential_accuracy"] == told["metrics"]["prequential_accuracy"]
        assert (cell["state_bytes"], cell["seconds"]) == (life.state_bytes, life.seconds)
        assert life.awake_compilations == 0 and sum(many for _, many, *_ in life.prequential) == 240
        assert ("forgetting" in cell["metrics"]) == (method != "iid_online"), "of days that have an exam each"
    assert cells["few", "dellm, cortex alone"]["metrics"]["accuracy"] == lived(place, "dellm").final("cortex")
    assert lived(place, "naive").episodic_bytes == 0 == lived(place, "ewc").updates_rest
    assert lived(place, "ewc").nights == 3, "it is told when each of three days is over"
    assert lived(place, "er").nights == 0 < lived(place, "dellm").nights
    assert not list(place.work.rglob("checkpoints")) + list(place.work.rglob("snapshots"))


def test_what_fails_is_told_in_its_row_and_the_others_go_on(place: Place) -> None:
    """One that cannot be lived says why in a line; one that breaks keeps where; neither is lived nor kept as done."""
    failed = {cell["method"]: cell["error"] for cell in place.first if "error" in cell}
    assert set(failed) == {"impossible", "broken"}
    assert "episodic_bytes=10" in failed["impossible"] and "\n" not in failed["impossible"]
    assert "no_such_rule" in failed["broken"]
    lines = place.said.splitlines()
    for method in SMALL["methods"]:
        told = [line for line in lines if line.startswith(f"few  {method}  seed 0  ")]
        assert len(told) == (method != "uncalled")
        assert all(("failed: " in line) == (method in failed) for line in told)
    assert all("accuracy 0." in line or "failed: " in line for line in lines if "  seed 0  " in line)
    rows = {row.method: row for row in read_csv(place.results / f"{NAME}.csv") if row.metric == FAILED}
    assert {name: (row.mean, row.n) for name, row in rows.items()} == {"impossible": (1, 0), "broken": (1, 0)}
    assert not list(place.work.rglob("impossible/*/cells.json"))


def test_the_tables_are_written(place: Place) -> None:
    """CSV with every metric, Markdown with the comparison, LaTeX, PNG; printed as written, dated, of a commit."""
    written = {path.suffix: path.read_bytes() for path in place.results.iterdir()}
    assert set(written) == {".csv", ".md", ".tex", ".png"}
    rows = read_csv(place.results / f"{NAME}.csv")
    by_name = {(row.stream, row.method, row.metric): row for row in rows}
    for cell in place.first:
        for metric, value in cell.get("metrics", {}).items():
            row = by_name[cell["stream"], cell["method"], metric]
            assert row.mean == pytest.approx(value, abs=1e-4, nan_ok=True) and row.n == 1 and row.sd is None
    assert {row.commit for row in rows} == {benchmark.commit()} and len({row.date for row in rows}) == 1
    text = written[".md"].decode()
    assert text in place.said
    assert "### few: accuracy (percent)" in text and "### few_told: accuracy (percent)" in text
    assert f" at commit {benchmark.commit()} with {benchmark.machine()}.\n" in text
    assert "minus er" in text and "dellm, semantic memory alone" in text
    assert b"\\begin{longtable}" in written[".tex"] and written[".png"].startswith(b"\x89PNG")


def test_what_is_done_is_not_done_again(place: Place, alive: list[str]) -> None:
    """A second run lives nothing, touches nothing that was lived, and finds the same; it says so in the same words."""
    before, table = place.kept(), (place.results / f"{NAME}.csv").read_text()
    found, said = place.run(seeds="0")
    assert alive == []
    assert found == place.first and said == place.said
    assert place.kept() == before
    assert (place.results / f"{NAME}.csv").read_text() == table


def test_only_what_changed_is_lived_again(place: Place, alive: list[str], tmp_path: Path) -> None:
    """A cell whose settings changed, one that was interrupted, and a method mended: those three and no other."""
    where = Place(tmp_path)
    shutil.copytree(place.work, where.work)
    before = where.kept()
    mended = SMALL["methods"] | {"er": ["+method=er", "learning.rate=0.2"], "impossible": ["+method=er"]}
    where.suite(SMALL | {"methods": mended})
    cut = where.work / NAME / "few" / "naive" / "0"
    (cut / "cells.json").unlink()
    (cut / "metrics.jsonl").write_text('{"life": "naive", "pha')
    found, _ = where.run(seeds="0")
    assert alive == ["naive", "er", "impossible"]
    accuracy = {cell["method"]: cell["metrics"] for cell in found if cell["stream"] == "few" and "metrics" in cell}
    assert accuracy["er"] != accuracy["impossible"]
    for path, (content, when) in before.items():
        if path.parts[-3] not in ("naive", "er", "impossible"):
            assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, when)
        if path.parts[-3] == "naive" and path.name in ("metrics.jsonl", "config.yaml"):
            assert path.read_bytes() == content, "what was cut is lived as it would have been"


def test_a_part_of_a_suite_can_be_run_alone(place: Place, tmp_path: Path, alive: list[str]) -> None:
    """Chosen methods and seeds only; without the method that others are compared with there is no comparison."""
    where = Place(tmp_path)
    found, said = where.run(methods="naive,iid_online", seeds="1", streams="few")
    assert alive == ["naive", "iid_online"] == [cell["method"] for cell in found if cell["stream"] == "few"]
    assert {cell["seed"] for cell in found} == {1} and "minus er" not in said
    first = {cell["method"]: cell["metrics"] for cell in place.first if "metrics" in cell and cell["stream"] == "few"}
    assert found[0]["metrics"] != first["naive"], "another seed is another life"


def test_parts_add_up_and_never_replace_a_fuller_table(place: Place, tmp_path: Path, alive: list[str]) -> None:
    """A part is tabulated with all that is done as configured now; where the table there has more, beside it."""
    where = Place(tmp_path)
    shutil.copytree(place.work, where.work)
    shutil.copytree(place.results, where.results)
    methods = {name: how for name, how in SMALL["methods"].items() if name in LIVED}
    where.suite(SMALL | {"methods": methods})
    found, said = where.run(methods="naive", seeds="1")
    assert alive == ["naive"] and {(cell["method"], cell["seed"]) for cell in found} == {("naive", 1)}
    assert "stays as it is" not in said and "minus er" in said
    many = {(row.stream, row.method): row.n for row in read_csv(where.results / f"{NAME}.csv")}
    names = {(cell["stream"], cell["method"]) for cell in place.first if "metrics" in cell}
    assert many == {(stream, method): 2 if method == "naive" else 1 for stream, method in names}

    before = {path: path.read_bytes() for path in where.results.iterdir()}
    where.suite(SMALL | {"methods": methods | {"er": ["+method=er", "learning.rate=0.2"]}})
    _, said = where.run(methods="naive", seeds="1")
    assert f"{NAME}.csv has more than is done here, so it stays as it is: few, er: 0 of 1 seeds" in said
    assert all(path.read_bytes() == content for path, content in before.items())
    partial = {path.name for path in set(where.results.iterdir()) - set(before)}
    assert partial == {f"{NAME}.partial.{kind}" for kind in ("csv", "md", "tex", "png")}
    rows = read_csv(where.results / f"{NAME}.partial.csv")
    assert {(row.stream, row.method): row.n for row in rows} == {k: n for k, n in many.items() if k[1] != "er"}

    where.suite(SMALL | {"methods": methods})
    where.run(methods="naive", seeds="1")
    assert alive == ["naive"] and set(where.results.iterdir()) == set(before)

    alone = {key: value for key, value in SMALL.items() if key != "against"}
    where.suite(alone | {"methods": methods | {"er": ["+method=er", "learning.rate=0.2"]}})
    _, said = where.run(methods="naive", seeds="1")
    assert "which has more: few, er: 0 of 1 seeds" in said and alive == ["naive"]
    assert {(row.stream, row.method): row.n for row in read_csv(where.results / f"{NAME}.csv")} == many
    assert set(where.results.iterdir()) == set(before)


def test_a_joined_table_names_the_machine_of_what_is_new(tmp_path: Path) -> None:
    """Nobody knows where rows were lived that stay: it is told of which day those are that this machine lived."""
    plan = {"seeds": [0], "streams": {"few": {"overrides": []}}, "methods": {"er": [], "naive": []}}

    def written(methods: list[str], day: str) -> str:
        lived = {"stream": "few", "seed": 0, "metrics": {"accuracy": 0.5}, "commit": "abc", "date": day}
        cells = [lived | dict.fromkeys(COSTS, 1) | {"method": method} for method in methods]
        benchmark._write("few", plan, cells, tmp_path, Console(file=io.StringIO()))
        return (tmp_path / "few.md").read_text()

    here = f" with {benchmark.machine()}"
    assert f"{here}." in written(["er", "naive"], "2026-01-01")
    assert f"{here} (what is new of 2026-02-02)." in written(["naive"], "2026-02-02")
    assert f"{here} (what is new of 2026-03-03)." in written(["er"], "2026-03-03")


def test_days_of_views_and_streams_without_exams_are_judged(tmp_path: Path) -> None:
    """Of views, exams of the days so far and the next; in the middle of days too. What has no exam, as it goes."""
    where = Place(tmp_path)
    few = SMALL["streams"]["few"]["overrides"]
    permuted = ["stream.days._target_=dellm_jax.streams.permuted", "~stream.days.days", "+stream.days.tasks=3"]
    in_order = ["stream.days._target_=dellm_jax.streams.in_order", "~stream.days.days", "~stream.days.seed"]
    streams = {
        "permuted": {"overrides": [*few, *permuted, "stream.examples=80", "questions=20", "examine_every=1"]},
        "in_order": {"overrides": [*few, *in_order], "without": ["dellm"]},
    }
    where.suite({"seeds": [0], "streams": streams, "methods": {n: SMALL["methods"][n] for n in ("naive", "dellm")}})
    found, _ = where.run()
    cells = {(cell["stream"], cell["method"]): cell for cell in found}
    assert not any("error" in cell for cell in found), found
    judged = cells["in_order", "naive"]["metrics"]
    assert "accuracy" not in judged and 0 <= judged["prequential_accuracy"] <= 1
    for method in ("naive", "dellm"):
        life = Lived(**json.loads((where.work / NAME / "permuted" / method / "0" / "lived.json").read_text()))
        R = np.array(life.matrix["whole"])
        assert np.isnan(R).tolist() == [[False, False, True], [False] * 3, [False] * 3]
        assert [moment["step"] for moment in life.timeline if not moment["night"]] == [5, 10, 15, 20, 25, 30]
        metrics = cells["permuted", method]["metrics"]
        assert {"forgetting", "forward_transfer", "average_anytime_accuracy", "stability_gap"} <= set(metrics)
        assert all(math.isfinite(value) for value in metrics.values()), metrics
    assert cells["permuted", "dellm, cortex alone"]["metrics"]["accuracy"] == life.final("cortex")


def test_when_everything_fails_there_are_tables_of_failures(tmp_path: Path) -> None:
    """And no figure, for there is nothing to draw."""
    where = Place(tmp_path)
    found, said = where.run(methods="impossible", seeds="0,1")
    assert [cell["seed"] for cell in found if "error" in cell] == [0, 1]
    assert {path.suffix for path in where.results.iterdir()} == {".csv", ".md", ".tex"}
    assert "2 of 2 seeds failed" in said


TYPED = {
    "": ("suite=<name>", "methods"),
    "suite": ("suite=<name>",),
    "suite=nowhere": ("no suite 'nowhere'", "split_mnist_online"),
    "suite=split_mnist_online methods=er,magic": ("no methods ['magic']", "generative_replay"),
    "suite=split_mnist_online streams=sea": ("no streams ['sea']", "split_mnist_online"),
    "suite=split_mnist_online seed=3": ("suite=<name>", "seeds", "seed=3"),
    "suite=split_mnist_online --seeds=3": ("suite=<name>", "--seeds=3"),
    "suite=split_mnist_online seeds=one": ("seeds=one", "from 0 on"),
    "suite=split_mnist_online seeds=-1": ("seeds=-1", "from 0 on"),
    "suite=split_mnist_online jobs=0": ("jobs=0", "from 1 on"),
    "suite=split_mnist_online jobs=many": ("jobs=many", "from 1 on"),
}


@pytest.mark.parametrize("typed", TYPED)
def test_what_cannot_be_meant_is_refused_in_one_line(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert jobs.commanded(benchmark.main, *typed.split()) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("benchmark: ") and err.count("\n") == 1
    for part in TYPED[typed]:
        assert part in err, err
    assert not list(tmp_path.iterdir())


def test_a_stream_may_stand_for_several() -> None:
    """(0.8 + 0.6) / 2 = 0.7 and (10 + 20) / 2 = 15 s; a seed that failed on one of them, or lacks it, has no mean."""

    def cell(stream: str, seed: int, accuracy: float, seconds: float) -> dict[str, Any]:
        costs = dict.fromkeys(COSTS, 0) | {"seconds": seconds}
        return {"stream": stream, "method": "er", "seed": seed, "metrics": {"accuracy": accuracy}} | costs

    every = [cell("a", 0, 0.8, 10), cell("b", 0, 0.6, 20), cell("a", 1, 0.9, 10), cell("c", 0, 0.1, 1)]
    every.append({"stream": "b", "method": "er", "seed": 1, "error": "failed"})
    (mean,) = averaged(every, {"both": ["a", "b"]})
    assert (mean["stream"], mean["method"], mean["seed"], mean["seconds"]) == ("both", "er", 0, 15)
    assert mean["metrics"] == {"accuracy": pytest.approx(0.7)}


def test_seeds_come_one_after_another_over_all_methods() -> None:
    """So that every method has its first seed before any has its second; what is special to a stream comes last."""
    plan = SMALL | {"streams": SMALL["streams"] | {"more": {"overrides": ["a=1"], "methods": {"er": ["b=2"]}}}}
    cells = list(benchmark.planned(plan, ["er", "uncalled"], [], []))
    assert [(cell.seed, cell.stream, cell.method) for cell in cells] == [
        (seed, *place) for seed in (0, 1) for place in (("few", "er"), ("more", "er"), ("more", "uncalled"))
    ]
    assert cells[4].overrides == ("a=1", "+method=er", "learning.rate=0.1", "b=2", "seed=1", "log=none")
    assert cells[4].folder(Path("w")) == Path("w/more/er/1") and cells[4].told == ""
    assert list(benchmark.planned(plan, ["er"], ["more"], [7])) == [
        replace(cells[4], seed=7, overrides=(*cells[4].overrides[:4], "seed=7", "log=none"))
    ]


@pytest.mark.slow
def test_two_jobs_live_what_one_does(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes of their own, the same numbers but for the seconds."""
    monkeypatch.setenv("XDG_CACHE_HOME", jobs.KEPT.name)
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    monkeypatch.setattr(benchmark, "suite", lambda name: SMALL)
    options = {"work": str(tmp_path), "results": str(tmp_path), "methods": "naive,ewc", "seeds": "0", "jobs": "2"}
    found = benchmark.run(NAME, options, Console(file=io.StringIO()))
    alone = [cell for cell in place.first if cell["method"] in ("naive", "ewc")]
    key = lambda cell: (cell["stream"], cell["method"])  # noqa: E731
    for one, other in zip(sorted(found, key=key), sorted(alone, key=key), strict=True):
        assert one["metrics"] == pytest.approx(other["metrics"], nan_ok=True)
        assert {**one, "seconds": 0, "metrics": {}} == {**other, "seconds": 0, "metrics": {}}
