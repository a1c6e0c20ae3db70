"""Listen, understand and learn: from a sound file, or from the microphone until Ctrl-C.

python -m experiments.listen file=talk.wav
python -m experiments.listen mic=true run=outputs/2026-01-31/12-00-00
python -m experiments.listen file=talk.wav engine=faster_whisper model=/models/base.en device=cuda size=base

A new life is born as conf/listen.yaml and further settings say; with `run` a life goes on, and `experiments.interact`
talks with it. What is said names a concept where it is, or holds, the name of one; else it is a new concept, as long as
there is room, of a life that was born listening: a misheard word is no concept of a life that has exams.
`learn=false` only answers.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic

import jax
import numpy as np
import pooch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from dellm_jax import compilation, corrections
from dellm_jax.architecture import CONCEPTS
from dellm_jax.conversation import words
from dellm_jax.errors import DellmError, MediaError, SpeechError
from dellm_jax.life import live
from dellm_jax.media import displayed
from dellm_jax.media.sounds import MOST_BYTES, decoded
from dellm_jax.memory.lexicon import LONGEST
from dellm_jax.mind import create, respond
from dellm_jax.persistence import save_generation
from dellm_jax.persistence.files import write_atomically
from dellm_jax.rest.wake import wake
from dellm_jax.speech import RATE, Listener, Partial, Transcribe, Utterance, experience_of, transcriber
from dellm_jax.streams.texts import shortened
from dellm_jax.types import Dellm, Experience, Mind, Schedule
from experiments import build
from experiments.command import configuration, guarded, own_settings, run_folder
from experiments.config import register, sound
from experiments.left import left_by, snapshots
from experiments.train import CONF

ROOM = 64  # concepts of a new life
MOST_SECONDS = 3_600.0
register()


@dataclass
class Settings:
    """What is listened to, who transcribes, and who learns. `speed` is how much faster than said a file is heard."""

    file: str = ""
    mic: bool = False
    run: str = ""
    engine: str = "pocketsphinx"
    model: str = ""
    device: str = "cpu"
    speed: float = 1.0
    silence_s: float = 0.6
    partial: bool = False
    learn: bool = True


@dataclass
class Hearer:
    """A life that listens, the concepts that it was told of and how they are called, and how long each answer took (ms
    after speech fell silent)."""

    mind: Mind
    life: Dellm
    schedule: Schedule
    folder: Path
    config: DictConfig
    told: dict[int, str] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)


def newborn(overrides: list[str]) -> Hearer:
    """A new life, and the folder of its own that it will have when it has learned."""
    with initialize_config_dir(CONF, version_base="1.3"):
        config = sound(compose("listen", overrides))
    mind, folder = build.mind(config), Path(f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S}").resolve()
    life = create(mind, build.architecture(config, ROOM), jax.random.key(config.seed))
    if life.memory.procedural is None:
        raise SpeechError("rules=0 leaves a life no room for names; give it 1 or more")
    return Hearer(mind, life, build.schedule(config), folder, config)


def reloaded(folder: Path, console: Console) -> Hearer:
    """The life of a run, as its newest snapshot has it."""
    config = configuration(folder)
    mind = build.mind(config)
    life, skipped = left_by(folder, config, mind)
    for reason in skipped:
        say(console, reason)
    return Hearer(mind, life, build.schedule(config), folder, config)


def concept_of(hearer: Hearer, text: str) -> int | None:
    """The number of the concept that is said or spoken of, the longest name first; a new one, which the life then calls
    so; None if none may be."""
    said, names = " ".join(text.casefold().split()), words.names(hearer.life)
    for name in sorted(names.known, key=len, reverse=True):
        if f" {name} " in f" {said} ":
            return names.known[name]
    if not said or hearer.config.stream.corpus or names.free < 0:
        return None
    hearer.told[names.free] = shortened(said, LONGEST)
    hearer.life = corrections.name(hearer.life, hearer.told)
    return names.free


def answered(hearer: Hearer, utterance: Utterance, console: Console, learn: bool) -> Experience | None:
    """Tell what was heard, understood and done, and how long it took; what is to be learned, as a stretch of one."""
    asked = experience_of(hearer.life.architecture, utterance)
    response = jax.block_until_ready(respond(hearer.mind, hearer.life, asked))
    now = monotonic()
    hearer.took.append(1e3 * (now - utterance.ceased))
    known = len(hearer.told)
    target = concept_of(hearer, utterance.text) if learn else None
    say(console, f"     heard  {displayed(utterance.text) or '(nothing that is a word)'}")
    concept = int(response.concept[0])
    if np.asarray(hearer.life.homeostasis[CONCEPTS]["active"])[concept] > 0:
        called = displayed(words.called(hearer.life, concept))
        say(console, f"understood  {called}, {float(response.confidence[0]):.0%} sure")
    else:
        say(console, "understood  nothing: no concept is known yet")
    learned = f"learn it as {'a new' if len(hearer.told) > known else 'a known'} concept"
    idle = "nothing: it names no concept, or there is no room" if learn else "answer only"
    say(console, f"       did  {idle if target is None else learned}")
    waited, worked = utterance.recorded - utterance.ceased, utterance.transcribed - utterance.recorded
    parts = f"silence {1e3 * waited:.0f}, transcription {1e3 * worked:.0f}, response"
    say(console, f"     after  {hearer.took[-1]:.0f} ms: {parts} {1e3 * (now - utterance.transcribed):.0f}")
    return None if target is None else stretch(experience_of(hearer.life.architecture, utterance, target))


def stretch(experience: Experience) -> Experience:
    """A batch as a stretch of one."""
    return jax.tree.map(lambda leaf: leaf[None], experience)


def ready(hearer: Hearer, learn: bool) -> None:
    """Compile what answers, and what learns, so that nobody waits for it after speaking."""
    quiet = Utterance(np.r_[np.zeros(99, np.int16), np.int16(9999)], "a", *[0.0] * 5)
    for text in ("a", ""):
        respond(hearer.mind, hearer.life, experience_of(hearer.life.architecture, quiet._replace(text=text)))
    if learn:
        moment = stretch(experience_of(hearer.life.architecture, quiet, 0))
        wake(moment)(hearer.mind, hearer.life, hearer.life.key)


def listened(hearer: Hearer, listener: Listener, console: Console, learn: bool) -> Iterator[Experience]:
    """What is to be learned of what is said, until the end of the file or Ctrl-C."""
    try:
        for heard in listener.heard():
            if isinstance(heard, Partial):
                say(console, f"       ...  {displayed(heard.text)}")
                continue
            try:
                lived = answered(hearer, heard, console, learn)
            except MediaError as error:  # a click, a breath: nothing that could be heard or read
                say(console, f"   skipped  {error}")
                continue
            if lived is not None:
                yield lived
    except KeyboardInterrupt:
        return


def hear(settings: Settings, said: list[np.ndarray], hearer: Hearer, transcribe: Transcribe, console: Console) -> None:
    """Listen to `said` or the microphone to the end, and save the life, whatever ends it."""
    ready(hearer, settings.learn)
    failed: DellmError | None = None
    with Listener(
        transcribe,
        partial=transcribe if settings.partial else None,
        microphone=settings.mic,
        speed=1.0 if settings.mic else settings.speed,
        silence_s=settings.silence_s,
    ) as listener:
        say(console, "listening to the microphone; Ctrl-C ends" if settings.mic else f"listening to {settings.file}")
        for block in said:
            listener.feed(block, RATE)
        if not settings.mic:
            listener.end()
        stream = listened(hearer, listener, console, settings.learn)
        try:
            for phase, life, _ in live(hearer.mind, hearer.life, stream, hearer.schedule):
                hearer.life = corrections.name(life, hearer.told)  # the loop has no words
                if phase == "rest":
                    say(console, "    rested")
        except DellmError as error:
            failed = error
    if hearer.took:
        middle, late = np.percentile(hearer.took, [50, 95])
        say(console, f"from the end of speech to the response: median {middle:.0f} ms, p95 {late:.0f} ms")
    if settings.learn and hearer.took:
        save(hearer)
        known = words.health(hearer.life)["concepts"]
        say(console, f"{known} concepts; go on with it by run={hearer.folder}")
    if failed:
        raise failed


def save(hearer: Hearer) -> None:
    """The life, where `run` finds it."""
    write_atomically(hearer.folder / "config.yaml", OmegaConf.to_yaml(hearer.config).encode())
    save_generation(snapshots(hearer.folder), hearer.mind, hearer.life, max(1, hearer.config.keep_snapshots))


def say(console: Console, line: str) -> None:
    """A line as it is: nothing that was said or read is markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def parsed(arguments: list[str]) -> tuple[Settings, list[str]]:
    """Own settings, and those of a new life."""
    settings, rest = own_settings(Settings, arguments)
    if bool(settings.file) == settings.mic:
        raise SpeechError("expected file=<a sound file> or mic=true, one of the two")
    if settings.run and rest:
        raise SpeechError(f"run= goes on with a life as it is; {rest[0]} is for a new one")
    return settings, rest


def sounds(file: str) -> list[np.ndarray]:
    """A sound file in blocks at 16 kHz: a bad one is refused before a life is born."""
    with decoded(file, RATE, MOST_BYTES, MOST_SECONDS) as blocks:
        return list(blocks)


def main() -> None:
    """`file=<path>` or `mic=true`."""
    settings, overrides = parsed(sys.argv[1:])
    console = Console()
    compilation.persist(Path(pooch.os_cache("dellm_jax")) / "compiled")
    said = [] if settings.mic else sounds(settings.file)
    transcribe = transcriber(settings.engine, settings.model, settings.device)
    hearer = reloaded(run_folder(settings.run), console) if settings.run else newborn(overrides)
    hear(settings, said, hearer, transcribe, console)


if __name__ == "__main__":
    guarded(main)
