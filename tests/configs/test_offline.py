"""How a life that learned offline is examined: four intents of a few words each, and queries in other words."""

import jax
import jobs
import numpy as np

from dellm_jax import streams
from dellm_jax.architecture import CONCEPTS
from dellm_jax.memory import semantic
from dellm_jax.mind import create
from dellm_jax.streams.corpus import written
from dellm_jax.streams.texts import labelled_texts
from experiments import build, offline
from experiments.config import sound

INTENTS = {
    "weather": "rain sun cloud snow storm wind",
    "music": "song play jazz band loud drum",
    "money": "bank cash coin loan card bill",
    "food": "soup bread fruit cook meal oven",
}
STRANGE = ["xylophone", "quixotic", "zygote", "yttrium", "vortex", "jujube"]
LITTLE = ("+experiment=clinc150_offline", "size=tiny", "size.episodic_bytes=40000", "semantic_chunk=96", "log=none")
LITTLE += ("cycle.days=2", "stream.text.buckets=1024", "stream.text.expansion=256")


def queries(count: int, seed: int) -> list[tuple[str, str]]:
    drawn = np.random.default_rng(seed)
    return [
        (" ".join(drawn.choice(words.split(), 3)), intent) for intent, words in INTENTS.items() for _ in range(count)
    ]


def test_intents_are_known_and_what_is_none_of_them_is_told(monkeypatch) -> None:
    def corpus(root: None = None, validation: bool = False) -> streams.Corpus:
        return labelled_texts("little", queries(24, 0), queries(6, 1 + validation), 136)

    def strange(root: None = None, validation: bool = False) -> np.ndarray:
        drawn = np.random.default_rng(3 + validation)
        return written([" ".join(drawn.choice(STRANGE, 3)) for _ in range(12)], 136)

    monkeypatch.setattr(streams, "clinc150", corpus)
    monkeypatch.setattr(offline, "clinc150_out_of_scope", strange)
    config = sound(jobs.composed(*LITTLE))
    plan = build.plan(config, "life", checkpoints=False)
    state, train = create(plan.mind, plan.architecture, jax.random.key(0)), plan.curriculum.corpus.train
    (sense,) = plan.architecture.senses
    known = state.memory.semantic["text"]
    features = sense.expand(known.filters, sense.perceive(train.banks["text"]))
    known = jax.jit(semantic.gather)(known, features, train.target, np.ones(train.target.size, np.float32))
    known = jax.jit(semantic.solve)(known)
    concepts = state.homeostasis[CONCEPTS] | {"active": (known.count > 0).astype(np.float32)}
    state = state.replace(
        memory=state.memory.replace(semantic={"text": known}),
        homeostasis=dict(state.homeostasis) | {CONCEPTS: concepts},
        hyper=state.hyper | {"trust": {"cortex": 0.01, "text": 0.1}},
    )
    told = dict(offline.examined(plan, state, config))
    assert list(told) == ["", ", cortex alone", ", semantic memory alone"]
    assert told[""]["accuracy"] >= 0.9 and told[", semantic memory alone"]["validation_accuracy"] >= 0.9
    scores = [name.removeprefix("validation_auroc_") for name in told[""] if name.startswith("validation_auroc_")]
    assert {"whole", "cortex", "text", "evidence", "together", "likeness"} == set(scores)
    best = max(scores, key=lambda score: told[""][f"validation_auroc_{score}"])
    assert told[""]["auroc"] == told[""][f"auroc_{best}"] >= 0.9
