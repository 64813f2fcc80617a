"""Vectors of places of some training and validation images, to look for concepts among."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, Int

from curette.schemas.artifact import StudyError
from curette.schemas.images import ImageDataset, Split
from curette.schemas.machine import Machine
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder
from curette.tasks.methods.encoder.heat import grid_of, places_of_batch, why_no_heat
from curette.tasks.methods.encoder.reading import Read, picture_reader, prepare_picture
from curette.tasks.methods.threads import decoding_threads
from curette.tasks.propose.discovered import Parts

_MOST_PLACES = 50_000


def see_places(
    dataset: ImageDataset,
    split: Split,
    read: Read,
    encoder: ClipEncoder,
    machine: Machine,
    advance: Callable[[int], None],
) -> Parts:
    """Return the places of a split's images; of too many images every so manieth by its id.

    Raises:
        StudyError: the encoder has no vectors of places, or an image cannot be read.
    """
    if reason := why_no_heat(encoder):
        raise StudyError(
            f"propose.sources: `discovered` is to look at places, and {reason}. Let it look "
            "`among: images`, or take an encoder that has them."
        )
    rows, columns = grid_of(encoder)
    numbers = dataset.rows(split)
    by_id = np.argsort(dataset.images["image_id"].astype(str).to_numpy()[numbers], kind="stable")
    images = by_id[:: max(1, -(-len(by_id) * rows * columns // _MOST_PLACES))]
    picture = picture_reader(dataset)

    def encode(batch: torch.Tensor) -> Float32[np.ndarray, "image place_and_dim"]:
        places = places_of_batch(encoder, batch)
        advance(len(places))
        return places.reshape(len(places), -1)

    made = encode_in_batches(
        (picture(int(row)) for row in numbers[images]),
        lambda one: prepare_picture(one, read, encoder),
        encoder.stack,
        encode,
        machine.batch_size or DEFAULT_BATCH[encoder.device],
        decoding_threads(machine),
    )
    vectors = np.concatenate(list(made)).reshape(-1, encoder.identity.dim)
    of_image: Int[np.ndarray, " place"] = np.repeat(images, rows * columns)
    return Parts(vectors, of_image)
