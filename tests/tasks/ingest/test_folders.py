"""Folders as other programs leave them: what is data is read, the rest is named or passed over."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from curette.schemas.artifact import StudyError
from curette.storage.images import ImageShelf
from curette.tasks.ingest.claims import TooManyRejected
from curette.tasks.ingest.folders import _Folder
from curette.tasks.ingest.masks import mask_folders, mask_owner, masks_beside
from tests.tasks.ingest.conftest import Draw, Read, labels, reasons, write_images
from tests.tasks.ingest.test_readers import pixels_of

NAMES = [f"{c}/{i}.png" for c in "ab" for i in range(5)]


def write_mask(path: Path, size: tuple[int, int] = (8, 8), level: int = 255) -> np.ndarray:
    inside = np.random.default_rng(size[0] + len(path.name)).random(size[::-1]) > 0.5
    Image.fromarray(np.where(inside, level, 0).astype(np.uint8)).save(path)
    return inside


# --- masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "owner"),
    [
        ("benign (1)_mask", "benign (1)"),
        ("benign (1)_mask_1", "benign (1)"),
        ("mask_benign (1)", "benign (1)"),
        ("seg-7", "7"),
        ("ISIC_0000001_segmentation", "ISIC_0000001"),
        ("x-Mask2", "x"),
        ("x_gt", "x"),
        ("x_ground_truth", "x"),
        ("mask", None),
        ("unmasked", None),
        ("x_masked", None),
    ],
)
def test_names_of_masks(stem: str, owner: str | None) -> None:
    assert mask_owner(stem) == owner


def test_masks_are_those_of_an_image_of_their_folder() -> None:
    files = ["a/1.jpg", "a/1_mask.png", "a/1_mask_2.png", "a/2_mask.png", "b/2.png"]
    assert masks_beside(files) == {"a/1.jpg": ["a/1_mask.png", "a/1_mask_2.png"]}


@pytest.mark.parametrize("word", ["overlay", "Overlaid_2", "heatmap_1", "GradCAM", "thumb"])
def test_what_is_drawn_on_an_image_is_no_image(
    tmp_path: Path, read: Read, draw: Draw, word: str
) -> None:
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(8)]
    root = write_images(tmp_path / "skin", [*names, f"a/0_{word}.jpg", f"a/x_{word}.png"], draw)
    found = read(source={"kind": "folder", "path": root}, max_rejected=0.5)
    assert reasons(found) == {f"a/0_{word}": "unlisted-file"}
    assert len(found.images) == 9
    folder = "class 1 heatmaps"
    write_images(root, [f"{folder}/{i}.png" for i in range(8)], draw)
    with pytest.raises(StudyError, match=f"made of them, and would be a class called `{folder}`"):
        read(source={"kind": "folder", "path": root})


LITTER = (
    *("a/~$x.png", "a/0.png~", "a/0.png:Zone.Identifier", "a/0.xmp", "a/0.pgw", "a/SHA256SUMS"),
    *("CITATION.cff", "a/@SynoResource", "a/Thumbs.db:encryptable", "a/0.png.bak", "make.py"),
    *(
        "DICOMDIR",
        "_gsdata_/x.png",
        "@Recently-Snapshot/x.png",
        "FOUND.000/x.png",
        "Temporary Items/x.png",
    ),
)


@pytest.mark.parametrize("name", LITTER)
def test_more_litter_is_passed_over(tmp_path: Path, read: Read, draw: Draw, name: str) -> None:
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(8)]
    root = write_images(tmp_path / "skin", [*names, name], draw)
    found = read(source={"kind": "folder", "path": root})
    assert (len(found.images), found.rejected) == (8, ())


def test_a_download_that_did_not_end_is_called_so(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(8)]
    root = write_images(tmp_path / "skin", [*names, "a/9.png.crdownload"], draw)
    with pytest.raises(StudyError, match="a download that did not end: fetch it again"):
        read(source={"kind": "folder", "path": root})


def test_folders_of_masks() -> None:
    files = ["nevus/1.png", "nevus/2.png", "masks/1.png", "masks/2_mask.png", "labels/x.png"]
    assert mask_folders(files) == ["masks"]


def test_masks_beside_images_are_their_masks_and_no_images(
    tmp_path: Path, store_root: Path, read: Read, draw: Draw
) -> None:
    root = write_images(tmp_path / "skin", NAMES, draw)
    inside = write_mask(root / "a" / "0_mask.png")
    more = write_mask(root / "a" / "0_mask_1.png", level=1)  # labels rather than levels of grey
    found = read(source={"kind": "folder", "path": root})
    assert sorted(labels(found)) == [name.removesuffix(".png") for name in NAMES]
    [place] = {*found.images["mask_location"]} - {""}
    mask = ImageShelf(store_root).get(place.removeprefix("shelf:"))
    assert (pixels_of(mask) == np.where(inside | more, 255, 0)).all()
    assert found.images.set_index("image_id")["mask_location"]["a/0"] == place
    assert found.notes[0].startswith("1 images have masks beside them, in files named like `0_mas")


def test_a_mask_that_is_none_is_refused_with_its_image(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = write_images(tmp_path / "skin", [*NAMES, "a/1_mask.png"], draw)
    write_mask(root / "a" / "2_mask.png", size=(9, 8))
    (root / "a" / "3_mask.png").write_bytes(b"")
    found = read(source={"kind": "folder", "path": root}, max_rejected=1)
    details = {r.row: r.detail for r in found.rejected}
    assert details == {
        "a/1": "`1_mask.png`, named like its mask, is no mask but a picture",
        "a/2": "its mask `2_mask.png` has 9 x 8 pixels and the image 8 x 8",
        "a/3": "its mask `3_mask.png`: it has no bytes",
    }


def test_an_empty_mask_is_no_mask(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", NAMES, draw)
    Image.new("L", (8, 8)).save(root / "a" / "0_mask.png")
    found = read(source={"kind": "folder", "path": root})
    assert set(found.images["mask_location"]) == {""}


def test_a_folder_of_masks_is_no_class(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [*NAMES, *(f"masks/{i}.png" for i in range(5))], draw)
    with pytest.raises(StudyError, match=r"would be a class called `masks`\. Move the folder away"):
        read(source={"kind": "folder", "path": root})


def test_masks_in_a_table_are_no_images_either(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [*(f"{i}.png" for i in range(10)), "3_mask.png"]
    write_images(tmp_path / "in", names, draw)
    rows = "".join(f"{name},{'ab'[int(name[0]) % 2]}\n" for name in names)
    (tmp_path / "in" / "t.csv").write_text("file,label\n" + rows)
    source = {"kind": "table", "path": tmp_path / "in" / "t.csv", "image_column": "file"}
    found = read(source=source, max_rejected=1)
    assert reasons(found) == {"3_mask": "unlisted-file"}


# --- what lies there too --------------------------------------------------------------------------


def test_what_other_programs_leave_is_passed_over(tmp_path: Path, read: Read, draw: Draw) -> None:
    litter = ["@eaDir/0.png", "__MACOSX/a/0.png", ".ipynb_checkpoints/0.png", "$RECYCLE.BIN/x.png"]
    root = write_images(tmp_path / "skin", [*NAMES, *litter, "a/@eaDir/0.png/thumb.jpg"], draw)
    for name in (
        "Icon\r",
        "Thumbs.db",
        "ehthumbs.db",
        ".DS_Store",
        "._0.png",
        "0.png.dvc",
        "0.xml",
    ):
        (root / "a" / name).write_bytes(b"litter")
    found = read(source={"kind": "folder", "path": root})
    assert len(found.images) == 10
    assert found.rejected == ()


def test_a_name_with_control_characters_stays_in_its_line(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = write_images(tmp_path / "skin", NAMES, draw)
    (root / "a" / "x\n\x1b[31m.bin").write_bytes(b"?")
    with pytest.raises(TooManyRejected) as error:
        read(source={"kind": "folder", "path": root}, max_rejected=0.01)
    assert "`a/x\\n\\x1b[31m`: unlisted-file" in str(error.value)


def test_classes_further_down_are_named(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [f"archive/set/{name}" for name in NAMES], draw)
    with pytest.raises(StudyError, match=f"Write `path: {root}/archive/set` under `dataset.source"):
        read(source={"kind": "folder", "path": root})
    parts = write_images(
        tmp_path / "parts", [f"archive/{s}/{n}" for s in ("train", "test") for n in NAMES], draw
    )
    with pytest.raises(StudyError, match=f"Write `path: {parts}/archive` under"):
        read(source={"kind": "folder", "path": parts})


def test_a_folder_that_cannot_be_read_is_not_passed_over() -> None:
    """Rights keep nobody out who is root, so that root looks as another user."""
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        locked = Path(place, "x")
        locked.mkdir(mode=0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(StudyError, match="/x cannot be read: Permission denied"):
                _Folder.walk(Path(place), None)
        finally:
            os.seteuid(user)
            locked.chmod(0o755)


def test_folders_of_folders_are_not_guessed_at(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", [f"{c}/p{i}/1.png" for c in "ab" for i in "12"], draw)
    with pytest.raises(StudyError, match="nothing says which of them is the class"):
        read(source={"kind": "folder", "path": root})


def test_a_test_folder_without_classes_is_named(tmp_path: Path, read: Read, draw: Draw) -> None:
    names = [*(f"train/{name}" for name in NAMES), "test/1.png", "test/2.png"]
    root = write_images(tmp_path / "skin", names, draw)
    with pytest.raises(TooManyRejected, match="in the split folder `test` without a class folder"):
        read(source={"kind": "folder", "path": root})


@pytest.mark.parametrize("word", ["None", "NA", "null"])
def test_a_class_folder_may_be_called_anything(
    tmp_path: Path, read: Read, draw: Draw, word: str
) -> None:
    root = write_images(tmp_path / "s", [f"{c}/{i}.png" for c in (word, "x") for i in "123"], draw)
    assert word in {c.key for c in read(source={"kind": "folder", "path": root}).classes}


# --- links ----------------------------------------------------------------------------------------


def linked(tmp_path: Path, draw: Draw) -> Path:
    blobs = write_images(tmp_path / "cache" / "blobs", [f"{i}" for i in range(10)], draw)
    root = tmp_path / "repo" / "data"
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(os.path.relpath(blobs / str(i), (root / name).parent))
    return root


def test_links_out_of_the_folder_are_named_with_the_setting_that_follows_them(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    with pytest.raises(TooManyRejected) as error:
        read(source={"kind": "folder", "path": linked(tmp_path, draw)})
    assert f"it is a link to `{tmp_path}/cache/blobs/0`, outside the dataset's f" in str(
        error.value
    )
    assert "name under `source.links_to` the folder that links may lead to" in str(error.value)


def test_links_are_followed_where_they_may_lead(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = linked(tmp_path, draw)
    (root / "c").symlink_to(write_images(tmp_path / "cache" / "c", ["1.png", "2.png"], draw))
    (root / "a" / "up").symlink_to(root)  # a loop
    (tmp_path / "private.png").write_bytes(draw(1))
    (root / "a" / "x.png").symlink_to(tmp_path / "private.png")
    source = {"kind": "folder", "path": root, "links_to": tmp_path / "cache"}
    found = read(source=source, max_rejected=1)
    assert set(labels(found)) == {*(n.removesuffix(".png") for n in NAMES), "c/1", "c/2"}
    assert found.root == str(tmp_path)
    assert found.images["location"][0] == "cache/blobs/0"
    assert reasons(found) == {"a/up": "unlisted-file", "a/x": "outside-folder"}


def test_links_in_a_table_are_followed_where_they_may_lead(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = linked(tmp_path, draw)
    rows = "".join(f"{name},{name[0]}\n" for name in NAMES)
    (root / "t.csv").write_text("file,label\n" + rows)
    source = {"kind": "table", "path": root / "t.csv", "image_column": "file"}
    with pytest.raises(TooManyRejected, match="or name under `links_to` the one that links may"):
        read(source=source)
    found = read(source={**source, "links_to": tmp_path / "cache"})
    assert set(labels(found)) == {name.removesuffix(".png") for name in NAMES}
    assert found.root == str(tmp_path)
    assert found.images["location"][0] == "cache/blobs/0"


def test_a_link_to_what_was_not_fetched_says_so(tmp_path: Path, read: Read, draw: Draw) -> None:
    root = write_images(tmp_path / "skin", NAMES, draw)
    (root / "a" / "x.png").symlink_to(".git/annex/objects/x")
    found = read(source={"kind": "folder", "path": root}, max_rejected=1)
    assert "annex/objects/x`, which is not there" in found.rejected[0].detail


# --- a table beside the images --------------------------------------------------------------------


def test_a_table_beside_class_folders_adds_its_columns(
    tmp_path: Path, read: Read, draw: Draw
) -> None:
    root = write_images(tmp_path / "skin", NAMES, draw)
    rows = "".join(
        f"{name.split('/')[1] if name == 'a/9.png' else name},P{i}\n"
        for i, name in enumerate(NAMES[:-1])
    )
    (root / "metadata.csv").write_text("file_name,patient\n" + rows)
    found = read(source={"kind": "folder", "path": root}, subject_column="patient")
    assert labels(found)["b/3"] == "b"
    subjects = dict(zip(found.images["image_id"], found.images["subject"], strict=True))
    assert subjects["b/3"] == "P8"
    assert subjects["b/4"] is None or subjects["b/4"] != subjects["b/4"]
    assert (
        "Labels are the folders' names; other columns are those of metadata.csv, which does not "
        "name 1 of the files."
    ) in found.notes


@pytest.mark.parametrize("column", ["image_file_name", "filename", "image"])
def test_other_names_of_the_column_of_files(
    tmp_path: Path, read: Read, draw: Draw, column: str
) -> None:
    root = write_images(tmp_path / "skin", [f"{i}.png" for i in range(8)], draw)
    rows = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(8))
    (root / "metadata.csv").write_text(f"{column},label\n" + rows)
    assert len(read(source={"kind": "folder", "path": root}).images) == 8


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "suffix", "told"),
    [
        ("in\\é{}.png", "", "with `/` for their backslashes"),
        ("in/é{}.png", "", "with their letters in Unicode's form NF"),
        ("in/é{}.PNG", "", "with the ending `.png`"),
        ("In\\É{}.PNG", "", "without regard to capitals"),
        ("in/é{}.png", ".png", "without another `.png`"),
    ],
)
def test_paths_are_read_as_they_are_meant(
    tmp_path: Path, read: Read, draw: Draw, written: str, suffix: str, told: str
) -> None:
    names = [normalize("NFC", f"in/é{i}.png") for i in range(8)]
    if "Unicode" in told:
        names = [normalize("NFD", name) for name in names]
    write_images(tmp_path, names, draw)
    rows = [f"{normalize('NFC', written.format(i))},{'ab'[i % 2]}" for i in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *rows]))
    found = read(
        source={
            "kind": "table",
            "path": tmp_path / "t.csv",
            "image_column": "file",
            "image_suffix": suffix,
        }
    )
    assert len(found.images) == 8
    assert f"8 paths were read {told}" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("C:\\data\\in\\{}.png", "another folder or machine; .*: `in/0.png` is there"),
        ("/home/x/in/{}.png", "another folder or machine; .*: `in/0.png` is there"),
        ("file:///home/x/{}.png", "another folder or machine; write paths from here on"),
        ("https://example.org/in/{}.png", "an address, and nothing is fetched"),
    ],
)
def test_paths_of_other_places_are_called_so(
    tmp_path: Path, read: Read, draw: Draw, written: str, told: str
) -> None:
    write_images(tmp_path, [f"in/{i}.png" for i in range(8)], draw)
    rows = [f"{written.format(i)},{'ab'[i % 2]}" for i in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["file,label", *rows]))
    with pytest.raises(StudyError, match=f"missing-file, it is (a path of )?{told}"):
        read(source={"kind": "table", "path": tmp_path / "t.csv", "image_column": "file"})
