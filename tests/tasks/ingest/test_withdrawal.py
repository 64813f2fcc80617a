"""Withdrawn images: what is taken in is what a source that never had them would give."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from curette.schemas.artifact import Ref
from curette.schemas.images import ImageDataset, Split
from curette.schemas.machine import Machine
from curette.schemas.settings.ingest import DatasetSpec
from curette.schemas.withdrawals import WithdrawalList, Withdrawn
from curette.storage.pseudonyms import Pseudonyms
from curette.storage.store import ArtifactCorrupt, ArtifactStore
from curette.storage.withdrawals import WithdrawalShelf
from curette.tasks.ingest.task import ingest_dataset
from curette.tasks.ingest.withdrawal import image_name, subject_name
from curette.tasks.stage import Workplace
from tests.tasks.ingest.conftest import Draw

PEOPLE, EACH = 20, 2


@pytest.fixture
def folder(tmp_path: Path, draw: Draw) -> Path:
    """Two images a patient, with reports and a table; the last four are of a class of their own."""
    root = tmp_path / "skin"
    root.mkdir()
    rows = []
    for person in range(PEOPLE):
        for i in range(EACH):
            name = f"picture-{EACH * person + i:03d}.png"
            (root / name).write_bytes(draw(EACH * person + i))
            rows.append(
                {
                    "file_name": name,
                    "label": "ab"[person % 2] if person < 16 else "c",
                    "patient": f"patient{person:02d}",
                    "report": f"Seen in person {person}: brown, image {i}.",
                    "part": ("train", "val", "test")[person // 2 % 3],
                }
            )
    pd.DataFrame(rows).to_csv(root / "metadata.csv", index=False)
    return root


def spec_of(folder: Path, **fields: Any) -> DatasetSpec:
    usual: dict[str, Any] = {"subject_column": "patient", "report_column": "report"}
    return DatasetSpec(source={"kind": "folder", "path": folder}, **(usual | fields))


def without(folder: Path, patients: set[str]) -> None:
    """Take patients out of the folder itself, as if they never had been there."""
    table = pd.read_csv(folder / "metadata.csv")
    gone = table["patient"].isin(patients)
    for name in table["file_name"][gone]:
        (folder / name).unlink()
    table[~gone].to_csv(folder / "metadata.csv", index=False)


def sha256_of(folder: Path, number: int) -> str:
    return hashlib.sha256((folder / f"picture-{number:03d}.png").read_bytes()).hexdigest()


def ingest(root: Path, spec: DatasetSpec, withdrawn: Withdrawn | None = None) -> Ref[ImageDataset]:
    place = Workplace(ArtifactStore(root), Machine(workers=2))
    return ingest_dataset.fn(place, spec, None, withdrawn)


def load(root: Path, ref: Ref[ImageDataset]) -> ImageDataset:
    return ArtifactStore(root).load(ImageDataset, ref)


def split_of(dataset: ImageDataset) -> dict[str, str]:
    return dict(zip(dataset.images["image_id"], dataset.images["split"], strict=True))


@pytest.mark.parametrize("by", ["subject", "image"])
def test_given_splits_give_the_artifact_of_a_folder_that_never_had_the_images(
    tmp_path: Path, folder: Path, by: str
) -> None:
    spec, store = spec_of(folder, split_column="part"), tmp_path / "store"
    before = ingest(store, spec)
    name = Pseudonyms(store).of
    withdrawn = (
        Withdrawn(subjects=(subject_name("patient03", spec, name),))
        if by == "subject"
        else Withdrawn(images=tuple(image_name(sha256_of(folder, i), name) for i in (6, 7)))
    )
    after = ingest(store, spec, withdrawn)
    without(folder, {"patient03"})
    never = ingest(tmp_path / "never", spec)
    assert before != after == never
    assert len(load(store, after)) == (PEOPLE - 1) * EACH
    assert not any(r.reason == "withdrawn" for r in load(store, after).rejected)


def test_dealt_splits_stay_and_are_those_of_a_study_that_was_given_them(
    tmp_path: Path, folder: Path
) -> None:
    spec, store = spec_of(folder), tmp_path / "store"
    before = load(store, ingest(store, spec))
    splits = WithdrawalShelf(store).keep_splits(
        dict(zip(before.images["sha256"], before.images["split"], strict=True))
    )
    name = subject_name("patient03", spec, Pseudonyms(store).of)
    after = ingest(store, spec, Withdrawn(subjects=(name,), splits=splits))
    left = split_of(load(store, after))
    assert left == {i: s for i, s in split_of(before).items() if i in left}
    without(folder, {"patient03"})
    never = tmp_path / "never"
    shutil.copytree(store / "withdrawn", never / "withdrawn")
    assert ingest(never, spec, Withdrawn(splits=splits)) == after


def test_a_drawn_part_keeps_the_images_that_were_drawn(tmp_path: Path, folder: Path) -> None:
    spec, store = spec_of(folder, limit=24), tmp_path / "store"
    before = load(store, ingest(store, spec))
    pairs = zip(before.images["sha256"], before.images["split"], strict=True)
    splits = WithdrawalShelf(store).keep_splits(dict(pairs))
    gone = before.images["subject"].iloc[0]
    name = subject_name(gone, spec, Pseudonyms(store).of)
    after = load(store, ingest(store, spec, Withdrawn(subjects=(name,), splits=splits)))
    expected = before.images["image_id"][before.images["subject"] != gone]
    assert [*after.images["image_id"]] == [*expected]


def test_a_class_is_gone_as_if_the_study_had_never_named_it(tmp_path: Path, folder: Path) -> None:
    names = {"a": {"name": "nevus"}, "b": {"name": "melanoma"}, "c": {"name": "scar"}}
    spec, store = spec_of(folder, split_column="part", classes=names), tmp_path / "store"
    after = ingest(store, spec, Withdrawn(classes=("c",)))
    without(folder, {f"patient{person}" for person in range(16, PEOPLE)})
    two = spec_of(folder, split_column="part", classes={k: names[k] for k in "ab"})
    assert ingest(tmp_path / "never", two) == after


def test_a_list_that_concerns_no_image_changes_no_digest(tmp_path: Path, folder: Path) -> None:
    spec, store = spec_of(folder), tmp_path / "store"
    nobody = Withdrawn(images=("withdrawn image-0000000000000000",))
    assert ingest(store, spec, nobody) == ingest(store, spec)


def test_the_list_and_its_splits_come_back_and_are_not_believed_when_damaged(
    tmp_path: Path,
) -> None:
    shelf = WithdrawalShelf(tmp_path)
    assert shelf.current().of("skin") is None
    first: dict[str, Split] = {"a" * 64: "train"}
    second: dict[str, Split] = {"a" * 64: "test"}
    old, new = shelf.keep_splits(first), shelf.keep_splits(second)
    assert shelf.splits(old) == first
    listed = WithdrawalList(images=("x",), splits={"skin": new}, counts={"skin": 1})
    shelf.replace(listed)
    assert shelf.current() == listed
    assert shelf.splits(new) == second
    with pytest.raises(ArtifactCorrupt, match="which split each image was in"):
        shelf.splits(old)
    (tmp_path / "withdrawn" / "list.json").write_text("{")
    with pytest.raises(ArtifactCorrupt, match="taken in again"):
        shelf.current()
