"""The stage `validate`: everything that belongs to a concept dataset in, one checked bundle out."""

from curette.schemas.artifact import ConceptDatasetRejected, Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.priors import Priors
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.validate import ValidationSpec
from curette.schemas.validation import (
    ValidatedConceptDataset,
    ValidationReport,
)
from curette.tasks.stage import Workplace, leave_table
from curette.tasks.validate import STAGE
from curette.tasks.validate.gate import build_suites, rejection, run_suites


@STAGE.task
def validate_concept_dataset(
    at: Workplace,
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    screened: Ref[ScreenedSet],
    concepts: Ref[ConceptSet],
    priors: Ref[Priors],
    embeddings: Ref[StudyEmbeddings],
    index: Ref[ConceptIndex],
    spec: ValidationSpec,
) -> Ref[ValidatedConceptDataset]:
    """Let a concept dataset through only if it holds what it promises.

    Raises:
        ConceptDatasetRejected: a critical check failed; the report is in the store all the same.
    """
    vectors = at.store.load(StudyEmbeddings, embeddings)
    suites = build_suites(
        at.store.load(ImageDataset, dataset),
        at.store.load(ScreenedSet, screened),
        at.store.load(ConceptSet, concepts),
        at.store.load(ImageEmbeddings, vectors.images_ref),
        at.store.load(TextEmbeddings, vectors.texts_ref),
        at.store.load(ConceptIndex, index),
        spec,
    )
    report = run_suites(suites)
    report_ref = at.store.save(report, STAGE.recipe())
    leave_table("checks", _rows(report), _summary(report))
    if report.failed:
        place = at.store.path(report_ref) / "data_docs.html"
        raise ConceptDatasetRejected(rejection(report, place))
    validated = ValidatedConceptDataset(
        dataset=dataset.digest,
        candidates=candidates.digest,
        screened=screened.digest,
        concepts=concepts.digest,
        priors=priors.digest,
        embeddings=embeddings.digest,
        index=index.digest,
        report=report_ref.digest,
    )
    return at.store.save(validated, STAGE.recipe())


def _rows(report: ValidationReport) -> list[dict[str, object]]:
    return [
        {
            "suite": check.suite,
            "must hold": check.expectation,
            "severity": check.severity,
            "outcome": check.outcome,
            "unexpected": check.unexpected_count,
            "examples": "; ".join(check.examples),
        }
        for check in report.checks
    ]


def _summary(report: ValidationReport) -> str:
    return (
        f"{len(report.checks)} checks: {len(report.failed)} that must hold failed, "
        f"{len(report.warnings)} warnings."
    )
