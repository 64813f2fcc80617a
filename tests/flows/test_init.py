"""`curette init`: a study file from looking at images, which loads and takes the images in."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curette.flows.cli import main
from curette.flows.init import Draft, draft_study
from curette.flows.study_file import load_study
from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import HubSource, TableSource
from curette.schemas.study import Study
from tests.builders.dicom import RAMP, dicom


def _image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _class_folders(
    root: Path, classes: tuple[str, ...] = ("naevus", "yes"), each: int = 20
) -> Path:
    for number, name in enumerate(classes):
        for row in range(each):
            _image(root / name / f"{row}.png", number * each + row)
    return root


def _table(root: Path, **columns: object) -> Path:
    """Write a table of 60 images, two a patient, whose files lie a folder further down."""
    rows = range(60)
    for row in rows:
        _image(root / "pictures" / f"ISIC_{row:03}.jpg", row)
    content = {
        "image_id": [f"ISIC_{row:03}" for row in rows],
        "dx": ["nv", "mel", "bcc"] * 20,
        "lesion_id": [f"L{row // 2}" for row in rows],
        "patient": [f"{row // 2:04}" for row in rows],
        "age": [row % 30 * 2 + 20 for row in rows],
        "visit": [f"2021-03-{1 + row % 28:02}" for row in rows],
        "part": [*["train"] * 6, "val", "val", "test", "test"] * 6,
    }
    pd.DataFrame(content | columns).to_csv(root / "images.csv", index=False)
    return root / "images.csv"


def _archive(path: Path) -> Path:
    """Write an archive in MedMNIST's layout, ten images a part."""
    parts = {
        f"{part}_{what}": array
        for part in ("train", "val", "test")
        for what, array in (
            ("images", np.arange(10 * 8 * 8, dtype=np.uint8).reshape(10, 8, 8)),
            ("labels", np.arange(10, dtype=np.uint8)[:, None] % 2),
        )
    }
    np.savez(path, allow_pickle=False, **parts)
    return path


def _loaded(text: str, folder: Path) -> Study:
    (folder / "written.yaml").write_text(text)
    return load_study(folder / "written.yaml")


def test_an_archive_becomes_a_study(tmp_path: Path) -> None:
    draft = draft_study(_archive(tmp_path / "PathMNIST.npz"), tmp_path)
    spec = _loaded(draft.text, tmp_path).dataset
    assert (spec.source.kind, [*spec.classes]) == ("npz", ["0", "1"])
    assert draft.found[0].startswith("30 images of 2 classes")


def test_a_label_that_is_given_counts_in_tables_of_splits_too(tmp_path: Path) -> None:
    for part in ("train", "test"):
        names = [f"{row}.png" for row in range(6)]
        for row, name in enumerate(names):
            _image(tmp_path / "in" / part / name, row)
        table = pd.DataFrame({"file_name": names, "dx": ["nv", "mel"] * 3})
        table.to_csv(tmp_path / "in" / part / "metadata.csv", index=False)
    draft = draft_study(tmp_path / "in", tmp_path, label="dx")
    assert [*_loaded(draft.text, tmp_path).dataset.classes] == ["mel", "nv"]


def test_class_folders_become_a_study_that_names_each_class(tmp_path: Path) -> None:
    draft = draft_study(_class_folders(tmp_path / "My Images"), tmp_path)
    study = _loaded(draft.text, tmp_path)
    assert study.name == "my-images"
    assert {k: c.name for k, c in study.dataset.classes.items()} == {
        "naevus": "naevus",
        "yes": "yes",  # which YAML takes for true where it is not quoted
    }
    assert draft.found[0].startswith("40 images of 2 classes")
    assert any("no column says whose each image is" in doubt for doubt in draft.doubts)


