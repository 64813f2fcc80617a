"""What a study looks up in its vectors: images of each concept, and images that repeat."""

import numpy as np
from jaxtyping import Float32

from curette.schemas.concepts import ConceptSet
from curette.schemas.images import SPLITS, ImageDataset
from curette.schemas.index import ConceptIndex, DuplicateCluster, Duplicates, Hit, LookAlike
from curette.schemas.settings.index import IndexSpec
from curette.tasks.index.faiss_index import build_flat, search_exactly, serialise
from curette.tasks.index.image_index import build_image_index
from curette.tasks.methods.alike.pairs import find_pairs
from curette.tasks.methods.alike.stars import stars


def index_vectors(
    dataset: ImageDataset,
    concepts: ConceptSet,
    images: Float32[np.ndarray, "image dim"],
    texts: Float32[np.ndarray, "concept dim"],
    spec: IndexSpec,
) -> ConceptIndex:
    """Index a study's images and concepts, and look up what later stages show or check.

    Args:
        dataset: the images, in the order of their vectors.
        concepts: the concepts, in the order of their vectors.
        images: unit vectors of all images.
        texts: unit vectors of the concepts.
        spec: how much is looked up.

    Returns:
        Both indices; for each concept its best *training* images; and clusters of images that look
        the same and stand in different splits.
    """
    built = build_image_index(images)
    return ConceptIndex(
        image_ids=tuple(dataset.images["image_id"]),
        concept_ids=concepts.ids,
        images=built.content,
        facts=built.facts,
        concepts=serialise(build_flat(texts)),
        top_images=_top_images(dataset, concepts, images, texts, spec.top_images),
        duplicates=_duplicates(dataset, images, spec),
    )


def _top_images(
    dataset: ImageDataset,
    concepts: ConceptSet,
    images: Float32[np.ndarray, "image dim"],
    texts: Float32[np.ndarray, "concept dim"],
    count: int,
) -> dict[str, tuple[Hit, ...]]:
    train = dataset.rows("train")
    scores, found = search_exactly(images[train], texts, count)
    ids = dataset.images["image_id"].to_numpy()[train[found]]
    return {
        concept: tuple(
            Hit(image_id=image, score=round(float(score), 6))
            for image, score in zip(of_concept, row, strict=True)
        )
        for concept, of_concept, row in zip(concepts.ids, ids, scores, strict=True)
    }


def _duplicates(
    dataset: ImageDataset, images: Float32[np.ndarray, "image dim"], spec: IndexSpec
) -> Duplicates:
    ids, splits, groups = (
        dataset.images[column].to_numpy() for column in ("image_id", "split", "group")
    )
    part = np.array([SPLITS.index(split) for split in splits], dtype=np.int64)
    pairs = find_pairs(images, part, spec.near_duplicate_cosine)
    found = stars(pairs)
    clusters = tuple(
        DuplicateCluster(
            image_id=ids[star.center],
            split=splits[star.center],
            look_alikes=tuple(
                LookAlike(
                    image_id=ids[row],
                    split=splits[row],
                    cosine=round(float(cosine), 6),
                    same_group=bool(groups[row] == groups[star.center]),
                )
                for row, cosine in zip(star.rows, star.cosine, strict=True)
            ),
        )
        for star in found[: spec.max_duplicate_clusters]
    )
    return Duplicates(
        clusters=clusters,
        clusters_found=len(found),
        images_found=sum(len(star.rows) for star in found),
        pairs_found=len(pairs.a),
    )
