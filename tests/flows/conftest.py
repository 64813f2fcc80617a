"""The Prefect server of the tests as flows see it, and a finished study."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_LEVEL,
    temporary_settings,
)

from tests.builders.finished import FinishedStudy, finish_study
from tests.prefect_server import PrefectServer
from tests.shapes import unchecked


@pytest.fixture(scope="session")
def prefect_server(any_prefect_server: PrefectServer) -> Iterator[None]:
    # The heartbeat thread sleeps a second at a time and is waited for at the end of every flow.
    quiet = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_LEVEL: "CRITICAL"}
    with temporary_settings({PREFECT_API_URL: any_prefect_server.api} | quiet):
        yield


@pytest.fixture(autouse=True, scope="module")
def whole_studies_unchecked() -> Iterator[None]:
    with unchecked():
        yield


@pytest.fixture(scope="session")
def finished(prefect_server: None, shared_folder: Path) -> FinishedStudy:
    """The demo in small, run to its end; tests look at its store and do not change it."""
    record = shared_folder / "finished.json"
    with FileLock(shared_folder / "finished.lock"):
        if not record.exists():
            with unchecked():
                made = finish_study(shared_folder / "finished")
            record.write_text(made.model_dump_json())
    return FinishedStudy.model_validate_json(record.read_text())
