"""The stage `embed`: one unit vector an image and one a candidate text, none of them made twice."""

from prefect import task

from schemas.artifact import Ref
from schemas.candidates import CandidateSet
from schemas.embeddings import (
    EncoderSpec,
    ImageEmbeddings,
    OpenClipEncoder,
    PrecomputedEncoder,
    StudyEmbeddings,
    TextEmbeddings,
)
from schemas.images import ImageDataset
from schemas.machine import Machine
from storage.images import ImageShelf, image_reader
from storage.store import ArtifactStore
from storage.vectors import VectorShelf
from tasks.stage import Stage, leave_markdown, leave_table, progress

STAGE = Stage(name="embed")


@task(name=STAGE.name, cache_policy=STAGE, persist_result=True, result_serializer="json")
def embed_study(
    dataset: Ref[ImageDataset],
    candidates: Ref[CandidateSet],
    spec: EncoderSpec,
    machine: Machine,
    store: ArtifactStore,
) -> Ref[StudyEmbeddings]:
    """Embed a dataset's images and the candidate texts with one encoder."""
    images = store.load(ImageDataset, dataset)
    concepts = store.load(CandidateSet, candidates)
    if isinstance(spec, PrecomputedEncoder):
        from tasks.embed.precomputed import look_up_vectors

        of_images, of_texts = look_up_vectors(spec, images, concepts)
    else:
        of_images, of_texts = _encode(images, concepts, spec, machine, store)
    leave_markdown(
        "embeddings",
        f"{len(of_images.keys)} images and {len(of_texts.keys)} texts in the "
        f"{of_images.encoder.dim} dimensions of {of_images.encoder.name} "
        f"(`{of_images.encoder.digest[:12]}`)",
    )
    recipe = STAGE.recipe(spec, dataset=dataset, candidates=candidates)
    study = StudyEmbeddings(
        encoder=of_images.encoder,
        images=store.save(of_images, recipe).digest,
        texts=store.save(of_texts, recipe).digest,
    )
    return store.save(study, recipe)


def _encode(
    images: ImageDataset,
    concepts: CandidateSet,
    spec: OpenClipEncoder,
    machine: Machine,
    store: ArtifactStore,
) -> tuple[ImageEmbeddings, TextEmbeddings]:
    from tasks.embed.embedding import embed_images, embed_texts, sentences
    from tasks.embed.encoder import load_encoder

    encoder = load_encoder(spec, machine)
    shelf = VectorShelf(store.root)
    read = image_reader(images, ImageShelf(store.root))
    with progress(f"embedding images with {encoder.identity.name}", len(images)) as advance:
        of_images = embed_images(images, read, encoder, shelf, machine, advance)
    with progress("embedding texts", len(concepts.candidates)) as advance:
        of_texts = embed_texts(concepts, spec.text_template, encoder, shelf, machine, advance)
    too_long = encoder.filling(sentences(concepts, spec.text_template))
    if too_long:
        leave_table(
            "texts-cut-off",
            [{"text": text} for text in too_long],
            f"{len(too_long)} texts fill the encoder's whole context; their ends may be cut off.",
        )
    return of_images, of_texts
