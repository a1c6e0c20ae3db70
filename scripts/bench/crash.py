"""Kill a life at random moments, again and again, and look whether it lost anything that it had acknowledged.

python scripts/bench/crash.py --kills 500     # half an hour; 12 kills take a minute
python scripts/bench/crash.py --kills 12 semantic=false '~rest.grow'     # any setting of the configuration

A child lives on the shipped digits: experiences, corrections, snapshots and nights, some of them disturbed. It says on
a pipe what it is about to do and what is acknowledged. kill -9 comes at a random moment after a random one of those
lines, or while it wakes up, and a new child goes on. In the end a life that was never killed does what was
acknowledged: whenever a child had woken up, its state and its answers must have been the same, bit for bit. Exit code 1
if anything was lost. Children are forked before jax starts, so that they need not import it five hundred times.
"""

import argparse
import hashlib
import logging
import os
import random
import select
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # programs of this size are compiled for longer than run

import jax
import numpy as np
from hydra import compose, initialize_config_dir
from witness import Witness, report

from dellm_jax import compilation
from dellm_jax import home as homes
from dellm_jax.acts import ACTS, do, experience_of, experience_payload, live_through
from dellm_jax.mind import create
from dellm_jax.persistence import generations, payload, read_note
from dellm_jax.rest.pieces import in_pieces, pieces_of
from dellm_jax.trees import flat
from dellm_jax.types import Experience
from experiments import build
from experiments.config import register, sound
from experiments.train import CONF

SETTINGS = (
    *("+cycle=fast", "size=tiny", "size.max_units=32", "size.episodic_bytes=8000", "semantic_chunk=16", "log=none"),
    *("stream.senses=[image]", "stream.query=[image]", "stream.image.filters=4", "+stream.image.cells=1"),
    *("cycle.rehearse=4", "cycle.night_steps=20"),
)
NIGHT_EVERY, SAVE_EVERY, CORRECT_EVERY = 16, 7, 3  # acts
AIMS = ("begin", "open", "do", "ack", "write", "night")  # and every stage of the night
PATIENCE_S = 300.0


def corrected(mind, state, what):
    """Live what was seen under another name: "no, it is ..."."""
    experience = experience_of(what)
    target = np.full_like(experience.target, what.meta["answer"])
    return live_through(mind, state, experience_payload(experience.replace(target=target), batch=what.meta["batch"]))


def act(split, seq):
    """What act number `seq` is, whoever does it: (kind, payload), for a night when it is disturbed (0: never)."""
    draw = random.Random(seq)
    if seq % NIGHT_EVERY == 0:
        return "rest", draw.choice((0, 0, 2, 4, 8))
    rows = np.array(draw.sample(range(len(split.target)), draw.choice((1, 1, 3))))
    images = split.banks["image"][split.index["image"][rows]]
    experience = Experience({"image": images}, split.target[rows], np.ones(len(rows), np.float32))
    if seq % CORRECT_EVERY == 0:
        return "correct", experience_payload(experience, batch=homes.BATCH, answer=int(split.target[rows[0]]))
    return "experience", experience_payload(experience, batch=homes.BATCH)


def after(pieces):
    """Somebody who disturbs after so many pieces; 0: nobody does."""
    asked = iter(range(1, 1_000_000))
    return lambda: next(asked) == pieces


def fingerprint(mind, state, probe):
    """Every bit of a life, and of what it says to the probe."""
    said = jax.device_get(homes.laws.respond(mind, state, probe).log_probability).tobytes()
    digest = hashlib.sha256(said)
    for path, leaf in flat(state).items():
        data = jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        digest.update(f"{path} {data.dtype} {data.shape}".encode() + np.asarray(data).tobytes())
    return digest.hexdigest()[:16]


def told(say, name, stage):
    """The same stage, which says when it begins."""

    def pieces(mind, state, key):
        say(name)
        yield from pieces_of(stage)(mind, state, key)

    return in_pieces(pieces)


def live(plan, split, probe, folder, say):
    """Go on for ever with the life in `folder`."""
    writes = homes.save_generation
    homes.save_generation = lambda *given, **named: (say("write"), writes(*given, **named))[1]
    birth = partial(create, plan.mind, plan.architecture, jax.random.key(0))
    home = homes.Home.open(plan.mind, folder, birth, acts={"correct": corrected})
    held = read_note(generations(folder)[0][1])["seq"]
    litter = sum(path.name.endswith((".tmp", "-journal", "-shm")) for path in folder.iterdir())
    say(f"open {home.seq} {held} {fingerprint(plan.mind, home.state, probe)} {litter}")
    stages = [(name, told(say, name, stage)) for name, stage in plan.schedule.night]
    while True:
        seq = home.seq + 1
        kind, what = act(split, seq)
        if seq % SAVE_EVERY == 0:
            home.save()
        say(f"do {seq} {kind}")
        if kind == "rest":
            home.rest(stages, after(what))
            say(f"night {seq}")
        else:
            assert home.apply(kind, what).seq == seq
            say(f"ack {seq}")


