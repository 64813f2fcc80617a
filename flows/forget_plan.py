"""What of a patient, an image or a class a store holds, and what was made with it."""

import hashlib
import hmac
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from pydantic import ValidationError

from curette.flows.finished import study_of
from curette.schemas.artifact import CuretteError, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.edits import Edits
from curette.schemas.images import ImageDataset, Reports
from curette.schemas.passages import letters
from curette.schemas.purge import PurgePlan, Traces, What
from curette.schemas.report import Report
from curette.schemas.review import Decisions
from curette.schemas.settings.ingest import DatasetSpec
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.schemas.withdrawals import WithdrawalList
from curette.storage import files
from curette.storage.images import SHELF
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.retention import resting_on
from curette.storage.scan import SHORTEST_ID, passages
from curette.storage.store import ArtifactCorrupt, ArtifactMissing, ArtifactStore, workshop
from curette.storage.withdrawals import WithdrawalShelf
from curette.tasks.ingest.listing import quoted
from curette.tasks.ingest.withdrawal import image_name, source_rows, subject_name, subjects_of
from curette.tasks.stage import progress


@dataclass(frozen=True)
class Wanted:
    """What is to be forgotten."""

    what: What
    value: str


def receipt_of(code: str, study: str, wanted: Wanted) -> str:
    """Return what a certificate says in place of an id, given the code that was told once."""
    said = f"{study}\0{wanted.what}\0{wanted.value}"
    return hmac.new(
        code.encode(), said.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()


def is_forgotten(study: Study, wanted: Wanted, store: ArtifactStore) -> bool:
    """Return whether that was forgotten before."""
    listed = WithdrawalShelf(store.root).current()
    if listed.of(study.name) is None:
        return False
    name = Pseudonyms(store.root).of
    match wanted.what:
        case "subject":
            return subject_name(wanted.value, study.kept_dataset, name) in listed.subjects
        case "image":
            return image_name(wanted.value.lower(), name) in listed.images
        case "class":
            return wanted.value in listed.classes.get(study.name, ())


@dataclass(frozen=True)
class _Affected:
    """A dataset in the store, and which of its rows are to be forgotten."""

    ref: Ref[ImageDataset]
    dataset: ImageDataset
    spec: DatasetSpec | None
    rows: np.ndarray

    @property
    def images(self) -> pd.DataFrame:
        return self.dataset.images[self.rows]

    @property
    def others(self) -> pd.DataFrame:
        return self.dataset.images[~self.rows]


def plan_purge(
    study: Study, wanted: Wanted, store: ArtifactStore, current: Ref[ImageDataset]
) -> PurgePlan:
    """Find what of an image, a subject or a class is in a store, and what was made with it.

    A subject's and an image's right reach every dataset of the store; a class is taken from this
    study alone.

    Raises:
        StudyError: there is no such subject, image or class, or too few classes would be left.
    """
    own = store.load(ImageDataset, current)
    spec = study.kept_dataset
    of_study = _datasets_of_studies(store) | {study.name: current}
    there = list(_datasets(store))
    chosen = _choose(wanted, own, spec, there, store)
    if wanted.what == "class":
        mine = {current, *_datasets_named(study.name, store)}
        affected = [_rows(one, chosen) for one in there if one.ref in mine]
    else:
        affected = [_rows(one, chosen) for one in there]
    hit = [one for one in affected if one.rows.any()]
    refs = {one.ref for one in hit}
    rest = [one.dataset.images for one in there if one.ref not in refs]
    rest += [one.others for one in hit]
    images = {i for one in hit for i in one.images["sha256"]} - {
        i for table in rest for i in table["sha256"]
    }
    name = Pseudonyms(store.root).of
    raw = _raw_digests(hit, store)
    masks = _masks([one.images for one in hit]) - _masks(rest)
    ids = _ids([one.images for one in hit], name) - _ids(rest, name)
    long = {i for i in ids if len(i) >= SHORTEST_ID}
    broken = {*_unreadable(store)}
    tainted = {one.ref.digest for one in hit} | (broken if wanted.what != "class" else set())
    for one in hit:
        tainted |= {part.digest for part in one.dataset.parts()}
    persons = {Decisions.kind, Edits.kind}
    code = secrets.token_hex(16)
    return PurgePlan(
        number=f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}",
        study=study.name,
        what=wanted.what,
        receipt=receipt_of(code, study.name, wanted),
        code=code,
        listed=_listed(wanted, spec, study, images | raw, hit, of_study, store),
        images=tuple(sorted(images)),
        masks=tuple(sorted(masks)),
        traces=Traces(
            digests=tuple(sorted(images | raw | masks)),
            ids=tuple(sorted(long)),
            passages=tuple(sorted(_passages(hit, store))),
        ),
        too_short=len(ids - long),
        artifacts=tuple(
            str(ref) for ref in resting_on(store.root, tainted) if ref.kind not in persons
        ),
        before=made_last(study.name, store),
    )


