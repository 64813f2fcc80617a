"""Who is at a store: any number of runs side by side, or one that removes something, alone.

In a folder that is a lock of a file, which ends with its process. In a bucket it is written down:
each run keeps an object there that says who it is, and who removes something is named in the one
object `in-use/alone.json`, replaced by conditional writes so that of two only one is. Both are
written anew while they are held. Each says so first and looks then who else is there, so of a run
and a removal that begin together at least one sees the other: the run waits, the removal refuses.

A claim has run out when it was not written anew for some minutes **by the bucket's own clock**:
whoever asks writes an object and compares when the bucket says that both were written, so clocks
of machines need not agree. A holder that could not write its claim stops much earlier, by a clock
that goes on while its machine sleeps. Assumed is that clocks run equally fast, that a bucket lists
what was written (those of Amazon, Google and Azure do), and that no request takes minutes.
"""

import fcntl
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import CuretteError
from curette.storage.audit import account
from curette.storage.bucket import Bucket, BucketSilent, bucket_of, write_whole
from curette.storage.files import alone
from curette.storage.store import (
    DISK_REMEDIES,
    MANIFEST,
    ArtifactCorrupt,
    explained,
    made_private,
    workshop,
)

if TYPE_CHECKING:
    from curette.storage.bucket import Version

logger = logging.getLogger(__name__)
_USED = "in-use.lock"
PRESENCE = "in-use"
"""Folder of a bucket where it is written down who is at the store, anew every few seconds."""
_ALONE = f"{PRESENCE}/alone.json"
_CLOCK = f"{PRESENCE}/clock"
_SEEN = ".cleaned"
_COPIED = ("answers", "images", "vectors", "responses", "watched", "withdrawn")
"""Folders of this machine's copy, beside artifacts, whose files come from the bucket."""
_ASKED_AGAIN_S = 1.0

Check = Callable[[], None]
"""Raises `LeaseLost` where the store is not held any more."""


class StoreInUse(CuretteError):
    """Somebody else is at the store."""


class LeaseLost(CuretteError):
    """A store was held and is not any more."""


@dataclass(frozen=True)
class Pace:
    """When claims of a bucket are written anew, doubted by who has them, and over for others."""

    renewed_s: float = 20
    doubted_s: float = 60
    over_s: float = 300
    """So long after the last renewal; more than `doubted_s` and the longest request together."""


USUAL_PACE = Pace()


class Claim(BaseModel, frozen=True):
    """Who is at a store."""

    token: str
    who: str = Field(max_length=300)
    since: str = Field(max_length=40)
    ended: bool = False

    @property
    def told(self) -> str:
        """Return it for a terminal: what others wrote is shown without what a terminal obeys."""
        said = f"{self.who}, since {self.since}"
        return "".join(c if c.isprintable() else "?" for c in said)


@contextmanager
def in_use(root: Path, pace: Pace = USUAL_PACE) -> Iterator[Check]:
    """Hold the store for a run, beside any other run; nothing is removed meanwhile.

    Who removes something at the time is waited for.

    Raises:
        LeaseLost: the run was not heard of for so long that something may have been removed.
    """
    if bucket := bucket_of(root):
        with _beside_others(root, bucket, pace) as check:
            yield check
        return
    with ExitStack() as held:
        with suppress(PermissionError), explained(root, DISK_REMEDIES):  # or it is read, no more
            made_private(root)
            lock = held.enter_context((root / _USED).open("a"))
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield always


@contextmanager
def unused(root: Path, pace: Pace = USUAL_PACE) -> Iterator[Check]:
    """Hold the store alone, so that nothing is made, found or read while something is removed.

    What is yielded is asked ahead of each removal.

    Raises:
        StoreInUse: a study is running on the store, or somebody else removes something.
        LeaseLost: the store was not held to the end.
    """
    if bucket := bucket_of(root):
        with _alone(root, bucket, pace) as check:
            yield check
        return
    with explained(root), (root / _USED).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(
                f"a study is running on the store {root}: nothing was removed. Wait until it has "
                "ended; `--dry-run` may be asked at any time."
            ) from None
        yield always


def always() -> None:
    """A lock of a file is held as long as its process lives."""


@contextmanager
def _beside_others(root: Path, bucket: Bucket, pace: Pace) -> Iterator[Check]:
    claim = _new_claim()
    with _Lease(bucket, f"{PRESENCE}/{claim.token}.json", claim, pace).held("create") as lease:
        removed = _until_nobody_is_alone(bucket, pace)
        _drop_what_was_removed(root, bucket, removed)
        yield lease.check
        lease.check()


def _until_nobody_is_alone(bucket: Bucket, pace: Pace) -> str:
    """Return the token of who removed something last; empty where nobody ever did."""
    told = False
    while True:
        holder = _claim(bucket, bucket.get(_ALONE))
        if holder is None or holder.ended or _ages(bucket).get(_ALONE, 0) >= pace.over_s:
            return holder.token if holder else ""
        if not told:
            logger.warning("waiting for %s, who removes something from %s", holder.told, bucket.url)
            told = True
        time.sleep(_ASKED_AGAIN_S)


@contextmanager
def _alone(root: Path, bucket: Bucket, pace: Pace) -> Iterator[Check]:
    content, version = bucket.versioned(_ALONE)
    holder = _claim(bucket, content)
    if holder and not holder.ended and (age := _ages(bucket).get(_ALONE, 0)) < pace.over_s:
        raise _occupied(bucket, "something is being removed from", holder, age, pace)
    with _Lease(bucket, _ALONE, _new_claim(), pace).held(version) as lease:
        _refuse_beside_runs(bucket, pace)
        _drop_what_was_removed(root, bucket, holder.token if holder else "")
        yield lease.check
        lease.check()
        _drop_what_was_removed(root, bucket, lease.claim.token)


