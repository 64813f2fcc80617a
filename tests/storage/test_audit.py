"""A line for what a person does, which nobody but the store's owner reads."""

import json
from pathlib import Path

from curette.storage.audit import audit
from curette.storage.lease import in_use
from curette.storage.studies import StudyShelf


def test_lines_are_added_with_who_what_and_when(tmp_path: Path) -> None:
    root = tmp_path / "store"
    audit(root, "decided: 2", "demo", ("B", "A", "A", ""))
    audit(root, "read test labels: 9 metrics", "ü")
    first, second = map(json.loads, (root / "audit.jsonl").read_text().splitlines())
    assert (first["what"], first["about"], first["by"]) == ("decided: 2", "demo", ["A", "B"])
    assert first["account"]
    assert first["at"].endswith("+00:00")
    assert second["about"] == "ü"
    assert (root / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_new_store_is_its_owners_alone_and_a_shared_folder_stays_shared(tmp_path: Path) -> None:
    with in_use(tmp_path / "a"):
        pass
    StudyShelf(tmp_path / "b").keep("demo", {})
    audit(tmp_path / "c", "x", "y")
    for name in "abc":
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o770)
    audit(shared, "x", "y")
    assert shared.stat().st_mode & 0o777 == 0o770
