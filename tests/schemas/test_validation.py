from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from curette.schemas.settings.validate import ValidationSpec
from curette.schemas.validation import Check, ValidatedConceptDataset, ValidationReport

Severity = Literal["critical", "warning"]
Outcome = Literal["passed", "failed", "error"]


def check(severity: Severity, outcome: Outcome) -> Check:
    return Check(
        suite="images",
        expectation=f"{severity} {outcome} | ä < ö",
        severity=severity,
        outcome=outcome,
        examples=("one", "two"),
    )


def test_broken_checks_count_as_failed_and_warnings_do_not() -> None:
    severities: tuple[Severity, ...] = ("critical", "warning")
    outcomes: tuple[Outcome, ...] = ("passed", "failed", "error")
    checks = tuple(check(s, o) for s in severities for o in outcomes)
    report = ValidationReport(checks=checks, results={}, data_docs="")
    assert report.failed == checks[1:3]
    assert report.warnings == checks[4:6]


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    report = ValidationReport(
        checks=(check("critical", "passed"), check("warning", "failed")),
        results={"images": {"success": True, "results": [1, None, "ä"]}},
        data_docs="<p>Größe</p>\n",
    )
    report.write(tmp_path)
    assert ValidationReport.read(tmp_path) == report


def test_a_validated_dataset_reads_back_and_points_at_its_parts(tmp_path: Path) -> None:
    validated = ValidatedConceptDataset(
        dataset="d",
        candidates="c",
        screened="s",
        concepts="o",
        priors="p",
        embeddings="e",
        index="i",
        report="r",
    )
    validated.write(tmp_path)
    assert ValidatedConceptDataset.read(tmp_path) == validated
    assert str(validated.dataset_ref) == "image-dataset/d"
    assert str(validated.candidates_ref) == "candidates/c"
    assert str(validated.report_ref) == "validation-report/r"


def test_a_misspelt_threshold_is_refused() -> None:
    with pytest.raises(ValidationError, match="min_image_per_class"):
        ValidationSpec.model_validate({"min_image_per_class": 3})
