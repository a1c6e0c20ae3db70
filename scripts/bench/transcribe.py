"""How well and how fast speech is transcribed: word error rate and times on 16 real utterances of $DELLM_DATA.

python scripts/bench/transcribe.py                                    # pocketsphinx, a minute
python scripts/bench/transcribe.py recorder=true                      # cut by the recorder, in real time: three minutes
python scripts/bench/transcribe.py engine=faster_whisper model=/models/base.en device=cuda

Word error rate: (substitutions + deletions + insertions) / words said, over all utterances; letters, apostrophes only.
`ratio`: time of transcription / duration of the sound. With `recorder`, what a file was cut into is joined again.
"""

import csv
import os
import re
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from dellm_jax.media.sounds import MOST_BYTES, decoded
from dellm_jax.speech import RATE, Listener, transcriber


def words(text: str) -> list[str]:
    """Lower case, letters and apostrophes."""
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def errors(said: list[str], heard: list[str]) -> int:
    """Edit distance in words (Levenshtein, 1966)."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (one != other))
    return row[-1]


def main() -> None:
    """Print a line an utterance, and the sum."""
    settings = dict(argument.split("=", 1) for argument in sys.argv[1:])
    recorder = settings.pop("recorder", "false") == "true"
    transcribe = transcriber(**settings)
    folder = Path(os.environ["DELLM_DATA"]) / "speech_transcribed"
    wrong = many = 0
    ratios = []
    for row in csv.DictReader((folder / "transcripts.tsv").open(), delimiter="\t"):
        with decoded(folder / row["file"], RATE, MOST_BYTES, 60) as blocks:
            sound = np.concatenate(list(blocks))
        if recorder:
            with Listener(transcribe) as listener:
                listener.feed(sound, RATE)
                listener.end()
                parts = list(listener.utterances())
            heard, took = " ".join(part.text for part in parts), sum(p.transcribed - p.recorded for p in parts)
        else:
            began = perf_counter()
            heard = transcribe(sound)
            took = perf_counter() - began
        said = words(row["transcript"])
        wrong, many = wrong + errors(said, words(heard)), many + len(said)
        ratios.append(took * RATE / len(sound))
        print(f"{row['file']:16} {errors(said, words(heard)):3} of {len(said):2}  {ratios[-1]:5.2f}  {heard}")
    print(f"word error rate {wrong / many:.3f} ({wrong} of {many})")
    print(f"ratio median {np.median(ratios):.2f}, most {max(ratios):.2f}")


if __name__ == "__main__":
    main()
