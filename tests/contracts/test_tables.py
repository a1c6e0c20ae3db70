"""Contracts of the result tables: hand-worked numbers, failures that show, anchors to be trusted, what is printed."""

import math
import re
import subprocess

import numpy as np
import pytest
from scipy.stats import ttest_rel

from dellm_jax.errors import SnapshotError
from experiments import origin
from experiments.origin import commit, machine
from experiments.tables import (
    RESULTS,
    TAGS,
    Anchor,
    Row,
    TableError,
    ablation_markdown,
    fewer,
    figure,
    joined,
    latex,
    markdown,
    paired,
    plane,
    read_anchors,
    read_csv,
    rows,
    write,
    write_csv,
)
from experiments.tables.records import order

STREAMS = {
    "split_mnist_online",
    *(f"split_mnist_offline_{scenario}" for scenario in ("task", "domain", "class")),
    *(f"permuted_mnist_van_de_ven{scenario}" for scenario in ("", "_task", "_class")),
    "split_fashion",
    "permuted_mnist_20",
    "rotated_mnist_20",
    "clinc150",
    "banking77",
    "fsdd_official",
    "fsdd_speaker",
    "kumar_permuted",
    "slowly_changing",
}


def cell(method, seed, stream="split_mnist_online", **metrics):
    """A seed that lived."""
    costs = {"episodic_bytes": 392_000, "state_bytes": 1e6 * (seed + 1), "updates_awake": 6_000, "updates_rest": 1_500}
    return {"stream": stream, "method": method, "seed": seed, "metrics": metrics, "seconds": 2.5, **costs}


def lost(method, seed, stream="split_mnist_online", error="FloatingPointError: nan"):
    """A seed that failed."""
    return {"stream": stream, "method": method, "seed": seed, "error": error}


def runs(method, accuracies, **more):
    return [cell(method, seed, accuracy=accuracy, **more) for seed, accuracy in enumerate(accuracies)]


def anchor(**changes):
    known = {"stream": "split_mnist_online", "method": "ER", "metric": "accuracy", "mean": 85.69, "sd": None}
    known |= {"sem": None, "n": 10, "memory": "500 images", "protocol": "one pass", "source": "Lee 2020", "tag": "P"}
    return Anchor(**{**known, **changes})


CELLS = [*runs("ours", (0.98, 0.96, 0.97)), *runs("naive", (0.19, 0.21, 0.20)), lost("joint", 0), lost("ours", 7)]


def made(cells, commit, date):
    """The same cells, lived at a commit on a day."""
    return [dict(cell) | {"commit": commit, "date": date} for cell in cells]


def test_aggregation_by_hand():
    joint, naive, ours, failed = rows(made(CELLS, "abc", "2026-11-23"))
    assert (ours.stream, ours.method, ours.metric, ours.n) == ("split_mnist_online", "ours", "accuracy", 3)
    assert ours.mean == pytest.approx(0.97) and ours.sd == pytest.approx(0.01)
    assert ours.sem == pytest.approx(0.01 / math.sqrt(3))
    assert (ours.episodic_bytes, ours.state_bytes, ours.updates_awake) == (392_000, 2e6, 6_000)
    assert (ours.updates_rest, ours.seconds, ours.commit, ours.date) == (1_500, 2.5, "abc", "2026-11-23")
    assert naive.mean == pytest.approx(0.2)
    assert (joint.method, joint.metric, joint.mean, joint.n, joint.sd) == ("joint", "failed", 1, 0, None)
    assert (failed.method, failed.metric, failed.mean, failed.n) == ("ours", "failed", 1, 3)


def test_order_of_the_cells_does_not_matter():
    assert rows(CELLS) == rows(CELLS[::-1])


def test_one_seed_has_no_spread_and_an_absent_metric_does_not_count():
    cells = [cell("a", 0, accuracy=0.5, forgetting=None), cell("a", 1, accuracy=0.7, forgetting=0.1)]
    accuracy, forgetting = rows(cells)
    assert (accuracy.n, forgetting.n, forgetting.mean, forgetting.sd, forgetting.sem) == (2, 1, 0.1, None, None)


