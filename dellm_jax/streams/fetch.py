"""Where the files of a public data set are: in the folder DELLM_DATA, else downloaded once into a cache.

Addresses are the authors' own; checksums are of the original files, and are checked wherever the file came from.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from dellm_jax.errors import StreamError

VARIABLE = "DELLM_DATA"


class Remote(NamedTuple):
    """One file: its name in the data set's folder, its address, its checksum "md5:..." or "sha256:...".

    `prepared` is the name of the same data in a form made for machines without a network, looked for first; `mirror` is
    where its authors offer the same bytes again, asked when the address fails. A file is `optional` when the data set
    is of use without it: it is then left out if it cannot be had. One with an empty address can only be copied.
    """

    name: str
    address: str
    checksum: str | None = None
    prepared: str | None = None
    mirror: str | None = None
    optional: bool = False


def _idx(digests: str, address: str, mirror: str | None = None) -> tuple[Remote, ...]:
    """The four files of MNIST or a successor, with their md5 digests in this order."""
    names = (f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
    return tuple(
        Remote(name, address + name, f"md5:{digest}", mirror=mirror and mirror + name)
        for name, digest in zip(names, digests.split(), strict=True)
    )


_FSDD = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip"
_CLINC = "https://raw.githubusercontent.com/clinc/oos-eval/master/data/"
_BANKING = "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/master/banking_data/"
SOURCES: dict[str, tuple[Remote, ...]] = {
    "mnist": _idx(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873 d53e105ee54ea40749a09fcbcd1e9432 "
        "9fb629c4189551a2d022fa330f9573f3 ec29112dd5afa0611ce80d1b7f02629c",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion_mnist": _idx(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d 25c81989df183df01b3e8a0aad5dffbe "
        "bef4ecab320f06d8554ea6380940ec79 bb300cfdad3c16e7a12a480ee83cd310",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        mirror="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    # No checksum: GitHub packs this archive on request without promising the same bytes twice, and its authors publish
    # none. The reader checks instead that every recording is there, once, in the documented format.
    "fsdd": (Remote("free-spoken-digit-dataset-1.0.10.zip", _FSDD, prepared="fsdd_8k_int16.npz"),),
    "clinc150": (
        Remote(
            "data_full.json",
            _CLINC + "data_full.json",
            "sha256:36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        ),
        Remote(
            "domains.json",
            _CLINC + "domains.json",
            "sha256:b947b579d3b8e74b06f93b01083d8efaff2888b43a3e362533bd88a6e1211b3a",
            optional=True,
        ),
    ),
    # Made of two repositories, which offer no file with these pictures and recordings in it: it can only be copied.
    "art4apps": (
        Remote(
            "art4apps_64px_8k_mulaw.npz",
            "",
            "sha256:fcb6e78eb191e1f787c72b26640ed2f7bfb05741dc73185c229b831f95f84df9",
        ),
    ),
    "banking77": tuple(
        Remote(name, _BANKING + name, f"sha256:{digest}")
        for name, digest in (
            ("train.csv", "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b"),
            ("test.csv", "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d"),
        )
    ),
}


def locate(dataset: str, root: Path | str | None = None) -> dict[str, Path]:
    """Paths of a data set's files by their original names, verified where a checksum is known.

    Each is taken from `root`/dataset (default: DELLM_DATA/dataset) if it is there, else from a download into the cache.
    StreamError when the root is no folder, a file is corrupt, or it can neither be found nor downloaded; optional files
    that cannot be had are left out.
    """
    if dataset not in SOURCES:
        raise StreamError(f"data set {dataset!r} is unknown; known are {sorted(SOURCES)}")
    folder = _root(root)
    found = {remote.name: _find(dataset, remote, folder) for remote in SOURCES[dataset]}
    return {name: path for name, path in found.items() if path is not None}


def _root(root: Path | str | None) -> Path | None:
    """The folder of data sets that the user named, if any."""
    named, origin = (root, "data.root") if root is not None else (os.environ.get(VARIABLE) or None, VARIABLE)
    if named is None:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise StreamError(f"{origin}={named} is not a folder; name the one that holds the data sets, or leave it out")
    return folder


def _find(dataset: str, remote: Remote, folder: Path | None) -> Path | None:
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


def _download(dataset: str, remote: Remote, folder: Path | None) -> Path | None:
    """The file in the cache, downloaded if it is not there yet; None when it is optional and does not come."""
    if not remote.address:
        raise StreamError(
            f"{dataset}/{remote.name} is not in {folder or 'a folder of data sets'} and cannot be downloaded; set "
            f"{VARIABLE}=<folder> or data.root=<folder> to a folder with {dataset}/{remote.name} in it"
        )
    import pooch  # needed only by those who download

    cache = Path(pooch.os_cache("dellm_jax")) / dataset
    addresses = [address for address in (remote.address, remote.mirror) if address]
    failures: list[OSError | ValueError] = []
    for address in addresses:
        try:
            return Path(pooch.retrieve(address, remote.checksum, fname=remote.name, path=cache))
        except (OSError, ValueError) as error:  # no network, no such address, disk full; wrong checksum
            failures.append(error)
    if remote.optional:
        return None
    looked = [str(place) for place in (folder and folder / dataset, cache) if place]
    reasons = "; ".join(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}" for error in failures)
    raise StreamError(
        f"{dataset}/{remote.name} is not in {' or '.join(looked)} and did not download from {' or '.join(addresses)} "
        f"({reasons}); set {VARIABLE}=<folder> or data.root=<folder> to a folder with {dataset}/{remote.name} in it"
    ) from failures[-1]
