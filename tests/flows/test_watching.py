"""A dataset has something new where its content has, and is read no further where nothing has."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curette.flows.study_file import load_study
from curette.flows.watching import News, look_at, watch_study
from curette.schemas.artifact import StudyError
from curette.schemas.study import Study
from curette.storage.watched import Seen, WatchShelf
from tests.builders.demo import DEMO


def draw(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def study_of(source: str, *more: str) -> Study:
    return load_study(
        DEMO, [f"dataset={{source: {source}{''.join(more)}}}", "shifts=[]", "external=[]"]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        draw(
            tmp_path / "images" / ("nevus" if number % 2 else "melanoma") / f"{number}.png", number
        )
    return tmp_path / "images"


def test_new_images_are_told_by_class_and_what_was_only_touched_is_not(
    folder: Path, tmp_path: Path
) -> None:
    study, store = study_of(f"{{kind: folder, path: {folder}}}"), tmp_path / "store"
    first = watch_study(study, store, "s.yaml")
    assert (first.images, first.classes) == (6, {"melanoma": 3, "nevus": 3})
    assert not watch_study(study, store, "s.yaml")
    os.utime(folder / "nevus" / "1.png", (1, 1))
    assert watch_study(study, store, "s.yaml").told == "nothing new"
    draw(folder / "nevus" / "7.png", 7)
    draw(folder / "nevus" / "3.png", 33)
    shutil.copy(folder / "nevus" / "5.png", folder / "nevus" / "again.png")
    (folder / "melanoma" / "0.png").unlink()
    news = watch_study(study, store, "s.yaml")
    assert news.told == "1 new images; 1 nevus; 1 changed; 1 gone"
    assert not watch_study(study, store, "s.yaml")


def test_a_file_that_moved_is_not_new(folder: Path, tmp_path: Path) -> None:
    study, store = study_of(f"{{kind: folder, path: {folder}}}"), tmp_path / "store"
    watch_study(study, store, "s.yaml")
    (folder / "nevus" / "1.png").rename(folder / "nevus" / "one.png")
    assert not watch_study(study, store, "s.yaml")
    (folder / "nevus" / "one.png").rename(folder / "melanoma" / "one.png")
    assert watch_study(study, store, "s.yaml").told == "1 changed", "its class is another"


def test_a_table_tells_sites_and_a_label_that_was_corrected(folder: Path, tmp_path: Path) -> None:
    table, store = tmp_path / "t.csv", tmp_path / "store"
    source = f"{{kind: table, path: {table}, image_column: file, image_folder: {folder}}}"
    study = study_of(source, ", metadata: [site]")
    lines = ["file,label,site", *(f"melanoma/{n}.png,mel,north" for n in (0, 2, 4))]
    table.write_text("\n".join(lines))
    watch_study(study, store, "s.yaml")
    lines = [*lines[:3], "melanoma/4.png,nv,north", "nevus/1.png,nv,south", "nevus/3.png,nv,south"]
    table.write_text("\n".join(lines))
    news = watch_study(study, store, "s.yaml")
    assert news == News(2, {"nv": 2}, {"site": {"south": 2}}, changed=1)
    assert news.told == "2 new images; 2 nv; site: 2 south; 1 changed"


def test_new_images_of_columns_of_classes_and_of_findings_are_told(
    folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    lines = [f"{'nevus' if n % 2 else 'melanoma'}/{n}.png,{n % 2},{1 - n % 2}" for n in range(6)]
    source = f"{{kind: table, path: {table}, image_column: file, image_folder: {folder}}}"
    told = {}
    for what in ("label_columns: [nv, mel]", "findings: {nv: naevus, mel: melanoma}"):
        store, study = tmp_path / what[:6], study_of(source, f", {what}")
        table.write_text("\n".join(["file,nv,mel", *lines[:3]]))
        watch_study(study, store, "s.yaml")
        table.write_text("\n".join(["file,nv,mel", *lines]))
        told[what[:6]] = watch_study(study, store, "s.yaml")
    assert told["label_"] == News(3, {"nv": 2, "mel": 1}, {})
    assert told["findin"] == News(3, {}, {})


def test_where_names_sizes_and_times_are_the_same_no_image_is_listed(
    folder: Path, tmp_path: Path
) -> None:
    study, store = study_of(f"{{kind: folder, path: {folder}}}"), tmp_path / "store"
    watch_study(study, store, "s.yaml")
    seen = WatchShelf(store).get(study.name)
    assert seen is not None
    emptied = Seen(seen.outside, {})
    assert look_at(study, store, emptied) == (emptied, News()), "rows were not asked for"


def test_what_is_not_there_is_told_and_a_torn_record_is_looked_at_anew(
    folder: Path, tmp_path: Path
) -> None:
    study, store = study_of(f"{{kind: folder, path: {folder}}}"), tmp_path / "store"
    watch_study(study, store, "s.yaml")
    (store / "watched" / "demo.parquet").write_bytes(b"torn")
    assert watch_study(study, store, "s.yaml").images == 6
    shutil.rmtree(folder)
    with pytest.raises(StudyError, match=r"there is no .* to watch"):
        watch_study(study, store, "s.yaml")
