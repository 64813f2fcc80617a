"""Decisions go out to a sheet and back, or are asked for in the Prefect UI, and are kept."""

import contextvars
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_API_URL, temporary_settings

from curette.flows.review import (
    ask_reviewer,
    current_decisions,
    export_sheet,
    import_sheet,
    parted,
)
from curette.flows.runs import RunResult
from curette.flows.server import bound
from curette.flows.stages import RunOptions, StageRecord
from curette.schemas.artifact import Recipe, Ref, StudyError
from curette.schemas.candidates import concept_id
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from tests.builders.images import image_dataset
from tests.builders.screened import CLASSES, SCREENED, decision, found
from tests.prefect_server import PrefectServer, wait_until_up

PROJECT = Path(__file__).parents[2]
RECIPE = Recipe(stage="by hand", code="0")


def a_study(mode: str, **review: object) -> Study:
    return Study.model_validate(
        {
            "name": "by-hand",
            "dataset": {"source": {"kind": "synthetic"}},
            "propose": {"sources": [{"kind": "recorded"}]},
            "review": {"mode": mode, "reviewer": "Ada"} | review,
        }
    )


class Bench:
    """A store with a dataset and a screened set."""

    def __init__(self, root: Path) -> None:
        self.store = ArtifactStore(root)
        self.options = RunOptions(store=root)
        self.dataset = self.store.save(
            image_dataset(classes=CLASSES),
            RECIPE,
        )
        screened_by = Recipe(stage="screen", code="0", inputs={"dataset": str(self.dataset)})
        self.screened = self.store.save(SCREENED, screened_by)

    def run_until_screen(self, study: Study, options: RunOptions) -> RunResult:
        record = StageRecord(name="screen", state="cached", seconds=0, ref=str(self.screened))
        return RunResult(study=study.name, stages=(record,))

    def export_to(self, sheet: Path, study: Study) -> str:
        return export_sheet(study, self.options, sheet, self.run_until_screen)

    def import_from(self, sheet: Path, study: Study) -> str:
        return import_sheet(study, self.options, sheet, self.run_until_screen)

    def decided(self, study: Study) -> tuple[Decision, ...]:
        return self.store.load(Decisions, current_decisions(study, self.store)).decisions


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "store")


def lines(*texts_and_verdicts: tuple[str, str]) -> str:
    rows = (f"{concept_id(text)},{text},{verdict}" for text, verdict in texts_and_verdicts)
    return "\n".join(["concept_id,text,verdict", *rows])


# --- the sheet ----------------------------------------------------------------------------------


def test_what_was_decided_stands_in_the_next_sheet(bench: Bench, tmp_path: Path) -> None:
    study, first, second = a_study("file"), tmp_path / "1.csv", tmp_path / "2.csv"
    assert "4 kept and 3 dropped concepts, 2 that gates were unsure of" in bench.export_to(
        first, study
    )
    first.write_text(lines(("red dots", "drop"), ("warm skin", "keep"), ("elsewhere", "drop")))
    assert bench.import_from(first, study) == (
        "3 decisions: 2 drop, 1 keep; 1 about concepts that are not in the screened set"
    )
    assert "3 decided about so far" in bench.export_to(second, study)
    assert bench.import_from(second, study) == "2 decisions: 1 drop, 1 keep"
    assert {d.text: d.verdict for d in bench.decided(study)} == {
        "red dots": "drop",
        "warm skin": "keep",
        "elsewhere": "drop",
    }


def test_the_same_sheet_twice_is_the_same_artifact(bench: Bench, tmp_path: Path) -> None:
    study, sheet = a_study("file"), tmp_path / "sheet.csv"
    sheet.write_text(lines(("red dots", "drop")))
    refs = []
    for _ in range(2):
        bench.import_from(sheet, study)
        refs.append(current_decisions(study, bench.store))
    assert refs[0] == refs[1]


