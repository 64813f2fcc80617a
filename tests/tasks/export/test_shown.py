"""What is told of images to FiftyOne and to Label Studio, and what is not."""

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import ClassLabel
from curette.tasks.export.fiftyone import write_fiftyone
from curette.tasks.export.label_studio import NONE_OF_THEM, write_label_studio
from curette.tasks.export.shown import Shown, shown_images
from curette.tasks.methods.encoder.pixels import bare_png, read_rgb
from tests.builders.look import zero_shot_head
from tests.builders.published_study import KEYS, published_study, with_people
from tests.pages import HOSTILE

PUBLISHED, TEST = published_study()
PUBLISHED = with_people(PUBLISHED)
HEAD = zero_shot_head(PUBLISHED)
FILES = [f"data/{i:06d}.png" for i in range(len(PUBLISHED.images))]
SPLITS = PUBLISHED.images["split"].to_numpy()


def shown(published: ConceptDataset = PUBLISHED, told: bool = False) -> list[Shown]:
    return shown_images(published, HEAD, TEST.labels if told else {}, FILES)


def test_labels_of_test_images_are_told_only_where_the_evaluation_did() -> None:
    assert {i.known["image_id"] for i in shown() if i.label is None} == set(TEST.labels)
    told = {i.known["image_id"]: i.label for i in shown(told=True)}
    assert {image: told[image] for image in TEST.labels} == TEST.labels
    ids, labels = PUBLISHED.images["image_id"], PUBLISHED.images["label"]
    train = {i: k for i, k, s in zip(ids, labels, SPLITS, strict=True) if s != "test"}
    assert {image: told[image] for image in train} == train


def test_decisions_are_the_heads() -> None:
    logits = HEAD.logits(PUBLISHED.scores.astype(float))
    assert [i.decided for i in shown()] == [KEYS[k] for k in logits.argmax(axis=1)]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([i.probability for i in shown()], shares.max(axis=1), atol=1e-5)
    assert all(reason.endswith(i.decided) for i in shown() for reason in i.reasons[:1])


def test_what_was_read_from_reports_is_not_told() -> None:
    images = PUBLISHED.images.copy()
    images["annotation.0123"] = True
    images["source_id"] = "secret"
    known = shown(replace(PUBLISHED, images=images))[0].known
    people = {"meta.sex", "meta.age", "meta.ruler", "attribute.a", "attribute.b", "attribute.c"}
    assert known.keys() == {"image_id", "split", "subject", "lesion", "group"} | people


