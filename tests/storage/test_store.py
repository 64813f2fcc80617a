"""Artifacts are immutable, content-addressed and never half-written."""

import errno
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from curette.schemas.artifact import Artifact, JsonArtifact, Recipe, Ref
from curette.storage.store import (
    DISK_REMEDIES,
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    StoreError,
    explained,
    workshop,
)

RECIPE = Recipe(stage="select", code="c0de", spec={"k": 3})


class Note(JsonArtifact, frozen=True):
    kind: ClassVar[str] = "note"
    text: str


class Other(JsonArtifact, frozen=True):
    kind: ClassVar[str] = "other"
    text: str


class Bundle(JsonArtifact, frozen=True):
    kind: ClassVar[str] = "bundle"
    note: str

    def parts(self) -> tuple[Ref[Artifact], ...]:
        return (Ref("note", self.note),)


class Failing(Note, frozen=True):
    def write(self, folder: Path) -> None:
        super().write(folder)
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def left_in(root: Path) -> list[str]:
    return sorted(f.name for f in (root / ".workshop").iterdir() if f.name != ".lock")


def test_what_is_saved_is_loaded(store: ArtifactStore) -> None:
    ref = store.save(Note(text="héllo"), RECIPE)
    assert store.load(Note, ref) == Note(text="héllo")
    assert store.manifest(ref).recipe == RECIPE


def test_the_same_artifact_is_saved_once_whatever_its_code(store: ArtifactStore) -> None:
    first = store.save(Note(text="a"), RECIPE)
    second = store.save(Note(text="a"), RECIPE.model_copy(update={"code": "rewritten"}))
    assert first == second
    assert store.manifest(second).recipe == RECIPE


def test_equal_content_of_other_settings_keeps_its_own_history(store: ArtifactStore) -> None:
    other = RECIPE.model_copy(update={"spec": {"k": 4}})
    first, second = (store.save(Note(text="a"), recipe) for recipe in (RECIPE, other))
    assert first != second
    assert store.manifest(second).recipe == other


def test_other_content_has_another_address(store: ArtifactStore) -> None:
    assert store.save(Note(text="a"), RECIPE) != store.save(Note(text="b"), RECIPE)


def test_a_wrong_kind_is_a_type_error(store: ArtifactStore) -> None:
    ref = store.save(Note(text="a"), RECIPE)
    with pytest.raises(TypeError, match="is not a other"):
        store.load(Other, ref)


def test_a_missing_artifact_names_the_cure(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactMissing, match="Run the study again"):
        store.load(Note, Ref("note", "0" * 20))


def test_a_changed_byte_is_found(store: ArtifactStore) -> None:
    ref = store.save(Note(text="abc"), RECIPE)
    file = store.path(ref) / "note.json"
    file.write_text(file.read_text().replace("abc", "abd"))
    assert not store.is_whole(ref)
    with pytest.raises(ArtifactCorrupt, match="changed after it was saved"):
        store.load(Note, ref)


def test_a_corrupt_artifact_is_put_aside_and_saved_again(store: ArtifactStore) -> None:
    ref = store.save(Note(text="abc"), RECIPE)
    (store.path(ref) / "note.json").write_text("{}")
    assert store.save(Note(text="abc"), RECIPE) == ref
    assert store.load(Note, ref) == Note(text="abc")
    aside = list((store.root / ".workshop").glob("corrupt-*"))
    assert len(aside) == 1, "the damaged copy is kept for whoever wants to know why"


def test_a_torn_manifest_is_not_whole(store: ArtifactStore) -> None:
    ref = store.save(Note(text="abc"), RECIPE)
    manifest = store.path(ref) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])
    assert not store.is_whole(ref)


def test_an_artifact_is_whole_only_with_its_parts(store: ArtifactStore) -> None:
    note = store.save(Note(text="part"), RECIPE)
    bundle = store.save(Bundle(note=note.digest), RECIPE)
    assert store.is_whole(bundle)
    (store.path(note) / "note.json").unlink()
    assert not store.is_whole(bundle)


def test_a_failed_write_leaves_nothing_and_says_what_to_do(store: ArtifactStore) -> None:
    with pytest.raises(StoreError, match=r"disk is full: make room.*--store"):
        store.save(Failing(text="a"), RECIPE)
    assert not (store.root / "note").exists()
    assert left_in(store.root) == []


def test_what_a_killed_process_left_is_removed_and_what_others_need_stays(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from storage.store import workshop\n"
        "with workshop(Path(sys.argv[1]), 'tables') as bench:\n"
        "    (bench / 'reports.arrow').write_text('secret')\n"
        "    print(bench, flush=True)\n"
        "    sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        left = Path(run.stdout.readline().strip()) / "reports.arrow"
        with workshop(tmp_path, "tables") as mine, workshop(tmp_path, "tables") as other:
            assert list(mine.iterdir()) == list(other.iterdir()) == []
            assert left.read_text() == "secret", "its process lives"
            run.kill()
            run.wait()
            assert left.exists()
            with workshop(tmp_path, "tables"):
                assert not left.exists()
            assert mine.exists()
            assert other.exists()
    assert left_in(tmp_path) == []


def test_folders_of_killed_processes_are_swept_whatever_they_are_called(tmp_path: Path) -> None:
    place = tmp_path / ".workshop"
    for name in ("new-abc", "report-1f", "corrupt-0a-1b"):
        (place / name).mkdir(parents=True)
    with workshop(tmp_path, "tables") as mine, workshop(tmp_path, "report"):
        assert mine.is_dir()
        assert len(left_in(tmp_path)) == 3
    assert left_in(tmp_path) == ["corrupt-0a-1b"], "what was found damaged is kept"


def test_a_stage_that_may_not_read_is_not_told_about_the_disk(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="disk is full"), explained(tmp_path, DISK_REMEDIES):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), explained(tmp_path, DISK_REMEDIES):
        raise OSError(errno.EACCES, "Permission denied")


def test_a_store_below_a_file_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a part of the path is a file"):
        ArtifactStore(tmp_path / "file" / "store").save(Note(text="a"), RECIPE)


def _save_many(root: Path) -> None:
    store = ArtifactStore(root)
    for i in range(40):
        store.save(Note(text=f"{i % 8}"), RECIPE)


def test_two_processes_save_the_same_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_save_many, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    store = ArtifactStore(tmp_path)
    folders = list((tmp_path / "note").iterdir())
    assert len(folders) == 8
    assert all(store.is_whole(Ref("note", f.name)) for f in folders)


def test_the_manifest_is_sorted_json(store: ArtifactStore) -> None:
    ref = store.save(Note(text="a"), RECIPE)
    manifest = json.loads((store.path(ref) / "manifest.json").read_text())
    assert list(manifest) == sorted(manifest)
    assert set(manifest["files"]) == {"note.json"}
