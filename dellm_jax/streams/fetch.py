"""Where the files of a public data set are: in the folder DELLM_DATA, else downloaded once into a cache.

Addresses are the authors' own; checksums are of the original files, and are checked wherever the file came from.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from dellm_jax.types import StreamError

VARIABLE = "DELLM_DATA"


class Remote(NamedTuple):
    """One file: its name in the data set's folder, its address, its checksum "md5:..." or "sha256:...".

    `prepared` is the name of the same data in a form made for machines without a network, looked for first.
    """

    name: str
    address: str
    checksum: str | None = None
    prepared: str | None = None


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FSDD = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
SOURCES: dict[str, tuple[Remote, ...]] = {
    "mnist": tuple(
        Remote(name, _MNIST + name, f"md5:{digest}")
        for name, digest in (
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    ),
    # No checksum: GitHub packs this archive on request without promising the same bytes twice, and its authors publish
    # none. The reader checks instead that every recording is there, once, in the documented format.
    "fsdd": (Remote("free-spoken-digit-dataset-1.0.10.zip", _FSDD, prepared="fsdd_8k_int16.npz"),),
}


def locate(dataset: str, root: Path | str | None = None) -> dict[str, Path]:
    """Paths of a data set's files by their original names, verified where a checksum is known.

    Each is taken from `root`/dataset (default: DELLM_DATA/dataset) if it is there, else from a download into the cache.
    StreamError when the root is no folder, a file is corrupt, or it can neither be found nor downloaded.
    """
    if dataset not in SOURCES:
        raise StreamError(f"data set {dataset!r} is unknown; known are {sorted(SOURCES)}")
    folder = _root(root)
    return {remote.name: _find(dataset, remote, folder) for remote in SOURCES[dataset]}


def _root(root: Path | str | None) -> Path | None:
    """The folder of data sets that the user named, if any."""
    named, origin = (root, "data.root") if root is not None else (os.environ.get(VARIABLE) or None, VARIABLE)
    if named is None:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise StreamError(f"{origin}={named} is not a folder; name the one that holds the data sets, or leave it out")
    return folder


def _find(dataset: str, remote: Remote, folder: Path | None) -> Path:
    """The file in the user's folder, else a download of it."""
    if folder is not None:
        if remote.prepared and (folder / dataset / remote.prepared).is_file():
            return folder / dataset / remote.prepared
        path = folder / dataset / remote.name
        if path.is_file():
            _verify(path, remote.checksum)
            return path
    return _download(dataset, remote, folder)


def _verify(path: Path, checksum: str | None) -> None:
    """StreamError unless the file has the checksum, when one is known."""
    if checksum is None:
        return
    kind, expected = checksum.split(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    if found != expected:
        raise StreamError(f"{path} is corrupt: {kind} is {found}, expected {expected}; delete it or copy it again")


def _download(dataset: str, remote: Remote, folder: Path | None) -> Path:
    """The file in the cache, downloaded if it is not there yet."""
    import pooch  # needed only by those who download

    cache = Path(pooch.os_cache("dellm_jax")) / dataset
    try:
        return Path(pooch.retrieve(remote.address, remote.checksum, fname=remote.name, path=cache))
    except (OSError, ValueError) as error:  # no network, no such address, disk full; wrong checksum
        looked = [str(place) for place in (folder and folder / dataset, cache) if place]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise StreamError(
            f"{dataset}/{remote.name} is not in {' or '.join(looked)} and did not download from {remote.address} "
            f"({reason}); set {VARIABLE}=<folder> or data.root=<folder> to a folder with {dataset}/{remote.name} in it"
        ) from error
