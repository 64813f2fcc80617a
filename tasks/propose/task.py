"""The stage `propose`: candidate concepts from a language model, documents, records and files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.embeddings import ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.settings.encoder import EncoderSpec, ImageOnlyEncoder, PrecomputedEncoder
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import (
    CaptionSource,
    ContrastSource,
    DiscoveredSource,
    ProposeSpec,
)
from curette.storage.images import ImageFiles, ImageShelf, image_reader
from curette.storage.responses import ResponseShelf
from curette.storage.vectors import VectorShelf
from curette.tasks.methods.llm.control_pictures import pictures_of
from curette.tasks.propose import STAGE
from curette.tasks.propose.candidates import Interview, propose, texts_by_class
from curette.tasks.propose.captions import Gallery, drawn_exhibits
from curette.tasks.propose.contrasts import Pairs
from curette.tasks.propose.proposals import Found
from curette.tasks.stage import Workplace, leave_table, progress

if TYPE_CHECKING:  # torch and scikit-learn come only where something is discovered
    from curette.tasks.propose.discovered import Discovered, Images, Seen, Vocabulary


def needs_images(spec: ProposeSpec) -> bool:
    """Return whether pairs of classes, or concepts, are to be found from image vectors."""
    pairs = any(isinstance(s, ContrastSource) and not s.pairs for s in spec.sources)
    return pairs or spec.discovers


@STAGE.task
def propose_concepts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    images: Ref[ImageEmbeddings] | None,
    spec: ProposeSpec,
    llm: LlmSpec | None,
    encoder: EncoderSpec | None = None,
) -> Ref[CandidateSet]:
    """Collect candidate concepts for every class; nothing that was answered is asked again.

    Args:
        at: where to work.
        dataset: the images; names of its classes go into prompts.
        images: their vectors, needed where `needs_images(spec)`.
        spec: the sources.
        llm: the language model, where one is asked.
        encoder: what gives statements vectors, needed where `spec.discovers`.
    """
    about = at.store.load(ImageDataset, dataset)

    def look_alikes(neighbours: int) -> Pairs:
        from curette.tasks.propose.look_alikes import nearest_classes

        if images is None:
            raise ValueError("pairs of classes are wanted and no image vectors were given")
        vectors = at.store.load(ImageEmbeddings, images).vectors[about.rows("train")]
        return nearest_classes(vectors, about.labels("train"), len(about.classes), neighbours)

    discovered: list[Discovered] = []

    def look_among_images(
        source: DiscoveredSource, statements: Sequence[str], phrases: Mapping[str, str]
    ) -> Found:
        from curette.tasks.propose.discovered import discover, see

        if images is None or encoder is None:
            raise ValueError("concepts are to be found among images, and no vectors were given")
        seen = see(about, at.store.load(ImageEmbeddings, images))
        if source.among == "places":
            seen = _with_places(seen, about, encoder, at)
        vocabulary = _vocabulary(statements, phrases, encoder, at)
        discovered.append(discover(source, seen, vocabulary))
        return discovered[-1].found

    def show(source: CaptionSource) -> Gallery:
        read = image_reader(about, ImageShelf(at.store.root))
        pictures = pictures_of(about, read, "propose.sources: captions")
        return Gallery(drawn_exhibits(about, source.images_per_class), pictures)

    with progress("collecting candidates", 0) as advance:
        interview = Interview(llm, ResponseShelf(at.store.root), advance) if llm else None
        phrases = about.attribute_phrases
        found = propose(
            *(about.classes, spec, interview, look_alikes, phrases, look_among_images, show)
        )
    recipe = STAGE.recipe()
    if discovered and images:
        identity = at.store.load(ImageEmbeddings, images).encoder
        texts = tuple(p.text for p in discovered[0].found.proposals)
        directions = TextEmbeddings(texts, discovered[0].vectors, identity)
        found = found.model_copy(
            update={
                "directions": at.store.save(directions, recipe).digest,
                "dictionaries": discovered[0].facts,
            }
        )
    leave_tables(found, about)
    return at.store.save(found, recipe)


def _with_places(seen: "Seen", dataset: ImageDataset, spec: EncoderSpec, at: Workplace) -> "Seen":
    """Add the vectors of places of training and validation images."""
    from curette.tasks.methods.encoder.encoder import load_encoder
    from curette.tasks.propose.places import see_places

    if isinstance(spec, PrecomputedEncoder):
        raise ValueError("a study of precomputed vectors cannot look at places")
    encoder = load_encoder(spec, at.machine)
    files = ImageFiles(Path(dataset.root).resolve(), ImageShelf(at.store.root.resolve()))

    def of(split: Literal["train", "validation"], images: "Images") -> "Images":
        with progress(f"looking at places of {split} images", len(images.ids)) as advance:
            places = see_places(dataset, split, files.read, encoder, at.machine, advance)
        return replace(images, places=places)

    return replace(
        seen, train=of("train", seen.train), validation=of("validation", seen.validation)
    )


def _vocabulary(
    statements: Sequence[str], phrases: Mapping[str, str], spec: EncoderSpec, at: Workplace
) -> "Vocabulary | None":
    """Return what may be a name with its vectors; None where that is less than two texts.

    An encoder of images alone has vectors of none, precomputed vectors are of the texts in their
    file: of all statements or of none.
    """
    from curette.tasks.propose.discovered import Vocabulary

    if isinstance(spec, ImageOnlyEncoder):
        return None
    if isinstance(spec, PrecomputedEncoder):
        from curette.tasks.methods.encoder.precomputed import look_up_texts, texts_of

        known = texts_of(spec)
        if not known.issuperset(statements):
            return None
        phrases = {phrase: document for phrase, document in phrases.items() if phrase in known}
    texts = (*statements, *phrases)
    documents = (*("" for _ in statements), *phrases.values())
    if len(texts) < 2:
        return None
    if isinstance(spec, PrecomputedEncoder):
        return Vocabulary(texts, look_up_texts(spec, texts).vectors, documents)
    from curette.tasks.methods.encoder.encoder import load_encoder
    from curette.tasks.methods.encoder.text_vectors import embed_texts

    encoder, shelf = load_encoder(spec, at.machine), VectorShelf(at.store.root, of="texts")
    with progress("embedding names", len(texts)) as advance:
        made = embed_texts(texts, spec.text_template, encoder, shelf, at.machine, advance)
    return Vocabulary(texts, made.vectors, documents)


def leave_tables(found: CandidateSet, dataset: ImageDataset) -> None:
    """Show in the Prefect UI what was proposed, what that cost, and how far asking has come."""
    cost = found.usage.cost_usd
    leave_table(
        "candidates-by-class",
        [
            {"class": key, "candidates": len(texts), "such as": "; ".join(texts[:3])}
            for key, texts in texts_by_class(found.candidates, dataset.classes).items()
        ],
        f"{len(found.candidates)} candidates; {found.source}; "
        f"{len(found.failures)} answers or texts could not be used. {found.usage.requests} "
        f"requests, {found.usage.prompt_tokens:,} + {found.usage.completion_tokens:,} tokens"
        + (f", {cost:.2f} US dollars." if cost is not None else "."),
    )
    leave_table(
        "saturation",
        [
            {
                "source": s.source,
                "about": s.about,
                "requests": s.points[-1].requests if s.points else 0,
                "distinct": s.points[-1].distinct if s.points else 0,
                "next one is new (Good-Turing)": round(s.unseen_share, 3),
                "stopped": s.stopped,
            }
            for s in found.saturation
        ],
        "How far asking has come.",
    )
