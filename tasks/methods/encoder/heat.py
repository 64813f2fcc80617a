"""Where concepts are seen on an image: the cosine of each of its places with their texts."""

from typing import Any, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32

from curette.schemas.heat_maps import View
from curette.tasks.methods.encoder.dense import encode_places, why_no_places
from curette.tasks.methods.encoder.encoder import ClipEncoder


def heat_of_batch(
    encoder: ClipEncoder,
    batch: Float[torch.Tensor, "image channel height width"],
    concept_vectors: Float32[np.ndarray, "concept dim"],
) -> Float32[np.ndarray, "image concept row column"]:
    """Return the heat maps of images that are ready for the encoder."""
    places = _places(encoder, batch)
    texts = torch.from_numpy(concept_vectors).to(places.device)
    return torch.einsum("irsd,cd->icrs", places, texts).cpu().numpy()


def places_of_batch(
    encoder: ClipEncoder, batch: Float[torch.Tensor, "image channel height width"]
) -> Float32[np.ndarray, "image place dim"]:
    """Return the unit vectors of the places of images that are ready for the encoder."""
    return _places(encoder, batch).flatten(1, 2).cpu().numpy()


def why_no_heat(encoder: ClipEncoder) -> str:
    """Return why there are no heat maps of this encoder; empty where there are."""
    if len(set(_input_size(encoder))) > 1:
        return f"{encoder.identity.name} looks at images that are not square"
    if _preprocessing(encoder)["resize_mode"] not in get_args(View):
        return f"{encoder.identity.name} cuts off more of an image than makes it square"
    reason = why_no_places(cast(torch.nn.Module, encoder.model.visual))
    return reason and f"{encoder.identity.name} has no vectors of places: {reason}"


def encoder_view(encoder: ClipEncoder) -> View:
    """Return how the encoder makes images square."""
    return cast(View, _preprocessing(encoder)["resize_mode"])


def _preprocessing(encoder: ClipEncoder) -> dict[str, Any]:
    return cast(dict[str, Any], encoder.model.visual.preprocess_cfg)  # type: ignore[union-attr]


def _input_size(encoder: ClipEncoder) -> tuple[int, ...]:
    size = _preprocessing(encoder)["size"]
    return (size, size) if isinstance(size, int) else tuple(size)


def grid_of(encoder: ClipEncoder) -> tuple[int, int]:
    """Return how many rows and columns of places an image has, by encoding a black one."""
    _, rows, columns, _ = _places(encoder, torch.zeros(1, 3, *_input_size(encoder))).shape
    return rows, columns


def _places(
    encoder: ClipEncoder, batch: Float[torch.Tensor, "image channel height width"]
) -> Float[torch.Tensor, "image row column dim"]:
    visual = cast(torch.nn.Module, encoder.model.visual)
    dtype = next(visual.parameters()).dtype
    with torch.inference_mode():
        return encode_places(visual, batch.to(encoder.device, dtype))