def test_what_is_not_a_number_is_not_hidden():
    (row,) = rows(runs("a", (0.5, math.nan)))
    assert math.isnan(row.mean) and "nan" in markdown([row], []) and "**" not in markdown([row], [])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_spread(bad):
    cells = [*runs("a", (0.5, bad)), *runs("b", (bad,)), *runs("c", (0.5, 0.5))]
    two, one, _ = rows(cells)
    assert not math.isfinite(two.mean) and math.isnan(two.sd) and math.isnan(two.sem) and two.n == 2
    assert not math.isfinite(one.mean) and (one.sd, one.sem, one.n) == (None, None, 1)
    found = paired(cells, "a", "c")
    assert not math.isfinite(found.difference) and math.isnan(found.low) and math.isnan(found.high) and found.n == 2


def test_an_error_without_words_is_still_a_failure():
    assert [row.metric for row in rows([lost("a", 0, error="")])] == ["failed"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([cell("a", 3), cell("a", 3)], r"split_mnist_online, a: two cells of seed 3; expected one"),
        ([{"stream": "s", "method": "a", "metrics": {}}], r"it lacks seed"),
        ([{"stream": "s", "method": "a", "seed": 0}], r"it lacks metrics or error"),
    ],
)
def test_cells_that_would_count_wrongly_are_refused(cells, message):
    with pytest.raises(TableError, match=message) as caught:
        rows(cells)
    assert "\n" not in str(caught.value)


def test_paired_interval_is_that_of_the_paired_t_test():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(0.9, 0.02, 6), random.normal(0.88, 0.02, 6)
    cells = [*runs("full", ours), *runs("no_rest", theirs), cell("full", 9, accuracy=0.1), lost("no_rest", 9)]
    found = paired(cells, "full", "no_rest", "accuracy")
    expected = ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.n == 6 and found.difference == pytest.approx(np.mean(ours - theirs))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    other = paired(cells[::-1], "no_rest", "full")
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


def test_pairs_are_of_one_stream_and_of_methods_that_ran():
    cells = [*runs("a", (0.5,)), *runs("b", (0.25,)), lost("c", 0)]
    one, none = paired(cells, "a", "b"), paired(cells, "a", "c")
    assert one.difference == 0.25 and one.n == 1 and math.isnan(one.low) and math.isnan(one.high)
    assert none.n == 0 and math.isnan(none.difference)
    with pytest.raises(TableError, match=r"no cell of method 'd' on \['split_mnist_online'\]"):
        paired(cells, "a", "d")
    with pytest.raises(TableError, match=r"are of streams \['other', 'split_mnist_online'\]; expected one"):
        paired([*cells, cell("b", 1, stream="other", accuracy=0.5)], "a", "b")


def test_csv_round_trip(tmp_path):
    path = tmp_path / "new" / "suite.csv"
    written = rows(
        made([*CELLS, *runs('ours, with | and "quotes"\n', (1 / 3, 2 / 3), loss=-1e-9)], "abc", "2026-11-23")
    )
    write_csv(path, written[::-1])
    read = read_csv(path)
    assert [(row.method, row.metric, row.n) for row in read] == [(row.method, row.metric, row.n) for row in written]
    for one, other in zip(read, written, strict=True):
        for field in ("mean", "sd", "sem", "episodic_bytes", "state_bytes", "seconds"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), abs=5e-5)
    heading, first, *_ = path.read_text().splitlines()
    assert heading == (
        "stream,method,metric,mean,sd,sem,n,episodic_bytes,state_bytes,updates_awake,updates_rest,seconds,commit,date"
    )
    assert first == "split_mnist_online,joint,failed,1,,,0,,,,,,abc,2026-11-23"
    assert ",-0" not in path.read_text() and ",accuracy,0.5,0.2357,0.1667,2," in path.read_text()
    again = path.read_bytes()
    write_csv(path, read)
    assert path.read_bytes() == again and [file.name for file in path.parent.iterdir()] == ["suite.csv"]


