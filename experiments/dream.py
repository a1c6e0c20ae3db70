"""What a life dreams of: reload a run's newest snapshot and draw dreams of every concept it knows.

python -m experiments.dream run=outputs/2026-01-31/12-00-00

Writes dreams.png into the run folder, a row a concept. Of every sense that is dreamt of: dreams of the concept; a blend
with the next concept; what an episode that was perceived through another sense alone brings to mind in this one; and
what comes down the feedback weights from the top. And a WAV of a heard dream of each concept. Needs a life with imagery
(imagery=[image]).
"""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import soundfile
from rich.console import Console

from dellm_jax.architecture import CONCEPTS
from dellm_jax.errors import SnapshotError
from dellm_jax.experience import Percepts, decode
from dellm_jax.memory import episodic
from dellm_jax.mind import create
from dellm_jax.persistence import load_newest
from dellm_jax.rest import topdown
from dellm_jax.rest.scenario import associated, prepared, scenario
from dellm_jax.senses import Audio
from dellm_jax.senses.hearing import SPAN_DB
from dellm_jax.types import Dellm, Mind
from experiments import build
from experiments.command import configuration, guarded, run_argument

EACH = 6
RANK = 30


def dreams(mind: Mind, state: Dellm, concepts: np.ndarray, key: jax.Array) -> dict[str, dict[str, np.ndarray]]:
    """Percepts {sense: {what: [concepts, several, n]}} of every sense that is dreamt of; what cannot be is left out."""
    for_dreams, for_blends, for_others, for_top = jax.random.split(key, 4)
    likely = prepared(state, RANK)

    def dreamt(share: float, many: int, key: jax.Array) -> dict[str, jax.Array]:
        one, other = np.repeat(concepts, many), np.repeat(np.roll(concepts, -1), many)
        return _scenario(state, likely, jnp.asarray(one), jnp.asarray(other), jnp.full(one.size, share), key).values

    kinds = {"dreams": dreamt(1.0, EACH, for_dreams), "half the next": dreamt(0.5, 1, for_blends)}
    for sense in state.architecture.senses:
        lived = _lived_through(state, sense.name, concepts)
        if len(state.architecture.senses) > 1 and lived is not None:
            kinds[f"from {sense.name}"] = {
                other: _associated(mind, state, likely, lived, other, for_others).percepts
                for other in likely
                if other != sense.name
            }
    if state.architecture.feedback and episodic.capacity(state.memory.episodic):
        kinds["top-down"] = _from_the_top(mind, state, jnp.asarray(concepts), for_top)
    return {
        sense: {
            what: np.asarray(percepts[sense]).reshape(concepts.size, -1, percepts[sense].shape[1])
            for what, percepts in kinds.items()
            if sense in percepts
        }
        for sense in likely
    }


