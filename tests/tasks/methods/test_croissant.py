"""Croissant metadata has what the specification asks for, and its own library loads by it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import Manifest, PayloadFile, Recipe, write_json
from curette.tasks.methods.croissant import CROISSANT, Told, croissant, schemas_of
from tests.builders.published_study import DIM, published_study, with_people

PUBLISHED = with_people(published_study()[0])


def manifest(files: dict[str, PayloadFile], **said: str) -> Manifest:
    return Manifest(
        kind="concept-dataset",
        layout=1,
        digest="0123456789abcdef0123",
        files=files,
        recipe=Recipe(stage="publish", code="", spec={"name": "by-hand"} | said),
        code_commit=None,
        lock_sha256=None,
        python="",
        platform="",
        created_at="2026-11-30T04:44:21+00:00",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published dataset with its metadata."""
    folder = tmp_path_factory.mktemp("croissant")
    PUBLISHED.write(folder)
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        files[path.relative_to(folder).as_posix()] = PayloadFile(
            sha256=sha256(content).hexdigest(), size_bytes=len(content)
        )
    told = Told.of(
        manifest(files, licence="cc-by-4.0", citation="@misc{x}", organisation="A clinic"),
        "https://hub.example/datasets/clinic/moles",
    )
    described = croissant(PUBLISHED.facts, files, schemas_of(folder, files), told)
    write_json(folder / CROISSANT, described)
    return folder


@pytest.fixture(scope="module")
def described(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / CROISSANT).read_bytes()))


def test_what_the_specification_requires_is_there(described: dict[str, Any]) -> None:
    required = {"@context", "@type", "conformsTo", "description", "license", "name", "url"}
    assert required | {"creator", "datePublished", "distribution"} <= described.keys()
    assert "http://mlcommons.org/croissant/1.0" in described["conformsTo"]
    assert described["creator"] == [{"@type": "sc:Organization", "name": "A clinic"}]
    assert described["datePublished"] == "2026-11-30"
    assert all(len(file["sha256"]) == 64 for file in described["distribution"])


def test_what_nobody_said_is_left_out() -> None:
    said = croissant(PUBLISHED.facts, {}, {}, Told.of(manifest({})))
    assert not {"creator", "url", "citeAs", "rai:dataManipulationProtocol"} & said.keys()
    assert (said["name"], said["license"]["name"]) == ("by-hand", "other")


def test_pseudonyms_and_what_is_said_of_people_are_named(described: dict[str, Any]) -> None:
    told = described["rai:personalSensitiveInformation"]
    assert "What the source says of images: sex, age, ruler." in told
    facts = PUBLISHED.facts.model_copy(update={"synthetic_images": False})
    said = croissant(facts, {}, {}, Told.of(manifest({})))
    assert "Subjects and lesions have pseudonyms." in said["rai:personalSensitiveInformation"]


def test_a_table_without_rows_is_no_record_set(folder: Path, described: dict[str, Any]) -> None:
    assert (folder / "dropped.parquet").is_file()
    assert not PUBLISHED.dropped
    names = [records["@id"] for records in described["recordSet"]]
    assert sorted(names) == ["classes", "concepts", "pool", "priors", "test", "train", "validation"]


def test_its_own_library_loads_the_records(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlc = pytest.importorskip("mlcroissant")
    monkeypatch.chdir(folder)  # where it looks for files that have no address
    dataset = mlc.Dataset(CROISSANT)
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    records = {r["test/image_id"].decode(): r for r in dataset.records("test")}
    rows = PUBLISHED.rows("test")
    assert list(records) == list(PUBLISHED.images["image_id"].iloc[rows])
    for row in rows[:5]:
        record = records[PUBLISHED.images["image_id"].iloc[row]]
        assert record["test/label"] is None
        assert record["test/meta.age"] == PUBLISHED.images["meta.age"].iloc[row]
        np.testing.assert_array_equal(
            np.array(record["test/scores"], np.float32), PUBLISHED.scores[row]
        )
    texts = [r["concepts/text"].decode() for r in dataset.records("concepts")]
    assert texts == [c.text for c in PUBLISHED.concepts]
    assert len(record["test/vector"]) == DIM


def test_every_file_is_told_with_its_digest(folder: Path, described: dict[str, Any]) -> None:
    files = {file["@id"]: file for file in described["distribution"]}
    for name, file in files.items():
        content = (folder / name).read_bytes()
        assert file["sha256"] == sha256(content).hexdigest()
        assert file["contentSize"] == f"{len(content)} B"