def test_who_exchanges_a_pick_changes_nothing_for_the_stages_before(
    bench: Bench, tmp_path: Path
) -> None:
    study, sheet = a_study("file"), tmp_path / "1.csv"
    sheet.write_text(lines(("red dots", "drop")))
    bench.import_from(sheet, study)
    before = parted(current_decisions(study, bench.store), study, bench.store)
    exchange = f"{concept_id('blue veil')},blue veil,exchange,round shape"
    sheet.write_text(f"concept_id,text,verdict,new_text\n{exchange}")
    bench.import_from(sheet, study)
    after = parted(current_decisions(study, bench.store), study, bench.store)
    assert after[0] == before[0], "what may be selected at all is what it was"
    assert [d.new_text for d in (*before[1], *after[1])] == ["round shape"]
    assert parted(current_decisions(study, bench.store), a_study("off"), bench.store) == (None, ())


def test_a_later_sheet_wins_and_the_rest_stays(bench: Bench, tmp_path: Path) -> None:
    study, sheet = a_study("file"), tmp_path / "sheet.csv"
    for rows in ([("red dots", "drop"), ("pink rim", "drop")], [("red dots", "keep")]):
        sheet.write_text(lines(*rows))
        bench.import_from(sheet, study)
    assert {d.text: d.verdict for d in bench.decided(study)} == {
        "red dots": "keep",
        "pink rim": "drop",
    }


def test_a_sheet_with_a_mistake_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    study, sheet = a_study("file"), tmp_path / "sheet.csv"
    sheet.write_text(lines(("red dots", "drop"), ("pink rim", "perhaps")))
    with pytest.raises(
        StudyError, match=r"sheet\.csv; nothing was imported:\n  row 3, column verd"
    ):
        bench.import_from(sheet, study)
    assert bench.decided(study) == ()


def test_a_sheet_that_is_there_is_not_written_over(bench: Bench, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("mine")
    with pytest.raises(StudyError, match="is there already, and may hold decisions"):
        bench.export_to(sheet, a_study("file"))
    assert sheet.read_text() == "mine"


def test_no_sheet_is_no_crash(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read the review sheet"):
        bench.import_from(tmp_path / "none.csv", a_study("file"))
    with pytest.raises(StudyError, match="cannot write the review sheet"):
        bench.export_to(tmp_path / "nowhere" / "sheet.csv", a_study("file"))


def test_decisions_do_not_count_where_the_review_is_off(bench: Bench, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(lines(("red dots", "drop")))
    assert "the study's review is off" in bench.import_from(sheet, a_study("off"))
    assert bench.decided(a_study("off")) == ()
    assert len(bench.decided(a_study("file"))) == 1


# --- the form -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server_with_ui(
    tmp_path_factory: pytest.TempPathFactory, any_prefect_server: PrefectServer
) -> Iterator[None]:
    """A server as `make ui` starts it, with a home of its own."""
    home = any_prefect_server.home(tmp_path_factory.mktemp("prefect"))
    own = {"PREFECT_HOME": str(home), "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui")}
    with bound() as place:
        port = place.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "curette.flows.server", str(os.getpid())],
            cwd=PROJECT,
            env=os.environ | own,
            stdin=place.fileno(),
        )
    try:
        with temporary_settings({PREFECT_API_URL: wait_until_up(server, port)}):
            yield
    finally:
        server.terminate()
        server.wait()


def wait_until(what: Callable[[], bool]) -> None:
    for _ in range(900):
        if what():
            return
        time.sleep(0.2)
    raise AssertionError("the run did not pause")