_scenario = jax.jit(scenario)
_associated = jax.jit(associated, static_argnums=(0, 4))
_decode = jax.jit(decode, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _from_the_top(mind: Mind, state: Dellm, concepts: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
    """What the feedback weights make of the mean activity of every concept."""
    of = topdown.evoked(mind, state, key)
    return topdown.imagined(mind, state, {reader: mean[concepts] for reader, mean in of.mean.items()})


def _lived_through(state: Dellm, sense: str, concepts: np.ndarray) -> Percepts | None:
    """An episode of every concept, through one sense alone; None if there is not one of each."""
    memory = state.memory.episodic
    if not episodic.capacity(memory) or (np.asarray(memory.kept)[concepts] < 1).any():
        return None
    first = np.asarray(memory.start)[concepts]
    codes = {name: known[first] for name, known in memory.codes.items()}
    bits = memory.present[first] if memory.present.size else jnp.ones(first.shape, jnp.uint8)
    percepts = _decode(state.architecture, codes, bits)
    there = percepts.presence.get(sense)
    if there is not None and not bool((there > 0).all()):
        return None
    return Percepts({sense: percepts.values[sense]}, {})


def gallery(
    state: Dellm, names: list[str], concepts: np.ndarray, dreamt: dict[str, dict[str, np.ndarray]], path: Path
) -> None:
    """Every sense's dreams side by side, a row a concept; what has no picture is drawn as a strip."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    senses = {sense.name: sense for sense in state.architecture.senses}
    columns = [
        (f"{sense}\n{what}" if not nth else "", senses[sense], percepts[:, nth])
        for sense, kinds in dreamt.items()
        for what, percepts in kinds.items()
        for nth in range(percepts.shape[1])
    ]
    size = (len(columns), len(concepts) + 1)
    fig, axes = plt.subplots(len(concepts), len(columns), figsize=size, squeeze=False)
    margins = {"left": 1 / size[0], "right": 0.995, "top": 1 - 0.9 / size[1], "bottom": 0.005}
    fig.subplots_adjust(**margins, wspace=0.05, hspace=0.05)  # laying out hundreds of axes takes a minute
    for column, (title, sense, percepts) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=8, loc="left")
        for row in range(len(concepts)):
            axes[row, column].imshow(_picture(sense, percepts[row]), cmap="gray", aspect="auto")
            axes[row, column].set(xticks=[], yticks=[])
    for row, concept in enumerate(concepts):
        axes[row, 0].set_ylabel(names[concept], rotation=0, ha="right", va="center")
    fig.suptitle(f"{int(state.clock.nights)} nights old")
    fig.savefig(path, dpi=80)
    plt.close(fig)


def _picture(sense: object, percept: np.ndarray) -> np.ndarray:
    if isinstance(sense, Audio):
        return percept.reshape(sense.frames, sense.mels).T[::-1]
    if hasattr(sense, "height"):
        return percept.reshape(sense.height, sense.width, sense.channels).mean(-1)
    return percept[None]


def sound(sense: Audio, percept: np.ndarray) -> np.ndarray:
    """A waveform in [-1, 1] with the spectrogram of a percept; its phases are guessed (Griffin & Lim, 1984)."""
    import librosa

    power = 10 ** (SPAN_DB * (percept.reshape(sense.frames, sense.mels).T - 0.5) / 10)
    heard = librosa.feature.inverse.mel_to_audio(power, sr=sense.rate, n_fft=sense.window, hop_length=sense.hop)
    return heard / max(np.abs(heard).max(), 1e-9)


def show(folder: Path, console: Console, seed: int = 0) -> list[Path]:
    """Dreams of the newest snapshot that verifies, as a picture and as sounds; returns the files."""
    config = configuration(folder)
    mind = build.mind(config)
    newborn = partial(create, mind, key=jax.random.key(config.seed))
    life, _, skipped = load_newest(folder / "lives" / "dellm" / "snapshots", newborn)
    for reason in skipped:
        console.print(reason, markup=False, highlight=False, soft_wrap=True)
    if not life.memory.imagery:
        raise SnapshotError(
            f"{folder} is of a life without imagery, which does not dream; live one with imagery=[image]"
        )
    concepts = np.flatnonzero(np.asarray(life.homeostasis[CONCEPTS]["active"]) > 0)
    names = list(build.curriculum(config).corpus.concepts)
    dreamt = dreams(mind, life, concepts, jax.random.key(seed))
    files = [folder / "dreams.png"]
    gallery(life, names, concepts, dreamt, files[0])
    for sense in life.architecture.senses:
        if isinstance(sense, Audio) and sense.name in dreamt:
            for concept, percepts in zip(concepts, dreamt[sense.name]["dreams"], strict=True):
                files.append(folder / f"dream-{names[concept]}.wav")
                soundfile.write(files[-1], sound(sense, percepts[0]), sense.rate)
    for file in files:
        console.print(str(file), markup=False, highlight=False, soft_wrap=True)
    return files


def main() -> None:
    """`run=<folder>`."""
    show(run_argument(), Console())


if __name__ == "__main__":
    guarded(main)
