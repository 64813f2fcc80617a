"""A store in object storage, as two machines see it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from curette.storage.bucket import local_folder
from tests.object_storage import URL, ObjectStorage, object_storage


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ObjectStorage]:
    with object_storage(monkeypatch) as storage:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
        yield storage


@pytest.fixture
def machines(storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the store on two machines."""
    found = []
    for machine in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        found.append(local_folder(URL))
    assert found[0] != found[1]
    return found
