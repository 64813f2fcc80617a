"""Heat maps follow the image and the mask, and a mask that says nothing is left out."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from curette.schemas.artifact import StudyError
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.schemas.settings.locate import LocateSpec
from curette.storage.images import ImageFiles, ImageShelf
from curette.tasks.locate.heat import draw_masked, lesion_places, locate_concepts
from curette.tasks.methods.encoder.dense import encode_places
from curette.tasks.methods.encoder.encoder import ClipEncoder, load_encoder
from curette.tasks.methods.encoder.heat import encoder_view
from curette.tasks.methods.encoder.reading import Read
from curette.tasks.methods.encoder.view import square_view
from tests.builders.embedding import dataset_of

MACHINE = Machine(device="cpu", batch_size=2, threads=1)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def mask(width: int, height: int, *, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    drawn = np.zeros((height, width), dtype=np.uint8)
    drawn[top:bottom, left:right] = 255
    return drawn


def picture(width: int, height: int) -> bytes:
    return png(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


# --- masks ---------------------------------------------------------------------------------------


def test_a_place_is_lesion_as_far_as_the_mask_covers_it() -> None:
    image, drawn = picture(40, 40), mask(40, 40, left=10, top=0, right=25, bottom=20)
    found = lesion_places(image, png(drawn), "shortest", (4, 4))
    np.testing.assert_allclose(found, drawn.reshape(4, 10, 4, 10).mean((1, 3)) / 255, atol=1e-3)


@pytest.mark.parametrize("value", [1, 3, 255])
def test_masks_of_ones_count_as_masks_of_255_do(value: int) -> None:
    drawn = mask(40, 40, left=0, top=0, right=20, bottom=40) // 255 * value
    found = lesion_places(picture(40, 40), png(drawn.astype(np.uint8)), "shortest", (2, 2))
    np.testing.assert_array_equal(found, [[1, 0], [1, 0]])


def test_a_mask_of_another_size_but_the_same_shape_is_stretched() -> None:
    small = png(mask(30, 20, left=15, top=0, right=30, bottom=20))
    found = lesion_places(picture(301, 199), small, "squash", (2, 2))
    np.testing.assert_allclose(found, [[0, 1], [0, 1]], atol=0.01)


def test_an_image_turned_by_exif_has_its_mask_upright() -> None:
    file = io.BytesIO()
    turned = Image.open(io.BytesIO(picture(60, 40)))
    exif = turned.getexif()
    exif[0x0112] = 6  # shown 40 wide and 60 high
    turned.save(file, "JPEG", exif=exif)
    drawn = png(mask(40, 60, left=0, top=0, right=40, bottom=30))
    np.testing.assert_array_equal(
        lesion_places(file.getvalue(), drawn, "squash", (2, 1)), [[1], [0]]
    )


@pytest.mark.parametrize(
    ("drawn", "why"),
    [
        (mask(40, 40, left=0, top=0, right=0, bottom=0), "its mask is empty where the encoder"),
        (mask(40, 40, left=0, top=0, right=40, bottom=40), "covers everything that the encoder"),
        (mask(60, 40, left=0, top=0, right=20, bottom=40), "60 x 40 pixels, which is another sh"),
    ],
)
def test_a_mask_that_says_nothing_is_refused(drawn: np.ndarray, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        lesion_places(picture(40, 40), png(drawn), "shortest", (3, 3))


def test_a_lesion_beside_what_the_encoder_sees_is_no_lesion() -> None:
    drawn = png(mask(120, 40, left=0, top=0, right=30, bottom=40))
    with pytest.raises(ValueError, match="empty where the encoder looks"):
        lesion_places(picture(120, 40), drawn, "shortest", (3, 3))
    assert lesion_places(picture(120, 40), drawn, "longest", (3, 3)).any()


# --- heat ----------------------------------------------------------------------------------------


@pytest.fixture
def encoder(save_clip: Callable[..., Path]) -> ClipEncoder:
    return load_encoder(OpenClipEncoder(model=save_clip()), MACHINE)


def with_masks(
    folder: Path, pngs: list[bytes], masks: list[bytes | None]
) -> tuple[ImageDataset, Read]:
    """Return test images with these masks on a shelf, and the reader of both."""
    shelf = ImageShelf(folder / "store")
    names = {f"img{i}": content for i, content in enumerate(pngs[: len(masks)])}
    dataset = dataset_of(names, folder / "images")
    places = ["" if m is None else f"shelf:{shelf.put(m)}" for m in masks]
    table = dataset.images.assign(mask_location=places, split="test", label=None)
    dataset = replace(dataset, images=table)
    return dataset, ImageFiles(Path(dataset.root).resolve(), shelf).read


def located(dataset: ImageDataset, read: Read, encoder: ClipEncoder, **spec: int) -> HeatMaps:
    vectors = np.eye(encoder.identity.dim, dtype=np.float32)[:3]
    advanced: list[int] = []
    made = locate_concepts(
        dataset,
        ("a", "b", "c"),
        vectors,
        read,
        encoder,
        MACHINE,
        LocateSpec(**spec),
        advanced.append,
    )
    assert made.not_computable or sum(advanced) == len(made.image_ids) + len(made.left_out)
    return made


def half(content: bytes) -> bytes:
    """Return a mask of the left half of an image."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    return png(mask(width, height, left=0, top=0, right=width // 2, bottom=height))


