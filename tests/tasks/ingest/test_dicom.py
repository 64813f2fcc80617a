"""Folders of DICOM files are taken in as pictures, with the columns that the study names."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curette.flows.new_images import content_of
from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec
from curette.storage.images import ImageShelf
from curette.tasks.ingest.listing import ImageFile
from curette.tasks.ingest.verify import Verified, verify_image
from curette.tasks.ingest.withdrawal import source_rows
from curette.tasks.methods.encoder.pixels import Window
from tests.builders.dicom import RAMP, dicom
from tests.tasks.ingest.conftest import Read, reasons, unwatched


def write_folder(root: Path) -> Path:
    """Two classes of ten files, two a patient, some named by a UID as machines do."""
    for i in range(20):
        place = root / ("sick" if i % 2 else "well") / (f"1.2.840.{i}" if i < 4 else f"{i}.dcm")
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(RAMP, i)
        view = "LATERAL" if i % 3 else "PA"
        place.write_bytes(dicom(pixels, PatientID=f"patient {i // 4}", ViewPosition=view))
    return root


def test_pictures_are_kept_and_headers_are_not(read: Read, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    found = read(source={"kind": "folder", "path": folder})
    assert len(found.images) == 20
    assert found.images["location"].str.startswith("shelf:").all()
    assert not [c for c in found.images.columns if c.startswith("meta.")]
    assert found.root == ""


def test_named_keywords_become_columns_and_tell_patients_apart(read: Read, tmp_path: Path) -> None:
    found = read(
        source={"kind": "folder", "path": write_folder(tmp_path / "images")},
        subject_column="PatientID",
        dicom_columns=["PatientID", "ViewPosition"],
    )
    assert found.images["subject"].nunique() == found.images["group"].nunique() == 5
    assert (found.images.groupby("subject")["split"].nunique() == 1).all()
    assert found.images["meta.ViewPosition"].value_counts().to_dict() == {"LATERAL": 13, "PA": 7}
    assert "meta.PatientID" not in found.images.columns


def test_a_file_of_frames_is_refused_with_its_reason(read: Read, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    (folder / "sick" / "film.dcm").write_bytes(dicom(NumberOfFrames=3))
    found = read(source={"kind": "folder", "path": folder}, max_rejected=0.1)
    assert reasons(found) == {"sick/film": "several-pages"}


def test_who_withdraws_a_file_knows_it_as_the_dataset_does(read: Read, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    found = read(source={"kind": "folder", "path": folder}).images
    digests = dict(zip(found["image_id"], found["sha256"], strict=True))
    spec = DatasetSpec(source={"kind": "folder", "path": folder})
    assert source_rows(spec, tmp_path, unwatched, set(digests)) == digests


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dicom_columns": ["PatientsName"]}, "is no keyword of DICOM; did you mean PatientName"),
        ({"dicom_columns": ["label"], "label_column": "label"}, "is no keyword"),
        ({"dicom_columns": ["Modality"], "label_column": "Modality"}, "write the labels into a"),
    ],
)
def test_what_cannot_be_a_column_is_refused(
    read: Read, tmp_path: Path, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        read(source={"kind": "folder", "path": write_folder(tmp_path / "images")}, **fields)


@pytest.mark.parametrize("window", [None, Window(1000, 2000)])
def test_a_new_file_is_seen_as_the_studys_own_were(tmp_path: Path, window: Window | None) -> None:
    """What `predict` and `explain` read of a file is what the store keeps of the same file."""
    path = tmp_path / "new.dcm"
    path.write_bytes(dicom())
    shelf = ImageShelf(tmp_path / "store")
    found = verify_image(ImageFile(path), tmp_path, shelf.put, 10_000, window)
    assert isinstance(found, Verified)
    kept = shelf.get(found.sha256)
    assert content_of(path, found, {}, window) == kept
    grey = np.asarray(Image.open(io.BytesIO(kept)))
    assert (grey.min(), grey.max()) == (0, 255 if window else 250)
