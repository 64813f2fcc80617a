"""Holding new images against those that a study's head learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from curette.flows.events import PAST_LIMIT, tell_automations
from curette.flows.explain import RunStudy, with_heads_alone
from curette.flows.finished import last_finished
from curette.flows.new_images import encode_files, files_below, same_encoder
from curette.flows.stages import RunOptions
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.drift import Drift, DriftFacts
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.heads import EXPLAINED
from curette.schemas.images import ImageDataset
from curette.schemas.probe import Head, Heads
from curette.schemas.settings.encoder import OpenClipEncoder, TransformersEncoder
from curette.schemas.study import Study
from curette.storage.lease import in_use
from curette.storage.store import ArtifactStore
from curette.tasks.drift.comparing import Batch, find_drift, statements_asked
from curette.tasks.drift.page import drift_page, sentence
from curette.tasks.methods.encoder.text_vectors import read_statements
from curette.tasks.methods.filled_tables import Fault, FilledTable
from curette.tasks.stage import code_digest

_FEWEST = 2  # groups
_READS_TEXT = (OpenClipEncoder, TransformersEncoder)


@dataclass(frozen=True)
class Wanted:
    """Which images are held against the study's."""

    folder: Path | None = None
    """None: the images of the study's dataset that its last finished run did not know."""
    subjects: Path | None = None
    """A table, `file,subject`, that says which of the folder's images are of one patient."""
    one_each: bool = False
    """Each image of the folder is of another patient."""


@dataclass(frozen=True)
class Drifted:
    """What was found, and where it is kept."""

    ref: Ref[Drift]
    drift: Drift


@dataclass(frozen=True)
class _Against:
    """What new images are held against."""

    published: ConceptDataset
    head: Head
    published_ref: str
    probe_ref: str


@dataclass(frozen=True)
class _Found:
    """New images as they were found."""

    title: str
    batch: Batch
    known: int
    refused: int
    notes: tuple[str, ...] = ()


def look_for_drift(study: Study, options: RunOptions, wanted: Wanted, run: RunStudy) -> Drifted:
    """Hold new images against the study's, and keep what was found.

    No label of the new images is read.

    Args:
        study: of a folder's images what is not done of it yet, up to its heads, is done first.
        options: where things are kept, and on what machine images are encoded.
        wanted: which images.
        run: runs the study.

    Raises:
        StudyError: there are no such images, too few, or nobody knows which are of one patient.
    """
    _check(wanted)
    store = ArtifactStore(options.store.resolve())
    if wanted.folder is None:
        against = _last_heads(store, study)
        found = _new_of_dataset(study, options, store, against, run)
    else:
        against = _current_heads(study, options, run)
        found = _in_folder(study, options, against, wanted)
    groups = len(np.unique(found.batch.groups))
    if groups < _FEWEST:
        raise StudyError(
            f"{found.title}: {len(found.batch.groups)} new images of {groups} patients or lesions; "
            f"at least {_FEWEST} are needed to tell a change from chance"
        )
    published, head = against.published, against.head
    texts = study.drift.statements if isinstance(study.encoder, _READS_TEXT) else ()
    asked = statements_asked(published, head, texts, _encoded(study, options, published, texts))
    with in_use(store.root):
        differs = find_drift(published, head, asked, found.batch, study.drift.level)
        facts = DriftFacts(
            study=study.name,
            batch=found.title,
            published=against.published_ref,
            probe=against.probe_ref,
            checked_on=f"{datetime.now(UTC):%Y-%m-%d}",
            images=len(found.batch.groups),
            groups=groups,
            known=found.known,
            refused=found.refused,
            level=study.drift.level,
            notes=found.notes,
            **{name: getattr(differs, name) for name in differs.__dataclass_fields__},
        )
        made = Drift(facts, drift_page(facts, published))
        recipe = Recipe(
            stage="drift",
            code=code_digest("drift"),
            spec=study.drift.model_dump(mode="json"),
            inputs={"published": facts.published, "probe": facts.probe},
        )
        ref = store.save(made, recipe)
    return Drifted(ref, made)


def _check(wanted: Wanted) -> None:
    if wanted.folder is None:
        if wanted.subjects or wanted.one_each:
            raise StudyError("a study's own new images have their patients; name a folder, or none")
        return
    if wanted.one_each == (wanted.subjects is not None):
        raise StudyError(
            f"which images of {wanted.folder} are of one patient? Several views of a patient are "
            "alike, and where each counts as another patient most batches without drift are called "
            "changed. Say --subjects TABLE (file,subject), or --one-each where each image is of "
            "another patient"
        )


def _last_heads(store: ArtifactStore, study: Study) -> _Against:
    """Return the heads of the study's last finished run, whatever its dataset has become since."""
    finished = last_finished(store, study.name)
    if finished is None:
        raise StudyError(
            f"no run of {study.name} is finished in {store.root}, so no head has learned from "
            "anything yet. Run the study first, or name a folder of new images."
        )
    return _heads(store, store.manifest(finished).recipe.inputs)


def _current_heads(study: Study, options: RunOptions, run: RunStudy) -> _Against:
    """Return the heads that the evaluation of the study would be given."""
    before = options.model_copy(update={"before": "evaluate"})
    store = ArtifactStore(options.store.resolve())
    return _heads(store, run(with_heads_alone(study), before).given)