def forked(task):
    """Run `task(say)` in a child -> its process id, and the pipe on which it speaks."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        task(lambda line: os.write(writer, f"{line}\n".encode()))
        os._exit(0)
    except BaseException as error:
        os.write(writer, f"error {type(error).__name__}: {error}\n".encode())
        os._exit(1)


def lines_of(reader, until=lambda line: False):
    """Lines as they come, up to one that `until` likes, or to the end of the child."""
    rest, lines = b"", []
    while True:
        if not select.select([reader], [], [], PATIENCE_S)[0]:
            return [*lines, f"error: nothing said for {PATIENCE_S} s"]
        if not (data := os.read(reader, 65536)):
            break
        *whole, rest = (rest + data).split(b"\n")
        lines += [line.decode() for line in whole]
        if any(until(line) for line in lines):
            break
    return lines


def killed(task, aim, draw):
    """Everything that a child said before it was killed at a random moment after the first line of kind `aim`."""
    patience = 10 ** draw.uniform(-4, -1)
    if aim == "begin":
        patience = draw.uniform(0, 0.6)
    child, reader = forked(task)
    lines = [] if aim == "begin" else lines_of(reader, lambda line: line.split()[0] in (aim, "error"))
    time.sleep(patience)
    os.kill(child, signal.SIGKILL)
    lines += lines_of(reader)
    os.close(reader)
    os.waitpid(child, 0)
    return lines


def oracle(plan, split, probe, witness, say):
    """Live what was acknowledged without a journal, and say what it was like whenever a child had woken up."""
    moments = {(woken.seq, nights) for woken, nights in witness.woken}
    state, nights = create(plan.mind, plan.architecture, jax.random.key(0)), 0
    for seq in range(max(seq for seq, _ in moments) + 1):
        if seq:
            kind, what = act(split, seq)
            if kind != "rest":
                what = payload.unpack("act", payload.pack("act", what))
                state, _ = do(ACTS | {"correct": corrected}, plan.mind, state, kind, what)
        if (seq, nights) in moments:
            say(f"{seq} {nights} {fingerprint(plan.mind, state, probe)}")
        if seq in witness.nights:
            state, _ = homes.night(plan.mind, plan.schedule.night, state, after(what))
            nights += 1
            if (seq, nights) in moments:
                say(f"{seq} {nights} {fingerprint(plan.mind, state, probe)}")


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*", help="overrides, as for experiments.train")
    parser.add_argument("--compiled", type=Path, help="folder of compiled programs to use and to keep")
    asked = parser.parse_args()
    logging.disable()  # each restart tells that a night was lost, if one was: expected here
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = sound(compose("config", [*SETTINGS, *asked.settings]))
    plan, began = build.plan(config, "crash"), time.monotonic()
    split = plan.curriculum.corpus.train
    probe = Experience({"image": split.banks["image"][:8]}, np.zeros(8, np.int32), np.ones(8, np.float32))
    with tempfile.TemporaryDirectory(prefix="crash-") as scratch:
        folder, witness, draw, aims = Path(scratch) / "life", Witness(), random.Random(asked.seed), []
        stages = [name for name, _ in plan.schedule.night]
        compilation.persist(asked.compiled or Path(scratch) / "compiled")
        for kill in range(1, asked.kills + 1):
            if not aims:  # every aim as often as any other, in random order
                aims = draw.sample([*AIMS, *stages], len(AIMS) + len(stages))
            witness.hear(killed(partial(live, plan, split, probe, folder), aims.pop(), draw))
            if kill % 25 == 0:
                print(f"{kill} kills, {time.monotonic() - began:.0f} s, {witness.acknowledged} acts", file=sys.stderr)
        child, reader = forked(partial(live, plan, split, probe, folder))  # the last one wakes up too
        witness.hear(lines_of(reader, lambda line: line.startswith(("open", "error"))), died=False)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        _, reader = forked(partial(oracle, plan, split, probe, witness))
        lines = lines_of(reader)
    report(witness, lines)
    sys.exit(bool(witness.faults))


if __name__ == "__main__":
    main()
