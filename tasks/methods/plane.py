"""Images in the plane, those of like scores beside one another: t-SNE, kept cheap and repeatable.

t-SNE (van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 9, 2008) of some training
images; every other image lies at the mean of the three of these that are nearest by its scores,
weighted by the inverse squared distance. So no image of the test split moves another. Distances
within a cluster tell what is alike; those between clusters, and sizes of clusters, tell nothing.
"""

import numpy as np
from jaxtyping import Float64, Int
from threadpoolctl import threadpool_limits

LANDMARKS = 1000
_STEPS = 500
_NEAREST = 3
_FEWEST = 12  # landmarks; fewer are no map
_BLOCK = 2**22  # distances at a time


def lay_out(
    scores: Float64[np.ndarray, "image concept"], train: Int[np.ndarray, " train"]
) -> Float64[np.ndarray, "image 2"] | None:
    """Return where images lie, each coordinate from 0 to 1; None where they are too few.

    The same numbers give the same map, whatever the machine's threads: t-SNE runs on one.

    Args:
        scores: what the head looks at.
        train: rows of the training images.
    """
    from sklearn.manifold import TSNE

    spread = scores[train].std(axis=0)
    scaled = (scores - scores[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    chosen = train[np.linspace(0, len(train) - 1, min(LANDMARKS, len(train))).astype(np.int64)]
    if len(chosen) < _FEWEST or scores.shape[1] < 2:
        return None
    model = TSNE(
        2,
        init="pca",
        perplexity=min(30.0, (len(chosen) - 1) / 3),
        max_iter=_STEPS,
        random_state=0,
        n_jobs=1,
    )
    with threadpool_limits(1):
        marks = model.fit_transform(scaled[chosen].astype(np.float32)).astype(np.float64)
        places = np.empty((len(scores), 2))
        step = max(1, _BLOCK // len(chosen))
        for start in range(0, len(scores), step):
            part = slice(start, start + step)
            places[part] = _between(scaled[part], scaled[chosen], marks)
    low, high = marks.min(axis=0), marks.max(axis=0)
    return np.asarray((places - low) / np.where(high > low, high - low, 1.0))


def _between(
    asked: Float64[np.ndarray, "asked concept"],
    known: Float64[np.ndarray, "known concept"],
    marks: Float64[np.ndarray, "known 2"],
) -> Float64[np.ndarray, "asked 2"]:
    """Return the weighted mean place of each one's nearest; a known one's own place for itself."""
    square = (asked**2).sum(1)[:, None] + (known**2).sum(1) - 2 * asked @ known.T
    near = np.argsort(square, axis=1, kind="stable")[:, :_NEAREST]
    weights = 1 / np.maximum(np.take_along_axis(square, near, axis=1), 1e-9)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray((marks[near] * weights[..., None]).sum(axis=1))


def place_concepts(
    places: Float64[np.ndarray, "image 2"],
    scores: Float64[np.ndarray, "image concept"],
    train: Int[np.ndarray, " train"],
) -> Float64[np.ndarray, "concept 2"]:
    """Return where the training images lie that show each concept most: their median place.

    Args:
        places: of all images.
        scores: of all images.
        train: rows of the training images.
    """
    most = np.argsort(-scores[train], axis=0, kind="stable")[: max(len(train) // 20, 1)]
    return np.asarray(np.median(places[train[most]], axis=0))
