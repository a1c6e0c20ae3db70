"""How well spoken digits are told when all are there to learn from: by the raw waveform and by the log-mel picture.

    python scripts/bench/hearing.py out=outputs/hearing.jsonl              # all of the table: 2 x 7 x 3 trainings
    python scripts/bench/hearing.py fronts=raw folds=official seeds=0      # a part of it; out= is gone on with
    python scripts/bench/hearing.py validate=true folds=official,theo rate=1e-3   # to choose settings

FSDD, offline: the official split (the same six people in training and test) and each speaker never heard. Both
networks have the same convolutions (conf/hearing); only what they hear differs. `validate=true` asks a tenth of the
training clips, or of a fold named by a speaker another speaker, instead of the test. Nothing is chosen by the test: the
last epoch counts.
"""

import json
import sys
from functools import cache, partial
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hydra import compose, initialize_config_dir

from dellm_jax.architecture import CONCEPTS, Architecture
from dellm_jax.assemblies import Cortex
from dellm_jax.experience import Percepts
from dellm_jax.learning import cross_entropy
from dellm_jax.mind import create
from dellm_jax.streams import Corpus, Split, fsdd, validation
from dellm_jax.study import learn
from dellm_jax.trees import map_named
from dellm_jax.types import Array, Dellm, Lesson, Mind
from experiments import build
from experiments.config import register
from experiments.origin import ROOT

FRONTS = {"raw": "+hearing=raw", "log_mel": "+hearing=log_mel"}
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
ANCHORS = "anchors (log-mel): CNN .966 official, .759 speakers never heard; linear .957, .629"
OPTIONS = {
    "fronts": "raw,log_mel",
    "folds": ",".join(("official", *SPEAKERS)),
    "seeds": "0,1,2",
    "epochs": "15",
    "batch": "16",
    "rate": "1e-3",
    "filters": "0.1",  # the rate of a filterbank, in rates
    "decay": "1e-4",
    "validate": "false",
    "out": "outputs/hearing.jsonl",
    "body": "",  # overrides of the configuration, with ; between them
}


def body(front: str, overrides: list[str]) -> Architecture:
    """The body of the configuration, which need not remember."""
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", ["stream=fsdd", FRONTS[front], "feedback=false", "size=base", *overrides])
    return build.architecture(config, 10, remembers=False)


def data(fold: str, validate: bool) -> Corpus:
    """The split of a fold, or one that is cut from its training clips."""
    corpus = fsdd(held_out=None if fold == "official" else fold)
    return validation(corpus, by_group=fold != "official") if validate else corpus


@cache
def laws(steps: int, rate: float, filters: float, decay: float) -> Mind:
    """AdamW from `rate` down a cosine to nothing; filters of a waveform learn more slowly."""

    def adam(rate: float) -> optax.GradientTransformation:
        return optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=decay)

    def labels(params: Any) -> Any:
        return map_named(lambda path, _: "filters" if path.endswith("cochlea/from_audio") else "others", params)

    rule = optax.partition({"filters": adam(filters * rate), "others": adam(rate)}, labels)
    return Mind(Cortex, cross_entropy, optax.with_extra_args_support(rule), rehearse=0)


def codes(architecture: Architecture, split: Split) -> tuple[Array, Array]:
    """Every clip as it is remembered [K, bytes], and what it says [K]."""
    (sense,) = architecture.senses
    raw = split.banks["audio"][split.index["audio"]]
    return jnp.concatenate([_encoded(sense, part) for part in np.array_split(raw, 10)]), jnp.asarray(split.target)


_encoded = jax.jit(lambda sense, raw: sense.encode(raw), static_argnums=0)


def trained(architecture: Architecture, corpus: Corpus, seed: int, options: dict[str, str]) -> tuple[Mind, Dellm]:
    """A body that heard everything `epochs` times, every time varied."""
    heard, target = codes(architecture, corpus.train)
    batch = int(options["batch"])
    steps = target.size // batch
    mind = laws(steps * int(options["epochs"]), *(float(options[key]) for key in ("rate", "filters", "decay")))
    state = create(mind, architecture, jax.random.key(seed))
    known = state.homeostasis[CONCEPTS]
    known = known | {"active": known["active"].at[: len(corpus.concepts)].set(1.0)}
    state = state.replace(homeostasis=dict(state.homeostasis) | {CONCEPTS: known})
    for epoch in range(int(options["epochs"])):
        state = _epoch(mind, batch, state, heard, target, jax.random.fold_in(state.key, epoch))
    return mind, jax.block_until_ready(state)


