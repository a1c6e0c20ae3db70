"""One command a table: every method of a suite on every stream, seed after seed, beside the published numbers.

python -m experiments.benchmark suite=split_mnist_online
python -m experiments.benchmark suite=split_mnist_online methods=er,dellm seeds=0,1 jobs=2
A suite is a file of conf/suite. What is done is kept under outputs/benchmark and not done again; a cell whose
configuration changed, or that failed, is; one whose code changed is not, but says of which commit it is. Tables are of
all of the suite that is done, so that runs of its parts add up. They go to experiments/results (or `results=`<folder>);
rows there of a method on a stream that have more seeds stay, each with its commit. Where methods are paired seed by
seed, or streams averaged, that takes the seeds themselves: there the whole table stays, and the new one is called
<suite>.partial.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import pooch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from dellm_jax import compilation
from dellm_jax.errors import DellmError
from dellm_jax.persistence.files import write_atomically
from experiments import binding, build, corrections, lives, tables
from experiments.cells import averaged, cells
from experiments.command import guarded, one_line
from experiments.config import ConfigError, register, sound
from experiments.log import Record
from experiments.naming import naming
from experiments.offline import offline
from experiments.origin import ROOT, commit, machine

CONF = ROOT / "conf"
PROTOCOLS = corrections.PROTOCOLS | binding.PROTOCOLS | {"naming": naming, "offline": offline}
SWITCHES = ("suite", "methods", "streams", "seeds", "jobs", "results", "work")
CELLS_A_WORKER = 12
LACKING = 3  # how many rows that a table lacks are named
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


@dataclass(frozen=True)
class Cell:
    """One seed of one method on one stream; `told` names the stream that the same exams are when the task is told;
    `protocol` what is done with the life, and how often, if it does not just live its stream."""

    stream: str
    method: str
    seed: int
    overrides: tuple[str, ...]
    told: str = ""
    protocol: tuple[tuple[str, Any], ...] = ()

    def folder(self, work: Path) -> Path:
        return work / self.stream / self.method / str(self.seed)


def suite(name: str) -> dict[str, Any]:
    """A suite by name, with the keys seeds, streams and methods; `against` for ablations, `averages` for streams that
    stand for several, `metric` for tables that are not of the accuracy, and `also` further ones; `plane`,
    two metrics to draw against each other where several methods have both."""
    path = CONF / "suite" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise ConfigError(f"there is no suite {name!r}; choose one of {known}")
    return OmegaConf.to_container(OmegaConf.load(path), resolve=True)


def planned(plan: dict[str, Any], methods: list[str], streams: list[str], seeds: list[int]) -> Iterator[Cell]:
    """The cells of a suite, seed by seed, so that every method has its first seed before any has its second."""
    for seed in seeds or plan["seeds"]:
        for stream, where in plan["streams"].items():
            for method, how in plan["methods"].items():
                chosen = (not methods or method in methods) and (not streams or stream in streams)
                if chosen and method not in where.get("without", []):
                    special = where.get("methods", {}).get(method, [])
                    overrides = (*where["overrides"], *how, *special, f"seed={seed}", "log=none")
                    protocol = where.get("protocol", {}).items()
                    fixed = tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in protocol)
                    yield Cell(stream, method, seed, overrides, where.get("told", ""), fixed)


def composed(cell: Cell) -> DictConfig:
    """The configuration of a cell. Raises what `guarded` tells in one line."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return sound(compose("config", list(cell.overrides)))


def done_before(config: DictConfig, folder: Path) -> list[dict[str, Any]] | None:
    """What came of a cell that was lived with this very configuration."""
    done, told = folder / "cells.json", folder / "config.yaml"
    if done.exists() and told.exists() and told.read_text() == OmegaConf.to_yaml(config):
        return json.loads(done.read_text())
    return None


