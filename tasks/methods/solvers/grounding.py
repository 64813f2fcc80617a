"""Concept scores that are learned: a logistic classifier a concept, where labels of it exist.

A grounding function is the probability that a concept is there, from the image vector: L2 logistic
regression with both answers weighing the same (KnoBo: Yang et al., NeurIPS 2024, section 3.2; the
direction is that of a concept activation vector, Kim et al., ICML 2018). All concepts are one
batch of problems. Each has its own strength, chosen by the log loss of folds of the training
images, so that validation images are left to say how well the concept is found. What is trained on
the scores takes those that the folds give to images held out of them (stacking: Wolpert, 1992).

A direction that finds a concept must beat directions that look for nothing: random ones, whose
sign alone is learned from the training images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.logistic_batch import solve_binary_batch

_BLOCK = 2**23  # logits held at a time


@dataclass(frozen=True)
class GroundingFunctions:
    """`log_odds = vectors @ weights.T + bias`."""

    weights: Float64[Tensor, "concept dim"]
    bias: Float64[Tensor, " concept"]
    l2: tuple[float, ...]  # chosen for each concept
    held_out: Float64[Tensor, "image concept"]
    """Log-odds of each training image by functions, at that strength, of the other folds.

    The functions' own flatter the images they were trained on, so only these may train a head,
    or say how a concept's score looks where it is there.
    """

    def log_odds(self, vectors: Float[Tensor, "image dim"]) -> Float64[Tensor, "image concept"]:
        """Return how surely images show each concept."""
        return vectors.double() @ self.weights.T + self.bias


@dataclass(frozen=True)
class RandomDirections:
    """What directions that look for nothing reach."""

    auc: Float64[Tensor, "direction concept"]

    def share_at_least(self, auc: Float[Tensor, " concept"]) -> Float64[Tensor, " concept"]:
        """Return (1 + directions at least as good) / (1 + directions), a p-value.

        Phipson and Smyth, 2010, say why it is never 0. It is NaN where the AUC is.
        """
        reached = (self.auc >= auc).double().sum(0)
        return ((1 + reached) / (1 + len(self.auc))).where(~auc.isnan(), torch.nan)


def train_grounding_functions(
    vectors: Float[Tensor, "image dim"],
    present: Bool[Tensor, "image concept"],
    known: Bool[Tensor, "image concept"],
    folds: Int[Tensor, " image"],
    l2_values: Sequence[float],
) -> GroundingFunctions:
    """Train a classifier a concept on the training images whose label is known.

    Args:
        vectors: standardised; see `methods.solvers.linear.global_standardisation`.
        present: whether an image shows a concept.
        known: whether that was ever said.
        folds: of each image, from 0; images of one subject belong to one fold.
        l2_values: strengths tried; ties go to the strongest.

    Raises:
        ValueError: there are less than 2 folds, or a concept is always there, or never, without
            one of the folds.
    """
    count = int(folds.max()) + 1
    if count < 2:
        raise ValueError("choosing a strength takes at least 2 folds of training images.")
    strengths = sorted(set(l2_values), reverse=True)
    step = max(1, _BLOCK // (len(vectors) * len(strengths) * count * 2))
    parts = [
        _train_block(vectors, present.T[i : i + step], known.T[i : i + step], folds, strengths)
        for i in range(0, present.shape[1], step)
    ]
    return GroundingFunctions(
        torch.cat([part.weights for part in parts]),
        torch.cat([part.bias for part in parts]),
        sum((part.l2 for part in parts), ()),
        torch.cat([part.held_out for part in parts], 1),
    )


def _train_block(
    vectors: Float[Tensor, "image dim"],
    present: Bool[Tensor, "concept image"],
    known: Bool[Tensor, "concept image"],
    folds: Int[Tensor, " image"],
    strengths: Sequence[float],
) -> GroundingFunctions:
    """Train all folds and all strengths of some concepts, then the chosen strengths on all."""
    concepts, count = len(present), int(folds.max()) + 1
    inside = torch.stack([folds != fold for fold in range(count)])
    trained_on = (known[:, None] & inside).flatten(0, 1)
    answers = present.repeat_interleave(count, 0)
    solved = solve_binary_batch(vectors, answers, trained_on, strengths)
    weights, bias = _differences(solved.weights, solved.bias)
    logits = weights @ vectors.double().T + bias[..., None]
    unseen = known.repeat_interleave(count, 0) & ~trained_on
    losses = _balanced_losses(logits, answers, unseen).reshape(concepts, count, -1)
    best = losses.nanmean(1).argmin(1)
    by_fold = logits.reshape(concepts, count, *logits.shape[1:])[torch.arange(concepts), :, best]
    held_out = by_fold[:, folds, torch.arange(len(folds))].T
    whole = solve_binary_batch(vectors, present, known, strengths)
    weights, bias = _differences(whole.weights, whole.bias)
    rows = torch.arange(concepts)
    return GroundingFunctions(
        weights[rows, best], bias[rows, best], tuple(strengths[i] for i in best.tolist()), held_out
    )


def _differences(
    weights: Float64[Tensor, "question value 2 dim"], bias: Float64[Tensor, "question value 2"]
) -> tuple[Float64[Tensor, "question value dim"], Float64[Tensor, "question value"]]:
    """Return the log-odds of yes."""
    return weights[:, :, 1] - weights[:, :, 0], bias[:, :, 1] - bias[:, :, 0]


def _balanced_losses(
    logits: Float64[Tensor, "question value image"],
    positive: Bool[Tensor, "question image"],
    counted: Bool[Tensor, "question image"],
) -> Float64[Tensor, "question value"]:
    """Return the mean over both answers of their mean log loss; NaN where neither is counted."""
    each = torch.nn.functional.softplus(torch.where(positive[:, None], -logits, logits))
    means = [
        (each * some[:, None]).sum(2) / some.sum(1)[:, None]
        for some in (counted & positive, counted & ~positive)
    ]
    return torch.stack(means).nanmean(0)


def concept_auc(
    scores: Float[Tensor, "image concept"],
    present: Bool[Tensor, "image concept"],
    known: Bool[Tensor, "image concept"],
) -> Float64[Tensor, " concept"]:
    """Return how often an image with the concept outscores one without, ties counting half.

    NaN where no image is known to show it, or none not to.
    """
    return torch.stack(
        [
            _auc(scores[known[:, j], j][None], present[known[:, j], j])[0]
            for j in range(scores.shape[1])
        ]
    )


def random_direction_auc(
    vectors: Float[Tensor, "image dim"],
    present: Bool[Tensor, "image concept"],
    known: Bool[Tensor, "image concept"],
    validation_vectors: Float[Tensor, "validation dim"],
    validation_present: Bool[Tensor, "validation concept"],
    validation_known: Bool[Tensor, "validation concept"],
    *,
    directions: int,
    seed: int,
) -> RandomDirections:
    """Return the validation AUC of random directions, turned so that training AUC is at least 1/2.

    Directions are normal in the space of `vectors`, which are standardised as for training.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(vectors.shape[1], directions, generator=generator, dtype=torch.float64)
    train, validation = (vectors.double() @ drawn).T, (validation_vectors.double() @ drawn).T
    columns = []
    for j in range(present.shape[1]):
        there, said = known[:, j], validation_known[:, j]
        on_train = _auc(train[:, there], present[there, j])
        on_validation = _auc(validation[:, said], validation_present[said, j])
        columns.append(on_validation.where(on_train >= 0.5, 1 - on_validation))
    return RandomDirections(torch.stack(columns, 1))


def _auc(
    scores: Float[Tensor, "row image"], positive: Bool[Tensor, " image"]
) -> Float64[Tensor, " row"]:
    """Return the AUC of every row of scores: the rank sum of Mann and Whitney."""
    from scipy.stats import rankdata

    yes, no = int(positive.sum()), int((~positive).sum())
    if not (yes and no):
        return torch.full((len(scores),), torch.nan, dtype=torch.float64)
    ranks = torch.from_numpy(rankdata(scores.numpy(), axis=1))[:, positive]
    return (ranks.sum(1) - yes * (yes + 1) / 2) / (yes * no)
