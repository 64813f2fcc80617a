"""What a run's page says: the result, or why there is none; and what is tried again."""

import errno
import json
import logging
from pathlib import Path

import httpx
import pytest
from prefect import flow
from prefect.artifacts import Artifact

from curette.flows.family import FamilyResult, tell_family
from curette.flows.forgetting import Forgotten, tell_all
from curette.flows.healing import heals
from curette.flows.outcome import (
    PAGES_VARIABLE,
    Told,
    headline,
    on_its_page,
    page_of,
    why_it_failed,
)
from curette.flows.runs import MetricValue, RunResult
from curette.flows.stages import StageRecord
from curette.schemas.artifact import ConceptDatasetRejected, StudyError
from curette.storage.store import StoreError
from curette.tasks.methods.llm.budget import BudgetReached
from curette.tasks.methods.markdown import escape, inert
from curette.tasks.stage import leave_table

ROOT = Path("/srv/store")
FINDINGS = f"validation-report/{'0a' * 10}/data_docs.html"
REJECTED = ConceptDatasetRejected(
    f"The concept dataset is rejected: 1 of 42 checks failed.\n- classes: *too few*.\n  Merge them."
    f"\nEvery check with its findings: {ROOT}/{FINDINGS}"
)


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(errno.EBUSY, "busy"), True),
        (OSError(errno.ESTALE, "stale file handle"), True),
        (ConnectionResetError(), True),
        (httpx.ConnectError("refused"), True),
        (_chained(StudyError("the hub dataset cannot be read"), TimeoutError()), True),
        (StudyError("wrong"), False),
        (ConceptDatasetRejected("rejected"), False),
        (BudgetReached("spent"), False),
        (StoreError("the disk is full"), False),
        (_chained(StoreError("full"), OSError(errno.ENOSPC, "no space")), False),
        (ValueError("a fault of ours"), False),
        (FileNotFoundError(errno.ENOENT, "absent"), False),
    ],
)
def test_only_the_network_and_a_busy_disk_are_tried_again(error: Exception, again: bool) -> None:
    assert heals(error) is again


def test_a_rejection_is_told_with_its_stage_its_findings_and_what_to_do() -> None:
    error = ConceptDatasetRejected(str(REJECTED))
    error.add_note("the stage validate")
    told = why_it_failed(error, "http://pages.test:4300/")
    assert told.splitlines()[0] == "# The gate rejected the concept dataset"
    assert "Where: the stage validate." in told
    assert f"[the page](http://pages.test:4300/{FINDINGS})" in told
    assert r"- classes: \*too few\*." in told  # what a message quotes is text
    assert "## What to do" in told


def test_without_a_server_of_pages_the_findings_are_a_path_and_no_link() -> None:
    told = why_it_failed(REJECTED, "")
    assert f"`{ROOT}/{FINDINGS}`" in told
    assert "](" not in told
    assert "file://" not in told


def test_the_result_comes_first_and_links_what_a_person_reads() -> None:
    digest = "0b" * 10
    result = RunResult(
        study="demo",
        stages=(
            StageRecord(
                name="report", state="ran", seconds=0.5, ref=f"report/{digest}", why=("spec | 3",)
            ),
        ),
        metrics={
            "linear probe": {"balanced_accuracy": MetricValue(value=0.854, low=0.797, high=0.902)},
            "concept bottleneck": {"balanced_accuracy": MetricValue(value=0.85)},
        },
        report=f"{ROOT}/report/{digest}/report.html",
    )
    assert headline(result) == (
        "Balanced accuracy: concept bottleneck 0.850; linear probe 0.854 [0.797, 0.902]"
    )
    page = page_of(result, "http://pages.test")
    assert page.splitlines()[2].startswith("Balanced accuracy: concept bottleneck")
    assert f"(http://pages.test/report/{digest}/report.html)" in page
    assert f"(http://pages.test/report/{digest}/data_docs.html)" in page
    assert r"| report | ran | 0.5 | spec \| 3 |" in page
    assert "](" not in page_of(result, "")


