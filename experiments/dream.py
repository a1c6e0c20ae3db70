"""What a life dreams of: reload a run's newest snapshot and draw dreams of every concept it knows.

python -m experiments.dream run=outputs/2026-01-31/12-00-00

Writes dreams.png into the run folder, a row a concept: dreams of it in every sense that is dreamt of, and last a blend
with the next concept; and a WAV of a heard dream of each concept. Needs a life with imagery (imagery=[image]).
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
from dellm_jax.mind import create
from dellm_jax.persistence import load_newest
from dellm_jax.rest.scenario import prepared, scenario
from dellm_jax.senses import Audio
from dellm_jax.senses.hearing import SPAN_DB
from dellm_jax.types import Dellm
from experiments import build
from experiments.command import configuration, guarded, run_argument

EACH = 6
RANK = 30


def dreams(state: Dellm, concepts: np.ndarray, key: jax.Array) -> dict[str, np.ndarray]:
    """Percepts {sense: [concepts, EACH + 1, n]}: EACH dreams of a concept and one that is half the next concept."""
    concept = np.repeat(concepts, EACH + 1)
    other = np.repeat(np.roll(concepts, -1), EACH + 1)
    share = np.tile(np.r_[np.ones(EACH), 0.5], concepts.size)
    likely = prepared(state, RANK)
    percepts = scenario(state, likely, jnp.asarray(concept), jnp.asarray(other), jnp.asarray(share), key)
    return {sense: np.asarray(percepts.values[sense]).reshape(concepts.size, EACH + 1, -1) for sense in likely}


def gallery(state: Dellm, names: list[str], concepts: np.ndarray, dreamt: dict[str, np.ndarray], path: Path) -> None:
    """Every sense's dreams side by side, a row a concept; what has no picture is drawn as a strip."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = len(dreamt) * (EACH + 1)
    fig, axes = plt.subplots(
        len(concepts), columns, figsize=(columns, len(concepts)), squeeze=False, constrained_layout=True
    )
    senses = {sense.name: sense for sense in state.architecture.senses}
    for row, concept in enumerate(concepts):
        for place, (sense, percepts) in enumerate(dreamt.items()):
            for column in range(EACH + 1):
                axis = axes[row, place * (EACH + 1) + column]
                axis.imshow(_picture(senses[sense], percepts[row, column]), cmap="gray", aspect="auto")
                axis.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(names[concept], rotation=0, ha="right", va="center")
    fig.suptitle(f"{int(state.clock.nights)} nights old: {EACH} dreams of each concept, and one that is half the next")
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
    newborn = partial(create, build.mind(config), key=jax.random.key(config.seed))
    life, _, skipped = load_newest(folder / "lives" / "dellm" / "snapshots", newborn)
    for reason in skipped:
        console.print(reason, markup=False, highlight=False, soft_wrap=True)
    if not life.memory.imagery:
        raise SnapshotError(
            f"{folder} is of a life without imagery, which does not dream; live one with imagery=[image]"
        )
    concepts = np.flatnonzero(np.asarray(life.homeostasis[CONCEPTS]["active"]) > 0)
    names = list(build.curriculum(config).corpus.concepts)
    dreamt = dreams(life, concepts, jax.random.key(seed))
    files = [folder / "dreams.png"]
    gallery(life, names, concepts, dreamt, files[0])
    for sense in life.architecture.senses:
        if isinstance(sense, Audio) and sense.name in dreamt:
            for concept, percepts in zip(concepts, dreamt[sense.name], strict=True):
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
