"""Contracts of the data sets: what they hold, that splits share nothing, that pairs agree, what their errors say."""

import hashlib
import io
import os
import shutil
import threading
import wave
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dellm_jax.streams import digits, fetch, gather, mnist_fsdd, select
from dellm_jax.streams.corpus import fixed_length, mu_law_decode, mu_law_encode, pair, written
from dellm_jax.streams.digits import PACK, WORDS, spoken_digits
from dellm_jax.streams.mnist_fsdd import TESTED, Recordings, read_fsdd
from dellm_jax.types import StreamError

SHARED = Path(__file__).parents[3] / "shared" / "data"
DATA = Path(os.environ.get("DELLM_DATA", SHARED))
real_data = pytest.mark.skipif(
    not (DATA / "mnist").is_dir() or not (DATA / "fsdd").is_dir(), reason=f"no mnist and fsdd in {DATA}: set DELLM_DATA"
)


@pytest.fixture(params=["digits", pytest.param("mnist_fsdd", marks=[pytest.mark.realdata, real_data])])
def build(request):
    """seed -> corpus, and what it must hold: side of the images, samples, train and test counts of images and clips."""
    if request.param == "digits":
        return digits, (8, 6_000, (1_437, 300), (360, 180))
    return partial(mnist_fsdd, DATA), (28, 8_000, (60_000, 2_700), (10_000, 300))


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    """An empty cache and no DELLM_DATA, as on a new user's machine."""
    monkeypatch.delenv("DELLM_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)


@pytest.fixture
def served(tmp_path):
    """A folder, and the address under which a web server on this machine serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Silent", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def fsdd_archive(path: Path, recordings: Recordings) -> Path:
    """A repository archive as GitHub makes it, in an order of its own, with files that are no recordings."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fsdd-1.0.10/README.md", "not a recording")
        for row in np.random.default_rng(0).permutation(len(recordings.clips)):
            content = io.BytesIO()
            with wave.open(content, "wb") as file:
                file.setparams((1, 2, 8_000, 0, "NONE", ""))
                file.writeframes(recordings.clips[row].astype("<i2").tobytes())
            name = f"{recordings.label[row]}_{'abcdef'[recordings.speaker[row]]}_{recordings.repeat[row]}.wav"
            archive.writestr(f"fsdd-1.0.10/recordings/{name}", content.getvalue())
    return path


def made_up() -> Recordings:
    """3,000 recordings of 20 samples of noise, in the order of digit, speaker, repeat."""
    columns = np.indices((10, 6, 50)).reshape(3, -1).astype(np.int32)
    return Recordings(list(np.random.default_rng(1).integers(-9, 9, (3_000, 20)).astype(np.int16)), *columns)


