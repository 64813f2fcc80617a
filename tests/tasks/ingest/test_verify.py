"""Every way in which a file is no image has a name, and none of them ends the run."""

import hashlib
import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from curette.tasks.ingest.listing import Content, ImageBytes, Refusal, VectorOnly
from curette.tasks.ingest.listing import ImageFile as File
from curette.tasks.ingest.verify import Look, Verified, look_at, verify_image, verify_images
from tests.builders.images import png_that_says
from tests.tasks.ingest.conftest import Draw

MAX_PIXELS = 100_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def look(path: Path, root: Path) -> Verified | Refusal:
    return verify_image(File(path), root, keep_nothing, MAX_PIXELS)


def keep_nothing(content: bytes) -> str:
    raise AssertionError("a file that is a file goes to no shelf")


def reason(found: Verified | Refusal) -> str:
    assert isinstance(found, Refusal), found
    assert found.detail
    return found.reason


def jpeg() -> bytes:
    buffer = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="JPEG")
    return buffer.getvalue()


def test_a_good_file_stays_where_it_is(root: Path, draw: Draw) -> None:
    (root / "nevus").mkdir()
    (root / "nevus" / "a.png").write_bytes(draw(1))
    found = look(root / "nevus" / "a.png", root)
    assert found == Verified(hashlib.sha256(draw(1)).hexdigest(), "nevus/a.png")


def test_formats_beyond_the_list_are_not_even_tried() -> None:
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PCX")  # which Pillow itself can read
    fault = look_at(BytesIO(buffer.getvalue()), MAX_PIXELS)
    assert isinstance(fault, Refusal)
    assert fault.reason == "broken-image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "JPEG2000", "PPM"])
def test_every_pixel_format_is_read(kind: str) -> None:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(buffer, format=kind)
    assert look_at(BytesIO(buffer.getvalue()), MAX_PIXELS) == Look(None, 1, (8, 8))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty-file"),
        (b"no image at all", "broken-image"),
        (jpeg()[:-400], "broken-image"),
        (jpeg()[:20], "broken-image"),
        (png_that_says(8, 8), "broken-image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "broken-image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "broken-image"),
        (png_that_says(10_001, 10_000), "too-many-pixels"),
        (png_that_says(60_000, 60_000), "too-many-pixels"),
    ],
    ids=["empty", "text", "cut", "cut early", "no pixels", "eps", "svg", "large", "huge"],
)
def test_a_bad_file_is_refused_by_name(root: Path, content: bytes, expected: str) -> None:
    (root / "a.png").write_bytes(content)
    assert reason(look(root / "a.png", root)) == expected


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_says_how_large_it_is_and_which_setting_forbids_it(root: Path) -> None:
    (root / "a.png").write_bytes(png_that_says(10_001, 10_000))
    found = look(root / "a.png", root)
    assert found == Refusal(
        "too-many-pixels", "it says it is 10001 x 10000 pixels; dataset.max_pixels is 100000000"
    )


def test_truncated_images_are_never_let_through_by_a_setting_of_pillow() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_paths_that_leave_the_folder_are_refused(root: Path, draw: Draw) -> None:
    outside = root.parent / "secret.png"
    outside.write_bytes(draw(1))
    (root / "link.png").symlink_to(outside)
    (root / "folder").symlink_to(root.parent)
    for path in ("../secret.png", str(outside), "link.png", "folder/secret.png"):
        assert reason(look(root / path, root)) == "outside-folder"


def test_links_that_stay_inside_are_followed(root: Path, draw: Draw) -> None:
    (root / "a.png").write_bytes(draw(1))
    (root / "b.png").symlink_to(root / "a.png")
    found = look(root / "b.png", root)
    assert isinstance(found, Verified)
    assert found.location == "a.png"


def test_what_is_no_file_is_refused_without_being_opened(root: Path) -> None:
    os.mkfifo(root / "pipe.png")  # opening it would wait forever
    (root / "folder.png").mkdir()
    (root / "loop.png").symlink_to(root / "loop.png")
    for name in ("pipe.png", "folder.png", "absent.png", "loop.png", "nul\0.png", "x" * 5000):
        assert reason(look(root / name, root)) == "missing-file"


def test_a_name_that_is_not_utf8_is_refused(root: Path, draw: Draw) -> None:
    path = Path(os.fsdecode(os.fsencode(root) + b"/\xff.png"))
    path.write_bytes(draw(1))
    assert reason(look(path, root)) == "unreadable-file"


def test_bytes_go_to_the_shelf_only_when_they_are_an_image(root: Path, draw: Draw) -> None:
    shelf: list[bytes] = []

    def keep(content: bytes) -> str:
        shelf.append(content)
        return hashlib.sha256(content).hexdigest()

    good = ImageBytes(lambda: draw(1), lambda: draw(2))
    digests = [hashlib.sha256(draw(number)).hexdigest() for number in (1, 2)]
    assert verify_image(good, root, keep, MAX_PIXELS) == Verified(
        digests[0], f"shelf:{digests[0]}", f"shelf:{digests[1]}"
    )
    assert reason(verify_image(ImageBytes(lambda: b"x"), root, keep, MAX_PIXELS)) == "broken-image"
    assert sorted(shelf) == sorted([draw(1), draw(2)])


def test_many_are_verified_in_their_order_and_counted(root: Path, draw: Draw) -> None:
    for number in range(300):
        (root / f"{number}.png").write_bytes(draw(number) if number % 7 else b"")
    contents: list[Content] = [File(root / f"{number}.png") for number in range(300)]
    contents += [VectorOnly("ab"), Refusal("missing-label", "none")]
    done: list[int] = []
    found = list(
        verify_images(
            contents,
            root=root,
            keep=keep_nothing,
            max_pixels=MAX_PIXELS,
            workers=2,
            advance=done.append,
        )
    )
    assert sum(done) == len(found) == 302
    for number, what in enumerate(found[:300]):
        assert isinstance(what, Verified) == bool(number % 7)
        assert not isinstance(what, Verified) or what.location == f"{number}.png"
    assert found[300:] == [Verified("ab", ""), Refusal("missing-label", "none")]
