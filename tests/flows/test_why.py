"""`curette why` names the first stage that would run, and what is not as it was."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from curette.flows.stages import RunOptions
from curette.flows.study_file import load_study
from curette.flows.why import Reason, why
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy

pytestmark = pytest.mark.slow


def asked(store: Path, *overrides: str, **options: Any) -> Reason | None:
    return why(load_study(DEMO, [*SMALL, *overrides]), RunOptions(store=store, **options))


def test_of_a_finished_study_there_is_nothing_to_say(finished: FinishedStudy) -> None:
    assert asked(finished.store) is None


@pytest.mark.parametrize(
    ("change", "title", "said"),
    [
        ("select.size=7", "select", "size.total: None -> 7"),
        ("external.0.dataset.source.seed=8", "ingest (lamp)", "source.seed: 7 -> 8"),
        ("shifts.1.column=hair", "select", "avoid: ['ruler'] -> ['hair']"),
        ("report.thumbnail_px=33", "report", "thumbnail_px: 96 -> 33"),
    ],
)
def test_a_changed_setting_is_told_where_it_first_matters(
    finished: FinishedStudy, change: str, title: str, said: str
) -> None:
    reason = asked(finished.store, change)
    assert reason is not None
    assert reason.title == title
    assert said in reason.changes


def test_what_is_to_be_repeated_is_said_to_be(finished: FinishedStudy) -> None:
    reason = asked(finished.store, refresh=("index",))
    assert reason == Reason("index", ("it is to be repeated (--refresh)",))


def test_an_empty_store_has_no_answers(tmp_path: Path) -> None:
    assert asked(tmp_path) == Reason("ingest", ("this store has no answer of it yet",))


def test_what_is_gone_is_told_from_what_changed(finished: FinishedStudy, tmp_path: Path) -> None:
    copy = finished.copied_to(tmp_path / "store")
    (index,) = (copy.store / "concept-index").iterdir()
    next(f for f in index.iterdir() if f.name != "manifest.json").unlink()
    reason = asked(copy.store)
    assert reason is not None
    assert reason.title == "index"
    assert "not whole or not there any more" in reason.changes[0]
    shutil.rmtree(index)
    assert asked(copy.store) == Reason("index", ("this store has no answer of it yet",))
