"""Digits seen, heard and read, all shipped with the project or its dependencies: nothing to download.

Pictures: scikit-learn's copy of the UCI optical digits (1,797 of 8x8, Alpaydin & Kaynak 1998). Speech: the pack made by
`scripts/make_speech_pack.py`, synthetic. Text: the English word.
"""

from pathlib import Path

import numpy as np

from dellm_jax.streams.corpus import Corpus, Split, fixed_length, mu_law_decode, pair, written

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PACK = Path(__file__).parent / "data" / "spoken_digits.npz"
TEXT_WIDTH = 8  # bytes
SAMPLES = 6_000  # 0.75 s at 8 kHz: longer than all but the slowest clips
TESTED = 36  # pictures of each digit in the test split: 360 of 1,797


def digits(seed: int = 0) -> Corpus:
    """1,437 training and 360 test triples of picture, spoken and written word; `seed` deals the clips to the pictures.

    image uint8 [K, 8, 8, 1], audio int16 [K, 6000] at 8 kHz, text uint8 [10, 8]. Training hears 300 clips of six
    voices; testing 180: of each of those six one speed and pitch kept from training, and all of two further voices.
    """
    from sklearn.datasets import load_digits  # slow to import, and needed here only

    generator = np.random.default_rng(seed)
    pixels, target = load_digits(return_X_y=True)
    images = np.round(pixels * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    clips, labels, tested = spoken_digits()
    held = _held_out(target)
    train, test = (
        triples(images[held == part], target[held == part], clips[tested == part], labels[tested == part], generator)
        for part in (False, True)
    )
    return Corpus("digits", WORDS, train, test, 8_000)


def spoken_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pack: audio int16 [K, 6000] at 8 kHz, digit int32 [K], and whether the clip is for testing, bool [K]."""
    with np.load(PACK, allow_pickle=False) as archive:
        pack = {name: archive[name] for name in ("audio", "offsets", "label", "test")}
    clips = np.split(mu_law_decode(pack["audio"]), pack["offsets"][1:-1])
    return fixed_length(clips, SAMPLES), pack["label"].astype(np.int32), pack["test"]


def triples(
    images: np.ndarray, target: np.ndarray, clips: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> Split:
    """Every image [N, ...] once, with a clip [K, samples] of the same digit drawn for it and the digit's word."""
    target = target.astype(np.int32)
    banks = {"image": images, "audio": clips, "text": written(WORDS, TEXT_WIDTH)}
    index = {"image": np.arange(len(target), dtype=np.int32), "audio": pair(target, labels, generator), "text": target}
    return Split(target, banks, index)


def _held_out(target: np.ndarray) -> np.ndarray:
    """Which pictures are for testing, bool [N]: 36 of every digit, evenly spread, the same for every seed.

    The file is in the order of its writers, so even steps put every writer on both sides, as a random split would.
    """
    held = np.zeros(len(target), bool)
    for digit in range(len(WORDS)):
        members = np.flatnonzero(target == digit)
        held[members[np.linspace(0, len(members) - 1, TESTED).round().astype(int)]] = True
    return held
