"""What all tests share: shape checks at run time, and no word to anyone outside."""

import curette.flows  # noqa: F401, I001 - first: it switches telemetry off before Prefect is imported

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from tests.prefect_server import PrefectServer, shared_server
from tests.shapes import check_shapes

TASKS = Path(__file__).parents[1] / "tasks"
# A checked call costs microseconds: where there is no array, types are checked beforehand.
WITH_ARRAYS = [
    ".".join(["curette", "tasks", *file.relative_to(TASKS).with_suffix("").parts])
    for file in TASKS.rglob("*.py")
    if "from jaxtyping import" in file.read_text()
]

check_shapes(WITH_ARRAYS)

gc.disable()  # a million objects of libraries stay; to look through them again takes seconds

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with whole studies first, so that none begins when the other processes end.

    Those that need the shared finished study come after others, but for one, which makes it: else
    all processes would begin by waiting for it.
    """
    whole = {item.path for item in items if item.get_closest_marker("slow")}
    waiting = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    makes_it = next((item.path for item in items if item.path in whole & waiting), None)

    def turn(item: pytest.Item) -> int:
        if item.path == makes_it:
            return 0
        if item.path in waiting:
            return 2
        return 1 if item.path in whole else 3

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """From here on look for garbage, but not among what was imported."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture
def shared_data() -> Path:
    """Real third-party data, which is never part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real data is not here: ../shared/data is absent")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of all processes of the tests."""
    ours = tmp_path_factory.getbasetemp()
    return ours if worker_id == "master" else ours.parent


@pytest.fixture(scope="session")
def any_prefect_server(shared_folder: Path, worker_id: str) -> PrefectServer:
    """A server for whoever names it; `prefect_server` names it to the flows of a test."""
    return shared_server(shared_folder, os.getpid() if worker_id == "master" else os.getppid())


@pytest.fixture(scope="session", autouse=True)
def _one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every client reads all certificates that it trusts; over plain HTTP none is needed.

    One there is: clients of buckets are not made without any.
    """
    folder = tmp_path_factory.mktemp("certificates")
    first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----\n")
    one = folder / "one.pem"
    one.write_text(first[first.index("-----BEGIN") :] + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one))  # it would be preferred
        patch.setenv("SSL_CERT_DIR", str(folder))
        yield


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """A key in the environment, and no proxy between a client and this machine."""
    key = "sk-do-not-show-this-1234"
    monkeypatch.setenv("SOME_KEY", key)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return key