def live_cell(cell: Cell, work: Path) -> list[dict[str, Any]]:
    """Live one cell, or read what came of it. What fails is told in the cell; the rest of the table goes on."""
    folder, origin = cell.folder(work), {"commit": commit(), "date": date.today().isoformat()}
    try:
        config = composed(cell)
        if (kept := done_before(config, folder)) is not None:
            return kept
        done, told = folder / "cells.json", folder / "config.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (done, folder / "lived.json", folder / "metrics.jsonl"):
            stale.unlink(missing_ok=True)
        compilation.persist(Path(pooch.os_cache("dellm_jax")) / "compiled")
        found = [one | origin for one in (_by_protocol if cell.protocol else _lived_alone)(cell, config, folder)]
        write_atomically(told, OmegaConf.to_yaml(config).encode())
        write_atomically(done, json.dumps(found).encode())
        return found
    except Exception as error:  # a table of many hours must not end with one of its rows
        expected = isinstance(error, DellmError | HydraException | OmegaConfBaseException)
        reason = one_line(error) if expected else traceback.format_exc()
        return [{"stream": cell.stream, "method": cell.method, "seed": cell.seed, "error": reason} | origin]


def _lived_alone(cell: Cell, config: DictConfig, folder: Path) -> list[dict[str, Any]]:
    plan = build.plan(config, cell.method, checkpoints=False)
    lives.check(plan)
    lived = lives.run(plan, cell.seed, folder, Record(folder, Console(file=StringIO())))
    return cells(cell.stream, cell.method, cell.seed, plan, lived, cell.told)


def _by_protocol(cell: Cell, config: DictConfig, folder: Path) -> list[dict[str, Any]]:
    """A cell for every moment of the protocol."""
    del folder
    how, began, out = dict(cell.protocol), perf_counter(), []
    for moment, scores in PROTOCOLS[how.pop("kind")](config, cell.method, cell.seed, **how):
        one = {"stream": cell.stream, "method": cell.method + moment, "seed": cell.seed, "metrics": scores}
        out.append(one | {"seconds": perf_counter() - began})
    return out


def run(name: str, options: dict[str, str], console: Console) -> list[dict[str, Any]]:
    """Live what is asked for and not lived yet, tabulate all there is of the suite. Returns the cells asked for."""
    plan = suite(name)
    listed = {key: options[key].split(",") if options.get(key) else [] for key in ("methods", "streams", "seeds")}
    for key in ("methods", "streams"):
        unknown = sorted(set(listed[key]) - set(plan[key]))
        if unknown:
            raise ConfigError(f"suite {name!r} has no {key} {unknown}; it has {sorted(plan[key])}")
    seeds, jobs = [_whole("seeds", seed, 0) for seed in listed["seeds"]], _whole("jobs", options.get("jobs", "1"), 1)
    work = Path(options.get("work", "outputs/benchmark")) / name
    todo = list(planned(plan, listed["methods"], listed["streams"], seeds))
    found: dict[Cell, list[dict[str, Any]]] = {}
    for cell, came in _lived(todo, work, jobs):
        found[cell] = came
        console.print(_line(cell, came[0]), markup=False, highlight=False, soft_wrap=True)
    results = Path(options.get("results", tables.RESULTS))
    every = list(_all_there_is(plan, found, work))
    every += averaged(every, plan.get("averages", {}))
    _write(name, plan, every, results, console)
    return [one for came in found.values() for one in came]


def _whole(switch: str, text: str, least: int) -> int:
    """A whole number that was typed."""
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"{switch}={text}; expected whole numbers from {least} on")
    return int(text)


def _lived(todo: list[Cell], work: Path, jobs: int) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """The cells as they are done: here one after another, or in `jobs` processes of one thread each."""
    if jobs == 1:
        for cell in todo:
            yield cell, live_cell(cell, work)
            jax.clear_caches()  # the programs of many bodies would use up the memory maps that a process may have
        return
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}"
    # A worker is replaced from time to time, and with it what it compiled.
    with get_context("spawn").Pool(jobs, maxtasksperchild=CELLS_A_WORKER) as pool:
        yield from zip(todo, pool.imap(partial(live_cell, work=work), todo), strict=True)


