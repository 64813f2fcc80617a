from pathlib import Path

import pytest

from curette.schemas.artifact import ConceptDatasetRejected, Ref
from curette.schemas.settings.validate import ValidationSpec
from curette.schemas.validation import (
    ValidatedConceptDataset,
    ValidationReport,
)
from curette.storage.store import ArtifactStore
from curette.tasks.stage import Workplace
from curette.tasks.validate.task import validate_concept_dataset
from tests.builders.small_study import SmallStudy, small_study


def validate(study: SmallStudy, store: ArtifactStore) -> Ref[ValidatedConceptDataset]:
    return validate_concept_dataset.fn(Workplace(store), *study.save(store), ValidationSpec())


def test_what_passed_is_named_together_with_its_report_and_equal_inputs_are_one_artifact(
    tmp_path: Path,
) -> None:
    store, study = ArtifactStore(tmp_path / "a"), small_study()
    dataset, candidates, screened, concepts, priors, embeddings, index = study.save(store)
    made = validate(study, store)
    assert made == validate(small_study(), ArtifactStore(tmp_path / "b")), "to the byte"
    validated = store.load(ValidatedConceptDataset, made)
    assert (validated.dataset_ref, validated.candidates_ref) == (dataset, candidates)
    assert (validated.screened_ref, validated.concepts_ref) == (screened, concepts)
    assert validated.priors_ref == priors
    assert (validated.embeddings_ref, validated.index_ref) == (embeddings, index)
    report = store.load(ValidationReport, validated.report_ref)
    assert report.failed == ()
    assert len(report.checks) == 42


def test_a_rejection_leaves_the_report_and_no_validated_dataset(tmp_path: Path) -> None:
    store, study = ArtifactStore(tmp_path), small_study()
    study.dataset.class_counts["bcc"]["train"] = 3
    with pytest.raises(ConceptDatasetRejected, match="bcc: train images = 3") as caught:
        validate(study, store)
    page = Path(str(caught.value).rsplit("Every check with its findings: ", 1)[1])
    report = store.load(ValidationReport, Ref(ValidationReport.kind, page.parent.name))
    assert page.read_text(encoding="utf-8") == report.data_docs
    assert {c.expectation for c in report.failed} >= {"every class has at least 10 training images"}
    assert not (tmp_path / ValidatedConceptDataset.kind).exists()