def test_a_csv_that_cannot_be_trusted_is_named(tmp_path):
    path = tmp_path / "suite.csv"
    with pytest.raises(TableError, match=r"suite.csv cannot be read as CSV \(FileNotFoundError\)"):
        read_csv(path)
    for content, message in {
        "": r"suite.csv cannot be read as CSV \(ValueError\)",
        "stream,method\n": r"suite.csv has columns \['stream', 'method'\]; expected",
    }.items():
        path.write_text(content)
        with pytest.raises(TableError, match=message):
            read_csv(path)
    write_csv(path, rows(CELLS))
    path.write_text(path.read_text().replace("0.97,", "O.97,"))
    with pytest.raises(TableError, match=r"suite.csv, record 4: .*'O.97'.*; expected one Row a line"):
        read_csv(path)
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError):
        write_csv(tmp_path / "file" / "suite.csv", [])


def test_a_table_takes_the_place_of_none_that_has_more(tmp_path):
    """Of fewer seeds, methods or failures it is written beside, until it has as many."""
    kept = {".csv", ".md", ".tex", ".png"}
    path, lacking = write(tmp_path / "new", "suite", rows(CELLS), machine="Some CPU", more="below")
    assert (path, lacking) == (tmp_path / "new" / "suite", [])
    assert {file.name for file in path.parent.iterdir()} == {f"suite{kind}" for kind in kept}
    text = (path.parent / "suite.md").read_text()
    assert "with Some CPU." in text and text.endswith("\nbelow")
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    for less, said in {
        "seeds": ([one for one in CELLS if one["seed"] != 1], ["naive: 2 of 3 seeds", "ours: 2 of 3 seeds"]),
        "methods": ([one for one in CELLS if one["method"] != "naive"], ["naive: 0 of 3 seeds"]),
        "failures": (CELLS[:-1], ["ours: 3 of 4 seeds, failures among them"]),
        "lives": ([lost("ours", 0), *CELLS[1:]], ["ours: 2 of 3 seeds"]),
    }.values():
        path, lacking = write(tmp_path / "new", "suite", rows(less))
        assert path.name == "suite.partial" and lacking == [f"split_mnist_online, {line}" for line in said]
        assert all(file.read_bytes() == content for file, content in before.items())
        assert {file.name for file in set(path.parent.iterdir()) - set(before)} == {f"{path.name}{k}" for k in kept}
    assert read_csv(path.parent / "suite.partial.csv") != read_csv(path.parent / "suite.csv")
    path, lacking = write(tmp_path / "new", "suite", rows([*runs("ours", (0.5,) * 8), *CELLS[3:-1]]))
    assert path.name == "suite" and not lacking and set(path.parent.iterdir()) == set(before)
    assert (path.parent / "suite.csv").read_bytes() != before[path.parent / "suite.csv"]


def test_of_what_there_is_more_of_the_rows_are_kept(tmp_path):
    """With all moments of their lives; what the suite does not have goes, and so does what failed before."""
    path, awake, asleep = tmp_path / "suite.csv", "ours, awake", "ours, asleep"
    assert joined(rows(runs("new", (0.2,))), path) == (rows(runs("new", (0.2,))), [])
    before = [*runs(awake, (0.9, 0.8)), *runs(asleep, (0.7, 0.6)), *runs("gone", (0.5,) * 9)]
    before += [*runs("old", (0.1, 0.2)), *runs("mended, awake", (0.4,)), lost("mended", 1)]
    write_csv(path, rows(before))
    now = [*runs(awake, (0.5,)), *runs("old", (0.3, 0.4)), *runs("new", (0.2,)), *runs("mended, awake", (0.6, 0.8))]
    found, told = joined(rows(now), path, owned=lambda row: row.method != "gone")
    wanted = {awake: 0.85, asleep: 0.65, "old": 0.35, "new": 0.2, "mended, awake": 0.7}
    assert {row.method: round(row.mean, 3) for row in found} == wanted and len(found) == len(wanted)
    assert told == ["split_mnist_online, ours: 1 of 2 seeds"]
    assert found == sorted(found, key=order)
    path.write_text("what is this")
    assert joined(rows(now), path) == (rows(now), [])


