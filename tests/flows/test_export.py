"""`curette export`: what is written can be used as the card says, is whole, and tells no more."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curette.flows.exporting import _new_folder, export
from curette.flows.stages import RunOptions
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.storage.store import ArtifactStore
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.hub import hub_server

STUDY = load_study(DEMO, list(SMALL))


@pytest.mark.slow
def test_the_lines_in_the_card_decide_as_the_evaluation_did(
    finished: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "exported"
    told = export(STUDY, RunOptions(store=finished.store), "dataset", folder)
    assert str(folder) in told
    section = (folder / "README.md").read_text(encoding="utf-8").partition("## The probe")[2]
    (lines,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(lines.splitlines()) == 10
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    made: dict[str, Any] = {}
    exec(lines.replace("path/to/this/folder", str(folder)), made)  # as a reader would
    predictions = (
        ArtifactStore(finished.store)
        .load(Evaluation, finished.result.made[Evaluation.kind])
        .predictions
    )
    expected = {p.image_id: p.predicted["concept bottleneck"] for p in predictions}
    assert dict(zip(made["test"]["image_id"], made["decided"], strict=True)) == expected
    assert len(set(expected.values())) > 1
    described = json.loads((folder / "croissant.json").read_bytes())
    for file in described["distribution"]:
        assert file["sha256"] == sha256((folder / file["@id"]).read_bytes()).hexdigest()
    assert ConceptDataset.read(folder).images["label"].isna().sum() == len(expected)


@pytest.mark.slow
def test_the_dataset_goes_to_the_hub_with_its_probe_only_when_that_is_asked_for(
    finished: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_clinic")
    pushed = load_study(DEMO, [*SMALL, "publish.push.repo=clinic/moles"])
    options, folder = RunOptions(store=finished.store), tmp_path / "exported"
    with hub_server("hf_of_the_clinic") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        export(pushed, options, "dataset", tmp_path / "kept here")
        assert not hub.sent
        told = export(pushed, options, "dataset", folder, push=True)
        page = f"{hub.endpoint}/datasets/clinic/moles"
        assert told.endswith(page)
        there = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
        assert hub.files["clinic/moles"] == there
        assert json.loads(there["croissant.json"])["url"] == page
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        with pytest.raises(StudyError, match="refuses to write"):
            export(pushed, options, "dataset", tmp_path / "refused", push=True)
    assert not (tmp_path / "refused").exists()


def test_only_a_dataset_with_a_repository_is_pushed(tmp_path: Path) -> None:
    options, folder = RunOptions(store=tmp_path), tmp_path / "exported"
    with pytest.raises(StudyError, match=r"name it in publish\.push\.repo"):
        export(STUDY, options, "dataset", folder, push=True)
    with pytest.raises(StudyError, match="images go to no hub"):
        export(STUDY, options, "fiftyone", folder, push=True)


@pytest.mark.slow
def test_images_go_to_others_as_links_or_as_bare_pixels(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    options = RunOptions(store=finished.store)
    linked, copied = tmp_path / "linked", tmp_path / "copied"
    export(STUDY, options, "fiftyone", linked)
    export(STUDY, options, "label-studio", copied, copy_images=True)
    samples = json.loads((linked / "samples.json").read_bytes())["samples"]
    tasks = json.loads((copied / "tasks.json").read_bytes())
    store = ArtifactStore(finished.store)
    told = store.load(Evaluation, finished.result.made[Evaluation.kind]).predictions
    published = store.load(ConceptDataset, finished.result.made[ConceptDataset.kind])
    names = {c.key: c.name for c in published.facts.classes}
    labels = {p.image_id: names[p.label] for p in told}
    for sample, task in zip(samples, tasks, strict=True):
        link = linked / sample["filepath"]
        assert link.is_symlink()
        assert not link.readlink().is_absolute()
        copy = copied / task["data"]["image"].partition("copied/")[2]
        assert not copy.is_symlink()
        with Image.open(link) as theirs, Image.open(copy) as ours:
            assert theirs.convert("RGB").tobytes() == ours.tobytes()
        if sample["tags"] == ["test"]:
            assert sample["ground_truth"]["label"] == labels[sample["image_id"]]
            assert task["data"]["label"] == labels[task["data"]["image_id"]]
    assert len(labels) == sum(sample["tags"] == ["test"] for sample in samples)


def test_the_dataset_has_no_images_to_copy(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="leave --copy-images out"):
        export(
            STUDY, RunOptions(store=tmp_path), "dataset", tmp_path / "exported", copy_images=True
        )


def test_a_study_that_was_not_finished_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="was never run to its end"):
        export(STUDY, RunOptions(store=tmp_path / "store"), "dataset", tmp_path / "exported")
    assert not [p for p in tmp_path.iterdir() if "exported" in p.name]


def test_no_folder_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="is there already"), _new_folder(tmp_path):
        pass
    with pytest.raises(StudyError, match="is not there"), _new_folder(tmp_path / "a" / "b"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()  # an empty one may be written to
    left = tmp_path / ".exported.unfinished"
    left.mkdir()  # by one that was killed
    (left / "half").touch()
    with _new_folder(folder) as bench:
        assert bench == left
        (bench / "whole").touch()
        assert not any(folder.iterdir())
    assert [p.name for p in tmp_path.rglob("*")] == ["exported", "whole"]