def test_the_columns_of_a_table_are_found_by_name_and_values(tmp_path: Path) -> None:
    draft = draft_study(_table(tmp_path / "data"), tmp_path, name="skin")
    spec = _loaded(draft.text, tmp_path).dataset
    assert isinstance(spec.source, TableSource)
    source = spec.source
    assert (source.image_column, source.image_suffix) == ("image_id", ".jpg")
    assert source.image_folder == tmp_path / "data" / "pictures"
    found = (spec.label_column, spec.subject_column, spec.lesion_column, spec.split_column)
    assert found == ("dx", "patient", "lesion_id", "part")
    assert spec.metadata == ()
    assert '# metadata: ["age"]' in draft.text
    assert any("visit: 60 values are days" in doubt for doubt in draft.doubts)
    assert not any("no column says" in doubt for doubt in draft.doubts)


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("images_{half:03}/images/{row}.jpg", "{row}"),  # NIH ChestX-ray14, HAM10000
        ("train/patient{row:05}/view1.jpg", "Chest-small/train/patient{row:05}/view1.jpg"),
    ],
)
def test_images_of_an_archive_as_it_is_downloaded_are_found(
    tmp_path: Path, place: str, written: str
) -> None:
    root = tmp_path / "archive"
    rows = range(60)
    for row in rows:
        _image(root / place.format(row=row, half=row // 58), row)
    columns = {"image": [written.format(row=row) for row in rows], "dx": ["nv", "mel"] * 30}
    pd.DataFrame(columns).to_csv(root / "table.csv", index=False)
    draft = draft_study(root / "table.csv", tmp_path)
    source = _loaded(draft.text, tmp_path).dataset.source
    assert isinstance(source, TableSource)
    assert source.image_folder == root
    assert draft.found[0].startswith("60 images of 2 classes")
    assert not any("missing" in doubt for doubt in draft.doubts)


def test_a_column_for_each_class_is_found_by_its_ones(tmp_path: Path) -> None:
    table = _table(tmp_path / "data")
    frame = pd.read_csv(table)
    classes = ("mel", "nv", "bcc")
    marks = {name.upper(): (frame["dx"] == name).astype(float) for name in classes}
    frame.drop(columns="dx").assign(**marks).to_csv(table, index=False)
    draft = draft_study(table, tmp_path)
    spec = _loaded(draft.text, tmp_path).dataset
    assert spec.label_columns == ("MEL", "NV", "BCC")
    assert {*spec.classes} == {"MEL", "NV", "BCC"}
    assert "of the columns" in " ".join(draft.found)
    assert '# metadata: ["age"]' in draft.text


def test_columns_of_findings_are_no_classes(tmp_path: Path) -> None:
    """As in CheXpert's tables: 1, 0, -1 or nothing for each of several at once."""
    table = _table(tmp_path / "data")
    frame = pd.read_csv(table).drop(columns="dx")
    frame["No Finding"] = [1, None, None] * 20
    frame["Edema"] = [None, 1, -1] * 20
    frame["Effusion"] = [0, 1, 1] * 20
    frame.to_csv(table, index=False)
    with pytest.raises(StudyError, match=r"3 columns .*`No Finding`.*`dataset\.findings`"):
        draft_study(table, tmp_path)
    assert _loaded(draft_study(table, tmp_path, label="Effusion").text, tmp_path)


def test_a_parquet_table_of_image_bytes_needs_no_folder(tmp_path: Path) -> None:
    for row in range(40):
        _image(tmp_path / "made" / f"{row}.png", row)
    content = [(tmp_path / "made" / f"{row}.png").read_bytes() for row in range(40)]
    pd.DataFrame({"picture": content, "class": ["a", "b"] * 20}).to_parquet(tmp_path / "t.parquet")
    spec = _loaded(draft_study(tmp_path / "t.parquet", tmp_path).text, tmp_path).dataset
    assert isinstance(spec.source, TableSource)
    assert (spec.source.image_column, spec.label_column) == ("picture", "class")


def test_a_metadata_table_beside_images_is_read(tmp_path: Path) -> None:
    for row in range(40):
        _image(tmp_path / "set" / f"{row}.png", row)
    rows = {"file_name": [f"{row}.png" for row in range(40)], "diagnosis": ["a", "b"] * 20}
    pd.DataFrame(rows).to_csv(tmp_path / "set" / "metadata.csv", index=False)
    draft = draft_study(tmp_path / "set", tmp_path)
    assert _loaded(draft.text, tmp_path).dataset.label_column == "diagnosis"


def test_small_classes_and_equal_images_are_doubted(tmp_path: Path) -> None:
    folder = _class_folders(tmp_path / "set", each=6)
    (folder / "naevus" / "copy.png").write_bytes((folder / "naevus" / "0.png").read_bytes())
    (folder / "naevus" / "other.png").write_bytes((folder / "yes" / "1.png").read_bytes())
    doubts = "\n".join(draft_study(folder, tmp_path).doubts)
    assert "2 classes have few images: `naevus` (8), `yes` (6)" in doubts
    assert "4 images are equal byte for byte to another" in doubts
    assert "2 stand under two labels" in doubts


def test_ids_of_patients_in_file_names_are_doubted(tmp_path: Path) -> None:
    for row in range(60):
        for view in range(3):
            _image(tmp_path / "set" / "ab"[row % 2] / f"{row:08}_{view:03}.png", row * 3 + view)
    doubts = "\n".join(draft_study(tmp_path / "set", tmp_path).doubts)
    assert "the beginnings of file names look like ids of patients" in doubts


def test_labels_that_ingest_would_refuse_are_doubted_in_its_words(tmp_path: Path) -> None:
    labels = ["nv", "Nv", "mel"] * 20
    draft = draft_study(_table(tmp_path / "data", dx=labels), tmp_path)
    assert "differ in case" in draft.doubts[0]
    assert _loaded(draft.text, tmp_path).dataset.classes == {}


def test_text_of_a_table_stays_text(tmp_path: Path) -> None:
    """Neither a label nor the name of a column ends a line, or its quotes."""
    labels = ['no: {a: "b"}', "!!python/object:os.system", "x\u2028name: evil"] * 20
    table = _table(tmp_path / "data", **{"dx": labels, 'age"]\nname: evil #': list(range(60))})
    draft = draft_study(table, tmp_path)
    study = _loaded(draft.text, tmp_path)
    assert study.name == "images"
    assert set(study.dataset.classes) == set(labels)


def test_what_looking_does_not_find_is_asked_for(tmp_path: Path) -> None:
    table = _table(tmp_path / "data")
    frame = pd.read_csv(table).rename(columns={"dx": "what", "age": "other"})
    frame["other"] = ["x", "y"] * 30
    frame.to_csv(table, index=False)
    with pytest.raises(StudyError, match=r"`what`, `other`.*--label"):
        draft_study(table, tmp_path)
    assert _loaded(draft_study(table, tmp_path, label="what").text, tmp_path)
    with pytest.raises(StudyError, match="no such column"):
        draft_study(table, tmp_path, label="nothing")
    (tmp_path / "data" / "pictures").rename(tmp_path / "elsewhere")
    with pytest.raises(StudyError, match="--image-folder"):
        draft_study(table, tmp_path, label="what")
    found = draft_study(table, tmp_path, label="what", image_folder=tmp_path / "elsewhere")
    assert "elsewhere" in found.text


def test_one_class_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="shows 1 class, and at least two"):
        draft_study(_class_folders(tmp_path / "set", ("naevus",)), tmp_path)
    _image(tmp_path / "set" / "melanoma" / "0.png", 99)
    draft = draft_study(tmp_path / "set", tmp_path)
    assert '"melanoma": "melanoma"   # 1 image\n' in draft.text
    assert any(doubt.startswith("1 class has few images") for doubt in draft.doubts)


def test_no_study_is_written_over_and_the_next_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _class_folders(tmp_path / "set")
    out = tmp_path / "my study.yaml"
    assert main(["init", str(folder), "--out", str(out)]) == 0
    assert f"next: curette check '{out}'" in capsys.readouterr().out
    written = out.read_bytes()
    assert main(["init", str(folder), "--out", str(out)]) == 2
    assert out.read_bytes() == written


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_written_study_is_taken_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its check finds the images, and ends with 2 for the key that is missing alone."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out, store = tmp_path / "study.yaml", tmp_path / "store"
    assert main(["init", str(_table(tmp_path / "data")), "--out", str(out)]) == 0
    assert main(["check", str(out), "--store", str(store)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("error")] == [
        line for line in lines if line.startswith("error   key:")
    ]
    assert any(line.startswith("ok      images: 60 of") for line in lines)
    local = ["--set", "llm.base_url=http://127.0.0.1:9/v1", "screen.gates=[form]"]
    sources = "propose.sources=[{kind: recorded}]"
    assert main(["check", str(out), "--store", str(store), *local, sources]) == 0


def test_a_dataset_in_the_hubs_layout_becomes_a_study_with_its_columns(tmp_path: Path) -> None:
    folder = tmp_path / "skin"
    (folder / "data").mkdir(parents=True)
    rows = []
    for row in range(40):
        _image(tmp_path / "one.png", row)
        picture = (tmp_path / "one.png").read_bytes()
        rows.append({"image": {"bytes": picture, "path": f"{row}.png"}, "label": row % 2})
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["naevus", "melanoma"])}
    )
    whole = datasets.Dataset.from_list(
        [row | {"patient_id": f"P{n // 2:04}"} for n, row in enumerate(rows)],
        features=datasets.Features({**features, "patient_id": datasets.Value("string")}),
    )
    whole.to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
    draft = draft_study(folder, tmp_path)
    study = _loaded(draft.text, tmp_path)
    source = study.dataset.source
    assert isinstance(source, HubSource)
    assert (source.path, source.image_column) == (folder, "image")
    assert study.dataset.subject_column == "patient_id"
    assert {*study.dataset.classes} == {"naevus", "melanoma"}
    assert "40 images of 2 classes" in draft.found[0]