def labels_heard(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Digit of every clip of the training and of the test bank, read from the source and not through the pairing."""
    if name == "digits":
        _, label, tested = spoken_digits()
    else:
        recordings = read_fsdd(DATA / "fsdd" / "fsdd_8k_int16.npz")
        label, tested = recordings.label, recordings.repeat < TESTED
    return label[~tested], label[tested]


def test_shapes_dtypes_and_counts(build):
    make, (side, samples, *counts) = build
    corpus = make(0)
    assert corpus.concepts == WORDS and corpus.sample_rate == 8_000
    for split, (images, clips) in zip((corpus.train, corpus.test), counts, strict=True):
        assert {sense: (bank.shape, bank.dtype) for sense, bank in split.banks.items()} == {
            "image": ((images, side, side, 1), np.uint8),
            "audio": ((clips, samples), np.int16),
            "text": ((10, 8), np.uint8),
        }
        assert split.banks["image"].max() == 255 and split.banks["audio"].any(axis=1).all()
        for rows in (split.target, *split.index.values()):
            assert rows.dtype == np.int32 and rows.shape == (images,)


def test_every_row_shows_hears_and_reads_its_target(build):
    corpus = build[0](0)
    for split, label in zip((corpus.train, corpus.test), labels_heard(corpus.name), strict=True):
        np.testing.assert_array_equal(label[split.index["audio"]], split.target)
        np.testing.assert_array_equal(split.index["image"], np.arange(len(split.target)))
        seen = gather(split, np.array([3, 14, 3]))
        for row, text in zip((3, 14, 3), seen["text"], strict=True):
            assert bytes(text).rstrip(b"\0").decode() == WORDS[split.target[row]]
        np.testing.assert_array_equal(seen["image"], split.banks["image"][[3, 14, 3]])
        uses = np.bincount(split.index["audio"], minlength=len(label))
        assert all(np.ptp(uses[label == digit]) <= 1 for digit in range(10))


def test_train_and_test_share_no_image_and_no_clip(build):
    corpus = build[0](0)
    for sense in ("image", "audio"):
        train, test = ({item.tobytes() for item in split.banks[sense]} for split in (corpus.train, corpus.test))
        assert not train & test


def test_the_seed_decides_the_pairs_and_nothing_else(build):
    one, same, other = (build[0](seed) for seed in (1, 1, 2))
    for name in ("train", "test"):
        a, b, c = (getattr(corpus, name) for corpus in (one, same, other))
        np.testing.assert_array_equal(a.target, c.target)
        for sense in a.banks:
            np.testing.assert_array_equal(a.index[sense], b.index[sense])
            np.testing.assert_array_equal(a.banks[sense], c.banks[sense])
        assert np.any(a.index["audio"] != c.index["audio"])


def test_speech_pack_keeps_combinations_and_two_voices_for_testing():
    pack = dict(np.load(PACK, allow_pickle=False))
    train, test = (
        set(zip(pack["voice"][part], pack["variant"][part], strict=True)) for part in (~pack["test"], pack["test"])
    )
    assert not train & test and len(train) == 30 and len(test) == 18
    assert len({v for v, _ in test} - {v for v, _ in train}) == 2
    assert 1e6 < PACK.stat().st_size < 2e6 and np.bincount(pack["label"]).tolist() == [48] * 10


def test_synthetic_speech_can_be_learned():
    clips, label, tested = spoken_digits()
    frames = np.lib.stride_tricks.sliding_window_view(clips / 32768.0, 256, axis=1)[:, ::128] * np.hanning(256)
    power = np.abs(np.fft.rfft(frames))[..., 1:] ** 2
    features = np.log(power.reshape(len(clips), -1, 32, 4).sum(-1) + 1e-4).reshape(len(clips), -1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    assert model.fit(features[~tested], label[~tested]).score(features[tested], label[tested]) >= 0.9


def test_select_keeps_the_named_senses():
    less = select(digits().test, ("text", "image"))
    assert less.banks.keys() == less.index.keys() == {"text", "image"}
    with pytest.raises(StreamError, match="no sense 'audio'; it has"):
        select(less, ("image", "audio"))


def test_written_is_utf8_padded_with_zeros():
    np.testing.assert_array_equal(written(["é", "one", ""], 3), [[0xC3, 0xA9, 0], [111, 110, 101], [0, 0, 0]])
    with pytest.raises(StreamError, match=r"'sieben' takes 6 bytes, expected at most 5"):
        written(["eins", "sieben"], 5)


def test_pair_names_a_concept_without_items():
    with pytest.raises(StreamError, match="no item of concept 2"):
        pair(np.array([0, 2]), np.array([0, 1]), np.random.default_rng(0))


def test_fixed_length_centres_the_short_and_keeps_the_loudest_of_the_long():
    tone = np.full(400, 9_000, np.int16)
    short = np.pad(tone, 4_000)
    long = np.concatenate([np.full(1_000, 300, np.int16), tone, np.full(3_000, 300, np.int16)])
    exact = np.full(800, 5, np.int16)
    fixed = fixed_length([short, long, exact, np.zeros(2_000, np.int16)], 800)
    assert fixed.shape == (4, 800) and fixed.dtype == np.int16
    np.testing.assert_array_equal(fixed[0], np.pad(tone, 200))
    assert np.count_nonzero(fixed[1] == 9_000) == 400
    np.testing.assert_array_equal(fixed[2], exact)
    assert not fixed[3].any()
    with pytest.raises(StreamError, match=r"clip 1 is float64 \[9\], expected mono int16"):
        fixed_length([exact, np.zeros(9)], 800)


def test_mu_law_inverts_itself_on_every_code_and_is_the_documented_curve():
    code = np.arange(1, 256, dtype=np.uint8)
    curve = (code - 128.0) / 127
    expected = np.sign(curve) * (256.0 ** np.abs(curve) - 1) / 255
    np.testing.assert_allclose(mu_law_decode(code) / 32767, expected, atol=1 / 32767)
    np.testing.assert_array_equal(mu_law_encode(expected), code)
    assert mu_law_decode(np.array([128, 255, 1], np.uint8)).tolist() == [0, 32767, -32767]


def test_archive_and_its_download_give_the_recordings_in_order(no_cache, served, monkeypatch):
    folder, address = served
    fsdd_archive(folder / "v1.0.10.zip", made_up())
    remote = fetch.Remote("fsdd.zip", address + "v1.0.10.zip")
    monkeypatch.setitem(fetch.SOURCES, "fsdd", (remote,))
    (path,) = fetch.locate("fsdd").values()
    for read, expected in zip(read_fsdd(path), made_up(), strict=True):
        np.testing.assert_array_equal(read, expected)
    shutil.rmtree(folder)
    assert fetch.locate("fsdd") == {"fsdd.zip": path}, "the second time it comes from the cache"


@pytest.mark.realdata
@real_data
def test_prepared_and_original_fsdd_are_the_same(tmp_path):
    prepared = read_fsdd(DATA / "fsdd" / "fsdd_8k_int16.npz")
    original = read_fsdd(fsdd_archive(tmp_path / "fsdd.zip", prepared))
    for column in ("label", "speaker", "repeat"):
        np.testing.assert_array_equal(getattr(prepared, column), getattr(original, column))
    assert all(np.array_equal(a, b) for a, b in zip(prepared.clips, original.clips, strict=True))


def test_downloads_are_checked(no_cache, served, monkeypatch):
    folder, address = served
    (folder / "file").write_bytes(b"content")
    good = "sha256:" + hashlib.sha256(b"content").hexdigest()
    monkeypatch.setitem(fetch.SOURCES, "toy", (fetch.Remote("file", address + "file", good),))
    assert fetch.locate("toy")["file"].read_bytes() == b"content"
    for url, checksum in ((address + "file", "md5:" + "0" * 32), ("http://127.0.0.1:9/file", good)):
        monkeypatch.setitem(fetch.SOURCES, "toy", (fetch.Remote("new", url, checksum),))
        with pytest.raises(StreamError, match=rf"toy/new is not in .*cache.*{url}.*set DELLM_DATA=<f") as caught:
            fetch.locate("toy")
        assert "\n" not in str(caught.value)


def test_root_comes_before_the_variable_and_both_must_be_folders(no_cache, monkeypatch, tmp_path):
    monkeypatch.setitem(fetch.SOURCES, "toy", (fetch.Remote("file", "http://127.0.0.1:9/file"),))
    for place in ("argument", "variable"):
        (tmp_path / place / "toy").mkdir(parents=True)
        (tmp_path / place / "toy" / "file").touch()
    monkeypatch.setenv("DELLM_DATA", str(tmp_path / "variable"))
    assert fetch.locate("toy")["file"] == tmp_path / "variable" / "toy" / "file"
    assert fetch.locate("toy", tmp_path / "argument")["file"] == tmp_path / "argument" / "toy" / "file"
    with pytest.raises(StreamError, match=r"data.root=.*nowhere is not a folder"):
        mnist_fsdd(tmp_path / "nowhere")
    monkeypatch.setenv("DELLM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(StreamError, match=r"DELLM_DATA=.*nowhere is not a folder"):
        mnist_fsdd()
    with pytest.raises(StreamError, match="'cifar' is unknown; known are"):
        fetch.locate("cifar")


@pytest.mark.realdata
@real_data
def test_a_corrupt_file_is_named(tmp_path):
    shutil.copytree(DATA / "mnist", tmp_path / "mnist")
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.chmod(0o644)
    content = bytearray(labels.read_bytes())
    content[2_000] ^= 1
    labels.write_bytes(content)
    with pytest.raises(StreamError, match=r"t10k-labels-idx1-ubyte.gz is corrupt: md5 is .*, expected ec29112d"):
        mnist_fsdd(tmp_path)


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
def test_a_broken_or_incomplete_fsdd_is_named(tmp_path, suffix):
    path = tmp_path / f"fsdd{suffix}"
    path.write_bytes(b"<html>log in to the hotel network</html>")
    with pytest.raises(StreamError, match=rf"fsdd{suffix} cannot be read"):
        read_fsdd(path)
    whole = made_up()
    part = fsdd_archive(tmp_path / "part.zip", Recordings(*(column[1:] for column in whole)))
    with pytest.raises(StreamError, match=r"part.zip holds 2999 recordings, expected 10 x 6 x 50"):
        read_fsdd(part)
