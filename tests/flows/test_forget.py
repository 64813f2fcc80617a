"""`curette forget`: what is left in a store, what a kill leaves, and what is refused."""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

from curette.flows.forget_plan import Wanted, plan_purge
from curette.flows.forgetting import choose_wanted, forget_one, read_order
from curette.flows.prefect_records import forget_records
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions, StageRecord
from curette.flows.watching import look_at
from curette.schemas.artifact import CuretteError, Recipe, StudyError
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.purge import Certificate, PurgePlan, Traces
from curette.schemas.responses import LlmRequest, LlmResponse
from curette.schemas.review import Decision, Decisions
from curette.schemas.study import Study
from curette.storage.decisions import DecisionShelf
from curette.storage.images import ImageShelf
from curette.storage.lease import StoreInUse, in_use
from curette.storage.purge import plan_place, purge, tally_place, write_plan
from curette.storage.responses import ResponseShelf
from curette.storage.scan import Search, scan
from curette.storage.store import ArtifactStore
from curette.storage.vectors import VectorShelf
from curette.storage.watched import WatchShelf
from curette.storage.withdrawals import WithdrawalShelf
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.stage import Workplace

PERSON, OTHER = "patient-03", "patient-04"
PEOPLE = 16
REPORT = "An uneven brown patch with a {} rim, seen first by the aunt of this person."
HER = REPORT.format("whitish")
BOILERPLATE = "Photographed under polarised light at the usual distance."
WANTED = Wanted("subject", PERSON)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "skin"
    root.mkdir()
    rows = []
    for number in range(2 * PEOPLE):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        (root / f"picture-{number:03d}.png").write_bytes(buffer.getvalue())
        rim = "whitish" if number // 2 == 3 else f"colour-{number}"
        rows.append(
            {
                "file_name": f"picture-{number:03d}.png",
                "label": "abc"[number // 2 % 3],
                "patient": f"patient-{number // 2:02d}",
                "report": f"{REPORT.format(rim)} {BOILERPLATE}",
            }
        )
    pd.DataFrame(rows).to_csv(root / "metadata.csv", index=False)
    return root


@pytest.fixture
def chosen(folder: Path) -> Study:
    return Study.model_validate(
        {
            "name": "skin",
            "dataset": {
                "source": {"kind": "folder", "path": str(folder)},
                "subject_column": "patient",
                "report_column": "report",
            },
            "propose": {"sources": [{"kind": "file", "path": str(folder / "metadata.csv")}]},
        }
    )


def take_in(study: Study, options: RunOptions) -> RunResult:
    """Run a study that ends with what it takes in."""
    store = ArtifactStore(options.store)
    withdrawn = WithdrawalShelf(store.root).current().of(study.name)
    place = Workplace(store, Machine(workers=1))
    ref = ingest_dataset.fn(place, study.kept_dataset, None, withdrawn)
    record = StageRecord(name="ingest", state="ran", seconds=0, ref=str(ref))
    return RunResult(study=study.name, stages=(record,))


@pytest.fixture
def store(chosen: Study, folder: Path, tmp_path: Path) -> ArtifactStore:
    """A store that holds the person on every shelf, and others beside her."""
    store = ArtifactStore(tmp_path / "store")
    made = take_in(chosen, RunOptions(store=store.root)).made[ImageDataset.kind]
    images = store.load(ImageDataset, made).images
    hers = images[images["subject"] == PERSON]
    recipe = Recipe(stage="embed", code="", inputs={"dataset": str(made)})
    store.save(decisions("drawn by hand"), recipe)
    note = decisions(f"not seen in {PERSON}, whose card says: {HER}")
    DecisionShelf(store.root, Decisions).change(
        "skin", lambda _: store.save(note, Recipe(stage="review", code=""))
    )
    shelf = VectorShelf(store.root)
    keys = np.array([bytes.fromhex(d) for d in images["sha256"]], dtype="S32")
    for half in (keys[::2], keys[1::2]):
        shelf.put("e" * 64, half, np.eye(len(half), 4, dtype=np.float32))
    for number, text in enumerate(
        (f"Report: {HER}", f"Which image is {hers['image_id'].iloc[0]}?")
    ):
        ResponseShelf(store.root).put(question(text), answer(str(number)))
    ResponseShelf(store.root).put(question(f"Report: {BOILERPLATE}"), answer("kept"))
    ImageShelf(store.root).put((folder / "picture-006.png").read_bytes())
    ImageShelf(store.root).put((folder / "picture-008.png").read_bytes())
    WatchShelf(store.root).keep("skin", look_at(chosen, store.root, None)[0])
    looks = store.root / "test-looks"
    looks.mkdir()
    (looks / f"{'a' * 64}.images").write_text("\n".join(images["sha256"]))
    aside = store.root / ".workshop" / "corrupt-1"
    aside.mkdir()
    images.to_parquet(aside / "images.parquet")
    answers = store.root / "answers"
    answers.mkdir()
    (answers / "ingest-1").write_text(json.dumps({"result": json.dumps({"digest": made.digest})}))
    (answers / "ingest-2").write_text("{}")
    return store


def decisions(reason: str) -> Decisions:
    return Decisions(
        study="skin",
        decisions=(
            Decision(
                concept_id="c" * 12,
                text="white rim",
                verdict="keep",
                reviewer="a person",
                reason=reason,
                decided_on="2026-01-01",
            ),
        ),
    )


def question(text: str) -> LlmRequest:
    return LlmRequest(base_url="", body={"messages": [{"content": text}]}, sample=0)


def answer(text: str) -> LlmResponse:
    return LlmResponse(text=text, model="m", format="text")


def planned(chosen: Study, store: ArtifactStore) -> PurgePlan:
    made = take_in(chosen, RunOptions(store=store.root)).made[ImageDataset.kind]
    return plan_purge(chosen, WANTED, store, made)


def test_every_shelf_holds_her_before_and_none_after(
    chosen: Study, store: ArtifactStore, prefect_server: None
) -> None:
    plan = planned(chosen, store)
    before = {f.place.partition("/")[0] for f in scan(store.root, plan.traces).found}
    assert before >= {
        *("decisions", "image-dataset", "test-looks", ".workshop"),
        *("reports", "responses", "vectors", "images", "watched"),
    }
    said = forget_one(chosen, RunOptions(store=store.root), WANTED, take_in)
    assert said.page is not None
    assert not scan(store.root, plan.traces).found
    text = said.page.with_suffix(".json").read_text()
    certificate = Certificate.model_validate_json(text)
    assert PERSON not in text + said.page.read_text() + said.told
    assert (certificate.images, certificate.found) == (2, ())
    assert certificate.searched_for["passages of reports"] == 1, "hers, and not everybody's"
    assert not plan_place(store.root).exists()


def test_what_prefect_recorded_of_her_goes_and_other_runs_stay(prefect_server: None) -> None:
    @flow(name="seen")
    def seen(who: str) -> None:
        create_markdown_artifact(f"about {who}", key="seen")

    seen(PERSON)
    seen(OTHER)
    search = Search(Traces(ids=(PERSON,)))
    deleted: list[UUID] = []
    by_another: list[UUID] = []

    def while_another_does(ids: Iterable[UUID]) -> None:
        deleted.extend(ids)
        forget_records(search, by_another.extend)
        if len(deleted) == 2:
            seen(PERSON)

    forget_records(search, while_another_does)
    assert len(deleted) == 4, "a run and its artifact, and those that were written meanwhile"
    assert {*by_another} == {*deleted}, "and it is no error that they are gone already"
    forget_records(search, deleted.extend)
    assert len(deleted) == 4
    with get_client(sync_client=True) as client:
        runs = [
            r.parameters for r in client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC)
        ]
    assert {"who": OTHER} in runs
    assert {"who": PERSON} not in runs


