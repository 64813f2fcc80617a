"""The stage `embed`: one unit vector an image, none made twice.

Images come first, before any concept is asked for: which classes look alike, and so need to be told
apart in words, is in their vectors.
"""

from pathlib import Path

from curette.schemas.artifact import Ref
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import (
    EncoderSpec,
    LoadedEncoder,
    PrecomputedEncoder,
)
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.store import ArtifactStore
from curette.storage.vectors import VectorShelf
from curette.tasks.embed import STAGE
from curette.tasks.stage import Workplace, leave_markdown, progress


@STAGE.task
def embed_images(
    at: Workplace,
    dataset: Ref[ImageDataset],
    spec: EncoderSpec,
) -> Ref[ImageEmbeddings]:
    """Embed a dataset's images."""
    images = at.store.load(ImageDataset, dataset)
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.methods.encoder.precomputed import look_up_images

        vectors = look_up_images(spec, images)
    else:
        vectors = _encode_images(images, spec, at.machine, at.store)
    _leave_note(vectors)
    return at.store.save(vectors, STAGE.recipe())


def _encode_images(
    images: ImageDataset, spec: LoadedEncoder, machine: Machine, store: ArtifactStore
) -> ImageEmbeddings:
    from curette.tasks.embed.embedding import embed_images
    from curette.tasks.methods.encoder.encoder import load_encoder

    shelf = VectorShelf(store.root)
    files = ImageFiles(Path(images.root).resolve(), ImageShelf(store.root.resolve()))
    if machine.engine == "ray":
        from curette.tasks.embed.on_ray import embed_images_on_ray

        with progress("embedding images on Ray", len(images)) as advance:
            return embed_images_on_ray(images, files.read, spec, shelf, machine, advance)
    encoder = load_encoder(spec, machine)
    with progress(f"embedding images with {encoder.identity.name}", len(images)) as advance:
        return embed_images(images, files.read, encoder, shelf, machine, advance)


def _leave_note(vectors: ImageEmbeddings) -> None:
    made = vectors.encoder
    leave_markdown(
        "image-embeddings",
        f"{len(vectors.keys)} images in the {made.dim} dimensions of {made.name} "
        f"(`{made.digest[:12]}`)",
        "Images as vectors: how many, and by which encoder.",
    )
