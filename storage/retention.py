"""What a store may forget: old artifacts that nothing kept rests on.

Kept are the last finished runs of every study with everything they rest on, a person's decisions,
edits and adaptations, and whatever is young. Vectors, image bytes and answers of language models
are no artifacts: they are shared by studies, cost most to make again, and stay; so does the record
of who read test labels.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from curette.schemas.adaptation import Adaptation, AdaptationResult
from curette.schemas.artifact import Ref
from curette.schemas.edits import Edits
from curette.schemas.report import Report
from curette.schemas.review import Decisions
from curette.storage.audit import audit
from curette.storage.bucket import Bucket, Kept, bucket_of
from curette.storage.lease import Check, always, unused
from curette.storage.store import (
    MANIFEST,
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    workshop,
)

_DAY_S = 24 * 60 * 60
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{20}(?![0-9a-f])")
_OF_ARTIFACT = re.compile(r"(?!vectors/)[a-z][a-z-]*/[0-9a-f]{20}(?=/)")
_NAMES = re.compile(r"[^/]+\.json")
_PERSONS = (Decisions.kind, Edits.kind, Adaptation.kind, AdaptationResult.kind)


@dataclass(frozen=True)
class Forgettable:
    """An artifact that nothing kept rests on."""

    ref: Ref[Any]
    size_bytes: int
    days: float
    """Since it was made, or a run found it."""


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
    known = _stored(store.root)
    now = time.time()
    days = {digest: (now - stored.used_at) / _DAY_S for digest, stored in known.items()}
    kept = {
        digest
        for digest, stored in known.items()
        if stored.kind in _PERSONS or days[digest] < older_than_days
    }
    reports: dict[str, list[str]] = defaultdict(list)
    for digest, stored in known.items():
        if stored.kind == Report.kind:
            reports[_study(study_of, Ref(Report.kind, digest))].append(digest)
    for of_study in reports.values():
        kept |= set(sorted(of_study, key=lambda digest: days[digest])[:keep])
    reached = _reached(kept, known)
    return sorted(
        (
            Forgettable(Ref(stored.kind, digest), stored.size_bytes, days[digest])
            for digest, stored in known.items()
            if digest not in reached
        ),
        key=lambda x: (-x.size_bytes, str(x.ref)),
    )


def forget(store: ArtifactStore, chosen: Callable[[], Iterable[Forgettable]]) -> list[Forgettable]:
    """Remove what may be forgotten, and the records of stages that lead to it.

    Each artifact is renamed away whole before it is deleted, in a bucket its manifest goes first,
    so that one killed in between leaves no half artifact; what is left is swept by the next run,
    in a bucket by the next removal.

    Args:
        store: what is looked through.
        chosen: says what goes; it is asked when no run can make or find anything any more.

    Raises:
        StoreInUse: a study is running on the store.
        LeaseLost: a bucket was not held to the end; what is gone is gone whole.
    """
    with unused(store.root) as check:
        gone = list(chosen())
        remove(store, [x.ref for x in gone], check)
    if gone:
        audit(store.root, f"forgot artifacts: {len(gone)}", "the store")
    return gone


def remove(store: ArtifactStore, gone: Sequence[Ref[Any]], check: Check = always) -> None:
    """Remove artifacts, and the records of stages that lead to them; who calls holds the store."""
    digests = {ref.digest.encode() for ref in gone}
    if bucket := bucket_of(store.root):
        _remove_there(bucket, gone, digests, check)
    for record in (store.root / "answers").glob("*-*"):
        if digests & set(_DIGEST.findall(record.read_bytes())):
            record.unlink(missing_ok=True)
    with workshop(store.root, "forgotten") as bench:
        for ref in gone:
            with suppress(FileNotFoundError):  # removed by one that was killed
                store.path(ref).rename(bench / ref.digest)


def _remove_there(
    bucket: Bucket, gone: Sequence[Ref[Any]], digests: set[bytes], check: Check
) -> None:
    """Remove artifacts from a bucket, and what killed writers and removals have left half done."""
    records = bucket.contents(bucket.names("answers"))
    leading = [name for name, said in records if digests & set(_DIGEST.findall(said))]
    bucket.drop(*leading, before=check)
    bucket.drop(*(f"{ref}/{MANIFEST}" for ref in gone), before=check)
    bucket.drop(*half_done(bucket, set(map(str, gone))), before=check)


def half_done(bucket: Bucket, gone: Collection[str] = (), age_s: float = _DAY_S) -> list[str]:
    """Return objects of artifacts that have no manifest.

    Args:
        bucket: who calls holds it.
        gone: artifacts whose objects count whenever they were written.
        age_s: of others those count that were written so long ago, since what is younger may just
            be being written.
    """
    there = bucket.names()
    now = max((kept.at.timestamp() for kept in there.values()), default=0)
    return [
        name
        for name, kept in there.items()
        if (found := _OF_ARTIFACT.match(name))
        and f"{found[0]}/{MANIFEST}" not in there
        and (found[0] in gone or now - kept.at.timestamp() >= age_s)
    ]


def resting_on(root: Path, first: Collection[str]) -> list[Ref[Any]]:
    """Return the artifacts of these digests and all that rest on them, directly or not.

    An artifact rests on whatever its history names and on whatever its own files name by digest.
    """
    known = _stored(root)
    named_by: dict[str, set[str]] = defaultdict(set)
    for digest, stored in known.items():
        for named in stored.named():
            named_by[named].add(digest)
    reached: set[str] = set()
    ahead = [digest for digest in first if digest in known]
    while ahead:
        digest = ahead.pop()
        if digest not in reached:
            reached.add(digest)
            ahead += named_by[digest]
    return [Ref(known[digest].kind, digest) for digest in sorted(reached)]


@dataclass(frozen=True)
class _Stored:
    """An artifact of a store."""

    kind: str
    used_at: float
    size_bytes: int
    named: Callable[[], Collection[str]]
    """Return the digests that its files name."""


def _stored(root: Path) -> dict[str, _Stored]:
    """Return digest -> artifact of everything that is in the folder, or in its bucket."""
    if bucket := bucket_of(root):
        return _stored_there(bucket)
    return {
        folder.name: _Stored(
            folder.parent.name, folder.stat().st_mtime, _size(folder), partial(_named, folder)
        )
        for folder in (manifest.parent for manifest in root.glob(f"[!.]*/*/{MANIFEST}"))
    }


def _stored_there(bucket: Bucket) -> dict[str, _Stored]:
    there: dict[str, dict[str, Kept]] = defaultdict(dict)
    for name, kept in bucket.names().items():
        if found := _OF_ARTIFACT.match(name):
            there[found[0]][name.removeprefix(f"{found[0]}/")] = kept
    whole = {ref: files for ref, files in there.items() if MANIFEST in files}
    naming = [f"{r}/{f}" for r, files in whole.items() for f in files if _NAMES.fullmatch(f)]
    named: dict[str, set[str]] = defaultdict(set)
    for name, content in bucket.contents(naming):
        named[name.split("/")[1]] |= _digests(content)
    return {
        (digest := ref.split("/")[1]): _Stored(
            ref.split("/")[0],
            files[MANIFEST].at.timestamp(),
            sum(kept.size_bytes for kept in files.values()),
            partial(named.__getitem__, digest),
        )
        for ref, files in whole.items()
    }


def _named(folder: Path) -> set[str]:
    """Return the digests that an artifact's files name."""
    return {d for file in folder.glob("*.json") for d in _digests(file.read_bytes())}


def _digests(content: bytes) -> set[str]:
    return {digest.decode() for digest in _DIGEST.findall(content)}


def _study(study_of: Callable[[Ref[Report]], str], report: Ref[Report]) -> str:
    try:
        return study_of(report)
    except (ArtifactMissing, ArtifactCorrupt):
        return ""  # a report whose history is broken is of no study, and the last of those is kept


def _reached(kept: set[str], known: dict[str, _Stored]) -> set[str]:
    """Return what is kept and everything that it names, directly or not."""
    reached: set[str] = set()
    ahead = list(kept)
    while ahead:
        digest = ahead.pop()
        if digest in reached:
            continue
        reached.add(digest)
        ahead += [name for name in known[digest].named() if name in known]
    return reached


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