Choice = Callable[[_Affected], np.ndarray]


def _choose(
    wanted: Wanted,
    own: ImageDataset,
    spec: DatasetSpec,
    there: Sequence[_Affected],
    store: ArtifactStore,
) -> Choice:
    """Return which rows of a dataset are meant.

    Raises:
        StudyError: there is no such subject, image or class, or too few classes would be left.
    """
    match wanted.what:
        case "subject":
            return _of_subject(wanted.value, own, spec, there)
        case "image":
            sha256 = wanted.value.lower()
            if not any((one.dataset.images["sha256"] == sha256).any() for one in there):
                raise StudyError(
                    "no image of the store has that sha256. It is of the image's bytes, as "
                    "`sha256sum` tells it; nothing was changed."
                )
            return lambda one: (one.dataset.images["sha256"] == sha256).to_numpy()
        case "class":
            keys = own.class_keys
            if wanted.value not in keys:
                raise StudyError(
                    f"no class of the study has the key {quoted(wanted.value)}; its classes are: "
                    f"{', '.join(map(quoted, keys))}. Nothing was changed."
                )
            if len(keys) < 3:
                raise StudyError("a study needs two classes, and would be left with one")
            with workshop(store.root, "forget") as bench:
                ids = source_rows(spec, bench, progress, (), wanted.value).keys()
            return lambda one: np.isin(np.array(one.dataset.source_ids, dtype=object), [*ids])


def _of_subject(
    subject: str,
    own: ImageDataset,
    spec: DatasetSpec,
    there: Sequence[_Affected],
) -> Choice:
    if spec.subject_column is None:
        raise StudyError(
            "the study does not say which column names the patient (`dataset.subject_column`): "
            "name images by --image SHA256 instead"
        )
    if not (own.images["subject"] == subject).any():
        raise StudyError(
            f"{own.source} has no image of that subject. It is asked for as the data calls it, in "
            f"the column {quoted(spec.subject_column)}; nothing was changed."
        )
    scope = subjects_of(spec)

    def by_id(one: _Affected) -> np.ndarray:
        same = one.spec is not None and subjects_of(one.spec) == scope
        subjects = one.dataset.images["subject"]
        return (subjects == subject).to_numpy() if same else np.zeros(len(subjects), dtype=bool)

    theirs = {i for one in there for i in one.dataset.images["sha256"][by_id(one)]}
    return lambda one: by_id(one) | one.dataset.images["sha256"].isin(theirs).to_numpy()


def _rows(one: _Affected, chosen: Choice) -> _Affected:
    return _Affected(one.ref, one.dataset, one.spec, np.asarray(chosen(one), dtype=bool))


def _datasets(store: ArtifactStore) -> Iterator[_Affected]:
    """Yield every dataset of the store that can be read, no row chosen."""
    for ref in sorted(store.latest(ImageDataset.kind), key=str):
        with suppress(ArtifactCorrupt, ArtifactMissing, ValueError):
            dataset = store.load(ImageDataset, ref)
            try:
                spec = DatasetSpec.model_validate(store.manifest(ref).recipe.spec)
            except ValidationError:  # of another version: images are known by their bytes alone
                spec = None
            yield _Affected(ref, dataset, spec, np.zeros(len(dataset), dtype=bool))


def _unreadable(store: ArtifactStore) -> Iterator[str]:
    """Yield the digests of datasets that cannot be read, so that nobody knows whose they hold."""
    folder = store.root / ImageDataset.kind
    for digest in sorted({f.relative_to(folder).parts[0] for f in files.below(store.root, folder)}):
        try:
            store.load(ImageDataset, Ref(ImageDataset.kind, digest))
        except (ArtifactCorrupt, ArtifactMissing, ValueError):
            yield digest


def _datasets_of_studies(store: ArtifactStore) -> dict[str, Ref[ImageDataset]]:
    """Return what each study that published something has last taken in."""
    return dict(reversed([*_published(store)]))


def _datasets_named(study: str, store: ArtifactStore) -> set[Ref[ImageDataset]]:
    return {dataset for name, dataset in _published(store) if name == study}


