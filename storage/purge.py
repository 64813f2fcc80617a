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
from typing import Any

from pydantic import ValidationError

from curette.schemas.artifact import JsonArtifact, Ref
from curette.schemas.edits import Edits
from curette.schemas.purge import Certificate, PurgePlan
from curette.schemas.review import Decisions
from curette.storage.decisions import DecisionShelf
from curette.storage.retention import remove
from curette.storage.scan import Search, holds
from curette.storage.store import ArtifactCorrupt, ArtifactStore, explained, workshop
from curette.storage.vectors import without_keys
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
    try:
        return PurgePlan.model_validate_json(place.read_bytes())
    except FileNotFoundError:
        return None
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
    place = plan_place(root)
    with explained(root):
        place.parent.mkdir(parents=True, exist_ok=True)
        bench = place.with_suffix(".new")
        bench.unlink(missing_ok=True)
        with os.fdopen(os.open(bench, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(plan.model_dump_json())
        bench.replace(place)


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
        place.parent.mkdir(parents=True, exist_ok=True)
        for file, text in ((place, certificate.model_dump_json(indent=1)), (_page(place), page)):
            bench = file.with_name(f".{file.name}")
            bench.write_text(text + "\n", encoding="utf-8")
            bench.replace(file)
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
        lines = [f"{json.dumps([shelf, str(name)])}\n" for name in names]
        if lines:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(tally_place(self.root), flags, 0o600), "w") as file:
                file.write("".join(lines))
                file.flush()
                os.fsync(file)

    @property
    def counts(self) -> dict[str, int]:
        """Return shelf -> how many things were removed from it, over all tries."""
        try:
            lines = tally_place(self.root).read_text().splitlines()
        except FileNotFoundError:
            return {}
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


def end_plan(root: Path) -> None:
    """Remove what is known of a purge that has ended; the plan, which names who, goes last."""
    tally_place(root).unlink(missing_ok=True)
    plan_place(root).unlink(missing_ok=True)


def purge(store: ArtifactStore, plan: PurgePlan) -> Tally:
    """Put the list of what was withdrawn in force, and remove all that the plan names.

    Returns:
        How many things were removed, by this try and by those before.

    Raises:
        StoreError: the disk is read-only.
    """
    root, search, tally = store.root, Search(plan.traces), Tally(store.root)
    with explained(root):
        WithdrawalShelf(root).replace(plan.listed)
        _without_names(store, search, tally)
        gone = [Ref.parse(text) for text in plan.artifacts]
        tally.note("artifacts", (ref for ref in gone if store.path(ref).exists()))
        remove(store, gone)
        _unlink(_image_files(root, [*plan.images, *plan.masks]), "images", tally)
        _forget_vectors(root, frozenset(plan.images), tally)
        _forget_responses(root, search, tally)
        _forget_ledger(root, frozenset(plan.images), tally)
        _forget_watched(root, search, tally)
        _forget_leftovers(root, tally)
    return tally


def _unlink(files: Iterable[Path], shelf: str, tally: Tally) -> None:
    there = [file for file in files if file.exists()]
    tally.note(shelf, (file.relative_to(tally.root) for file in there))
    for file in there:
        file.unlink(missing_ok=True)


def _image_files(root: Path, digests: Collection[str]) -> Iterator[Path]:
    return (root / "images" / digest[:2] / digest for digest in digests)


def _without_names(store: ArtifactStore, search: Search, tally: Tally) -> None:
    """Take ids and passages out of what persons wrote in decisions and edits.

    What is a study's now stays in force with the words replaced; earlier ones are removed.
    """
    if search.traces.is_empty:
        return
    for of in _PERSONS:
        shelf = DecisionShelf(store.root, of)
        for pointer in sorted((store.root / f"{of.kind}-of").glob("*.json")):
            current = shelf.get(pointer.stem)
            if current and holds((store.path(current) / f"{of.kind}.json").read_bytes(), search):
                cleared = _cleared(store, of, current, search)
                shelf.change(pointer.stem, lambda _, ref=cleared: ref)  # type: ignore[misc]
        naming: list[Ref[Any]] = [
            Ref(of.kind, place.parent.name)
            for place in (store.root / of.kind).glob(f"*/{of.kind}.json")
            if holds(place.read_bytes(), search)
        ]
        tally.note("decisions and edits", naming)
        remove(store, naming)


def _cleared(
    store: ArtifactStore, of: type[JsonArtifact], ref: Ref[JsonArtifact], search: Search
) -> Ref[JsonArtifact]:
    """Save a person's decisions anew, without the words that name who is forgotten."""
    text = (store.path(ref) / f"{of.kind}.json").read_text(encoding="utf-8")
    for word in sorted(
        [*search.traces.ids, *search.traces.passages, *search.traces.digests], key=len
    ):
        text = text.replace(word, _GONE)
    return store.save(of.model_validate_json(text), store.manifest(ref).recipe)


def _forget_vectors(root: Path, images: frozenset[str], tally: Tally) -> None:
    """Write every shard that has a vector of the images anew, without it."""
    keys = frozenset(bytes.fromhex(image) for image in images)
    for shard in sorted((root / "vectors").glob("*/*.npy")):

        def about_to(gone: list[str], encoder: str = shard.parent.name) -> None:
            tally.note("vectors", (f"{encoder}/{key}" for key in gone))

        without_keys(shard, keys, about_to)


def _forget_responses(root: Path, search: Search, tally: Tally) -> None:
    """Remove the answers to questions that held a trace, and batches that ask such questions."""
    if search.traces.is_empty:
        return
    folder = root / "responses"
    gone = [p for p in folder.glob("[0-9a-f][0-9a-f]/*.json") if holds(p.read_bytes(), search)]
    asked = {path.stem.encode() for path in gone}
    batches = [
        path
        for path in folder.glob("batches/*.json")
        if holds(content := path.read_bytes(), search) or any(a in content for a in asked)
    ]
    _unlink([*batches, *gone], "answers of language models", tally)


def _forget_ledger(root: Path, images: frozenset[str], tally: Tally) -> None:
    """Take the images out of the lists of whose labels were read; the readings stay."""
    for names in sorted((root / "test-looks").glob("*.images")):
        listed = names.read_text(encoding="ascii").split()
        kept = [image for image in listed if image not in images]
        if len(kept) < len(listed):
            gone = set(listed) - set(kept)
            tally.note("names in the ledger", (f"{names.stem}/{image}" for image in gone))
            bench = names.with_suffix(".new-images")
            bench.write_text("\n".join(kept), encoding="ascii")
            bench.replace(names)


def _forget_watched(root: Path, search: Search, tally: Tally) -> None:
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
            shelf.keep(study, Seen(seen.outside, kept))


def _forget_leftovers(root: Path, tally: Tally) -> None:
    """Remove what was put aside as damaged, and what killed writers have left half done."""
    with workshop(root, "purge"):  # sweeps what killed processes left there
        pass
    aside = [folder for folder in (root / ".workshop").iterdir() if folder.is_dir()]
    tally.note("damaged or unfinished files", (folder.relative_to(root) for folder in aside))
    for folder in aside:
        shutil.rmtree(folder, ignore_errors=True)
    half = [
        path
        for shelf in _WRITTEN
        for pattern in (".*", "*.corrupt", "*.new-images")
        for path in (root / shelf).rglob(pattern)
        if path.is_file()
    ]
    _unlink(half, "damaged or unfinished files", tally)
