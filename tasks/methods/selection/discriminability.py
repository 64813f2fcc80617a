"""Score candidates by how much they tell about the class: LaBo's mutual information.

With s(c, y) the mean similarity of concept c to the training images of class y, and K classes,

    p(c, y) = s(c, y) / (K * sum_c' s(c', y)),    p(c) = sum_y p(c, y)
    MI(c)   = sum_y p(c, y) * log(p(c, y) / (p(c) / K))

Every class has mass 1/K, MI >= 0, and sum_c MI(c) is the mutual information of concept and class
under p (LaBo: Yang et al., CVPR 2023, in the form that its released code computes). Cosines of an
image-text encoder differ little between classes, so scores of 1e-9 are usual: compare them, and
scale them before adding them to anything else.
"""

import numpy as np
from jaxtyping import Float, Float64, Int

_BLOCK = 2**22  # similarities held at a time


def check_labels(labels: Int[np.ndarray, " image"], class_count: int) -> None:
    """Refuse labels that are out of range or leave a class without an image.

    Raises:
        ValueError: so.
    """
    if len(labels) and not (labels.min() >= 0 and labels.max() < class_count):
        raise ValueError(
            f"Labels run from {labels.min()} to {labels.max()}, but {class_count} classes are "
            f"numbered 0 to {class_count - 1}. Were the labels encoded with another class list?"
        )
    missing = np.flatnonzero(np.bincount(labels, minlength=class_count) == 0)
    if len(missing):
        raise ValueError(
            f"Classes {missing.tolist()} have no training image, so nothing tells which concepts "
            "speak for them. Give each class at least one image in the training split, or leave "
            "the class out of the study."
        )


def class_similarity(
    images: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    concepts: Float[np.ndarray, "concept dim"],
    class_count: int,
) -> Float64[np.ndarray, "concept class"]:
    """Return s(c, y) = mean over the images x of class y of max(0, x . t_c).

    Each image is clipped by itself, before the mean. The similarity to the class's mean image would
    need no pass over the images, but it lets an image that contradicts the concept cancel one that
    shows it; the two agree only where no similarity is negative.

    Args:
        images: unit embeddings of the training images, never of those the result is tested on.
        labels: the class of each image, from 0 to `class_count - 1`.
        concepts: unit embeddings of the concepts.
        class_count: K.

    Raises:
        ValueError: a label is out of range, or a class has no image.
    """
    check_labels(labels, class_count)
    similarity = np.empty((len(concepts), class_count))
    for label in range(class_count):
        members = images[labels == label]
        step = max(1, _BLOCK // len(members))
        for start in range(0, len(concepts), step):
            block = slice(start, start + step)
            clipped = np.maximum(0, concepts[block] @ members.T)
            similarity[block, label] = clipped.mean(axis=1, dtype=np.float64)
    return similarity


def mutual_information(
    similarity: Float[np.ndarray, "concept class"],
) -> Float64[np.ndarray, " concept"]:
    """Return MI(c) in nats, 0 for a concept that resembles no class.

    Computed as p(c)/K * sum_y [r log r - (r - 1)] with r = p(c, y) / (p(c)/K). The added terms sum
    to 0, but keep each summand from being the small difference of large ones.

    Args:
        similarity: s(c, y) >= 0.

    Raises:
        ValueError: a similarity is negative or not finite, or a class resembles no concept.
    """
    if not (similarity.min(initial=0.0) >= 0 and np.isfinite(similarity).all()):
        raise ValueError(
            "A class similarity is negative or not finite, and its logarithm would be undefined: "
            "clip cosine with max(0, s) before averaging, as `class_similarity` does."
        )
    class_mass = similarity.sum(axis=0, dtype=np.float64)
    if not class_mass.all():
        raise ValueError(
            f"Classes {np.flatnonzero(class_mass == 0).tolist()} have no similarity to any "
            "concept. That happens to classes without images and when images and concepts come "
            "from different encoders; check both, or leave the class out."
        )
    joint = similarity / (len(class_mass) * class_mass)
    independent = joint.mean(axis=1, keepdims=True)  # p(c) / K
    excess = np.divide(joint, independent, out=np.ones_like(joint), where=independent > 0) - 1
    log = np.log1p(excess, out=np.zeros_like(joint), where=excess > -1)
    return np.sum(independent * ((1 + excess) * log - excess), axis=1)
