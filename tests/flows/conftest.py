"""A Prefect server for the tests that run whole flows, started once, and a finished study."""

from collections.abc import Iterator

import pytest
from filelock import FileLock
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_LEVEL,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from tests.builders.finished import FinishedStudy, finish_study
from tests.shapes import unchecked


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    # The heartbeat thread sleeps a second at a time and is waited for at the end of every flow.
    quiet = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_LEVEL: "CRITICAL"}
    with prefect_test_harness(server_startup_timeout=180), temporary_settings(updates=quiet):
        yield


@pytest.fixture(autouse=True, scope="module")
def whole_studies_unchecked() -> Iterator[None]:
    with unchecked():
        yield


@pytest.fixture(scope="session")
def finished(
    prefect_server: None, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> FinishedStudy:
    """The demo in small, run to its end; tests look at its store and do not change it."""
    ours = tmp_path_factory.getbasetemp()
    shared = ours if worker_id == "master" else ours.parent
    record = shared / "finished.json"
    with FileLock(shared / "finished.lock"):
        if not record.exists():
            with unchecked():
                made = finish_study(shared / "finished")
            record.write_text(made.model_dump_json())
    return FinishedStudy.model_validate_json(record.read_text())
