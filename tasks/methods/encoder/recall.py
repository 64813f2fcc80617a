"""Vectors from a shelf where they are, else encoded; what is encoded goes to the shelf."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import EncoderIdentity

SHARD = 1024
"""Vectors put on the shelf at a time: what a run that is killed loses at most, and a batch."""

Encode = Callable[[Int[np.ndarray, " row"]], Iterator[Float32[np.ndarray, "item dim"]]]
"""From row numbers to these rows' vectors, one batch after another."""


@runtime_checkable
class Shelf(Protocol):
    """Where vectors are kept; `storage.vectors.VectorShelf` is one."""

    def get(
        self, encoder_digest: str, keys: Shaped[np.ndarray, " key"], dim: int
    ) -> tuple[Bool[np.ndarray, " key"], Float32[np.ndarray, "key dim"]]:
        """Return which keys (sha256, 32 bytes each) have a vector, and the vectors."""

    def put(
        self,
        encoder_digest: str,
        keys: Shaped[np.ndarray, " key"],
        vectors: Float32[np.ndarray, "key dim"],
    ) -> None:
        """Keep vectors."""


def recall_or_encode(
    keys: Shaped[np.ndarray, " key"],
    encode: Encode,
    identity: EncoderIdentity,
    shelf: Shelf,
    advance: Callable[[int], None],
) -> Float32[np.ndarray, "key dim"]:
    """Return a vector for each key, from the shelf or else encoded from its first row.

    New vectors go to the shelf in shards while the encoder works, and the last ones also when it
    fails, so that the next run goes on from there.
    """
    gathering = Gathering(keys, identity, shelf)
    missing = gathering.missing_rows
    advance(len(keys) - len(missing))
    done = kept = 0
    try:
        for batch in encode(missing):
            gathering.fill(done, batch)
            done += len(batch)
            advance(len(batch))
            if done - kept >= SHARD:
                gathering.keep(range(kept, done))
                kept = done
    finally:
        gathering.keep(range(kept, done))
    return gathering.vectors


class Gathering:
    """One vector a key: those that are on the shelf, and room for those that are not."""

    missing_rows: Int[np.ndarray, " missing"]
    """The first row of each key that has no vector yet; a `place` below counts along these."""

    def __init__(
        self, keys: Shaped[np.ndarray, " key"], identity: EncoderIdentity, shelf: Shelf
    ) -> None:
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        rows = np.sort(first)  # each key's first, in the order of the keys
        self._place = np.searchsorted(rows, first)[place]
        self._once, self._identity, self._shelf = keys[rows], identity, shelf
        known, self._vectors = shelf.get(identity.digest, self._once, identity.dim)
        self._missing = np.flatnonzero(~known)
        self.missing_rows = rows[self._missing]

    def fill(self, start: int, vectors: Float32[np.ndarray, "item dim"]) -> None:
        """Put the vectors of the missing keys from place `start` on into their room.

        Raises:
            StudyError: a vector is zero or not finite.
        """
        _check_finite(vectors, self._identity)
        self._vectors[self._missing[start : start + len(vectors)]] = vectors

    def keep(self, places: Sequence[int]) -> None:
        """Put the missing keys at these places on the shelf, as one shard."""
        if len(places):
            rows = self._missing[list(places)]
            self._shelf.put(self._identity.digest, self._once[rows], self._vectors[rows])

    @property
    def vectors(self) -> Float32[np.ndarray, "key dim"]:
        """The vector of each key, in the order of the keys."""
        if len(self._once) == len(self._place):
            return self._vectors  # a copy would double them
        return self._vectors[self._place]


def _check_finite(vectors: Float32[np.ndarray, "item dim"], identity: EncoderIdentity) -> None:
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        raise StudyError(
            f"{identity.name} gives vectors that are zero or not finite. At precision bfloat16 "
            "try float32; at float32 its weights are broken."
        )