def _published(store: ArtifactStore) -> Iterator[tuple[str, Ref[ImageDataset]]]:
    """Yield every concept dataset's study, and what that took in, the last used first."""
    for ref in store.latest(ConceptDataset.kind):
        with suppress(ArtifactCorrupt, ArtifactMissing, ValueError, OSError):
            published = store.load(ConceptDataset, ref)
            validated = store.load(ValidatedConceptDataset, published.validated_ref)
            yield published.facts.name, validated.dataset_ref


def _masks(tables: Sequence[pd.DataFrame]) -> set[str]:
    places = [p for t in tables if "mask_location" in t for p in t["mask_location"].dropna()]
    return {p.removeprefix(SHELF) for p in places if p.startswith(SHELF)}


def _ids(tables: Sequence[pd.DataFrame], pseudonym: Callable[[str, str], str]) -> set[str]:
    """Return everything that images, their subjects and lesions are called, inside and outside."""
    named: dict[str, set[str]] = defaultdict(set)
    for table in tables:
        for column in ("image_id", "source_id", "subject", "lesion", "location"):
            if column in table:
                named[column] |= {str(v) for v in table[column].dropna()}
    inside = {v for values in named.values() for v in values if v and not v.startswith(SHELF)}
    outside = {pseudonym(what, v) for what in ("subject", "lesion") for v in named[what]}
    return inside | outside


def _raw_digests(hit: Sequence[_Affected], store: ArtifactStore) -> set[str]:
    """Return the sha256 of images of more than 8 bits as the source has them.

    Datasets know these by what was made of them.
    """
    found: set[str] = set()
    for one in hit:
        if one.spec is not None and one.dataset.windows:
            ids = one.images.get("source_id", one.images["image_id"])
            with suppress(CuretteError, OSError), workshop(store.root, "forget") as bench:
                found |= {*source_rows(one.spec, bench, progress, set(ids)).values()} - {""}
    return found


def _passages(hit: Sequence[_Affected], store: ArtifactStore) -> set[str]:
    """Return the sentences of the images' reports that stand in no other report."""
    theirs: set[str] = set()
    others: list[str] = []
    for one in hit:
        if one.dataset.reports:
            gone = {*one.images["image_id"]}
            for image, text in store.load(Reports, one.dataset.reports).texts.items():
                if image in gone:
                    theirs |= {*passages(text)}
                else:
                    others.append(letters(text))
    said = "\0".join(others)
    return {passage for passage in theirs if letters(passage) not in said}


def _listed(
    wanted: Wanted,
    spec: DatasetSpec,
    study: Study,
    images: set[str],
    hit: Sequence[_Affected],
    of_study: dict[str, Ref[ImageDataset]],
    store: ArtifactStore,
) -> WithdrawalList:
    """Return the list of what was withdrawn with this too; splits of other images are kept."""
    shelf, name = WithdrawalShelf(store.root), Pseudonyms(store.root).of
    listed = shelf.current()
    by_ref = {one.ref: one for one in hit}
    splits, counts, classes = dict(listed.splits), dict(listed.counts), dict(listed.classes)
    for other, ref in of_study.items():
        if ref in by_ref:
            kept = by_ref[ref].others
            splits[other] = shelf.keep_splits(dict(zip(kept["sha256"], kept["split"], strict=True)))
            counts[other] = counts.get(other, 0) + len(by_ref[ref].images)
    if wanted.what == "class":
        classes[study.name] = tuple(sorted({*classes.get(study.name, ()), wanted.value}))
    by_bytes = set() if wanted.what == "class" else {image_name(i, name) for i in images}
    subjects = {subject_name(wanted.value, spec, name)} if wanted.what == "subject" else set()
    return WithdrawalList(
        images=tuple(sorted({*listed.images, *by_bytes})),
        subjects=tuple(sorted({*listed.subjects, *subjects})),
        classes=classes,
        splits=splits,
        counts=counts,
    )


def _is_of(study: str, report: Ref[Report], store: ArtifactStore) -> bool:
    with suppress(ArtifactCorrupt, ArtifactMissing, OSError, KeyError):
        return study_of(store, report) == study
    return False


def made_last(study: str, store: ArtifactStore) -> dict[str, str]:
    """Return what the last report of a study rests on, by stage; nothing where there is none."""
    last = next((ref for ref in store.latest(Report.kind) if _is_of(study, ref, store)), None)
    if last is None:
        return {}
    made: dict[str, str] = {}
    with suppress(ArtifactCorrupt, ArtifactMissing):
        for manifest in store.lineage(last):
            number = sum(key.partition(" ")[0] == manifest.recipe.stage for key in made)
            stage = manifest.recipe.stage + f" {number + 1}" * bool(number)
            made[stage] = f"{manifest.kind}/{manifest.digest}"
    return made
