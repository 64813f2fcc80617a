"""What a store may forget: old artifacts that nothing kept rests on.

Kept are the last finished runs of every study with everything they rest on, a person's decisions,
edits and adaptations, and whatever is young. Vectors, image bytes and answers of language models
are no artifacts: they are shared by studies, cost most to make again, and stay; so does the record
of who read test labels.
"""

import fcntl
import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.artifact import CuretteError, Ref
from curette.schemas.edits import Edits
from curette.schemas.report import Report
from curette.schemas.review import Decisions
from curette.storage.audit import audit
from curette.storage.bucket import bucket_of
from curette.storage.store import (
    DISK_REMEDIES,
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    explained,
    made_private,
    workshop,
)

_USED = "in-use.lock"
_DAY_S = 24 * 60 * 60
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{20}(?![0-9a-f])")
_PERSONS = (Decisions.kind, Edits.kind, Adaptation.kind, AdaptationResult.kind)


class StoreInUse(CuretteError):
    """A study runs on the store, and may be about to read what would be removed."""


@dataclass(frozen=True)
class Forgettable:
    """An artifact that nothing kept rests on."""

    ref: Ref[Any]
    size_bytes: int
    days: float
    """Since it was made, or a run found it."""


@contextmanager
def in_use(root: Path) -> Iterator[None]:
    """Hold the store for a run, beside any other run; nothing is forgotten meanwhile."""
    with ExitStack() as held:
        with suppress(PermissionError), explained(root, DISK_REMEDIES):  # or it is read, no more
            made_private(root)
            lock = held.enter_context((root / _USED).open("a"))
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def unused(root: Path) -> Iterator[None]:
    """Hold the store alone, so that nothing is made, found or read while something is removed.

    Raises:
        StoreInUse: a study is running on the store, or it cannot be told.
    """
    if bucket := bucket_of(root):
        raise StoreInUse(
            f"whether a study runs on the store {bucket.url} cannot be told from here: nothing was "
            "removed. What is in this machine's copy of it may be deleted at any time: "
            f"{root}."
        )
    with explained(root), (root / _USED).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(
                f"a study is running on the store {root}: nothing was removed. Wait until it has "
                "ended; `--dry-run` may be asked at any time."
            ) from None
        yield


def forgettable(
    store: ArtifactStore, study_of: Callable[[Ref[Report]], str], keep: int, older_than_days: float
) -> list[Forgettable]:
    """Return what may be forgotten, the largest first.

    An artifact rests on whatever its history names and on whatever its own files name by digest.

    Args:
        store: what is looked through.
        study_of: the name of the study that a report is of.
        keep: so many of the last reports of every study are kept.
        older_than_days: whatever is younger is kept.
    """
    known = {folder.name: folder for folder in _artifacts(store.root)}
    now = time.time()
    days = {digest: (now - _used_at(folder)) / _DAY_S for digest, folder in known.items()}
    kept = {
        digest
        for digest, folder in known.items()
        if folder.parent.name in _PERSONS or days[digest] < older_than_days
    }
    reports: dict[str, list[str]] = defaultdict(list)
    for digest, folder in known.items():
        if folder.parent.name == Report.kind:
            reports[_study(study_of, Ref(Report.kind, digest))].append(digest)
    for of_study in reports.values():
        kept |= set(sorted(of_study, key=lambda digest: days[digest])[:keep])
    reached = _reached(kept, known)
    return sorted(
        (
            Forgettable(Ref(folder.parent.name, digest), _size(folder), days[digest])
            for digest, folder in known.items()
            if digest not in reached
        ),
        key=lambda x: (-x.size_bytes, str(x.ref)),
    )


def forget(store: ArtifactStore, chosen: Callable[[], Iterable[Forgettable]]) -> list[Forgettable]:
    """Remove what may be forgotten, and the records of stages that lead to it.

    Each artifact is renamed away whole before it is deleted, so that one killed in between leaves
    no half artifact; what is renamed away is swept by the next run.

    Args:
        store: what is looked through.
        chosen: says what goes; it is asked when no run can make or find anything any more.

    Raises:
        StoreInUse: a study is running on the store.
    """
    with unused(store.root):
        gone = list(chosen())
        remove(store, [x.ref for x in gone])
    if gone:
        audit(store.root, f"forgot artifacts: {len(gone)}", "the store")
    return gone


def remove(store: ArtifactStore, gone: Sequence[Ref[Any]]) -> None:
    """Remove artifacts, and the records of stages that lead to them; who calls holds the store."""
    digests = {ref.digest.encode() for ref in gone}
    for record in (store.root / "answers").glob("*-*"):
        if digests & set(_DIGEST.findall(record.read_bytes())):
            record.unlink(missing_ok=True)
    with workshop(store.root, "forgotten") as bench:
        for ref in gone:
            with suppress(FileNotFoundError):  # removed by one that was killed
                store.path(ref).rename(bench / ref.digest)


def resting_on(root: Path, first: Collection[str]) -> list[Ref[Any]]:
    """Return the artifacts of these digests and all that rest on them, directly or not.

    An artifact rests on whatever its history names and on whatever its own files name by digest.
    """
    known = {folder.name: folder for folder in _artifacts(root)}
    named_by: dict[str, set[str]] = defaultdict(set)
    for digest, folder in known.items():
        for named in _named(folder):
            named_by[named].add(digest)
    reached: set[str] = set()
    ahead = [digest for digest in first if digest in known]
    while ahead:
        digest = ahead.pop()
        if digest not in reached:
            reached.add(digest)
            ahead += named_by[digest]
    return [Ref(known[digest].parent.name, digest) for digest in sorted(reached)]


def _named(folder: Path) -> set[str]:
    """Return the digests that an artifact's files name."""
    files = folder.glob("*.json")
    return {name.decode() for file in files for name in _DIGEST.findall(file.read_bytes())}


def _artifacts(root: Path) -> Iterator[Path]:
    return (manifest.parent for manifest in root.glob("[!.]*/*/manifest.json"))


def _used_at(folder: Path) -> float:
    return folder.stat().st_mtime


def _study(study_of: Callable[[Ref[Report]], str], report: Ref[Report]) -> str:
    try:
        return study_of(report)
    except (ArtifactMissing, ArtifactCorrupt):
        return ""  # a report whose history is broken is of no study, and the last of those is kept


def _reached(kept: set[str], known: dict[str, Path]) -> set[str]:
    """Return what is kept and everything that it names, directly or not."""
    reached: set[str] = set()
    ahead = list(kept)
    while ahead:
        digest = ahead.pop()
        if digest in reached:
            continue
        reached.add(digest)
        ahead += [name for name in _named(known[digest]) if name in known]
    return reached


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
