"""Contracts of the data sets: what they hold, that splits share nothing, that pairs agree, what their errors say."""

import gzip
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

from dellm_jax.errors import StreamError
from dellm_jax.streams import digits, fashion_mnist, fetch, fsdd, gather, mnist, mnist_fsdd, select, subset, validation
from dellm_jax.streams.corpus import fixed_length, mu_law_decode, mu_law_encode, pair, written
from dellm_jax.streams.digits import PACK, WORDS, spoken_digits
from dellm_jax.streams.fsdd import TESTED, Recordings, read_fsdd

PARTS = {"train": 23, "t10k": 12}  # made pictures of each part
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
            name = (
                f"{recordings.label[row]}_{recordings.speakers[recordings.speaker[row]]}_{recordings.repeat[row]}.wav"
            )
            archive.writestr(f"fsdd-1.0.10/recordings/{name}", content.getvalue())
    return path


def made_up() -> Recordings:
    """3,000 recordings of 20 samples of noise, in the order of digit, speaker (called a to f), repeat."""
    columns = np.indices((10, 6, 50)).reshape(3, -1).astype(np.int32)
    return Recordings(
        list(np.random.default_rng(1).integers(-9, 9, (3_000, 20)).astype(np.int16)), *columns, tuple("abcdef")
    )


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