def test_only_rows_of_the_suite_are_missed_and_what_cannot_be_read_stays(tmp_path):
    path = tmp_path / "suite.csv"
    assert fewer([], path) == []
    write_csv(path, rows(CELLS))
    assert len(fewer([], path)) == 3
    assert fewer([], path, lambda row: row.method == "joint") == [
        "split_mnist_online, joint: 0 of 1 seeds, failures among them"
    ]
    path.write_text("what is this")
    written, (why,) = write(tmp_path, "suite", rows(CELLS))
    assert written.name == "suite.partial" and "suite.csv has columns" in why and path.read_text() == "what is this"


def test_anchors_can_be_trusted():
    anchors = read_anchors()
    assert (RESULTS / "anchors.csv").is_file() and len(anchors) > 200
    for one in anchors:
        assert one.source and one.protocol and one.method and one.tag in TAGS, one
        assert one.stream in STREAMS and one.metric == "accuracy", one
        assert 0 < one.mean < 100 and all(x is None or 0 < x < 20 for x in (one.sd, one.sem)), one
        assert (one.tag == "M") == (one.source == "measured for this project"), one
        assert one.sem is None or one.n is not None, one
        if one.n is not None:
            assert one.n >= 1 and (one.sd is None) == (one.sem is None), one
            assert one.sd is None or one.sd == pytest.approx(one.sem * math.sqrt(one.n), abs=5e-4), one
    assert len(set(anchors)) == len(anchors)


@pytest.mark.parametrize(
    ("stream", "method", "memory", "expected"),
    [
        ("split_mnist_offline_class", "replay through feedback", "", (92.56, 0.21 * math.sqrt(20), 0.21, 20)),
        ("split_mnist_offline_class", "naive rehearsal", "equal for all that remember", (90.78, 0.85, 0.2688, 10)),
        ("split_mnist_online", "CLS-ER", "500 images", (92.05, 0.32, None, None)),
        ("split_mnist_online", "OCM", "500 images", (95.7, 0.3, 0.3 / math.sqrt(15), 15)),
        ("permuted_mnist_van_de_ven", "DGR with distillation", "", (97.35, 0.02 * math.sqrt(20), 0.02, 20)),
        ("fsdd_official", "CNN", "", (96.5667, 1.4012, 0.8090, 3)),
    ],
)
def test_spreads_of_anchors_are_converted(stream, method, memory, expected):
    """Some papers print the standard error, others the standard deviation."""
    (one,) = (a for a in read_anchors() if (a.stream, a.method, a.memory) == (stream, method, memory))
    for found, value in zip((one.mean, one.sd, one.sem, one.n), expected, strict=True):
        assert found == (value if value is None else pytest.approx(value, abs=1e-4))


def test_markdown_by_hand():
    text = markdown(rows(CELLS), [anchor(sd=1.25, sem=1.25 / math.sqrt(10)), anchor(stream="other", method="GEM")])
    assert text.splitlines() == [
        "### split_mnist_online: accuracy (percent)",
        "",
        "| method | mean ± SD | SEM | n | episodic kB | state kB | updates awake / asleep |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| **ours (1 of 4 seeds failed)** | **97.00 ± 1.00** | 0.58 | 3 | 392.0 | 2,000.0 | 6,000 / 1,500 |",
        "| naive | 20.00 ± 1.00 | 0.58 | 3 | 392.0 | 2,000.0 | 6,000 / 1,500 |",
        "| joint (1 of 1 seeds failed) | failed | - | 0 | - | - | - |",
        "",
        "---",
        "",
        "| anchor | mean ± SD | SEM | n | memory | tag | protocol | source |",
        "| --- | ---: | ---: | ---: | --- | --- | --- | --- |",
        "| ER | 85.69 ± 1.25 | 0.4 | 10 | 500 images | P | one pass | Lee 2020 |",
        "",
        "Tags: P: read in the paper.",
    ]


