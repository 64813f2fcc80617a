"""The stage `propose`: candidate concepts from a language model, documents, records and files."""

from curette.schemas.artifact import Ref
from curette.schemas.candidates import CandidateSet
from curette.schemas.embeddings import ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import ContrastSource, ProposeSpec
from curette.storage.responses import ResponseShelf
from curette.tasks.propose import STAGE
from curette.tasks.propose.candidates import Interview, propose, texts_by_class
from curette.tasks.propose.contrasts import Pairs
from curette.tasks.stage import Workplace, leave_table, progress


def needs_images(spec: ProposeSpec) -> bool:
    """Return whether pairs of classes are to be found from image vectors."""
    return any(isinstance(s, ContrastSource) and not s.pairs for s in spec.sources)


@STAGE.task
def propose_concepts(
    at: Workplace,
    dataset: Ref[ImageDataset],
    images: Ref[ImageEmbeddings] | None,
    spec: ProposeSpec,
    llm: LlmSpec | None,
) -> Ref[CandidateSet]:
    """Collect candidate concepts for every class; nothing that was answered is asked again.

    `images` are needed where `needs_images(spec)`.
    """
    about = at.store.load(ImageDataset, dataset)

    def look_alikes(neighbours: int) -> Pairs:
        from curette.tasks.propose.look_alikes import nearest_classes

        if images is None:
            raise ValueError("pairs of classes are wanted and no image vectors were given")
        vectors = at.store.load(ImageEmbeddings, images).vectors[about.rows("train")]
        return nearest_classes(vectors, about.labels("train"), len(about.classes), neighbours)

    with progress("collecting candidates", 0) as advance:
        interview = Interview(llm, ResponseShelf(at.store.root), advance) if llm else None
        found = propose(about.classes, spec, interview, look_alikes, about.attribute_phrases)
    leave_tables(found, about)
    return at.store.save(found, STAGE.recipe())


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