def _line(cell: Cell, first: dict[str, Any]) -> str:
    what = f"{cell.stream}  {cell.method}  seed {cell.seed}"
    if "error" in first:
        return f"{what}  failed: {first['error'].strip().splitlines()[-1]}"
    shown = {key: value for key, value in first["metrics"].items() if key in ("accuracy", "prequential_accuracy")}
    return f"{what}  " + "  ".join(f"{key} {value:.4f}" for key, value in shown.items()) + f"  {first['seconds']:.0f} s"


def _all_there_is(
    plan: dict[str, Any], found: dict[Cell, list[dict[str, Any]]], work: Path
) -> Iterator[dict[str, Any]]:
    """What was found now, and what earlier runs left of the suite as it is configured at present, of any seed."""
    kept = {int(folder.name) for folder in work.glob("*/*/*") if folder.name.isdecimal()}
    for cell in planned(plan, [], [], sorted(kept | {cell.seed for cell in found})):
        if cell in found:
            yield from found[cell]
        elif (cell.folder(work) / "cells.json").exists():
            try:
                yield from done_before(composed(cell), cell.folder(work)) or ()
            except (DellmError, HydraException, OmegaConfBaseException, OSError, ValueError):
                continue  # it could not be lived as it is configured now, or what it left cannot be read


def _write(name: str, plan: dict[str, Any], every: list[dict[str, Any]], results: Path, console: Console) -> None:
    """Print the tables of a suite and write them, with what those that are there have more of, or beside them."""
    methods, averages = plan["methods"], plan.get("averages", {})
    names = {(stream, cell.method) for cell in planned(plan, [], [], []) for stream in (cell.stream, cell.told)}
    names |= {(stream, method) for stream in averages for method in methods}
    owned = lambda row: (row.stream, row.method.split(", ")[0]) in names  # noqa: E731
    new, metric, here = tables.rows(every), plan.get("metric", "accuracy"), machine()
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    by_rows = not {"against", "averages"} & plan.keys()
    rows, kept = tables.joined(new, results / f"{name}.csv", owned) if by_rows else (new, [])
    if kept:  # nobody knows on which machine those were lived
        dates = sorted({row.date for row in rows if row in new} - {""})
        here = f"{here} (what is new of {', '.join(dates)})" if dates else ""
        say(f"kept from {results / name}.csv, which has more: {_few(kept)}")
    compared = "".join("\n" + tables.markdown(rows, [], other, here) for other in plan.get("also", []))
    if "against" in plan:
        beside = {cell["stream"] for cell in every if cell["method"] == plan["against"]}
        pairs = [cell for cell in every if cell["stream"] in beside]
        compared += "\n" + tables.ablation_markdown(pairs, plan["against"], metric)
    to_miss = (lambda row: False) if by_rows else owned  # what should stay is among the rows by now
    stem, lacking = tables.write(results, name, rows, metric, here, compared, to_miss)
    if (axes := plan.get("plane")) and len({row.method.split(", ")[0] for row in rows}) > 1:
        tables.plane(rows, *axes, results / f"{stem.name}.plane.png")
    say(tables.markdown(rows, [], metric, here) + compared)
    if lacking:
        say(f"{results / name}.csv has more than is done here, so it stays as it is: {_few(lacking)}")
    say(f"beside the published numbers: {stem}.md, .tex, .csv, .png")


def _few(lines: list[str]) -> str:
    return "; ".join(lines[:LACKING] + [f"{len(lines) - LACKING} more"] * (len(lines) > LACKING))


def main() -> None:
    """`suite=<name>` and the switches of the module's docstring."""
    pairs = [argument.split("=", 1) for argument in sys.argv[1:]]
    wrong = [pair[0] for pair in pairs if len(pair) != 2 or pair[0] not in SWITCHES]
    options = dict(pair for pair in pairs if len(pair) == 2)
    if wrong or "suite" not in options:
        raise ConfigError(f"expected suite=<name> and any of {SWITCHES[1:]}, each as name=value; got {sys.argv[1:]}")
    run(options["suite"], options, Console())


if __name__ == "__main__":
    guarded(main)
