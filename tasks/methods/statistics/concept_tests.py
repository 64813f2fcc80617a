"""Whether concepts are what they are called: found, important, present.

Scores are what a head reads of each concept, `present` is ground truth about what is visible. NaN
says "not computable": a concept that is on every image or on none, an image without a reason.

Sources: CGIM and CEM as in Aysel, Cai and Prugel-Bennett, Concept-based explainable artificial
intelligence: metrics and benchmarks, 2025; the test of co-occurrence as in Furby et al., Can we
constrain concept bottleneck models, 2024.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

_Scores = Float64[np.ndarray, "image concept"]
_Present = Bool[np.ndarray, "image concept"]
_Weights = Float64[np.ndarray, "resample image"]
_Labels = Int[np.ndarray, " image"]
_CLOSE = 1e-9  # sums of equal numbers may differ in the last digits
_BLOCK = 2**20  # numbers held at a time


# --- is the concept found? -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ConceptsFound:
    """Each concept's AUROC beside what truth that was dealt anew reaches; NaN where undefined.

    AUROC is the chance that an image which shows the concept scores higher than one which does not.
    """

    auroc: Float64[np.ndarray, " concept"]
    chance_95: Float64[np.ndarray, " concept"]
    """The AUROC that one in twenty permutations exceeds."""
    p_value: Float64[np.ndarray, " concept"]
    """One-sided, of this concept alone."""
    family_p_value: Float64[np.ndarray, " concept"]
    """Corrected for having looked at all concepts."""


def find_concepts(
    scores: _Scores,
    present: _Present,
    known: _Present,
    groups: Shaped[np.ndarray, " image"],
    permutations: int,
    seed: int,
) -> ConceptsFound:
    """Test each concept's score against its truth by permutation, all concepts at once.

    What is true and known of an image goes to another, whole groups to groups of equal size, so
    that images of one person stay alike; a size that one group alone has keeps its own, which only
    makes the test more careful. Each concept is judged on the images of which it is then known, so
    that one permutation serves all, whatever is missing where. p = (1 + permutations at least as
    high) / (1 + permutations) (Phipson and Smyth, 2010). The family's p compares with the best
    concept of each permutation (Westfall and Young, 1993: it holds whatever concepts have in
    common), each measured in standard deviations of its own permutations, so that concepts known of
    few images, or of few people, do not hide the others.
    """
    generator = np.random.default_rng(seed)
    by_size = _groups_by_size(groups)
    deals = [np.arange(len(scores))]  # first as it is
    deals += [_exchange_groups(by_size, generator) for _ in range(permutations)]
    areas = _areas(scores, present & known, ~present & known, np.array(deals))
    spread = areas.std(axis=0)
    moves = spread > _CLOSE  # not where nothing can be exchanged, nor where the area is NaN
    steps = np.where(moves, (areas - areas.mean(axis=0)) / np.where(moves, spread, 1.0), 0.0)
    best = steps[1:].max(axis=1, keepdims=True)
    defined = ~np.isnan(areas[0])

    def share(at_least: Bool[np.ndarray, "permutation concept"]) -> Float64[np.ndarray, " concept"]:
        return np.where(defined, (1 + at_least.sum(0)) / (1 + permutations), np.nan)

    return ConceptsFound(
        auroc=areas[0],
        chance_95=np.quantile(areas[1:], 0.95, axis=0),
        p_value=share(areas[1:] >= areas[0] - _CLOSE),
        family_p_value=share(best >= steps[0] - _CLOSE),
    )


def _areas(
    scores: _Scores,
    present: _Present,
    absent: _Present,
    deals: Int[np.ndarray, "deal image"],
) -> Float64[np.ndarray, "deal concept"]:
    """Return AUROCs, ties counting half, as each deal hands truth from image to image.

    Going up the scores, each image that shows a concept wins against those without it below.
    """
    areas = np.full((len(deals), scores.shape[1]), np.nan)
    for j in range(scores.shape[1]):
        pairs = present[:, j].sum() * absent[:, j].sum()
        if not pairs:
            continue
        order = np.argsort(scores[:, j])
        ascending = scores[order, j]
        lower, upper = (np.searchsorted(ascending, ascending, side=s) for s in ("left", "right"))
        for some in np.array_split(np.arange(len(deals)), -(-deals.size // _BLOCK)):
            dealt = deals[some][:, order]
            below = np.zeros((len(some), len(order) + 1))
            np.cumsum(absent[:, j][dealt], axis=1, out=below[:, 1:])
            lost = below[:, lower] + below[:, upper]
            areas[some, j] = (lost * present[:, j][dealt]).sum(1) / (2 * pairs)
    return areas


def _groups_by_size(groups: Shaped[np.ndarray, " image"]) -> list[Int[np.ndarray, "_ _"]]:
    """Return for each size the image numbers of its groups, one row a group."""
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    return [np.stack([r for r in rows if len(r) == size]) for size in np.unique(sizes)]


def _exchange_groups(
    by_size: list[Int[np.ndarray, "_ _"]], generator: np.random.Generator
) -> Int[np.ndarray, " image"]:
    """Return for each image the image whose labels it is dealt."""
    source = np.empty(sum(rows.size for rows in by_size), dtype=np.int64)
    for rows in by_size:
        source[rows] = rows[generator.permutation(len(rows))]
    return source


# --- is it important, and rightly so? --------------------------------------------------------


def global_importance(
    weights: Float64[np.ndarray, "class concept"], scores: _Scores
) -> Float64[np.ndarray, "class concept"]:
    """Return weight x spread: what a typical change of the score moves each class's logit.

    Weights count from their mean over classes, since what all classes share decides nothing, and
    the spread is the standard deviation over images. The mean of absolute values over classes is
    the importance of a concept for the model.
    """
    return (weights - weights.mean(0)) * scores.std(0)


@dataclass(frozen=True, eq=False)
class GlobalImportanceMatch:
    """A cosine for each concept, and its mean with all *other* concepts' truth beside it.

    Shares and scores are positive, so that any two agree to a degree: only what exceeds `of_others`
    speaks for the concept.
    """

    value: Float64[np.ndarray, " concept"]
    of_others: Float64[np.ndarray, " concept"]


@dataclass(frozen=True)
class GlobalImportanceMetric:
    """CGIM of weights, of predicted concepts and of their product."""

    weights: GlobalImportanceMatch
    predicted: GlobalImportanceMatch
    product: GlobalImportanceMatch


def concept_global_importance(
    weights: Float64[np.ndarray, "class concept"],
    scores: _Scores,
    present: _Present,
    labels: _Labels,
    predicted: _Labels,
) -> GlobalImportanceMetric:
    """Return CGIM: the cosine over classes between truth V and what the head makes of a concept.

    V[k, j] is the share of images of class k that show concept j. It is compared with the weights,
    with the mean score over the images of k that are predicted right, and with the product of both.
    Classes without images, or without right ones for the last two, are left out; a cosine with a
    vector of zeros is NaN.
    """
    classes = len(weights)
    truth = _mean_by_class(present.astype(np.float64), labels, classes)
    right = labels == predicted
    mean_scores = _mean_by_class(scores[right], labels[right], classes)
    return GlobalImportanceMetric(
        weights=_column_cosines(truth, weights),
        predicted=_column_cosines(truth, mean_scores),
        product=_column_cosines(truth, weights * mean_scores),
    )


def _mean_by_class(
    values: Float64[np.ndarray, "any concept"], labels: Int[np.ndarray, " any"], classes: int
) -> Float64[np.ndarray, "class concept"]:
    member = (labels == np.arange(classes)[:, None]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return member @ values / member.sum(1, keepdims=True)


def _column_cosines(
    truth: Float64[np.ndarray, "class concept"], other: Float64[np.ndarray, "class concept"]
) -> GlobalImportanceMatch:
    known = ~np.isnan(truth[:, 0] + other[:, 0])
    with np.errstate(invalid="ignore"):
        a, b = (v[known] / np.linalg.norm(v[known], axis=0) for v in (truth, other))
    cosine = a.T @ b  # truth of row, head of column
    value = np.diagonal(cosine).copy()
    elsewhere = np.where(np.eye(len(cosine), dtype=bool), np.nan, cosine)
    defined = ~np.isnan(elsewhere)
    with np.errstate(invalid="ignore"):
        of_others = np.where(defined, elsewhere, 0.0).sum(0) / defined.sum(0)
    return GlobalImportanceMatch(value, of_others)


# --- is it there? -----------------------------------------------------------------


def reasons(contributions: _Scores, count: int) -> Int[np.ndarray, "image reason"]:
    """Return the `count` concepts that speak most for each decision, -1 where there are fewer.

    Args:
        contributions: weight of the predicted class x score. Only positive ones are reasons.
    """
    order = np.argsort(-contributions, axis=1, kind="stable")[:, :count]
    speaks = np.take_along_axis(contributions, order, axis=1) > 0
    return np.where(speaks, order, -1)


def concept_existence(
    reason: Int[np.ndarray, "image reason"], present: _Present
) -> Float64[np.ndarray, " image"]:
    """Return CEM_l of each image: the share of its l = `reason` strongest concepts that is there.

    NaN for an image without a reason. What concepts drawn at random would reach is
    `present.mean(1)`; `weighted_mean` of both gives the table's line.
    """
    given = reason >= 0
    there = np.take_along_axis(present, np.maximum(reason, 0), axis=1) & given
    return _share(there, given)


def weighted_mean(
    values: Float64[np.ndarray, " image"], weights: _Weights
) -> Float64[np.ndarray, " resample"]:
    """Return the mean over images whose value is not NaN; NaN where there is none."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return weights @ np.where(defined, values, 0.0) / (weights @ defined.astype(np.float64))


