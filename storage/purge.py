"""Removing what was withdrawn from every shelf of a store, so often as it takes to be done.

Each step can be repeated and finds nothing the second time, so a purge that was killed is done
again from its plan. Who purges holds the store alone.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from curette.schemas.artifact import JsonArtifact, Ref
from curette.schemas.edits import Edits
from curette.schemas.purge import Certificate, KeptVersions, PurgePlan
from curette.schemas.review import Decisions
from curette.storage import files
from curette.storage.bucket import bucket_address, bucket_of
from curette.storage.decisions import DecisionShelf
from curette.storage.lease import PRESENCE, Check, always
from curette.storage.retention import half_done, remove
from curette.storage.scan import Search, holds
from curette.storage.store import ArtifactCorrupt, ArtifactStore, explained, workshop
from curette.storage.vectors import without_keys
from curette.storage.versions import Version, Versions, VersionsRefused
from curette.storage.watched import Seen, WatchShelf
from curette.storage.withdrawals import WithdrawalShelf

FOLDER = "withdrawn"
_PLAN = "purge.json"
_GONE = "[withdrawn]"
_WRITTEN = (
    "images",
    "vectors",
    "responses",
    "test-looks",
    "decisions-of",
    "edits-of",
    "watched",
    FOLDER,
)
_PERSONS: tuple[type[Decisions] | type[Edits], ...] = (Decisions, Edits)


def plan_place(root: Path) -> Path:
    """Return where the plan of a purge is until it has ended."""
    return root / FOLDER / _PLAN


def read_plan(root: Path) -> PurgePlan | None:
    """Return the plan of a purge that has not ended, None where there is none.

    Raises:
        ArtifactCorrupt: the plan is damaged.
    """
    place = plan_place(root)
    content = files.read(root, place)
    if content is None:
        return None
    try:
        return PurgePlan.model_validate_json(content)
    except ValidationError:
        raise ArtifactCorrupt(
            f"{place}, the plan of a purge that has not ended, is damaged. Delete it and forget "
            "the same again: what is left is found anew."
        ) from None


def write_plan(root: Path, plan: PurgePlan) -> None:
    """Keep what is about to be removed, readable by the owner alone.

    Raises:
        StoreError: the disk is full or read-only.
    """
    with explained(root):
        files.replace(root, plan_place(root), plan.model_dump_json().encode(), mode=0o600)


def certificate_place(root: Path, number: str) -> Path:
    """Return where a certificate is kept."""
    return root / FOLDER / "certificates" / f"{number}.json"


def write_certificate(root: Path, certificate: Certificate, page: str) -> Path:
    """Keep a certificate and its page; return where that is.

    Raises:
        StoreError: the disk is full or read-only.
    """
    place = certificate_place(root, certificate.number)
    with explained(root):
        for file, text in ((place, certificate.model_dump_json(indent=1)), (_page(place), page)):
            files.keep(root, file, f"{text}\n".encode())
    return _page(place)


def _page(place: Path) -> Path:
    return place.with_suffix(".md")


@dataclass(frozen=True)
class Tally:
    """What a purge removes, written down before it goes, so that every try's counts and none twice.

    It names what is removed, lies beside the plan and goes with it.
    """

    root: Path

    def note(self, shelf: str, names: Iterable[object]) -> None:
        """Write down what is about to be removed from a shelf, each under a name of its own."""
        lines = "".join(f"{json.dumps([shelf, str(name)])}\n" for name in names)
        place = tally_place(self.root)
        if lines and bucket_of(self.root):  # where nothing can be added to
            files.change(self.root, place, lambda content: (content or b"") + lines.encode())
        elif lines:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(place, flags, 0o600), "w") as file:
                file.write(lines)
                file.flush()
                os.fsync(file)

    @property
    def counts(self) -> dict[str, int]:
        """Return shelf -> how many things were removed from it, over all tries."""
        lines = (files.read(self.root, tally_place(self.root)) or b"").decode().splitlines()
        noted = {(shelf, name) for line in lines for shelf, name in _noted(line)}
        return dict(Counter(shelf for shelf, _ in sorted(noted)))


def _noted(line: str) -> list[tuple[str, str]]:
    """Return what a line says; nothing where a kill cut it off, before what it says was removed."""
    with suppress(ValueError):
        shelf, name = json.loads(line)
        return [(shelf, name)]
    return []


def tally_place(root: Path) -> Path:
    """Return where it is written down what a purge has removed, until it has ended."""
    return plan_place(root).with_suffix(".removed")


def end_plan(root: Path, check: Check = always) -> None:
    """Remove what is known of a purge that has ended; the plan, which names who, goes last.

    Raises:
        LeaseLost: the store is not held any more.
    """
    versions = _versions_of(root)
    for place in (tally_place(root), plan_place(root)):
        if versions:
            with suppress(VersionsRefused):  # as the certificate says
                versions.erase(files.name_of(root, place), check)
        if files.read(root, place) is not None:
            files.drop(root, place)


class KeptEarlier(NamedTuple):
    """What became of the earlier versions of what was removed from a bucket."""

    kept: KeptVersions
    refused: str = ""
    """Why they are kept, in the server's code."""