class Answerer(threading.Thread):
    """Somebody who fills in the first form that appears."""

    def __init__(self, *answers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.schema: dict[str, Any] = {}
        self.artifacts: list[Any] = []
        self.took: list[bool] = []
        self.here = contextvars.copy_context()

    def run(self) -> None:
        self.here.run(self.answer)

    def answer(self) -> None:
        with get_client(sync_client=True) as client:
            paused: list[Any] = []

            def has_paused() -> bool:
                runs = client.read_flow_runs()
                paused[:] = [r for r in runs if r.state and r.state.is_paused()]
                return bool(paused)

            wait_until(has_paused)
            keys = paused[0].state.state_details.run_input_keyset
            path = f"/flow_runs/{paused[0].id}/input/{keys['schema']}"
            wait_until(lambda: client.request("GET", cast(Any, path)).status_code == 200)
            self.schema = client.request("GET", cast(Any, path)).json()
            self.artifacts = client.read_artifacts()
            for answer in self.answers:
                result = client.resume_flow_run(paused[0].id, run_input=answer)
                self.took.append(result.status == SetStateStatus.ACCEPT)


def field(text: str) -> str:
    return f"c_{concept_id(text)}"


@flow(name="ask")
def ask(study: Study, bench_root: Path, screened: Ref[ScreenedSet] | None = None) -> Ref[Decisions]:
    bench = Bench(bench_root)
    decided = current_decisions(study, bench.store)
    return ask_reviewer(study, bench.dataset, screened or bench.screened, decided, bench.store)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_server_without_a_ui_is_told_before_waiting(bench: Bench) -> None:
    # Stands before the tests with a UI: their server is the one in use from then on.
    with pytest.raises(StudyError, match=r"by a worker \(make ui\); use review: {mode: file}"):
        ask(a_study("ui"), bench.store.root)


@pytest.mark.slow
def test_a_form_is_answered_once_and_asked_again_only_about_the_rest(
    server_with_ui: None, bench: Bench
) -> None:
    study = a_study("ui")
    answerer = Answerer(
        {field("warm skin"): "perhaps"},
        {field("warm skin"): "drop", "reviewer": "Bo", "comment": "is not seen"},
    )
    answerer.start()
    decided = ask(study, bench.store.root)
    answerer.join(timeout=60)
    assert answerer.took == [False, True], "an answer that the form does not have is refused"
    fields = answerer.schema["properties"]
    assert {fields[field(t)]["title"] for t in ("warm skin", "pink rim")} == {
        "warm skin",
        "pink rim",
    }
    (made,) = bench.store.load(Decisions, decided).decisions
    wanted = decision("warm skin", "drop", reviewer="Bo", reason="is not seen")
    assert made == wanted.model_copy(update={"decided_on": made.decided_on})
    assert current_decisions(study, bench.store) == decided

    answerer = Answerer({field("pink rim"): "keep"})
    answerer.start()
    decided = ask(study, bench.store.root)
    answerer.join(timeout=60)
    assert field("warm skin") not in answerer.schema["properties"]
    made_twice = bench.store.load(Decisions, decided).decisions
    assert {d.text: d.reviewer for d in made_twice} == {"warm skin": "Bo", "pink rim": "Ada"}

    assert ask(study, bench.store.root) == decided, "nothing is unsure: no pause"


@pytest.mark.slow
def test_what_was_found_is_named_by_pictures_that_go_when_the_form_is_sent(
    server_with_ui: None, bench: Bench
) -> None:
    found_one = SCREENED.model_copy(
        update={"kept": (*SCREENED.kept, found(17, images=("gone",))), "unsure": ()}
    )
    bench.screened = bench.store.save(found_one, RECIPE)
    answerer = Answerer({f"n_{concept_id('unnamed 17')}": "pale rim"})
    answerer.start()
    decided = ask(a_study("ui"), bench.store.root, bench.screened)
    answerer.join(timeout=60)
    (shown,) = answerer.artifacts
    assert shown.key == "unnamed-concepts"
    assert "gone (no pixels)" in shown.data
    (made,) = bench.store.load(Decisions, decided).decisions
    assert (made.text, made.verdict, made.new_text) == ("unnamed 17", "reword", "pale rim")
    with get_client(sync_client=True) as client:
        assert client.read_artifacts() == []


@pytest.mark.slow
def test_nobody_answering_fails_the_run_by_name(server_with_ui: None, bench: Bench) -> None:
    with pytest.raises(StudyError, match=r"nobody filled in the form within 1 s"):
        ask(a_study("ui", timeout_s=1), bench.store.root)


@pytest.mark.parametrize("mode", ["off", "file"])
def test_without_a_form_nobody_is_waited_for(bench: Bench, mode: str) -> None:
    study = a_study(mode)
    decided = current_decisions(study, bench.store)
    assert ask_reviewer(study, bench.dataset, bench.screened, decided, bench.store) == decided