def test_captions_say_when_of_what_and_where():
    """In Markdown below our own lines, in LaTeX in the caption; what is not known is not said."""
    table, line = rows(made(CELLS, "abc_1", "2026-11-23")), "Made on 2026-11-23 at commit abc_1 with Some CPU, 4 cores."
    lines = markdown(table, [anchor()], machine="Some CPU, 4 cores").splitlines()
    assert lines.count(line) == 1 and lines[lines.index(line) - 2].startswith("| joint")
    assert lines.index(line) < lines.index("---")
    printed = latex(table, [anchor()], machine="Some CPU, 4 cores")
    assert r"(percent). Made on 2026-11-23 at commit abc\_1 with Some CPU, 4 cores. Below the rule" in printed
    both = [*table, *rows(made(runs("other", (0.5,)), "", "2026-11-24"))]
    assert "\nMade on 2026-11-23, 2026-11-24 at commit abc_1.\n" in markdown(both, [])
    assert "Made" not in markdown(rows(CELLS), []) + latex(rows(CELLS), [])


def test_the_machine_is_named_where_the_system_names_it(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2: GHz\n\nmodel name\t: Other\n")
    assert re.fullmatch(r"Some CPU @ 2: GHz, \d+ cores?", machine(tmp_path / "cpuinfo"))
    assert re.fullmatch(r".+, \d+ cores?", machine(tmp_path / "none"))


def test_markdown_holds_every_anchor_of_its_stream():
    anchors = read_anchors()
    text = markdown(rows(CELLS), anchors)
    here = [one for one in anchors if one.stream == "split_mnist_online"]
    lines = [line for line in text.splitlines() if line.endswith(tuple(f"| {one.source} |" for one in here))]
    assert len(lines) == len(here) > 30
    assert any(line.startswith("| CN-DPM | 93.23 | - | 10 | 500 images, short-term | P | MLP") for line in lines)


def test_errors_and_losses_are_not_percent_and_less_is_better():
    cells = [*runs("a", (0.5,), error_rate=1.25, loss=2.0, forgetting=0.5), *runs("b", (0.5,), loss=1.0, forgetting=0)]
    table = rows(cells)
    assert "### split_mnist_online: error rate\n" in markdown(table, [], "error_rate")
    assert "| **a** | **1.2500** |" in markdown(table, [], "error_rate")
    assert "| **b** | **1.0000** |" in markdown(table, [], "loss") and "| a | 2.0000 |" in markdown(table, [], "loss")
    assert "| **b** | **0.00** |" in markdown(table, [], "forgetting")
    tie = markdown(table, [])
    assert "| **a** | **50.00** |" in tie and "| **b** | **50.00** |" in tie


def test_nothing_to_print_is_nothing():
    assert markdown([], read_anchors()) == latex([], read_anchors()) == ablation_markdown([], "full") == ""
    assert markdown(rows(runs("a", (0.5,))), [], "unknown") == ""


def test_ablation_by_hand():
    cells = [
        *runs("no|rest", (0.90, 0.92, 0.91)),
        *runs("full", (0.95, 0.96, 0.97)),
        *runs("no_growth", (0.96, 0.95, 0.98)),
        lost("no_replay", 0),
        *runs("once", (0.94,)),
    ]
    # Differences -5, -4, -6: mean -5, SD 1, t(2) 4.3027, half width 2.48. Differences 1, -1, 1: SD 1.1547, half 2.87.
    assert ablation_markdown(cells, "full").splitlines() == [
        "### split_mnist_online: accuracy (percent)",
        "",
        "| method | mean ± SD | minus full | 95 % interval | paired seeds |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| full | 96.00 ± 1.00 | - | - | - |",
        "| no\\|rest | 91.00 ± 1.00 | **-5.00** | -7.48 to -2.52 | 3 |",
        "| no_growth | 96.33 ± 1.53 | +0.33 | -2.54 to +3.20 | 3 |",
        "| no_replay | failed | - | - | 0 |",
        "| once | 94.00 | -1.00 | - | 1 |",
    ]
    parts = [*runs("full, cortex alone", (0.80, 0.81, 0.82)), *runs("no|rest, cortex alone", (0.70, 0.71, 0.72))]
    assert ablation_markdown([*cells, *parts], "full").splitlines()[4:] == [
        *ablation_markdown(cells, "full").splitlines()[4:],
        "| full, cortex alone | 81.00 ± 1.00 | - | - | - |",
        "| no\\|rest, cortex alone | 71.00 ± 1.00 | **-10.00** | -10.00 to -10.00 | 3 |",
    ]
    elsewhere = [{**one, "stream": "other"} for one in cells]
    assert ablation_markdown([*cells, *elsewhere], "full").count("**-5.00**") == 2


def test_latex_escapes_and_is_balanced():
    cells = runs("50%_a&b #1 {x} $y ~^\\ <|>", (0.5, 0.6), loss=1)
    text = latex(rows(cells), [anchor(protocol="5 % of MNIST_train"), anchor(method="GEM", memory="", tag="O")])
    name = r"50\%\_a\&b \#1 \{x\} \$y \textasciitilde{}\textasciicircum{}\textbackslash{} $<$|$>$"
    assert rf"\textbf{{{name}}} & \textbf{{55.00 $\pm$ 7.07}} & 5.00 & 2 & 392.0" in text
    assert r"\caption{split\_mnist\_online: accuracy (percent)." in text and "5 \\% of MNIST\\_train" in text
    assert not re.search(r"(?<!\\)[%_#]", text)
    assert text.count(r"\midrule") == 2 and text.count(r"\begin{") == text.count(r"\end{") == 1
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    for line in text.splitlines():
        columns = len(re.findall(r"(?<!\\)&", line)) + 1
        if line.endswith(r"\\") and "caption" not in line:
            assert columns + 2 * line.count(r"\multicolumn{3}") == 7, line


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_figure_is_written(tmp_path, metric):
    cells = [*CELLS, *runs("ours", (0.5,), loss=3.0), *runs("bad", (math.nan,), loss=1.0)][4:]
    cells += [{**one, "stream": "alone"} for one in cells]
    path = figure(rows(cells), read_anchors(), tmp_path / "new" / "table.png", metric)
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    with pytest.raises(TableError, match=r"no row has the metric 'speed'; known are \['accuracy'"):
        figure(rows(CELLS[:3]), [], path, "speed")


def test_two_metrics_against_each_other_need_two_methods(tmp_path):
    cells = [
        one
        for method, gain in (("ours, awake", 0.2), ("ours, after a night", 0.4), ("theirs, awake", 0.3))
        for one in (cell(method, seed, locality=1 - gain / 10 - seed / 100, gain=gain) for seed in (0, 1))
    ]
    path = plane(rows(cells), "locality", "gain", tmp_path / "new" / "plane.png")
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    with pytest.raises(TableError, match="two methods with both 'locality' and 'gain'"):
        plane(rows(cells[:4]), "locality", "gain", path)


def test_committed_results_can_be_read_and_printed():
    for path in sorted(set(RESULTS.glob("*.csv")) - {RESULTS / "anchors.csv"}):
        assert all(isinstance(row, Row) for row in read_csv(path)), path


def test_tables_that_were_made_are_no_change_of_the_code(tmp_path, monkeypatch):
    """A clone in which only results were written anew is at its commit; one whose code was changed is dirty."""
    monkeypatch.setattr(origin, "ROOT", tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert commit() == ""
    code, table = tmp_path / "code.py", tmp_path / "experiments" / "results" / "suite.csv"
    table.parent.mkdir(parents=True)
    for file in (code, table):
        file.write_text("as committed")
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "everything")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    at = commit()
    table.write_text("made anew")
    assert at and commit() == at
    code.write_text("changed")
    assert commit() == f"{at}-dirty"
