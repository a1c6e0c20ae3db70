"""The main job: a DELLM lives its days and nights beside the baselines, on one stream.

python -m experiments.train +cycle=fast
python -m experiments.train +cycle=standard stream=mnist_fsdd seed=3
python -m experiments.train -m +cycle=fast seed=0,1,2
python -m experiments.train resume=outputs/2026-01-31/12-00-00
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import hydra
import pooch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from dellm_jax import compilation
from dellm_jax.errors import SnapshotError, StreamError
from dellm_jax.learning import cross_entropy
from dellm_jax.persistence.files import write_atomically
from dellm_jax.streams import days
from dellm_jax.types import Schedule
from experiments import build, lives, report
from experiments.command import configuration, guarded, resumed
from experiments.config import ConfigError, register, sound
from experiments.log import Record

CONF = str(Path(__file__).parents[1] / "conf")
register()


def plans(config: DictConfig) -> list[lives.Plan]:
    """The lives of a run: DELLM, and with `baselines` awake only, naive and joint, on the same days."""
    main = build.plan(config, "dellm", snapshots=config.keep_snapshots)
    if not main.curriculum.exams:
        raise StreamError(
            f"stream {config.stream.name!r} has no exam, so there is nothing to report at its end; live it by "
            "experiments.benchmark, which judges a life as it goes"
        )
    if not config.baselines:
        return [main]
    if not config.learning.joint:
        raise ConfigError("learning.joint is empty, but baselines are to be trained by it; set baselines=false")
    plain = main.mind._replace(loss=cross_entropy, rehearse=0)
    alone = replace(main, snapshots=0, schedule=Schedule())
    concepts = len(main.curriculum.corpus.concepts)
    bare = replace(alone, architecture=build.architecture(config, concepts, remembers=False))
    everything = days.mixed(main.curriculum, config.cycle.joint_epochs, config.seed)
    joint = plain._replace(rule=build.rule(config.learning.joint))
    return [
        main,
        replace(alone, name="awake_only"),
        replace(bare, name="naive", mind=plain),
        replace(bare, name="joint", mind=joint, curriculum=everything),
    ]


def run(config: DictConfig, folder: Path, console: Console) -> dict:
    """Live every plan, then table, figure and summary. Returns the summary. What cannot be lived leaves no trace."""
    began = perf_counter()
    config = sound(config)
    compilation.persist(Path(pooch.os_cache("dellm_jax")) / "compiled")
    todo = plans(config)
    for plan in {(plan.architecture, plan.mind): plan for plan in todo}.values():
        lives.check(plan)
    laid = todo[0].curriculum
    write_atomically(folder / "config.yaml", OmegaConf.to_yaml(config).encode())
    record = Record(folder, console, build.mirror(config, str(folder)))
    record.say(
        f"{laid.corpus.name}: {sum(day.rows.size for day in laid.days)} experiences of {len(laid.corpus.concepts)} "
        f"concepts in {len(laid.days)} days"
    )
    lived = {plan.name: lives.run(plan, config.seed, folder / "lives" / plan.name, record) for plan in todo}
    # A run that was resumed took as long as its lives took, all parts of them.
    seconds = max(perf_counter() - began, sum(one.seconds for one in lived.values()))
    summary = report.summary(lived, seconds)
    picture = report.figure(lived, folder / "life.png")
    report.write_summary(folder / "summary.json", summary)
    queries = list(laid.corpus.test.banks) if len(laid.corpus.test.banks) > 1 else []
    console.print(report.table(lived, queries))
    record.say(
        f"births {summary['births']}, deaths {summary['deaths']}, compilations inside awake "
        f"{summary['awake_compilations']}, {summary['seconds']} s; everything is in {folder}"
    )
    if record.mirror:
        record.mirror.finish(summary, picture)
    return summary


@hydra.main(version_base="1.3", config_path=CONF, config_name="config")
def compose(config: DictConfig) -> float:
    """Hydra's entry: the final accuracy is what a sweep optimises."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    # Hydra would tell a job's error in lines of its own before it lets it through.
    return guarded(lambda: new(config, folder)["final_accuracy"])


def new(config: DictConfig, folder: Path) -> dict:
    """A run in a folder that holds none yet: lives found there would be taken for its own."""
    if (folder / "config.yaml").exists():
        raise SnapshotError(f"{folder} holds a run already; go on with it by resume={folder}, or choose another folder")
    return run(config, folder, Console())


def main() -> None:
    """`resume=<folder>` goes on with a run; anything else is a new one."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come to `guarded` instead of being told by Hydra
    folder = resumed(sys.argv[1:])
    if folder:
        run(configuration(folder), folder, Console())
    else:
        compose()


if __name__ == "__main__":
    guarded(main)