def _heads(store: ArtifactStore, given: Mapping[str, str]) -> _Against:
    published, probe = given["published"], given["probe"]
    return _Against(
        store.load(ConceptDataset, Ref.parse(published)),
        store.load(Heads, Ref.parse(probe)).head(EXPLAINED),
        published,
        probe,
    )


def _new_of_dataset(
    study: Study, options: RunOptions, store: ArtifactStore, against: _Against, run: RunStudy
) -> _Found:
    """Return the dataset's images that the head's dataset does not have."""
    made = run(study, options.model_copy(update={"until": "embed"})).made
    images = store.load(ImageDataset, made[ImageDataset.kind]).images
    own = against.published.images
    new = ~images["sha256"].isin(own["sha256"])
    title = f"new images of {study.name}"
    if not new.any():
        raise StudyError(f"{title}: there are none since its last finished run")
    groups = images["group"].astype(str)
    with_new = images["sha256"][groups.isin(groups[new]) & ~new]
    left_out = own["group"][own["sha256"].isin(with_new)].astype(str)
    notes: tuple[str, ...] = ()
    if len(left_out):
        notes = (
            f"{left_out.nunique()} patients or lesions that the study knew have new images; their "
            "earlier images are left out of the comparison.",
        )
    vectors = store.load(ImageEmbeddings, made[ImageEmbeddings.kind])
    batch = Batch(
        against.published.seen(vectors.take(images["image_id"][new].tolist())),
        groups[new].to_numpy(dtype=str),
        frozenset(left_out),
    )
    return _Found(title, batch, known=int((~new).sum()), refused=0, notes=notes)


def _in_folder(study: Study, options: RunOptions, against: _Against, wanted: Wanted) -> _Found:
    """Return a folder's images that the head's dataset does not have."""
    folder = Path(wanted.folder or "").resolve()
    files = [file for file in files_below(folder) if not _is(file, wanted.subjects)]
    of_file = {} if wanted.subjects is None else _read_subjects(wanted.subjects)
    found, kept, vectors = encode_files(study, options, against.published, folder, files)
    own = set(against.published.images["sha256"])
    new = np.array([one.sha256 not in own for one in kept.values()], dtype=bool)
    names = [name for name, is_new in zip(kept, new, strict=True) if is_new]
    if wanted.subjects is not None and (lacking := [n for n in names if n not in of_file]):
        raise StudyError(
            f"{wanted.subjects} names no subject of {lacking[0]} and {len(lacking) - 1} other "
            f"images of {folder}. Files are named from the folder on, such as {names[0]}"
        )
    groups = np.array([of_file.get(name, name) for name in names], dtype=str)
    refused = len(found) - len(kept)
    known = len(kept) - len(names)
    notes = []
    if known:
        notes.append(f"{known} images are the study's own and are left out.")
    if refused:
        notes.append(f"{refused} files are no images that the study would take.")
    return _Found(folder.name, Batch(vectors[new], groups), known, refused, tuple(notes))


def _is(file: Path, other: Path | None) -> bool:
    return other is not None and file.resolve() == other.resolve()


def _read_subjects(table: Path) -> Mapping[str, str]:
    """Return file -> subject.

    Raises:
        StudyError: it cannot be read, has no such columns, or names no subject of a file.
    """
    try:
        content = table.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read the table {table}: {error.strerror}") from None
    filled = FilledTable("table of subjects", str(table), ("file", "subject"))
    rows = filled.rows(content)
    told = "is empty: say whose image it is"
    filled.refuse([Fault(told, n, "subject") for n, row in rows if not row.get("subject")])
    return {row.get("file", ""): row["subject"] for _, row in rows}


def _encoded(
    study: Study, options: RunOptions, published: ConceptDataset, texts: tuple[str, ...]
) -> Float32[np.ndarray, "statement dim"]:
    """Return the vectors of statements, as the study's concepts have theirs."""
    none = np.zeros((0, published.pool_vectors.shape[1]), np.float32)
    if not texts or not isinstance(study.encoder, _READS_TEXT):
        return none
    encoder = same_encoder(
        study.encoder, options.machine, published.facts.encoder, "drift.statements"
    )
    return np.concatenate([none, read_statements(texts, study.encoder, encoder)])


def tell_if_past_limit(found: Drifted, study: Study, store: str, named: str) -> None:
    """Tell Prefect's automations of drift that the study's limit does not allow.

    Args:
        found: what was found.
        study: the study.
        store: how the store is named, to whoever runs the study.
        named: how the study is named to whoever runs it, which the event says.
    """
    if not is_past_limit(study, found.drift.facts):
        return
    facts = found.drift.facts
    payload = {
        **{"study": named, "store": store, "drift": str(found.ref)},
        "sentence": sentence(facts),
        "expected_accuracy": facts.accuracy_now.value,
        "lost": -facts.accuracy_change.value,
    }
    tell_automations(PAST_LIMIT, study.name, payload)


def is_past_limit(study: Study, facts: DriftFacts) -> bool:
    """Return whether drift was found that may cost more accuracy than the study's limit."""
    limit = study.drift.limit
    return limit is not None and facts.found and -facts.accuracy_change.value >= limit