def test_a_copied_picture_has_its_pixels_and_nothing_else() -> None:
    said = Image.Exif()
    said[0x010E] = "Jane Doe, born 1970"  # ImageDescription
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(8, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG", exif=said, icc_profile=b"of the scanner", dpi=(7, 7))
    bare = bare_png(read_rgb(file.getvalue()))
    assert b"Jane" in file.getvalue()
    assert b"Jane" not in bare
    with Image.open(io.BytesIO(bare)) as copied:
        assert not copied.info
        np.testing.assert_array_equal(np.asarray(copied), pixels)


@pytest.fixture
def fiftyone(tmp_path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    write_fiftyone(tmp_path, PUBLISHED, shown())
    metadata = json.loads((tmp_path / "metadata.json").read_bytes())
    return metadata, json.loads((tmp_path / "samples.json").read_bytes())["samples"]


def test_every_field_of_a_sample_is_declared(
    fiftyone: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    metadata, samples = fiftyone
    declared = {field["db_field"] for field in metadata["sample_fields"]}
    assert all(sample.keys() <= declared for sample in samples)
    # What the importer adds: fiftyone/utils/data/importers.py, FiftyOneDatasetImporter.
    added = {"_id", "created_at", "last_modified_at", "_dataset_id"}
    assert declared - samples[0].keys() == added
    assert not [name for name in declared if "." in name]


def test_samples_say_what_is_known_and_decided(
    fiftyone: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    _, samples = fiftyone
    for sample, image, split in zip(samples, shown(), SPLITS, strict=True):
        assert (sample["filepath"], sample["tags"]) == (image.file, [split])
        assert (sample["ground_truth"] is None) == (split == "test")
        assert sample["prediction"]["label"] == f"class {image.decided}"
        assert sample["prediction"]["confidence"] == image.probability
        assert sample["meta_age"] == image.known["meta.age"]
        assert sample["score_sign_0_of_a"] == image.scores[0]
    ids = [sample["prediction"]["_id"]["$oid"] for sample in samples]
    assert len(set(ids)) == len(ids)
    assert all(len(bytes.fromhex(i)) == 12 for i in ids)


def test_concepts_that_differ_in_marks_alone_have_fields_of_their_own(tmp_path: Path) -> None:
    first, second, *others = PUBLISHED.concepts
    alike = (
        first.model_copy(update={"text": "blue-grey veil"}),
        second.model_copy(update={"text": "blue grey veil"}),
        *others,
    )
    write_fiftyone(tmp_path, replace(PUBLISHED, concepts=alike), shown())
    metadata = json.loads((tmp_path / "metadata.json").read_bytes())
    names = [f["name"] for f in metadata["sample_fields"] if f["name"].startswith("score_")]
    assert len(set(names)) == len(PUBLISHED.concepts)
    assert f"score_blue_grey_veil_{first.concept_id}" in names


def test_tasks_fit_the_interface_that_lies_beside_them(tmp_path: Path) -> None:
    write_label_studio(tmp_path, "for review", PUBLISHED, shown(told=True), "v1")
    tasks = json.loads((tmp_path / "tasks.json").read_bytes())
    config = ET.fromstring((tmp_path / "label_config.xml").read_bytes())
    controls = {c.get("name"): [x.get("value") for x in c] for c in config.iter("Choices")}
    assert controls["concepts"] == [*(c.text for c in PUBLISHED.concepts), NONE_OF_THEM]
    for task, image in zip(tasks, shown(told=True), strict=True):
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]  # no concept is chosen beforehand
        assert result["type"] == "choices"
        assert set(result["value"]["choices"]) <= set(controls[result["from_name"]])
        assert result["value"]["choices"] == [f"class {image.decided}"]
        assert 0 <= prediction["score"] <= 1
        assert task["data"]["image"] == f"/data/local-files/?d=for%20review/{image.file}"
        assert task["data"]["label"] == f"class {image.label}"


def test_held_out_labels_are_in_no_task(tmp_path: Path) -> None:
    write_label_studio(tmp_path, "x", PUBLISHED, shown(), "v1")
    tasks = json.loads((tmp_path / "tasks.json").read_bytes())
    assert all(t["data"]["label"] == "" for t in tasks if t["data"]["split"] == "test")


def test_classes_of_one_name_are_called_by_their_keys(tmp_path: Path) -> None:
    classes = tuple(ClassLabel(key=key, name="lesion") for key in KEYS)
    facts = PUBLISHED.facts.model_copy(update={"classes": classes})
    write_label_studio(tmp_path, "x", replace(PUBLISHED, facts=facts), shown(), "v1")
    config = ET.fromstring((tmp_path / "label_config.xml").read_bytes())
    assert [x.get("value") for x in config[2]] == list(KEYS)


def test_a_hostile_text_stays_text_in_the_interface(tmp_path: Path) -> None:
    hostile = PUBLISHED.concepts[0].model_copy(update={"text": HOSTILE})
    published = replace(PUBLISHED, concepts=(hostile, *PUBLISHED.concepts[1:]))
    write_label_studio(tmp_path, "x", published, shown(), "v1")
    config = ET.fromstring((tmp_path / "label_config.xml").read_bytes())
    assert config[4][0].get("value") == HOSTILE
    assert {e.tag for e in config.iter()} == {"View", "Image", "Header", "Choices", "Choice"}