def purge_versions(root: Path, plan: PurgePlan, tally: Tally, check: Check = always) -> KeptEarlier:
    """Remove the earlier versions of what a plan names, and of whatever else held a trace of it.

    All else stays: versions are a bucket's backup. Those of the plan itself go with it.

    Args:
        root: of a store that the caller holds alone, after the purge.
        plan: of what.
        tally: in which it is noted.
        check: is asked ahead of each step.

    Raises:
        LeaseLost: the store is not held any more; the next try goes on.
    """
    bucket = bucket_of(root)
    if bucket is None:
        return KeptEarlier("none")
    if (versions := _versions_of(root)) is None:
        told = bucket.keeps_versions(files.name_of(root, plan_place(root)))
        return KeptEarlier("not told" if told is None else "kept" if told else "none")
    what = "earlier versions"
    try:
        gone = _holding(
            versions, plan, {files.name_of(root, f(root)) for f in (plan_place, tally_place)}
        )
        tally.note(what, (f"{version.name} {version.id}" for version in gone))
        # First what they held, or taking a mark away would bring back what it says was removed.
        versions.remove((v for v in gone if not v.is_marker), check)
        versions.remove((v for v in gone if v.is_marker), check)
        if {*gone} & {*versions.listed()}:
            return KeptEarlier("kept", "they are still listed")
    except VersionsRefused as refused:
        return KeptEarlier("kept", str(refused))
    return KeptEarlier("removed" if tally.counts.get(what) else "none")


def _holding(versions: Versions, plan: PurgePlan, but: Collection[str]) -> list[Version]:
    """Return the earlier versions that hold what a plan names, and the marks of their removal."""
    search = Search(plan.traces)
    folders = tuple(f"{ref}/" for ref in plan.artifacts)
    digests = {*plan.images, *plan.masks}
    present = f"{PRESENCE}/"
    every = [v for v in versions.listed() if v.name not in but and not v.name.startswith(present)]
    earlier = [v for v in every if not v.is_current and not v.is_marker]

    def is_named(version: Version) -> bool:
        return version.name.startswith(folders) or version.name.rpartition("/")[2] in digests

    others = [v for v in earlier if not is_named(v)]
    gone = [v for v in earlier if is_named(v)]
    gone += [v for v, content in versions.contents(others) if holds(content, search)]
    left = {v.name for v in {*every} - {*gone} if not v.is_marker}
    names = {v.name for v in gone} - left
    return gone + [v for v in every if v.is_marker and v.name in names]


def _versions_of(root: Path) -> Versions | None:
    url = bucket_address(root)
    return None if url is None else Versions.of(url)


def purge(store: ArtifactStore, plan: PurgePlan, check: Check = always) -> Tally:
    """Put the list of what was withdrawn in force, and remove all that the plan names.

    Args:
        store: that the caller holds alone.
        plan: of what.
        check: is asked ahead of each step.

    Returns:
        How many things were removed, by this try and by those before.

    Raises:
        StoreError: the disk is read-only.
        LeaseLost: the store is not held any more; the next try goes on.
    """
    root, search, tally = store.root, Search(plan.traces), Tally(store.root)
    with explained(root):
        check()
        WithdrawalShelf(root).replace(plan.listed)
        _without_names(store, search, tally, check)
        gone = [Ref.parse(text) for text in plan.artifacts]
        tally.note("artifacts", (ref for ref in gone if files.below(root, store.path(ref))))
        remove(store, gone, check)
        _unlink(_image_files(root, [*plan.images, *plan.masks]), "images", tally, check)
        _forget_vectors(root, frozenset(plan.images), tally, check)
        _forget_responses(root, search, tally, check)
        _forget_ledger(root, frozenset(plan.images), tally, check)
        _forget_watched(root, search, tally, check)
        _forget_leftovers(root, tally, check)
    return tally


def _unlink(places: Iterable[Path], shelf: str, tally: Tally, check: Check) -> None:
    there = [file for file in places if files.has(tally.root, file)]
    tally.note(shelf, (file.relative_to(tally.root) for file in there))
    for file in there:
        check()
        files.drop(tally.root, file)


def _image_files(root: Path, digests: Collection[str]) -> Iterator[Path]:
    return (root / "images" / digest[:2] / digest for digest in digests)


