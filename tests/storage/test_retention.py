"""Only what nothing kept rests on is forgotten, and never beside a running study."""

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, ClassVar

import pytest

from curette.schemas.artifact import JsonArtifact, Recipe, Ref
from curette.schemas.edits import Edits
from curette.schemas.report import Report
from curette.storage.lease import StoreInUse, in_use
from curette.storage.retention import Forgettable, forget, forgettable
from curette.storage.store import ArtifactMissing, ArtifactStore


class Note(JsonArtifact, frozen=True):
    kind: ClassVar[str] = "note"
    text: str


STUDIES: dict[str, str] = {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ArtifactStore]:
    STUDIES.clear()
    yield ArtifactStore(tmp_path / "store")


def save(store: ArtifactStore, text: str, days: float, *inputs: Ref[Any]) -> Ref[Note]:
    named = {f"input {i}": str(ref) for i, ref in enumerate(inputs)}
    return aged(store, store.save(Note(text=text), Recipe(stage="x", code="", inputs=named)), days)


def report(store: ArtifactStore, study: str, text: str, days: float, *inputs: Ref[Any]) -> Ref[Any]:
    named = {f"input {i}": str(ref) for i, ref in enumerate(inputs)}
    recipe = Recipe(stage="report", code="", inputs=named)
    ref = store.save(Report(html=text, data_docs=""), recipe)
    STUDIES[ref.digest] = study
    return aged(store, ref, days)


def aged(store: ArtifactStore, ref: Ref[Any], days: float) -> Ref[Any]:
    then = time.time() - days * 24 * 60 * 60
    os.utime(store.path(ref), (then, then))
    return ref


def study_of(ref: Ref[Report]) -> str:
    return STUDIES[ref.digest]


def found(store: ArtifactStore, keep: int = 1, older_than: float = 7) -> set[Ref[Any]]:
    return {x.ref for x in forgettable(store, study_of, keep, older_than)}


def test_the_last_runs_of_every_study_are_kept_with_all_they_rest_on(store: ArtifactStore) -> None:
    shared = save(store, "shared", 90)
    old, new, other = (save(store, text, 60, shared) for text in ("old", "new", "other"))
    first = report(store, "a", "1", 50, old)
    report(store, "a", "2", 40, new)
    report(store, "b", "3", 80, other)
    alone = save(store, "alone", 30)
    assert found(store) == {old, first, alone}
    assert found(store, keep=2) == {alone}
    assert found(store, older_than=45) == {old, first}


def test_what_a_kept_file_names_is_kept_whatever_its_history_says(store: ArtifactStore) -> None:
    named = save(store, "named", 90)
    naming = save(store, f"see {named.digest}", 90)
    report(store, "a", "1", 90, naming)
    assert found(store) == set()


def test_a_persons_work_is_never_forgotten(store: ArtifactStore) -> None:
    aged(store, store.save(Edits(study="a", edits=()), Recipe(stage="x", code="")), 900)
    assert found(store) == set()


def test_what_is_forgotten_is_gone_with_the_answers_that_lead_to_it(store: ArtifactStore) -> None:
    gone, kept = save(store, "gone", 90), save(store, "kept", 1)
    answers = store.root / "answers"
    answers.mkdir()
    for ref in (gone, kept):
        record = {"result": json.dumps({"kind": ref.kind, "digest": ref.digest})}
        (answers / f"x-{ref.digest}").write_text(json.dumps(record))
    made = forget(store, lambda: forgettable(store, study_of, 1, 7))
    assert [x.ref for x in made] == [gone]
    assert made[0].size_bytes > 0
    with pytest.raises(ArtifactMissing):
        store.load(Note, gone)
    assert store.load(Note, kept).text == "kept"
    assert [p.name for p in answers.iterdir()] == [f"x-{kept.digest}"]
    assert not any(p.is_dir() for p in (store.root / ".workshop").iterdir())


def _run(root: Path, started: Event) -> None:
    with in_use(root):
        started.set()
        time.sleep(600)


def test_nothing_is_forgotten_beside_a_running_study(store: ArtifactStore) -> None:
    gone = save(store, "gone", 90)
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_run, args=(store.root, started))
    process.start()
    try:
        assert started.wait(180)
        with in_use(store.root):
            pass  # two runs share a store
        with pytest.raises(StoreInUse, match="a study is running"):
            forget(store, lambda: forgettable(store, study_of, 1, 7))
        assert store.load(Note, gone).text == "gone"
    finally:
        process.kill()  # whose lock ends with it
        process.join()
    assert [x.ref for x in forget(store, lambda: forgettable(store, study_of, 1, 7))] == [gone]


def test_one_that_ends_between_two_removals_leaves_whole_artifacts(store: ArtifactStore) -> None:
    first, second = save(store, "first", 90), save(store, "second", 90)

    def chosen() -> Iterator[Forgettable]:
        everything = forgettable(store, study_of, 1, 7)
        return iter(everything)

    names = iter([first, second])
    path, before = type(store).path, []

    class Ending(ArtifactStore):
        def path(self, ref: Ref[Any]) -> Path:
            before.append(ref)
            if len(before) == 2:
                raise KeyboardInterrupt
            return path(self, ref)

    with pytest.raises(KeyboardInterrupt):
        forget(Ending(store.root), chosen)
    left = [ref for ref in names if store.path(ref).exists()]
    assert len(left) == 1
    assert store.is_whole(left[0])
    assert [x.ref for x in forget(store, chosen)] == left
