"""The gate: every artifact of a concept dataset is looked at together, once, before it is used."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float32

from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.screened import ScreenedSet
from curette.schemas.settings.validate import ValidationSpec
from curette.schemas.validation import Check, SuiteName, ValidationReport
from curette.tasks.validate.data_docs import data_docs
from curette.tasks.validate.expectations import (
    Expectation,
    class_expectations,
    concept_expectations,
    image_expectations,
    metadata_expectations,
    score_expectations,
)
from curette.tasks.validate.results import checks_of, run_suite
from curette.tasks.validate.tables import (
    class_table,
    concept_table,
    image_table,
    metadata_table,
    score_table,
)


class Suite(NamedTuple):
    """A table and what must hold of it."""

    name: SuiteName
    table: pd.DataFrame
    expectations: list[Expectation]


def build_suites(
    dataset: ImageDataset,
    screened: ScreenedSet,
    concepts: ConceptSet,
    images: ImageEmbeddings,
    texts: TextEmbeddings,
    index: ConceptIndex,
    spec: ValidationSpec,
) -> tuple[Suite, ...]:
    """Return the five suites.

    Labels of the test split are not needed and not read. Scores are reduced to one row a concept
    before Great Expectations sees them, so that its work does not grow with images x concepts.
    """
    cosine = spec.near_duplicate_cosine
    return (
        Suite(
            "images",
            image_table(dataset, images, index),
            image_expectations(dataset.class_keys, index.duplicates),
        ),
        Suite("metadata", metadata_table(dataset, spec.cleared), metadata_expectations()),
        Suite(
            "classes",
            class_table(dataset, concepts),
            class_expectations(len(dataset.rows("test")), spec),
        ),
        Suite(
            "concepts",
            concept_table(dataset, screened, concepts, texts, index, cosine),
            concept_expectations(spec),
        ),
        Suite("scores", score_table(*_scores(concepts, images, texts)), score_expectations(spec)),
    )


def _scores(
    concepts: ConceptSet, images: ImageEmbeddings, texts: TextEmbeddings
) -> tuple[Float32[np.ndarray, "image concept"], list[str]]:
    """Return the cosine of every image and concept that have vectors, and the concepts' texts."""
    known = set(texts.keys)
    embedded = [text for text in concepts.texts if text in known]
    return images.vectors @ texts.take(embedded).T, embedded


def run_suites(suites: Sequence[Suite]) -> ValidationReport:
    """Return every check of the suites, passed or not."""
    results = [run_suite(*suite) for suite in suites]
    checks = tuple(check for result in results for check in checks_of(result))
    return ValidationReport(
        checks=checks,
        results={result.suite_name: result.to_json_dict() for result in results},
        data_docs=data_docs(results, checks),
    )


def rejection(report: ValidationReport, place: object) -> str:
    """Return why the gate stays shut, check by check, and where the whole report is."""
    failed = report.failed
    lines = [
        f"The concept dataset is rejected: {len(failed)} of {len(report.checks)} checks failed.",
        *(_complaint(check) for check in failed),
        f"Every check with its findings: {place}",
    ]
    return "\n".join(lines)


def _complaint(check: Check) -> str:
    examples = "; ".join(check.examples)
    if check.outcome == "error":
        told = f"the check itself broke: {examples}"
    elif examples:
        told = f"{check.unexpected_count} found, such as {examples}"
    else:
        told = f"found {check.observed}"
    return f"- {check.suite}: {check.expectation}; {told}.\n  {check.remedy}"