def test_heat_is_the_cosine_of_places_and_concepts_whatever_the_batch(
    encoder: ClipEncoder, pngs: list[bytes], tmp_path: Path
) -> None:
    dataset, read = with_masks(tmp_path, pngs, [half(p) for p in pngs[:5]])
    made = located(dataset, read, encoder)
    assert made.image_ids == tuple(dataset.images["image_id"])
    assert made.heat.shape == (5, 3, 4, 4)
    with torch.inference_mode():
        visual = cast(torch.nn.Module, encoder.model.visual)
        alone = encode_places(visual, encoder.prepare_image(pngs[3])[None])
    np.testing.assert_allclose(made.heat[3], alone[0, ..., :3].permute(2, 0, 1), atol=2e-3)
    assert made.lesion[3, :, 0].min() > 0.9
    assert made.lesion[3, :, 3].max() < 0.1


def test_images_whose_mask_cannot_be_used_are_left_out_and_named(
    encoder: ClipEncoder, pngs: list[bytes], tmp_path: Path
) -> None:
    empty = png(np.zeros((36, 41), dtype=np.uint8))
    dataset, read = with_masks(
        tmp_path, pngs, [half(pngs[0]), empty, b"no image", None, half(pngs[4])]
    )
    made = located(dataset, read, encoder)
    assert made.image_ids == ("img0", "img4")
    assert [x.image_id for x in made.left_out] == ["img1", "img2"]
    assert "empty" in made.left_out[0].reason
    assert made.left_out[1].reason == "its mask is no image that can be decoded"


def test_a_mask_that_is_gone_is_no_mask_that_says_nothing(
    encoder: ClipEncoder, pngs: list[bytes], tmp_path: Path
) -> None:
    """What is put back must be seen again; remembered as left out it never would be."""
    dataset, read = with_masks(tmp_path, pngs, [half(pngs[0]), half(pngs[1])])
    dataset.images.loc[1, "mask_location"] = "shelf:" + "0" * 64
    with pytest.raises(StudyError, match=r"img1 .* cannot be read: .*No such file"):
        located(dataset, read, encoder)


def test_without_a_usable_mask_the_maps_say_why(
    encoder: ClipEncoder, pngs: list[bytes], tmp_path: Path
) -> None:
    dataset, read = with_masks(tmp_path, pngs, [b"no image"])
    made = located(dataset, read, encoder)
    assert made.not_computable == "no test image has a mask that can be used"
    assert [x.image_id for x in made.left_out] == ["img0"]


def test_an_encoder_without_places_gives_none(
    encoder: ClipEncoder, pngs: list[bytes], tmp_path: Path
) -> None:
    dataset, read = with_masks(tmp_path, pngs, [half(pngs[0])])
    model = torch.nn.Module()
    model.visual = torch.nn.Identity()
    model.visual.preprocess_cfg = {"size": 32, "resize_mode": "shortest"}  # type: ignore[assignment]
    made = located(dataset, read, replace(encoder, model=model))
    assert made.not_computable == (
        f"{encoder.identity.name} has no vectors of places: vectors of places are not known to be "
        "had from a Identity"
    )


def test_an_image_that_is_gone_is_named(
    encoder: ClipEncoder, pngs: list[bytes], tmp_path: Path
) -> None:
    dataset, read = with_masks(tmp_path, pngs, [half(pngs[0])])
    (tmp_path / "images" / "img0.png").unlink()
    with pytest.raises(StudyError, match=r"img0 .* cannot be read"):
        located(dataset, read, encoder)


def test_of_too_many_images_some_are_drawn_and_only_of_the_test_split(
    pngs: list[bytes], tmp_path: Path
) -> None:
    dataset, _ = with_masks(tmp_path, pngs, [half(p) for p in pngs[:20]])
    dataset.images.loc[:9, ["split", "label"]] = ["train", "a"]
    drawn = draw_masked(dataset, LocateSpec(images=4))
    assert len(set(drawn)) == 4
    assert min(drawn) > 9
    assert drawn == sorted(drawn) == draw_masked(dataset, LocateSpec(images=4))
    assert drawn != draw_masked(dataset, LocateSpec(images=4, seed=1))
    without = replace(dataset, images=dataset.images.drop(columns="mask_location"))
    assert draw_masked(without, LocateSpec()) == []


# --- what the encoder sees -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(64, 32), (33, 70), (40, 40)])
def test_the_square_view_is_what_the_preprocessing_leaves(
    mode: str, size: tuple[int, int], save_clip: Callable[..., Path]
) -> None:
    def change(config: dict[str, Any]) -> None:
        config["preprocess_cfg"]["resize_mode"] = mode

    encoder = load_encoder(OpenClipEncoder(model=save_clip(mode, changed_config=change)), MACHINE)
    ramp = np.linspace(60, 250, size[0], dtype=np.uint8)
    image = Image.fromarray(np.tile(ramp, (size[1], 1))).convert("RGB")
    seen = encoder.preprocess(image)[0].numpy() * 127.5 + 127.5
    assert encoder_view(encoder) == mode
    viewed = square_view(image, encoder_view(encoder)).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.median(np.abs(np.asarray(viewed)[..., 0] - seen)) < 4
