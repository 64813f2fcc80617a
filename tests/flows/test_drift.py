"""`curette drift`: new images of a folder or of the dataset, held against a finished study."""

import csv
from pathlib import Path

import pytest

from curette.flows.drifting import Wanted, _read_subjects, is_past_limit, look_for_drift
from curette.flows.finished import last_finished
from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.drift import Drift
from curette.schemas.evaluation import Evaluation
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.tasks.ingest.synthetic import LAMP, generate_images
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy


def _never(study: Study, options: RunOptions) -> RunResult:
    raise AssertionError("nothing is run for a question that is wrong already")


def test_whose_images_are_whose_must_be_said(tmp_path: Path) -> None:
    chosen, options = load_study(DEMO, list(SMALL)), RunOptions(store=tmp_path / "store")
    for wrong in (Wanted(tmp_path), Wanted(tmp_path, tmp_path / "subjects.csv", True)):
        with pytest.raises(StudyError, match=r"of one patient\?.*--subjects TABLE.*--one-each"):
            look_for_drift(chosen, options, wrong, _never)
    with pytest.raises(StudyError, match="no run of demo is finished"):
        look_for_drift(chosen, options, Wanted(), _never)


@pytest.mark.slow
def test_another_light_is_found_kept_and_told_past_the_limit(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    copy = finished.copied_to(tmp_path / "store")
    chosen = load_study(DEMO, [*SMALL, "drift.limit=0"])
    options, store = RunOptions(store=copy.store), ArtifactStore(copy.store)
    week, table = tmp_path / "week", tmp_path / "week" / "subjects.csv"
    week.mkdir()
    rows = [["file", "subject"]]
    for image in generate_images(60, 77, light=LAMP):
        (week / f"{image.image_id}.png").write_bytes(image.png)
        rows.append([f"{image.image_id}.png", image.subject])
    (week / "notes.txt").write_text("no image")
    with table.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)

    found = look_for_drift(chosen, options, Wanted(week, table), study)
    facts = found.drift.facts
    assert facts.found
    assert (facts.images, facts.refused, facts.known) == (60, 1, 0)
    assert is_past_limit(chosen, facts) == (facts.accuracy_change.value <= 0)
    assert not is_past_limit(load_study(DEMO, list(SMALL)), facts), "off unless it is set"
    assert store.load(Drift, found.ref) == found.drift
    finished_as = last_finished(store, "demo")
    assert finished_as is not None
    assert finished_as.kind == Evaluation.kind
    with pytest.raises(StudyError, match="there are none since its last finished run"):
        look_for_drift(chosen, options, Wanted(), study)
    more = load_study(DEMO, [*SMALL, "dataset.source.images=400"])
    grown = look_for_drift(more, options, Wanted(), study).drift.facts
    assert grown.published == facts.published, "against the heads of the last finished run"
    assert not grown.found

    table.write_text("file,subject\nother.png,a\n")
    with pytest.raises(StudyError, match="names no subject of"):
        look_for_drift(chosen, options, Wanted(week, table), study)


def test_a_table_of_subjects_is_read_like_any_that_a_person_fills_in(tmp_path: Path) -> None:
    table = tmp_path / "subjects.csv"
    table.write_bytes("\ufefffile;subject\na.png;p1\nb.png;p2\n".encode())
    assert _read_subjects(table) == {"a.png": "p1", "b.png": "p2"}
    table.write_text("file,subject\na.png,\nb.png,p2\nc.png, \n")
    with pytest.raises(StudyError, match=r"2 problems(?s:.*)row 2, column subject(?s:.*)row 4"):
        _read_subjects(table)
    table.write_text("file,patient\na.png,p1\n")
    with pytest.raises(StudyError, match="column subject is missing"):
        _read_subjects(table)
