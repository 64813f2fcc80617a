"""The stage `index`: FAISS over images and concepts, and what is looked up in it."""

from curette.schemas.artifact import Ref
from curette.schemas.concepts import ConceptSet
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.index import ConceptIndex
from curette.schemas.settings.index import IndexSpec
from curette.tasks.index import STAGE
from curette.tasks.stage import Workplace, leave_table


@STAGE.task
def build_index(
    at: Workplace,
    dataset: Ref[ImageDataset],
    concepts: Ref[ConceptSet],
    embeddings: Ref[StudyEmbeddings],
    spec: IndexSpec,
) -> Ref[ConceptIndex]:
    """Index images and concepts; find each concept's images and the images that repeat."""
    from curette.tasks.index.retrieval import index_vectors

    images = at.store.load(ImageDataset, dataset)
    chosen = at.store.load(ConceptSet, concepts)
    vectors = at.store.load(StudyEmbeddings, embeddings)
    index = index_vectors(
        images,
        chosen,
        at.store.load(ImageEmbeddings, vectors.images_ref).take(list(images.images["image_id"])),
        at.store.load(TextEmbeddings, vectors.texts_ref).take(chosen.texts),
        spec,
    )
    leave_table("top-images", _rows(chosen, index), _summary(index))
    return at.store.save(index, STAGE.recipe())


def _rows(concepts: ConceptSet, index: ConceptIndex) -> list[dict[str, object]]:
    return [
        {
            "concept": concept.text,
            "training images, best first": ", ".join(
                f"{hit.image_id} ({hit.score:.3f})" for hit in index.top_images[concept.concept_id]
            ),
        }
        for concept in concepts.concepts
    ]


def _summary(index: ConceptIndex) -> str:
    alike = index.duplicates
    apart = sum(not x.same_group for cluster in alike.clusters for x in cluster.look_alikes)
    return (
        f"The training images closest to each of {len(index.concept_ids)} concepts (cosine). "
        f"{index.facts.summary} {alike.images_found} images are near-duplicates of one in an "
        f"earlier split, in {alike.clusters_found} clusters"
        + (f"; in those listed, {apart} are of another group." if alike.clusters else ".")
    )