def _share(
    hits: Shaped[np.ndarray, "image reason"], given: Bool[np.ndarray, "image reason"]
) -> Float64[np.ndarray, " image"]:
    with np.errstate(invalid="ignore"):
        return hits.sum(1).astype(np.float64) / given.sum(1)


# --- can concepts be told apart, from each other and from what they should not say? ----------


@dataclass(frozen=True)
class CoOccurrence:
    """The 2 x 2 table of two concepts."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def jaccard(self) -> float:
        """both / either; NaN where neither concept occurs."""
        either = self.both + self.only_first + self.only_second
        return self.both / either if either else float("nan")

    @property
    def inseparable(self) -> bool:
        """Whether no data here could tell the two apart: an empty cell, or Jaccard above 0.95."""
        empty = 0 in (self.both, self.only_first, self.only_second, self.neither)
        return empty or self.jaccard > 0.95


def co_occurrence(
    first: Bool[np.ndarray, " image"], second: Bool[np.ndarray, " image"]
) -> CoOccurrence:
    """Count the images that show both concepts, one of them, or neither."""
    return CoOccurrence(
        both=int((first & second).sum()),
        only_first=int((first & ~second).sum()),
        only_second=int((~first & second).sum()),
        neither=int((~first & ~second).sum()),
    )