@partial(jax.jit, static_argnums=(0, 1))
def _epoch(mind: Mind, batch: int, state: Dellm, heard: Array, target: Array, key: Array) -> Dellm:
    (sense,) = state.architecture.senses
    for_order, for_chance = jax.random.split(key)
    steps = target.size // batch
    order = jax.random.permutation(for_order, target.size)[: steps * batch].reshape(steps, batch)

    def step(carry: tuple[Any, Any], moment: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        rows, chance = moment
        percepts = Percepts({sense.name: sense.augment(chance, sense.decode(heard[rows]))}, {})
        ones = jnp.ones(batch)
        lesson = Lesson(jnp.zeros((batch, state.architecture.concepts)), target[rows], ones, ones, jnp.zeros(()))
        params, learner, loss, _ = learn(
            mind, state.architecture, carry[0], state.homeostasis, carry[1], mind.rule, percepts, lesson
        )
        return (params, learner), loss

    chances = jax.random.split(for_chance, steps)
    (params, learner), _ = jax.lax.scan(step, (state.params, state.learner), (order, chances))
    return state.replace(params=params, learner=learner)


def accuracy(mind: Mind, state: Dellm, split: Split) -> float:
    """Share of the clips of a split that are named rightly."""
    variables = {"params": state.params, "homeostasis": state.homeostasis}

    heard, target = codes(state.architecture, split)
    named = jnp.concatenate([_named(mind, state.architecture, variables, part) for part in jnp.split(heard, 5)])
    return float((named == target).mean())


@partial(jax.jit, static_argnums=(0, 1))
def _named(mind: Mind, architecture: Architecture, variables: Any, code: Array) -> Array:
    (sense,) = architecture.senses
    return mind.module(architecture).apply(variables, {sense.name: sense.decode(code)}, {}).logits.argmax(1)


def table(rows: list[dict[str, Any]]) -> str:
    """Means and deviations over seeds, of every fold and of the speakers never heard together."""
    lines = [f"{'':10}{'seeds':>6}{'official':>16}{'never heard':>16}   " + "".join(f"{s:>10}" for s in SPEAKERS)]
    for front in dict.fromkeys(row["front"] for row in rows):
        of = {(row["fold"], row["seed"]): row["accuracy"] for row in rows if row["front"] == front}
        seeds = sorted({seed for _, seed in of})
        official = [of["official", s] for s in seeds if ("official", s) in of]
        never = [mean(of[who, s] for who in SPEAKERS) for s in seeds if all((who, s) in of for who in SPEAKERS)]
        each = [[of[who, s] for s in seeds if (who, s) in of] for who in SPEAKERS]
        told = "".join(f"{mean(a) if a else float('nan'):10.3f}" for a in each)
        lines.append(f"{front:10}{len(seeds):6}{_spread(official):>16}{_spread(never):>16}   {told}")
    return "\n".join([*lines, ANCHORS])


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{mean(values):.4f} ({stdev(values):.4f})" if len(values) > 1 else f"{values[0]:.4f}"


def main() -> None:
    """Train what is not done yet, print a line a training and the table."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    if unknown := sorted(set(given) - set(OPTIONS)):
        sys.exit(f"hearing: no option {unknown}; choose among {sorted(OPTIONS)}")
    options, out = OPTIONS | given, Path((OPTIONS | given)["out"])
    fronts, folds, seeds = (options[key].split(",") for key in ("fronts", "folds", "seeds"))
    if wrong := sorted((set(fronts) - set(FRONTS)) | (set(folds) - {"official", *SPEAKERS})):
        sys.exit(f"hearing: no front or fold {wrong}; choose among {[*FRONTS, 'official', *SPEAKERS]}")
    out.parent.mkdir(parents=True, exist_ok=True)
    chosen = {key: options[key] for key in ("epochs", "batch", "rate", "filters", "decay", "validate", "body")}
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    rows = [row for row in rows if row["options"] == chosen]
    for seed in map(int, seeds):
        for fold in folds:
            for front in fronts:
                if any((r["front"], r["fold"], r["seed"]) == (front, fold, seed) for r in rows):
                    continue
                began, corpus = perf_counter(), data(fold, options["validate"] == "true")
                mind, state = trained(body(front, [o for o in options["body"].split(";") if o]), corpus, seed, options)
                right = accuracy(mind, state, corpus.test)
                row = {"front": front, "fold": fold, "seed": seed, "accuracy": right, "options": chosen}
                row["seconds"] = round(perf_counter() - began, 1)
                row["parameters"] = int(sum(np.count_nonzero(leaf) for leaf in jax.tree.leaves(state.params)))
                rows.append(row)
                with out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{front} {fold} seed {seed}: {right:.4f}  {row['seconds']} s", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
