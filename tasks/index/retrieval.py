"""What a study looks up in its vectors: images of each concept, and images that repeat."""

import numpy as np
from jaxtyping import Float32

from schemas.concepts import ConceptSet
from schemas.images import SPLITS, ImageDataset
from schemas.index import ConceptIndex, Hit, IndexSpec, NearDuplicate
from tasks.index.faiss_index import Pairs, build_flat, find_pairs, search, serialise


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
        Both indices; for each concept its best *training* images; and pairs of images that look
        the same and stand in different splits.
    """
    pairs, found = find_pairs(
        images,
        np.array([SPLITS.index(split) for split in dataset.images["split"]], dtype=np.int64),
        spec.near_duplicate_cosine,
        spec.max_duplicate_pairs,
    )
    return ConceptIndex(
        image_ids=tuple(dataset.images["image_id"]),
        concept_ids=concepts.ids,
        images=serialise(build_flat(images)),
        concepts=serialise(build_flat(texts)),
        top_images=_top_images(dataset, concepts, images, texts, spec.top_images),
        near_duplicates=_near_duplicates(dataset, pairs),
        duplicate_pairs_found=found,
    )


def _top_images(
    dataset: ImageDataset,
    concepts: ConceptSet,
    images: Float32[np.ndarray, "image dim"],
    texts: Float32[np.ndarray, "concept dim"],
    count: int,
) -> dict[str, tuple[Hit, ...]]:
    train = dataset.rows("train")
    scores, found = search(build_flat(images[train]), texts, count)
    ids = dataset.images["image_id"].to_numpy()[train[found]]
    return {
        concept: tuple(
            Hit(image_id=image, score=round(float(score), 6))
            for image, score in zip(of_concept, row, strict=True)
        )
        for concept, of_concept, row in zip(concepts.ids, ids, scores, strict=True)
    }


def _near_duplicates(dataset: ImageDataset, pairs: Pairs) -> tuple[NearDuplicate, ...]:
    ids, splits, groups = (
        dataset.images[column].to_numpy() for column in ("image_id", "split", "group")
    )
    return tuple(
        NearDuplicate(
            image_a=ids[a],
            split_a=splits[a],
            image_b=ids[b],
            split_b=splits[b],
            cosine=round(float(cosine), 6),
            same_group=bool(groups[a] == groups[b]),
        )
        for a, b, cosine in zip(*pairs, strict=True)
    )
