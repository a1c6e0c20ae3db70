"""All at once, and what was never taught: intents learned offline, and queries that mean none of them told apart.

AUROC: the chance that a query of the 150 intents scores higher than one of none. Scores: how sure the whole, the cortex
or semantic memory is of its answer (log p); the `evidence` of semantic memory for it, which unlike log p is small where
all concepts are far, and the same pooled with the cortex as far as each is trusted, `together`; and the `likeness` to
the mean of what it is taken for (`conversation.familiar`). Which one counts as `auroc` is chosen on the official
validation queries.
"""

import jax
import jax.numpy as jnp
import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from dellm_jax import experience as experiences
from dellm_jax.conversation.familiar import familiarity
from dellm_jax.life import live
from dellm_jax.memory import semantic
from dellm_jax.mind import create, respond
from dellm_jax.rest.novelty import auroc
from dellm_jax.streams import clinc150_out_of_scope, days
from dellm_jax.types import Dellm, Experience
from experiments import build
from experiments.cells import Scores
from experiments.lives import Plan

TOGETHER = 500


def offline(config: DictConfig, method: str, seed: int) -> Scores:
    """Live the stream as it is configured, to its last night; then what is known, by every way of knowing."""
    plan = build.plan(config, method, checkpoints=False)
    newborn = create(plan.mind, plan.architecture, jax.random.key(seed))
    stream = days.stretches(plan.curriculum, plan.batch, plan.stretch)
    *_, (_, state, _) = live(plan.mind, newborn, stream, plan.schedule)
    yield from examined(plan, state, config)


def examined(plan: Plan, state: Dellm, config: DictConfig) -> Scores:
    """Accuracies and AUROCs of a life, on the test and the validation queries."""
    root, chosen_on = config.data.root, instantiate(config.stream.corpus, validation=True).test
    right, of_scores = {}, {}
    for part, split in (("validation_", chosen_on), ("", plan.curriculum.corpus.test)):
        known, named = _asked(plan, state, split.banks["text"][split.index["text"]])
        unknown, _ = _asked(plan, state, clinc150_out_of_scope(root, validation=bool(part)))
        right[part] = {way: float((concept == split.target).mean()) for way, concept in named.items()}
        of_scores[part] = {score: _auroc(known[score], unknown[score]) for score in known}
    best = max(of_scores["validation_"], key=of_scores["validation_"].__getitem__)
    for way, suffix in (("whole", ""), ("cortex", ", cortex alone"), ("text", ", semantic memory alone")):
        accuracy = {f"{part}accuracy": share[way] for part, share in right.items()}
        told = {f"{part}auroc_{score}": a for part, found in of_scores.items() for score, a in found.items()}
        yield suffix, accuracy | ({} if suffix else told | {"auroc": of_scores[""][best]})


def _asked(plan: Plan, state: Dellm, texts: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores [N] of every kind, and the concepts named [N] by every way of knowing, of uint8 texts [N, width]."""
    scores, named = [], []
    for start in range(0, len(texts), TOGETHER):
        part = np.resize(texts[start : start + TOGETHER], (TOGETHER, texts.shape[1]))
        experience = Experience({"text": part}, np.zeros(TOGETHER, np.int32), np.ones(TOGETHER, np.float32))
        response = respond(plan.mind, state, experience)
        ways = {"whole": response.log_probability} | response.by
        sure = {way: log_p.max(1) for way, log_p in ways.items()}
        alike = familiarity(state, experience, response.concept, {"text": np.float32(0.0)})
        evidence = _evidence(state, experience)
        trust = state.hyper["trust"]
        pooled = (trust["cortex"] * response.by["cortex"] + trust["text"] * evidence).max(1)
        scores.append(sure | {"evidence": evidence.max(1), "together": pooled, "likeness": alike})
        named.append({way: log_p.argmax(1) for way, log_p in ways.items()})
    joined = [{key: np.concatenate([part[key] for part in parts]) for key in parts[0]} for parts in (scores, named)]
    return tuple({key: column[: len(texts)] for key, column in part.items()} for part in joined)


@jax.jit
def _evidence(state: Dellm, experience: Experience) -> jax.Array:
    """w_c (x - m) - w_c (mu_c - m) / 2 of the texts and every concept [B, C]."""
    known, percepts = state.memory.semantic["text"], experiences.perceive(state.architecture, experience)
    evidence = semantic.log_evidence(known, experiences.features_of(state, percepts)["text"])
    return jnp.where(known.count > 0, evidence, -jnp.inf)


def _auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    return float(auroc(known, unknown, np.ones_like(known), np.ones_like(unknown)))