def test_what_is_neither_here_nor_at_the_hub_is_told_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match="no folder of that name here, so it was asked for"):
        draft_study(Path("user/skin-lesions"), tmp_path)
    with pytest.raises(StudyError, match=r"neither a folder nor a table .* nor the name"):
        draft_study(Path("no/such/folder"), tmp_path)


def _dicom_folder(root: Path, *, examined: bool = False, **tags: str) -> Path:
    """Two classes of 20 files, two a patient, as a machine writes them and names the patient."""
    for row in range(40):
        place = root / ("sick" if row // 2 % 2 else "well") / f"4711-{row // 2:02}_{row}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        own = {"PatientID": f"4711-{row // 2:02}", "ViewPosition": "PA" if row % 3 else "LATERAL"}
        own |= {"StudyInstanceUID": f"1.2.{row // 4}"} if examined else {}
        place.write_bytes(dicom(np.roll(RAMP, row), **(own | tags)))
    return root


def _told(draft: Draft) -> str:
    return "\n".join((draft.text, *draft.found, *draft.doubts))


def test_headers_of_dicom_files_say_whose_each_image_is_and_nothing_of_whom(tmp_path: Path) -> None:
    draft = draft_study(_dicom_folder(tmp_path / "films", BurnedInAnnotation="YES"), tmp_path)
    spec = _loaded(draft.text, tmp_path).dataset
    assert (spec.subject_column, spec.dicom_columns) == ("PatientID", ("PatientID",))
    assert "subject: the headers give `PatientID`" in draft.found
    assert "  # ViewPosition" in draft.text, "what may be kept beside it is named, and not kept"
    assert "40 images have something burnt into their pixels" in draft.doubts[0]
    assert not any("whose each image is" in doubt for doubt in draft.doubts)
    shutil.copy(tmp_path / "films/well/4711-00_0.dcm", tmp_path / "films/well/again.dcm")
    again = draft_study(tmp_path / "films", tmp_path)
    assert any("2 images are equal byte for byte" in doubt for doubt in again.doubts)
    assert "4711" not in _told(draft) + _told(again)
    assert "Secret" not in _told(draft) + _told(again)


@pytest.mark.parametrize(
    ("patient", "examined", "column", "doubt"),
    [
        ("ANON", True, "StudyInstanceUID", "PatientID is the same in all headers"),
        ("ANON", False, None, "no column says whose each image is"),
        ("", False, None, "no header has a PatientID"),
    ],
)
def test_anonymous_headers_are_doubted(
    tmp_path: Path, patient: str, examined: bool, column: str | None, doubt: str
) -> None:
    folder = _dicom_folder(tmp_path / "films", examined=examined, PatientID=patient)
    draft = draft_study(folder, tmp_path)
    assert _loaded(draft.text, tmp_path).dataset.subject_column == column
    assert doubt in "\n".join(draft.doubts)
    assert "ANON" not in _told(draft)


def test_folders_of_patients_are_no_classes(tmp_path: Path) -> None:
    for row in range(20):
        place = tmp_path / "films" / f"4711-{row // 4}" / f"{row}.dcm"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(dicom(PatientID=f"4711-{row // 4}"))
    with pytest.raises(StudyError, match=r"each of its 5 folders holds one PatientID") as told:
        draft_study(tmp_path / "films", tmp_path)
    assert "4711" not in str(told.value)
