"""What chance deals: concepts from the pool, and labels among images."""

import numpy as np
from jaxtyping import Int, Shaped

from curette.schemas.concept_dataset import ConceptDataset


def draw_concepts(published: ConceptDataset, count: int, seed: int) -> Int[np.ndarray, " concept"]:
    """Draw so many candidates at random; return their positions in the pool.

    The classes draw in turn, each from the candidates proposed for it.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(published.pool)).tolist()
    queues = [
        [i for i in order if class_key in published.pool[i].classes]
        for class_key in published.class_keys
    ]
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        for queue in queues:
            fresh = next((i for i in queue if i not in drawn), None)
            if fresh is not None and len(drawn) < count:
                drawn[fresh] = None
    return np.array(sorted(drawn))


def shuffle_labels(
    labels: Int[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
    generator: np.random.Generator,
) -> Int[np.ndarray, " image"]:
    """Deal the labels out again, group by group: images of one subject go on being alike.

    The labels, in the order of the groups, are laid along the images, in a random order of the
    groups. Each class keeps its number of images.
    """
    names, group = np.unique(groups, return_inverse=True)
    shuffled = np.empty_like(labels)
    place = np.argsort(generator.permutation(len(names))[group], kind="stable")
    shuffled[place] = labels[np.argsort(group, kind="stable")]
    return shuffled