def test_what_others_have_stays_and_keeps_its_split(
    chosen: Study, store: ArtifactStore, prefect_server: None
) -> None:
    options = RunOptions(store=store.root)
    before = store.load(ImageDataset, take_in(chosen, options).made[ImageDataset.kind]).images
    forget_one(chosen, options, WANTED, take_in)
    after = store.load(ImageDataset, take_in(chosen, options).made[ImageDataset.kind]).images
    left = before[before["subject"] != PERSON]
    assert [*after["split"]] == [*left["split"]]
    assert [*after["sha256"]] == [*left["sha256"]]
    keys = np.array([bytes.fromhex(d) for d in left["sha256"]], dtype="S32")
    assert VectorShelf(store.root).get("e" * 64, keys, 4)[0].all()
    assert ResponseShelf(store.root).get(question(f"Report: {BOILERPLATE}")) is not None
    listed = (store.root / "test-looks" / f"{'a' * 64}.images").read_text().split()
    assert {*listed} == {*left["sha256"]}
    current = DecisionShelf(store.root, Decisions).get("skin")
    assert current is not None
    (kept,) = store.load(Decisions, current).decisions
    assert kept.reason == "not seen in [withdrawn], whose card says: [withdrawn]"
    assert (store.root / "answers" / "ingest-2").exists()
    assert not (store.root / "answers" / "ingest-1").exists()
    (other,) = (p.name for p in (store.root / "images").glob("*/*"))
    assert other in {*left["sha256"]}
    assert WithdrawalShelf(store.root).current().counts == {"skin": 2}