@pytest.mark.usefixtures("prefect_server")
def test_a_state_says_what_is_wrong_and_not_only_that_something_is() -> None:
    @flow
    def fails() -> str:
        def run() -> Told[str]:
            raise StudyError("1 problem in the study a.yaml:\n- select.size: is below 1\nHelp: ...")

        return on_its_page(run)

    message = fails(return_state=True).message or ""
    assert message.startswith("1 problem in the study a.yaml: select.size: is below 1 (all of it")


@pytest.mark.usefixtures("prefect_server")
def test_a_failed_run_has_our_message_as_its_state_and_no_frames(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @flow
    def fails() -> str:
        def run() -> Told[str]:
            raise REJECTED

        return on_its_page(run)

    with caplog.at_level(logging.ERROR):
        state = fails(return_state=True)
    assert (state.name, state.is_failed()) == ("Rejected", True)
    assert (state.message or "").startswith(str(REJECTED).splitlines()[0])
    assert not any(record.exc_info for record in caplog.records)
    with pytest.raises(ConceptDatasetRejected, match="1 of 42 checks failed"):
        fails()
    left = Artifact.get("why-it-failed")
    assert getattr(left, "description", "") == escape(str(REJECTED).splitlines()[0])


@pytest.mark.usefixtures("prefect_server")
def test_what_a_flow_came_to_is_its_states_message_and_leads_its_page() -> None:
    @flow
    def forgets() -> str:
        return on_its_page(lambda: Told("1 image is forgotten.", "# Certificate", "ref", "forget"))

    state = forgets(return_state=True)
    assert (state.message, state.is_completed()) == ("1 image is forgotten.", True)
    assert forgets() == "ref"
    left = Artifact.get("forget")
    assert getattr(left, "description", "") == "1 image is forgotten."


def test_findings_stand_in_rows_of_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAGES_VARIABLE, "http://pages.test")
    auroc = {"concept bottleneck": {"macro_auroc": MetricValue(value=0.9, low=0.8, high=0.95)}}
    digest = "0b" * 10
    runs = {
        "blue|veil": RunResult(
            study="a", stages=(), metrics=auroc, report=f"{ROOT}/report/{digest}/report.html"
        ),
        "hair": RunResult(study="b", stages=()),
    }
    page = f"{ROOT}/findings/{digest}/findings.html"
    told = tell_family(FamilyResult(study="chest", findings=runs, page=page))
    assert told.headline == "AUROC of the concept bottleneck: blue|veil 0.900 [0.800, 0.950]"
    assert f"(http://pages.test/findings/{digest}/findings.html)" in told.page
    rows = told.page.splitlines()[-2:]
    assert rows[0].startswith(r"| blue\|veil | 0.900 \[0.800, 0.950\] | – | – | [report](http")
    assert rows[1] == "| hair | – | – | – | – |"


def test_every_certificate_of_a_run_stands_on_its_page(tmp_path: Path) -> None:
    page = tmp_path / "7.md"
    page.write_text("# Certificate 7\n\n3 images")
    told = tell_all([Forgotten("3 images are forgotten.\ncode: 1", page), Forgotten("nothing")])
    assert told.headline == "3 images are forgotten. nothing"
    assert told.page.startswith("# Certificate 7")
    assert "code: 1" not in told.page, "Prefect would keep it"


@pytest.mark.usefixtures("prefect_server")
def test_what_a_model_said_is_text_wherever_a_page_of_prefect_has_it() -> None:
    picture = "![x](http://evil.example/x.png)"

    @flow
    def leaves() -> str:
        leave_table("said", [{"concept": picture, "images": 3}], f"Of {picture}.")
        return on_its_page(lambda: Told(f"More of {picture}.", "page", "ref", "shown"))

    leaves()
    table, shown = (Artifact.get(key) for key in ("said", "shown"))
    assert getattr(table, "description", "") == escape(f"Of {picture}.")
    assert json.loads(getattr(table, "data", "")) == [{"concept": inert(picture), "images": 3}]
    assert getattr(shown, "description", "") == escape(f"More of {picture}.")
