"""What images that were not learned from say of sets of concepts.

Every set is judged by the same small head: a linear discriminant on its standardised scores (see
`shrinkage_discriminants`), trained on four fifths of the images and asked about the rest, in turn,
so that every image is asked about once and no group of images is on both sides. Its loss is the
squared distance of the answer from the truth (Brier, Monthly Weather Review 1950), which unlike
the log loss no single image can blow up, with every class counting the same. Two sets are compared
image by image, and how sure the difference is, is told by groups: with s_i the share of image i,
d_i the difference of its two losses and d_k the mean one of class k,

    SE^2 = g / (g - 1) * sum over groups ( sum over the group's images i of s_i (d_i - d_class(i))
    )^2

for g groups: the linearised variance of a mean over clusters (Liang and Zeger, Biometrika 1986).

*Enough* is the smallest number of concepts that loses at most one standard error more than the
best number does: the rule of Breiman, Friedman, Olshen and Stone (Classification and Regression
Trees, 1984, section 3.4.3), with the standard error of the difference in place of that of the best
number's own loss, most of which is how hard the images are for either. Nor is a concept asked for
where it spares less than .01, a wrong answer in 200: where classes are easily told the error of a
difference is next to nothing, and the rule would follow every turn of the curve. On drawn problems
that takes fewest concepts of the rules tried at no loss worth naming (`bench_enough`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64, Shaped

from curette.tasks.methods.selection.explained_variance import ClassVariance
from curette.tasks.methods.solvers.head_batch import (
    SHRINKAGES,
    discriminants_of,
    shrinkage_discriminants,
)
from curette.tasks.methods.solvers.linear import LinearHead, column_standardisation
from curette.tasks.methods.threads import one_thread_of_torch

Picks = Int64[np.ndarray, " pick"]
Choose = Callable[[int], Picks]
"""From a number of concepts to that many of them, best first."""

FOLDS = 5
_NOBODY_NOTICES = 1e-3  # of a loss between 0 and 2: else copies would differ from each other
_WORTH_CONCEPTS = 0.01  # of the loss; what spares less needs no further concept
_SHRINKAGES = (*SHRINKAGES, 0.003, 0.001)


class Excess(NamedTuple):
    """How much more is lost than by another set, and one standard error of that."""

    loss: float
    standard_error: float

    @property
    def measurable(self) -> bool:
        """Whether it is more than one standard error, and more than nobody would notice."""
        return self.loss > max(self.standard_error, _NOBODY_NOTICES)


def fit_discriminant(
    scores: Float[np.ndarray, "train concept"],
    labels: Int[np.ndarray, " train"],
    held_scores: Float[np.ndarray, "held concept"],
    held_labels: Int[np.ndarray, " held"],
    class_count: int,
    shrinkages: Sequence[float] = _SHRINKAGES,
) -> LinearHead:
    """Train the small head, on scores as they are; held-out images choose the shrinkage."""
    train, held = (torch.from_numpy(s.astype(np.float64)) for s in (scores, held_scores))
    scaling = column_standardisation(train)
    found = shrinkage_discriminants(
        scaling.apply(train),
        torch.from_numpy(labels),
        torch.arange(len(train))[None],
        class_count,
        scaling.apply(held),
        torch.from_numpy(held_labels),
        class_weight="balanced",
        shrinkages=shrinkages,
    )
    return scaling.fold(found.head(0))


def answer_by_discriminants(
    scores: Float[np.ndarray, "train set concept"],
    labels: Int[np.ndarray, " train"],
    held_scores: Float[np.ndarray, "held set concept"],
    held_labels: Int[np.ndarray, " held"],
    asked_scores: Float[np.ndarray, "image set concept"],
    class_count: int,
) -> Float64[np.ndarray, "set image class"]:
    """Train the small head on each of many sets of equally many concepts, as one batch.

    Returned are the logits of the images that are asked about.
    """
    sets = scores.shape[1:]
    train, held, asked = (
        torch.from_numpy(s.reshape(len(s), -1).astype(np.float64))
        for s in (scores, held_scores, asked_scores)
    )
    scaling = column_standardisation(train)
    train, held, asked = (
        scaling.apply(s).reshape(len(s), *sets).transpose(0, 1) for s in (train, held, asked)
    )
    found = discriminants_of(
        train,
        torch.from_numpy(labels).expand(sets[0], -1),
        class_count,
        held[:, None],
        torch.from_numpy(held_labels),
        class_weight="balanced",
        shrinkages=_SHRINKAGES,
    )
    return (asked @ found.weights.mT + found.bias[:, None]).numpy()


@dataclass(frozen=True, eq=False)
class Judge:
    """Labelled images in folds; images of fold -1 are always learned from, never asked about."""

    images: Float[np.ndarray, "image dim"]
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    class_count: int
    fold: Int[np.ndarray, " image"]

    @classmethod
    def of(
        cls,
        images: Float[np.ndarray, "image dim"],
        labels: Int[np.ndarray, " image"],
        groups: Shaped[np.ndarray, " image"],
        class_count: int,
        seed: int = 0,
    ) -> "Judge":
        """Deal the images into folds."""
        return cls(images, labels, groups, class_count, deal_folds(labels, groups, seed))

    def parts(self, fold: int) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " held"]]:
        """Return the rows that are learned from, and those asked about."""
        return np.flatnonzero(self.fold != fold), np.flatnonzero(self.fold == fold)

    def answers_in(
        self, fold: int, concepts: Float[np.ndarray, "concept dim"]
    ) -> Float64[np.ndarray, "held class"]:
        """Return what is answered of every image that a fold asks about, as probabilities."""
        train, held = self.parts(fold)
        scores = (self.images @ concepts.T).astype(np.float64)
        head = fit_discriminant(
            scores[train], self.labels[train], scores[held], self.labels[held], self.class_count
        )
        return head.logits(torch.from_numpy(scores[held])).softmax(1).numpy()

    def losses_in(
        self, fold: int, concepts: Float[np.ndarray, "concept dim"]
    ) -> Float64[np.ndarray, " held"]:
        """Return the loss of every image that a fold asks about, given scores of these concepts."""
        answers, held = self.answers_in(fold, concepts), self.parts(fold)[1]
        return ((answers - np.eye(self.class_count)[self.labels[held]]) ** 2).sum(axis=1)

    def losses(
        self, concepts: Callable[[int], Float[np.ndarray, "_ dim"]]
    ) -> Float64[np.ndarray, " image"]:
        """Return the loss of every image; which concepts are asked about may differ by fold."""
        losses = np.zeros(len(self.labels))
        with one_thread_of_torch():
            for fold in range(self.fold.max(initial=-1) + 1):
                losses[self.parts(fold)[1]] = self.losses_in(fold, concepts(fold))
        return losses

    def mean(self, losses: Float[np.ndarray, " image"]) -> float:
        """Return the loss in which every class counts the same."""
        return float(self._shares @ losses)

    def excess(
        self, losses: Float[np.ndarray, " image"], others: Float[np.ndarray, " image"]
    ) -> Excess:
        """Compare two sets by their losses."""
        shares, difference = self._shares, losses - others
        asked = np.bincount(self.labels, shares, self.class_count)
        of_class = np.bincount(self.labels, shares * difference, self.class_count)
        mean = np.divide(of_class, asked, out=np.zeros_like(asked), where=asked > 0)
        _, group = np.unique(self.groups[self.fold >= 0], return_inverse=True)
        about = (shares * (difference - mean[self.labels]))[self.fold >= 0]
        parts = np.bincount(group, about)
        count = max(2, len(parts))
        return Excess(
            float(shares @ difference), float(np.sqrt(count / (count - 1) * (parts @ parts)))
        )

    @property
    def _shares(self) -> Float64[np.ndarray, " image"]:
        asked = self.fold >= 0
        counts = np.bincount(self.labels[asked], minlength=self.class_count)
        of_class = 1 / (max(1, np.count_nonzero(counts)) * np.maximum(counts, 1))
        return np.where(asked, of_class[self.labels], 0.0)


def deal_folds(
    labels: Int[np.ndarray, " image"], groups: Shaped[np.ndarray, " image"], seed: int
) -> Int64[np.ndarray, " image"]:
    """Deal whole groups into folds, class after class in turn, so that folds are alike.

    A group counts as of the class of its first image. A class of one group is in no fold (-1): who
    learns without it could not know it.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    of_class = labels[first]
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = shuffled[np.argsort(of_class[shuffled], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % min(FOLDS, max(2, len(first)))
    fold[np.bincount(of_class)[of_class] == 1] = -1
    return fold[group]


@dataclass(frozen=True, eq=False)
class SizeCurve:
    """What each number of concepts loses, and which is the smallest that loses nothing
    measurable."""

    sizes: tuple[int, ...]
    losses: tuple[float, ...]
    excesses: tuple[Excess, ...]
    """Over the best number."""
    enough: int


def size_curve(
    judge: Judge,
    concepts: Float[np.ndarray, "candidate dim"],
    choose: Callable[[Int[np.ndarray, " train"]], Choose],
    sizes: Sequence[int],
) -> SizeCurve:
    """Find how many concepts are enough; they are chosen anew without the images they are asked
    about.

    Args:
        judge: labelled images; none of those that the result is tested on.
        concepts: unit vectors of all candidates.
        choose: from the rows that are learned from to a way of choosing.
        sizes: rising numbers of concepts.
    """
    ways = [choose(judge.parts(fold)[0]) for fold in range(judge.fold.max(initial=-1) + 1)]
    losses = [
        judge.losses(lambda fold, size=size: concepts[ways[fold](size)])  # type: ignore[misc]
        for size in sizes
    ]
    means = [judge.mean(of_size) for of_size in losses]
    best = losses[int(np.argmin(means))]
    excesses = tuple(judge.excess(of_size, best) for of_size in losses)
    enough = next(
        size
        for size, excess in zip(sizes, excesses, strict=True)
        if excess.loss <= max(excess.standard_error, _WORTH_CONCEPTS)
    )
    return SizeCurve(tuple(sizes), tuple(means), excesses, enough)


class StandIn(NamedTuple):
    """A candidate in the place of a pick, and what the set then loses more."""

    pick: int
    candidate: int
    excess: Excess


def stand_ins(
    judge: Judge,
    concepts: Float[np.ndarray, "candidate dim"],
    problem: ClassVariance,
    picks: Picks,
    may: Callable[[int, int], bool],
    most: int = 5,
) -> list[StandIn]:
    """Find what could stand in for each pick at no measurable loss.

    Tried are, for each pick, the `most` candidates that explain most of the class in its place.

    Args:
        judge: labelled images.
        concepts: unit vectors of all candidates.
        problem: what candidates explain.
        picks: the set.
        may: whether a candidate (second) is allowed in the place of a pick (first).
        most: candidates tried a pick.
    """
    own = judge.losses(lambda _: concepts[picks])
    found = []
    for place, pick in enumerate(picks.tolist()):
        others = np.delete(picks, place)
        gains = problem.gains(others)
        gains[picks] = -np.inf
        tried = [j for j in np.argsort(-gains, kind="stable").tolist() if j not in picks]
        for candidate in [j for j in tried[: 4 * most] if may(pick, j)][:most]:
            changed = np.append(others, candidate)
            excess = judge.excess(judge.losses(lambda _, s=changed: concepts[s]), own)  # type: ignore[misc]
            if not excess.measurable:
                found.append(StandIn(pick, candidate, excess))
    return found


@dataclass(frozen=True, eq=False)
class Steadiness:
    """How much of a choice stays when the images are others."""

    index: float
    chosen: Float64[np.ndarray, " candidate"]
    """In what share of the resamples each candidate was chosen."""


def measure_stability(choices: Sequence[Picks], candidates: int) -> Steadiness:
    """Return Nogueira's index: 1 where all choices are the same, about 0 where they are by chance.

    With p_f the share of the m choices that have candidate f of M, and k candidates a choice on
    average,

        1 - mean_f( m / (m - 1) p_f (1 - p_f) ) / ( k / M (1 - k / M) )

    (Nogueira, Sechidis and Brown, "On the stability of feature selection algorithms", JMLR 18,
    2018, definition 4.)
    """
    counts = np.zeros(candidates)
    for choice in choices:
        counts[choice] += 1
    share = counts / len(choices)
    spread = len(choices) / (len(choices) - 1) * share * (1 - share)
    size = share.sum() / candidates
    by_chance = size * (1 - size)
    return Steadiness(float(1 - spread.mean() / by_chance) if by_chance > 0 else 1.0, share)


def resample_groups(
    labels: Int[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
    generator: np.random.Generator,
) -> Int64[np.ndarray, " row"]:
    """Draw as many groups as there are, with replacement, of each class by itself; return rows."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    of_class = labels[first]
    drawn = np.concatenate(
        [
            generator.choice(members, len(members))
            for members in (np.flatnonzero(of_class == k) for k in np.unique(of_class))
        ]
    )
    ends = np.cumsum(np.bincount(group))
    members = np.split(np.argsort(group, kind="stable"), ends[:-1])
    return np.concatenate([members[g] for g in drawn])