def test_what_was_forgotten_is_neither_new_nor_remembered_where_its_dataset_is_watched(
    chosen: Study, store: ArtifactStore, folder: Path
) -> None:
    plan = planned(chosen, store)
    purge(store, plan)
    tally_place(store.root).unlink()
    (folder / "picture-000.png").touch()  # so that it is looked at again
    seen, news = look_at(chosen, store.root, WatchShelf(store.root).get("skin"))
    assert not news
    WatchShelf(store.root).keep("skin", seen)
    assert len(seen.rows) == 2 * PEOPLE - 2
    assert not scan(store.root, plan.traces).found


def test_forgetting_twice_is_forgetting_once(
    chosen: Study, store: ArtifactStore, prefect_server: None
) -> None:
    options = RunOptions(store=store.root)
    forget_one(chosen, options, WANTED, take_in)
    kept = files_of(store.root)
    said = forget_one(chosen, options, WANTED, take_in)
    assert "nothing to do" in said.told
    assert files_of(store.root) == kept


def test_a_purge_that_is_killed_anywhere_ends_as_one_that_is_not(
    chosen: Study, store: ArtifactStore, tmp_path: Path
) -> None:
    plan = planned(chosen, store)
    write_plan(store.root, plan)
    whole = copied(store, tmp_path / "whole")
    removed = purge(whole, plan).counts
    tally_place(whole.root).unlink()
    expected = files_of(whole.root)
    counted = copied(store, tmp_path / "counted")
    changes = count_changes(lambda: purge(counted, plan))
    assert changes >= 20
    for number, stop in enumerate(range(1, changes, max(changes // 12, 1))):
        torn = copied(store, tmp_path / f"torn-{number}")
        assert killed_at(stop, lambda torn=torn: purge(torn, plan))  # type: ignore[misc]
        counted_anew = purge(torn, plan).counts
        shelves = removed.keys() - {"damaged or unfinished files"}
        assert {shelf: counted_anew[shelf] for shelf in shelves} == {
            shelf: removed[shelf] for shelf in shelves
        }, "what is removed is counted once, whichever try removed it"
        tally_place(torn.root).unlink()
        assert files_of(torn.root) == expected


def test_what_a_kill_left_to_do_is_done_first(
    chosen: Study, store: ArtifactStore, prefect_server: None
) -> None:
    plan = planned(chosen, store)
    write_plan(store.root, plan)
    before = purge(store, plan).counts  # and killed before it was certified
    said = forget_one(chosen, RunOptions(store=store.root), Wanted("subject", OTHER), take_in)
    assert "2 images are forgotten" in said.told
    pages = (store.root / "withdrawn" / "certificates").glob("*.json")
    first, second = sorted((json.loads(p.read_text()) for p in pages), key=lambda c: c["resumed"])
    assert (first["resumed"], second["resumed"]) == (False, True)
    assert before.items() <= second["removed"].items()
    assert not tally_place(store.root).exists()
    assert WithdrawalShelf(store.root).current().counts == {"skin": 4}


def test_nothing_is_removed_beside_a_running_study(chosen: Study, store: ArtifactStore) -> None:
    kept = files_of(store.root)
    with in_use(store.root), pytest.raises(StoreInUse, match="nothing was removed"):
        forget_one(chosen, RunOptions(store=store.root), WANTED, take_in)
    assert files_of(store.root) == kept


def test_what_no_shelf_has_is_told_and_kept_until_it_is_gone(
    chosen: Study, store: ArtifactStore, prefect_server: None
) -> None:
    (store.root / "my notes.txt").write_text(f"call {PERSON} back")
    options = RunOptions(store=store.root)
    with pytest.raises(CuretteError, match=r"no shelf of it has: my notes\.txt"):
        forget_one(chosen, options, WANTED, take_in)
    (store.root / "my notes.txt").unlink()
    assert forget_one(chosen, options, WANTED, take_in).page
    assert not plan_place(store.root).exists()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted("subject", "nobody"), "no image of that subject"),
        (Wanted("image", "0" * 64), "no image of the store has that sha256"),
        (Wanted("class", "d"), "no class of the study has the key `d`"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_changes(
    chosen: Study, store: ArtifactStore, wanted: Wanted, told: str
) -> None:
    kept = files_of(store.root)
    with pytest.raises(StudyError, match=told):
        forget_one(chosen, RunOptions(store=store.root), wanted, take_in)
    assert files_of(store.root) == kept


def test_a_class_leaves_this_study_and_its_images_the_shelves(
    chosen: Study, store: ArtifactStore, prefect_server: None
) -> None:
    options = RunOptions(store=store.root)
    forget_one(chosen, options, Wanted("class", "c"), take_in)
    after = store.load(ImageDataset, take_in(chosen, options).made[ImageDataset.kind])
    assert after.class_keys == ("a", "b")
    with pytest.raises(StudyError, match="would be left with one"):
        forget_one(chosen, options, Wanted("class", "b"), take_in)


def test_an_order_is_read_and_a_wrong_line_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "order.txt"
    file.write_text(f"subject {PERSON}\n\nclass b\n")
    assert read_order(file) == [WANTED, Wanted("class", "b")]
    file.write_text(f"{PERSON}\n")
    with pytest.raises(StudyError, match="line 1: `subject ID`") as refused:
        read_order(file)
    assert PERSON not in str(refused.value)
    file.write_text("\n")
    with pytest.raises(StudyError, match="names nothing"):
        read_order(file)
    with pytest.raises(StudyError, match="name what to forget"):
        choose_wanted(PERSON, "0" * 64, None)
    assert choose_wanted(None, None, "b") == Wanted("class", "b")


def copied(store: ArtifactStore, root: Path) -> ArtifactStore:
    shutil.copytree(store.root, root)
    return ArtifactStore(root)


def files_of(root: Path) -> dict[str, str]:
    """Return what every file of a store holds, but for locks and who did what, and when."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
        if path.name not in (".lock", "lock", "audit.jsonl")
        if "created_at" not in path.read_text(errors="replace")
    }


_CHANGES = ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.mkdir")


def count_changes(do: Callable[[], object]) -> int:
    """Return how often something changes what files there are."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        seen = 0

        def count(event: str, _: tuple[object, ...]) -> None:
            nonlocal seen
            seen += event in _CHANGES

        sys.addaudithook(count)
        do()
        os.write(writing, str(seen).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reading, 20))


def killed_at(change: int, do: Callable[[], object]) -> bool:
    """Do something in a process that kills itself before one of its changes to files."""
    if not (child := os.fork()):
        left = change

        def kill(event: str, _: tuple[object, ...]) -> None:
            nonlocal left
            if event in _CHANGES:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        do()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
