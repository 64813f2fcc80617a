"""Heat maps of concepts on the test images that have a lesion mask. No label is looked at."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float16, Float32
from PIL import Image, ImageOps

from curette.schemas.heat_maps import HeatMaps, LeftOutImage, View
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.locate import LocateSpec
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder
from curette.tasks.methods.encoder.heat import (
    encoder_view,
    grid_of,
    heat_of_batch,
    why_no_heat,
)
from curette.tasks.methods.encoder.pixels import read_rgb
from curette.tasks.methods.encoder.reading import (
    Read,
    picture_reader,
    prepare_picture,
    read_picture,
)
from curette.tasks.methods.encoder.view import inside_of, square_view
from curette.tasks.methods.threads import decoding_threads

_SHAPES_ALIKE = 0.02  # how far the shapes of an image and its mask may differ


def locate_concepts(
    dataset: ImageDataset,
    concept_ids: Sequence[str],
    concept_vectors: Float32[np.ndarray, "concept dim"],
    read: Read,
    encoder: ClipEncoder,
    machine: Machine,
    spec: LocateSpec,
    advance: Callable[[int], None],
) -> HeatMaps:
    """Return the cosine of every place of an image with every concept.

    Images whose mask says nothing are left out, with the reason. Places are encoded in batches as
    whole images are, and only their cosines kept.

    Args:
        dataset: the images; only test images with a mask are looked at.
        concept_ids: of the concepts.
        concept_vectors: their texts' unit vectors.
        read: reads an image, or a mask by its location alone.
        encoder: made the vectors.
        machine: batch size and threads.
        spec: how many images.
        advance: told how many more images have their maps.

    Raises:
        StudyError: an image is gone or cannot be decoded.
        CuretteError: whatever `read` says of an image that changed.
    """
    if reason := why_no_heat(encoder):
        return HeatMaps.none(reason)
    picture = picture_reader(dataset)
    grid = grid_of(encoder)
    lesions, left_out = _read_lesions(dataset, draw_masked(dataset, spec), read, encoder, grid)
    advance(len(left_out))
    if not lesions:
        return HeatMaps.none("no test image has a mask that can be used", left_out)

    def encode(batch: torch.Tensor) -> Float32[np.ndarray, "image cosine"]:
        heat = heat_of_batch(encoder, batch, concept_vectors)
        advance(len(heat))
        return heat.reshape(len(heat), -1)

    batches = encode_in_batches(
        map(picture, lesions),
        lambda one: prepare_picture(one, read, encoder),
        encoder.stack,
        encode,
        machine.batch_size or DEFAULT_BATCH[encoder.device],
        decoding_threads(machine),
    )
    heat = np.concatenate([cosines.astype(np.float16) for cosines in batches])
    return HeatMaps(
        image_ids=tuple(picture(row).image_id for row in lesions),
        concept_ids=tuple(concept_ids),
        heat=heat.reshape(len(lesions), len(concept_ids), *grid),
        lesion=np.stack(list(lesions.values())),
        view=encoder_view(encoder),
        left_out=left_out,
    )


def _read_lesions(
    dataset: ImageDataset,
    rows: Sequence[int],
    read: Read,
    encoder: ClipEncoder,
    grid: tuple[int, int],
) -> tuple[dict[int, Float16[np.ndarray, "row column"]], tuple[LeftOutImage, ...]]:
    """Return row -> share of each place that is lesion, and the images whose mask says nothing."""
    picture = picture_reader(dataset)
    lesions, left_out = {}, []
    for row in rows:
        image = picture(row)
        mask = image._replace(location=str(dataset.images["mask_location"].iat[row]))
        contents = read_picture(image, read), read_picture(mask, read)
        try:
            lesions[row] = lesion_places(*contents, encoder_view(encoder), grid)
        except ValueError as error:
            left_out.append(LeftOutImage(image_id=image.image_id, reason=str(error)))
    return lesions, tuple(left_out)


def draw_masked(dataset: ImageDataset, spec: LocateSpec) -> list[int]:
    """Return the rows of test images with a mask, drawn where there are too many."""
    rows = dataset.masked_rows("test")
    drawn = np.random.default_rng(spec.seed).permutation(len(rows))[: spec.images]
    return [int(row) for row in rows[np.sort(drawn)]]


def lesion_places(
    image: bytes, mask: bytes, view: View, grid: tuple[int, int]
) -> Float16[np.ndarray, "row column"]:
    """Return the share of each place of an image that its mask calls lesion.

    A mask of another size is stretched over the image if it has the image's shape.

    Raises:
        ValueError: the mask cannot be decoded or has another shape than the image, or nothing or
            everything that the encoder sees of the image is lesion.
    """
    with Image.open(io.BytesIO(image)) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        width, height = opened.size
    try:
        drawn = read_rgb(mask).convert("L")
    except Exception as error:  # whatever an image library says of bytes that are not ours
        raise ValueError("its mask is no image that can be decoded") from error
    if abs(drawn.width * height / (drawn.height * width) - 1) > _SHAPES_ALIKE:
        raise ValueError(
            f"its mask is {drawn.width} x {drawn.height} pixels, which is another shape than the "
            f"image's {width} x {height}"
        )
    seen = square_view(inside_of(drawn, (width, height)), view).convert("F")
    places = seen.resize((grid[1], grid[0]), Image.Resampling.BOX)
    share = np.clip(np.asarray(places) / 255, 0, 1).astype(np.float16)
    if not share.any():
        raise ValueError("its mask is empty where the encoder looks")
    if (share == 1).all():
        raise ValueError("its mask covers everything that the encoder sees")
    return share