def _without_names(store: ArtifactStore, search: Search, tally: Tally, check: Check) -> None:
    """Take ids and passages out of what persons wrote in decisions and edits.

    What is a study's now stays in force with the words replaced; earlier ones are removed.
    """
    if search.traces.is_empty:
        return
    root = store.root
    for of in _PERSONS:
        shelf = DecisionShelf(root, of)
        for pointer in files.listed(root, root / f"{of.kind}-of"):
            if pointer.suffix != ".json":
                continue
            current = shelf.get(pointer.stem)
            if current and holds(_said(store, of, current), search):
                check()
                cleared = _cleared(store, of, current, search)
                shelf.change(pointer.stem, lambda _, ref=cleared: ref)  # type: ignore[misc]
        naming: list[Ref[Any]] = [
            Ref(of.kind, place.parent.name)
            for place, content in files.contents(root, files.below(root, root / of.kind))
            if place.name == f"{of.kind}.json" and holds(content, search)
        ]
        tally.note("decisions and edits", naming)
        if naming:
            remove(store, naming, check)


def _said(store: ArtifactStore, of: type[JsonArtifact], ref: Ref[JsonArtifact]) -> bytes:
    return files.read(store.root, store.path(ref) / f"{of.kind}.json") or b""


def _cleared(
    store: ArtifactStore, of: type[JsonArtifact], ref: Ref[JsonArtifact], search: Search
) -> Ref[JsonArtifact]:
    """Save a person's decisions anew, without the words that name who is forgotten."""
    text = _said(store, of, ref).decode()
    for word in sorted(
        [*search.traces.ids, *search.traces.passages, *search.traces.digests], key=len
    ):
        text = text.replace(word, _GONE)
    return store.save(of.model_validate_json(text), store.manifest(ref).recipe)


def _forget_vectors(root: Path, images: frozenset[str], tally: Tally, check: Check) -> None:
    """Write every shard that has a vector of the images anew, without it."""
    keys = frozenset(bytes.fromhex(image) for image in images)
    shelf = root / "vectors"
    for shard in files.below(root, shelf):
        if shard.parent.parent != shelf or shard.suffix != ".npy" or not files.has(root, shard):
            continue

        def about_to(gone: list[str], encoder: str = shard.parent.name) -> None:
            tally.note("vectors", (f"{encoder}/{key}" for key in gone))

        check()
        without_keys(root, shard, keys, about_to)


def _forget_responses(root: Path, search: Search, tally: Tally, check: Check) -> None:
    """Remove the answers to questions that held a trace, and batches that ask such questions."""
    if search.traces.is_empty:
        return
    folder = root / "responses"
    there = [file for file in files.below(root, folder) if file.suffix == ".json"]
    batches = [file for file in there if file.parent == folder / "batches"]
    answers = (file for file in there if file.parent != folder / "batches")
    gone = [file for file, said in files.contents(root, answers) if holds(said, search)]
    asked = {path.stem.encode() for path in gone}
    asking = [
        file
        for file, said in files.contents(root, batches)
        if holds(said, search) or any(a in said for a in asked)
    ]
    _unlink([*asking, *gone], "answers of language models", tally, check)


def _forget_ledger(root: Path, images: frozenset[str], tally: Tally, check: Check) -> None:
    """Take the images out of the lists of whose labels were read; the readings stay."""
    for names, content in files.contents(root, files.listed(root, root / "test-looks")):
        if names.suffix != ".images":
            continue
        listed = content.decode("ascii").split()
        kept = [image for image in listed if image not in images]
        if len(kept) < len(listed):
            gone = set(listed) - set(kept)
            tally.note("names in the ledger", (f"{names.stem}/{image}" for image in gone))
            check()
            files.replace(root, names, "\n".join(kept).encode("ascii"))


def _forget_watched(root: Path, search: Search, tally: Tally, check: Check) -> None:
    """Take the rows of the images out of what watched datasets were like."""
    shelf = WatchShelf(root)
    for study in shelf.studies:
        seen = shelf.get(study)
        if seen is None:
            continue
        gone = {n for n, row in seen.rows.items() if holds(f"{n} {row.content}".encode(), search)}
        if gone:
            tally.note("rows of watched datasets", (f"{study}/{name}" for name in gone))
            kept = {name: row for name, row in seen.rows.items() if name not in gone}
            check()
            shelf.keep(study, Seen(seen.outside, kept))


def _forget_leftovers(root: Path, tally: Tally, check: Check) -> None:
    """Remove what was put aside as damaged, and what killed writers have left half done."""
    what = "damaged or unfinished files"
    with workshop(root, "purge"):  # sweeps what killed processes left there
        pass
    aside = [folder for folder in (root / ".workshop").iterdir() if folder.is_dir()]
    tally.note(what, (folder.relative_to(root) for folder in aside))
    for folder in aside:
        shutil.rmtree(folder, ignore_errors=True)
    if bucket := bucket_of(root):
        unfinished = half_done(bucket, age_s=0)
        tally.note(what, unfinished)
        bucket.drop(*unfinished, before=check)
    half = [
        path
        for shelf in _WRITTEN
        for pattern in (".*", "*.corrupt", "*.new-images")
        for path in (root / shelf).rglob(pattern)
        if path.is_file()
    ]
    _unlink(half, what, tally, check)
