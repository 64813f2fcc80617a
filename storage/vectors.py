"""Vectors kept by their encoder and by what they are of, so that none is made twice."""

import hashlib
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from curette.storage import files
from curette.storage.store import explained

logger = logging.getLogger(__name__)
_KEY = np.dtype("S32")
"""NumPy drops zero bytes at the end and compares as if they were there: no two keys are one."""


@dataclass(frozen=True)
class VectorShelf:
    """Vectors under `root/vectors/<encoder digest>/<sha256 of the shard>.npy`.

    Those of texts lie one folder deeper, in `texts`, so that one new text reads no image's.

    A shard is a structured array of (key, vector) and never changes. It is renamed into place
    when it is complete, so a run that is killed loses at most the shard it was filling, and two
    processes may write at a time: the same shard has the same name, another one another name,
    and a key that stands in two shards has the same vector in both. What cannot be believed any
    more (its bytes do not hash to its name) is put aside, and its vectors count as missing.
    """

    root: Path
    of: Literal["images", "texts"] = "images"

    def get(
        self, encoder_digest: str, keys: Shaped[np.ndarray, " key"], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        """Return which keys have a vector, and the vectors; the rows of the others are zero.

        Every shard of the encoder and the kind is read and checked until all keys are found.

        Args:
            encoder_digest: the encoder's identity.
            keys: sha256 of what the vectors are of, 32 bytes each, each once.
            dim: the encoder's dimension.

        Raises:
            ValueError: a key stands twice, or is none.
        """
        _check(keys)
        order = np.argsort(keys)
        wanted = keys[order]
        if (wanted[1:] == wanted[:-1]).any():
            raise ValueError("a key stands twice; ask for each vector once")
        found = np.zeros(len(keys), dtype=bool)
        vectors = np.zeros((len(keys), dim), dtype=np.float32)
        for path in self._shards(encoder_digest):
            if found.all():
                break
            shard = _read(path)
            if shard is None:
                continue
            place = np.searchsorted(wanted, shard["key"]).clip(max=len(wanted) - 1)
            held = wanted[place] == shard["key"]
            rows = order[place[held]]
            vectors[rows] = shard["vector"][held]
            found[rows] = True
        return found, vectors

    def put(
        self,
        encoder_digest: str,
        keys: Shaped[np.ndarray, " key"],
        vectors: Float32[np.ndarray, "key dim"],
    ) -> None:
        """Keep these vectors as one shard; keys as of `get`.

        Raises:
            ValueError: a key is none.
            StoreError: the disk is full or read-only.
        """
        _check(keys)
        row = np.dtype([("key", _KEY), ("vector", "<f4", (vectors.shape[1],))])
        shard = np.empty(len(keys), dtype=row)
        shard["key"], shard["vector"] = keys, vectors
        name, content = _named(shard)
        with explained(self.root):
            files.keep(self.root, self._folder(encoder_digest) / name, content)

    def _shards(self, encoder_digest: str) -> Iterator[Path]:
        """Yield the shards that lie here, then those that only the bucket has."""
        folder = self._folder(encoder_digest)
        here = sorted(folder.glob("*.npy"))
        yield from here
        for place in files.elsewhere(self.root, folder):
            if place.suffix == ".npy" and files.has(self.root, place):
                yield place

    def _folder(self, encoder_digest: str) -> Path:
        folder = self.root / "vectors" / encoder_digest
        return folder / "texts" if self.of == "texts" else folder


def without_keys(
    root: Path,
    shard: Path,
    keys: frozenset[bytes],
    about_to: Callable[[list[str]], None] = lambda _: None,
) -> None:
    """Write a shard anew without some of its vectors.

    The new one is there before the old one goes, so that a kill loses nothing.

    Args:
        root: the store's folder.
        shard: a file of a `VectorShelf`; one that is damaged is put aside, and leaves a bucket.
        keys: sha256 of what the vectors are of, 32 bytes each.
        about_to: is told, in hexadecimal, of which of these vectors will be gone.
    """
    rows = _read(shard)
    if rows is None:
        files.drop(root, shard)
        return
    gone = np.array([key.ljust(32, b"\0") in keys for key in rows["key"].tolist()], dtype=bool)
    if not gone.any():
        return
    about_to([key.ljust(32, b"\0").hex() for key in rows["key"][gone].tolist()])
    if not gone.all():
        name, content = _named(rows[~gone])
        files.keep(root, shard.parent / name, content)
    files.drop(root, shard)


def _named(rows: Shaped[np.ndarray, " row"]) -> tuple[str, bytes]:
    """Return the name of a shard that its bytes give it, and the bytes."""
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    content = file.getvalue()
    return f"{hashlib.sha256(content).hexdigest()}.npy", content


def _check(keys: Shaped[np.ndarray, " key"]) -> None:
    if keys.dtype != _KEY:
        raise ValueError(f"keys are 32 bytes each ({_KEY}), not {keys.dtype}")


def _read(path: Path) -> Shaped[np.ndarray, " row"] | None:
    """Return a shard, or None where its bytes are not what was written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # another process has just put it aside
        return None
    if hashlib.sha256(content).hexdigest() == path.stem:
        return np.load(io.BytesIO(content), allow_pickle=False)
    logger.warning("%s changed after it was written; its vectors are made again", path)
    with suppress(OSError):  # put aside by another process, or a disk that `put` will explain
        path.rename(path.with_suffix(".corrupt"))
    return None