def _refuse_beside_runs(bucket: Bucket, pace: Pace) -> None:
    """Look for runs; claims that have run out are taken away, so that who has them notices."""
    ages = _ages(bucket)
    runs = {name: age for name, age in ages.items() if name not in (_ALONE, _CLOCK)}
    for name, age in runs.items():
        if age < pace.over_s and (claim := _claim(bucket, bucket.get(name))):
            raise _occupied(bucket, "a study is running on", claim, age, pace)
    bucket.drop(*runs)


def _occupied(bucket: Bucket, what: str, claim: Claim, age: float, pace: Pace) -> StoreInUse:
    return StoreInUse(
        f"{what} the store {bucket.url}: nothing was removed. It is {claim.told}, last heard of "
        f"{max(age, 0):.0f} s ago. Wait until it has ended; who was killed is taken to be there "
        f"for {pace.over_s / 60:.0f} minutes more. `--dry-run` may be asked at any time."
    )


@dataclass
class _Lease:
    """A claim in a bucket, written anew until it is given up."""

    bucket: Bucket
    name: str
    claim: Claim
    pace: Pace
    _version: "Version" = "create"
    _heard: float = 0
    _lost: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def held(self, version: "Version") -> Iterator["_Lease"]:
        """Write the claim, if what is there is still of a version, and hold it meanwhile.

        Raises:
            StoreInUse: somebody else was faster.
        """
        if not self._write(version):
            raise StoreInUse(
                f"somebody else has just begun to remove something from the store "
                f"{self.bucket.url}: nothing was removed. Try again when it has ended."
            )
        renewal = threading.Thread(target=self._keep_up, daemon=True)
        renewal.start()
        try:
            yield self
        finally:
            self._ended.set()
            renewal.join()
            with suppress(BucketSilent):  # then it runs out
                self._give_up()

    def check(self) -> None:
        """Raise `LeaseLost` unless the claim was written a short time ago."""
        silent = _now() - self._heard
        if self._lost or silent > self.pace.doubted_s:
            raise LeaseLost(
                f"the store {self.bucket.url} is not held any more: the claim {self.name} was "
                f"{'taken away' if self._lost else f'not renewed for {silent:.0f} s'}, since this "
                "machine slept or could not reach the bucket. What was done is whole; give the "
                "same command again, and it goes on from there."
            )

    def _keep_up(self) -> None:
        while not self._lost and not self._ended.wait(self.pace.renewed_s):
            with suppress(BucketSilent):  # `check` tells when that has lasted
                self._lost = not self._write(self._version)

    def _write(self, version: "Version") -> bool:
        """Return whether the claim stands in the bucket."""
        sent = _now()
        written = self.bucket.swap(self.name, self._content, version)
        if written is None:  # an answer that got lost on its way back is no other's claim
            content, written = self.bucket.versioned(self.name)
            if content != self._content:
                return False
        self._version, self._heard = written, sent
        return True

    def _give_up(self) -> None:
        if self.name != _ALONE:
            self.bucket.drop(self.name)
        elif not self._lost:
            ended = self.claim.model_copy(update={"ended": True})
            self.bucket.swap(self.name, _written(ended), self._version)

    @property
    def _content(self) -> bytes:
        return _written(self.claim)


def _new_claim() -> Claim:
    return Claim(
        token=uuid.uuid4().hex,
        who=f"{account()} on {socket.gethostname()}, process {os.getpid()}"[:300],
        since=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _written(claim: Claim) -> bytes:
    return claim.model_dump_json(indent=1).encode()


def _claim(bucket: Bucket, content: bytes | None) -> Claim | None:
    if content is None:
        return None
    try:
        return Claim.model_validate_json(content)
    except ValidationError:
        raise ArtifactCorrupt(
            f"an object below {bucket.url}/{PRESENCE} does not say who is at the store. Where no "
            "study runs and nothing is removed, delete what is there and try again."
        ) from None


def _ages(bucket: Bucket) -> dict[str, float]:
    """Return how many seconds ago claims were written, by the clock of the bucket alone."""
    bucket.put(_CLOCK, b"{}")
    there = bucket.names(PRESENCE)
    return {n: (there[_CLOCK].at - kept.at).total_seconds() for n, kept in there.items()}


def _now() -> float:
    """Return seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _drop_what_was_removed(root: Path, bucket: Bucket, token: str) -> None:
    """Remove from this machine's copy what the bucket has no more, once after each removal.

    Args:
        root: the copy.
        bucket: that it mirrors.
        token: of who removed something last; what this copy has seen is written down here.
    """
    mark = root / _SEEN
    with explained(root), alone(root / f"{_SEEN}.lock"):
        if not token or (mark.is_file() and mark.read_text() == token):
            return
        there = bucket.names()
        with workshop(root, "removed") as bench:
            for manifest in [*root.glob(f"[!.]*/*/{MANIFEST}")]:
                if manifest.relative_to(root).as_posix() not in there:
                    manifest.parent.rename(bench / manifest.parent.name)
        for file in (f for shelf in _COPIED for f in (root / shelf).rglob("*") if f.is_file()):
            if file.relative_to(root).as_posix() not in there:
                file.unlink(missing_ok=True)
        write_whole(mark, token.encode())