def test_select_keeps_the_named_senses_and_the_group():
    split = digits().test
    assert split.group is None
    less = select(split._replace(group=split.target // 2), ("text", "image"))
    assert less.banks.keys() == less.index.keys() == {"text", "image"}
    np.testing.assert_array_equal(less.group, split.target // 2)
    with pytest.raises(StreamError, match="no sense 'audio'; it has"):
        select(less, ("image", "audio"))


def test_subset_keeps_the_examples_as_they_are_and_shares_the_banks():
    split = digits().test
    rows = np.array([7, 2, 7])
    part = subset(split._replace(group=split.target // 2), rows)
    assert all(part.banks[sense] is split.banks[sense] for sense in split.banks)
    np.testing.assert_array_equal(part.group, split.target[rows] // 2)
    for sense, items in gather(part, np.arange(3)).items():
        np.testing.assert_array_equal(items, gather(split, rows)[sense])
    assert subset(split, rows).group is None


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


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A folder of data sets with an FSDD archive made up for the test, as `root`."""
    (tmp_path / "fsdd").mkdir()
    fsdd_archive(tmp_path / "fsdd" / "free-spoken-digit-dataset-1.0.10.zip", made_up())
    return tmp_path


def test_the_official_split_hears_every_speaker_on_both_sides(archive):
    corpus = fsdd(archive)
    assert corpus.name == "fsdd" and corpus.concepts == WORDS and corpus.sample_rate == 8_000
    for split, repeats in ((corpus.train, 45), (corpus.test, 5)):
        assert split.banks.keys() == {"audio"} and split.banks["audio"].shape == (60 * repeats, 8_000)
        assert split.group.dtype == split.target.dtype == np.int32
        pairs, counts = np.unique(np.stack([split.target, split.group]), axis=1, return_counts=True)
        assert pairs.shape == (2, 60) and set(counts) == {repeats}


def test_one_speaker_can_be_held_out(archive):
    corpus, source = fsdd(archive, held_out="c"), made_up()
    assert corpus.name == "fsdd/c"
    assert set(corpus.test.group) == {2} and set(corpus.train.group) == {0, 1, 3, 4, 5}
    clips = fixed_length(
        [clip for clip, speaker in zip(source.clips, source.speaker, strict=True) if speaker == 2], 8_000
    )
    np.testing.assert_array_equal(gather(corpus.test, np.arange(500))["audio"], clips)
    np.testing.assert_array_equal(corpus.test.target, np.repeat(np.arange(10), 50))
    chosen_on = validation(corpus, by_group=True)
    assert len(set(chosen_on.test.group)) == 1 and len(set(chosen_on.train.group)) == 4
    assert not {2} & {*chosen_on.test.group, *chosen_on.train.group}
    with pytest.raises(StreamError, match=r"held_out='nobody' is no speaker of FSDD; choose among \['a', 'b'"):
        fsdd(archive, held_out="nobody")


@pytest.mark.realdata
@real_data
def test_pictures_and_sounds_alone_are_those_of_the_triples():
    both, seen, heard = mnist_fsdd(DATA), mnist(DATA), fsdd(DATA)
    for triple, picture, sound in zip(both[2:4], seen[2:4], heard[2:4], strict=True):
        np.testing.assert_array_equal(triple.banks["image"], picture.banks["image"])
        np.testing.assert_array_equal(triple.target, picture.target)
        np.testing.assert_array_equal(triple.banks["audio"], sound.banks["audio"])
        np.testing.assert_array_equal(sound.target[triple.index["audio"]], triple.target)
    assert (seen.name, seen.sample_rate, seen.train.banks.keys()) == ("mnist", 0, {"image"})
    assert fsdd(DATA, "theo").test.group.tolist() == [4] * 500


def idx(path: Path, items: np.ndarray) -> None:
    """A gzipped IDX file of bytes."""
    sizes = np.array(items.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(bytes([0, 0, 8, items.ndim]) + sizes + items.astype(np.uint8).tobytes()))


@pytest.mark.parametrize("build, name", [(mnist, "mnist"), (fashion_mnist, "fashion_mnist")])
def test_idx_files_are_read_as_pictures(tmp_path, monkeypatch, build, name):
    folder = tmp_path / name
    folder.mkdir()
    made = {part: np.random.default_rng(rows).integers(256, size=(rows, 28, 28)) for part, rows in PARTS.items()}
    for part, images in made.items():
        idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(len(images)) % 10)
    with pytest.raises(StreamError, match=r"train-images-idx3-ubyte.gz is corrupt: md5 is"):
        build(tmp_path)
    monkeypatch.setitem(fetch.SOURCES, name, tuple(r._replace(checksum=None) for r in fetch.SOURCES[name]))
    corpus = build(tmp_path)
    assert corpus.name == name and len(set(corpus.concepts)) == 10 and corpus.sample_rate == 0
    for split, (part, images) in zip((corpus.train, corpus.test), made.items(), strict=True):
        np.testing.assert_array_equal(gather(split, np.arange(PARTS[part]))["image"], images[..., None])
        assert split.banks["image"].dtype == np.uint8 and split.target.dtype == np.int32 and split.group is None
        np.testing.assert_array_equal(split.target, np.arange(PARTS[part]) % 10)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"<html>"))
    with pytest.raises(StreamError, match="expected an IDX file of bytes"):
        build(tmp_path)


@pytest.mark.realdata
@real_data
def test_prepared_and_original_fsdd_are_the_same(tmp_path):
    prepared = read_fsdd(DATA / "fsdd" / "fsdd_8k_int16.npz")
    original = read_fsdd(fsdd_archive(tmp_path / "fsdd.zip", prepared))
    for column in ("label", "speaker", "repeat"):
        np.testing.assert_array_equal(getattr(prepared, column), getattr(original, column))
    assert all(np.array_equal(a, b) for a, b in zip(prepared.clips, original.clips, strict=True))
    assert prepared.speakers == original.speakers == ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


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


def test_a_mirror_is_asked_when_the_address_fails_or_serves_something_else(no_cache, served, monkeypatch):
    folder, address = served
    (folder / "mirrored").write_bytes(b"content")
    (folder / "page").write_bytes(b"<html>")
    good = "sha256:" + hashlib.sha256(b"content").hexdigest()
    for number, first in enumerate(("http://127.0.0.1:9/", address + "page")):
        remote = fetch.Remote(f"file {number}", first, good, mirror=address + "mirrored")
        monkeypatch.setitem(fetch.SOURCES, "toy", (remote,))
        assert fetch.locate("toy")[remote.name].read_bytes() == b"content"
    monkeypatch.setitem(fetch.SOURCES, "toy", (remote._replace(name="new", mirror=address + "page"),))
    with pytest.raises(StreamError, match=rf"from {address}page or {address}page \(ValueError: .*; ValueError"):
        fetch.locate("toy")


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
    part = fsdd_archive(tmp_path / "part.zip", Recordings(*(column[1:] for column in whole[:4]), whole.speakers))
    with pytest.raises(StreamError, match=r"part.zip holds 2999 recordings, expected 10 x 6 x 50"):
        read_fsdd(part)
