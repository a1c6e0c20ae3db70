"""How long a turn takes: text in -> answer out, of a life of size small, at leisure, while it is taught, and asleep.

    python scripts/bench/talk.py            # two minutes on one core, most of it compiling

A newborn that reads is taught twenty intents of CLINC150 by talking: they are named when it does not know or is wrong,
and confirmed when it is right. Rows: asking; asking between turns that teach; these turns, which write to disk; asking
and correcting while a night goes on in the background, which that ends. Milliseconds from the call to the reply;
compiling is not counted: it was got ready before.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter, sleep

import jax
import numpy as np
import pooch
from hydra import compose, initialize_config_dir

from dellm_jax import compilation
from dellm_jax.conversation import Conversation
from dellm_jax.mind import create
from dellm_jax.streams import clinc150
from experiments import build
from experiments.config import register, sound
from experiments.interact import ROOM
from experiments.train import CONF

INTENTS, EACH, NIGHTS = 20, 6, 30
PAUSE_S = 0.3  # well into a stage


def queries(seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(query, intent) to teach, mixed, and others to ask."""
    corpus, random = clinc150(), np.random.default_rng(seed)
    train, teach, ask = corpus.train, [], []
    for concept in random.permutation(len(corpus.concepts))[:INTENTS]:
        rows = random.permutation(np.flatnonzero(train.target == concept))[: EACH + 5]
        texts = [bytes(train.banks["text"][train.index["text"][row]]).rstrip(b"\0").decode() for row in rows]
        known = [(text, corpus.concepts[concept]) for text in texts]
        teach += known[:EACH]
        ask += known[EACH:]
    return [teach[i] for i in random.permutation(len(teach))], [ask[i] for i in random.permutation(len(ask))]


def timed(turn, *said) -> tuple[float, object]:
    """Milliseconds, and the reply."""
    began = perf_counter()
    reply = turn(*said)
    return 1e3 * (perf_counter() - began), reply


def taught(talk: Conversation, lessons: list[tuple[str, str]]) -> dict[str, list[float]]:
    """Ask about every query, and say whether that was right."""
    took = {"ask, at leisure": [], "ask, while it is taught": [], "correct": [], "confirm": []}
    for text, intent in lessons:
        ms, reply = timed(talk.say, text)
        took["ask, while it is taught"].append(ms)
        ms, told = timed(talk.say, "yes") if reply.answer == intent else timed(talk.no, intent)
        took["confirm" if reply.answer == intent else "correct"].append(ms)
        assert told.answer == intent, (text, intent, told)
    return took


def grade(talk: Conversation, questions: list[tuple[str, str]], took: list[float]) -> tuple[int, int, int]:
    """How many are answered rightly, wrongly, and asked back about; what is unknown is not named."""
    right = wrong = 0
    for text, intent in questions:
        ms, reply = timed(talk.say, text)
        took.append(ms)
        if reply.concept < 0:
            talk.say("never mind")
        right += reply.answer == intent
        wrong += reply.concept >= 0 and reply.answer != intent
    return right, wrong, len(questions) - right - wrong


def tell(took: dict[str, list[float]]) -> None:
    """The table."""
    for what, ms in took.items():
        p50, p95 = np.percentile(ms, [50, 95])
        print(f"{what:>22}  p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  most {max(ms):6.1f} ms  n {len(ms)}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    print(f"size small on {jax.devices()[0].platform}, {INTENTS} intents, {EACH} queries each, seed {seed}")
    compilation.persist(Path(pooch.os_cache("dellm_jax")) / "compiled")
    register()
    with initialize_config_dir(CONF, version_base="1.3"):
        config = sound(compose("interact", ["stream.senses=[text]", "stream.query=[text]"]))
    mind, body = build.mind(config), build.architecture(config, ROOM)
    lessons, questions = queries(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        Conversation.open(
            mind,
            folder,
            partial(create, mind, body, jax.random.key(seed)),
            build.schedule(config),
            watch=False,
        ) as talk,
    ):
        talk.ready(("text",))
        took = taught(talk, lessons)
        before = grade(talk, questions, took["ask, at leisure"])
        began = perf_counter()
        talk.rest()
        night = perf_counter() - began
        after = grade(talk, questions, took["ask, at leisure"])
        tell(took)
        took = {"ask, in a night": [], "correct, in a night": []}
        for text, intent in lessons[:NIGHTS]:
            while talk.state.phase != "resting":
                talk.rest(wait=False)
                sleep(0.001)
            sleep(PAUSE_S)
            took["ask, in a night"].append(timed(talk.say, text)[0])
            took["correct, in a night"].append(timed(talk.no, f"{intent}!")[0])
        talk.rest()
    tell(took)
    print(f"a night of {night:.1f} s; of {len(questions)} other queries right, wrong, asked back about: "
          f"before {before}, after {after}")  # fmt: skip


if __name__ == "__main__":
    main()
