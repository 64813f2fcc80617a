"""Images on the shelf and beside the dataset: whole, unchanged, and from nowhere else."""

import errno
import hashlib
from pathlib import Path

import pandas as pd
import pytest

from curette.schemas.images import ImageDataset
from curette.storage.images import ImageShelf, image_reader
from curette.storage.store import ArtifactCorrupt, StoreError
from tests.builders.images import image_dataset


def dataset(root: Path, images: dict[str, bytes]) -> ImageDataset:
    """Return training images at their locations."""
    table = {
        "image_id": [f"i{i}" for i in range(len(images))],
        "sha256": [hashlib.sha256(content).hexdigest() for content in images.values()],
        "location": list(images),
        "split": "train",
        "label": "a",
        "group": "i0",
    }
    return image_dataset(pd.DataFrame(table), root=str(root))


def test_what_is_put_can_be_got(tmp_path: Path) -> None:
    shelf = ImageShelf(tmp_path)
    sha256 = shelf.put(b"image")
    assert sha256 == hashlib.sha256(b"image").hexdigest()
    assert shelf.get(sha256) == b"image"
    assert shelf.put(b"image") == sha256
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [sha256]


def test_a_half_written_image_is_written_again(tmp_path: Path) -> None:
    shelf = ImageShelf(tmp_path)
    sha256 = shelf.put(b"image")
    place = tmp_path / "images" / sha256[:2] / sha256
    place.write_bytes(b"im")
    with pytest.raises(ArtifactCorrupt, match="changed after it was ingested"):
        shelf.get(sha256)
    shelf.put(b"image")
    assert shelf.get(sha256) == b"image"


def test_a_full_disk_is_explained_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreError, match="the disk is full: make room"):
        ImageShelf(tmp_path).put(b"image")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_an_image_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ImageShelf(tmp_path).get("0" * 64)


def test_the_reader_finds_files_and_what_is_on_the_shelf(tmp_path: Path) -> None:
    shelf = ImageShelf(tmp_path / "store")
    (tmp_path / "a.png").write_bytes(b"file")
    kept = f"shelf:{shelf.put(b'kept')}"
    read = image_reader(dataset(tmp_path, {"a.png": b"file", kept: b"kept"}), shelf)
    assert read("a.png") == b"file"
    assert read(kept) == b"kept"
    assert read(f"shelf:{shelf.put(b'mask')}") == b"mask"  # masks are no rows of their own


def test_an_image_that_changed_is_not_given_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"new")
    read = image_reader(dataset(tmp_path, {"a.png": b"old"}), ImageShelf(tmp_path))
    with pytest.raises(ArtifactCorrupt, match=r"a\.png changed .* with --refresh ingest"):
        read("a.png")


def test_an_image_without_pixels_says_so(tmp_path: Path) -> None:
    read = image_reader(dataset(tmp_path, {"": b"vector"}), ImageShelf(tmp_path))
    with pytest.raises(FileNotFoundError, match="only this image's vector is known"):
        read("")


@pytest.mark.parametrize("location", ["../secret.png", "/etc/passwd", "link.png", "other.png"])
def test_the_reader_reads_only_the_images_of_the_dataset(tmp_path: Path, location: str) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "other.png").write_bytes(b"other")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    known = dict.fromkeys(("../secret.png", "/etc/passwd", "link.png"), b"secret")
    read = image_reader(dataset(root, known), ImageShelf(tmp_path))
    with pytest.raises(ValueError, match="is no image of the dataset in"):
        read(location)
