"""The stages `embed` and `embed_texts`: one unit vector an image and a text, none made twice.

Images come first, before any concept is asked for: which classes look alike, and so need to be told
apart in words, is in their vectors.
"""

from pathlib import Path

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import (
    EncoderSpec,
    OpenClipEncoder,
    PrecomputedEncoder,
    class_prompt,
)
from curette.storage.images import ImageFiles, ImageShelf
from curette.storage.store import ArtifactStore
from curette.storage.vectors import VectorShelf
from curette.tasks.embed import IMAGES_STAGE, TEXTS_STAGE
from curette.tasks.stage import Workplace, leave_markdown, leave_table, progress


@IMAGES_STAGE.task
def embed_images(
    at: Workplace,
    dataset: Ref[ImageDataset],
    spec: EncoderSpec,
) -> Ref[ImageEmbeddings]:
    """Embed a dataset's images."""
    images = at.store.load(ImageDataset, dataset)
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.embed.precomputed import look_up_images

        vectors = look_up_images(spec, images)
    else:
        vectors = _encode_images(images, spec, at.machine, at.store)
    _leave_note("image-embeddings", "images", vectors)
    return at.store.save(vectors, IMAGES_STAGE.recipe())


@TEXTS_STAGE.task
def embed_texts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    images: Ref[ImageEmbeddings],
    candidates: Ref[CandidateSet],
    reworded: tuple[str, ...],
    spec: EncoderSpec,
) -> Ref[StudyEmbeddings]:
    """Embed the candidates' texts, those that a reviewer reworded, and the classes' names.

    Ready-made vectors may lack the names: then nothing is compared with them.

    Raises:
        StudyError: the encoder changed after the images were embedded.
    """
    proposed = [c.text for c in at.store.load(CandidateSet, candidates).candidates]
    prompts = tuple(
        class_prompt(spec, c.name) for c in at.store.load(ImageDataset, dataset).classes
    )
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.embed.precomputed import has_texts, look_up_texts

        prompts = prompts if has_texts(spec, prompts) else ()
        texts = tuple(dict.fromkeys([*proposed, *reworded, *prompts]))
        vectors = look_up_texts(spec, texts)
    else:
        texts = tuple(dict.fromkeys([*proposed, *reworded, *prompts]))
        vectors = _encode_texts(texts, spec, at.machine, at.store)
    encoder = at.store.load(ImageEmbeddings, images).encoder
    if vectors.encoder != encoder:
        raise StudyError(
            f"the encoder {encoder.name} changed after the images were embedded with it. Run the "
            "study again."
        )
    _leave_note("text-embeddings", "texts", vectors)
    recipe = TEXTS_STAGE.recipe()
    study = StudyEmbeddings(
        encoder=encoder,
        images=images.digest,
        texts=at.store.save(vectors, recipe).digest,
        class_prompts=prompts,
    )
    return at.store.save(study, recipe)


def _encode_images(
    images: ImageDataset, spec: OpenClipEncoder, machine: Machine, store: ArtifactStore
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


def _encode_texts(
    texts: tuple[str, ...], spec: OpenClipEncoder, machine: Machine, store: ArtifactStore
) -> TextEmbeddings:
    from curette.tasks.embed.embedding import embed_texts, sentences
    from curette.tasks.methods.encoder.encoder import load_encoder

    encoder = load_encoder(spec, machine)
    shelf = VectorShelf(store.root, of="texts")
    with progress("embedding texts", len(texts)) as advance:
        vectors = embed_texts(texts, spec.text_template, encoder, shelf, machine, advance)
    too_long = encoder.filling(sentences(texts, spec.text_template))
    if too_long:
        leave_table(
            "texts-cut-off",
            [{"text": text} for text in too_long],
            f"{len(too_long)} texts fill the encoder's whole context; their ends may be cut off.",
        )
    return vectors


def _leave_note(key: str, what: str, vectors: ImageEmbeddings | TextEmbeddings) -> None:
    leave_markdown(
        key,
        f"{len(vectors.keys)} {what} in the {vectors.encoder.dim} dimensions of "
        f"{vectors.encoder.name} (`{vectors.encoder.digest[:12]}`)",
    )
