"""A concept head that starts from what is believed of the concepts and bends to the images.

A sign prior P says which concepts speak for (+1) or against (-1) a class, or nothing (0), as an LLM
or a textbook has it (KnoBo: Yang et al., NeurIPS 2024, section 3.3). KnoBo penalises
|tanh(W) - P|, which pulls every signed weight to infinity. Here the prior is a direction of known
shape and unknown size, and what is penalised is the departure from it:

    logits = tau u(x) + V x + b,        f = loss + (l2 / 2) ||V||^2

u is the prior's own answer: for each class the mean of the concept scores that speak for it less
those that speak against it, centred over classes and scaled to unit deviation over all training
images, whose labels are not needed for that. So tau counts in deviations, whatever the encoder, and
f is the L2 pull of W towards tau P: quadratic, hence bounded below, with a unique optimum that does
not run off. The loss grows with the images and the pull does not: with few images the prior
decides, with many they do, and an l2 large or small settles where.

Two further decisions make it work at one or two shots:

- *Metric*. A head on the scores X T^T with weights W acts on images through W T. ||V||^2 is taken
  there, as a linear probe has it, not over concepts, whose near-duplicates would make directions
  that many sentences describe cheap and all others dear. So the head is fitted on
  S (T T^T + e I)^(-1/2), with a small e that keeps the weights of near-duplicates from running
  apart.
- *Averaging*. tau, l2 and how far the bias is drawn to where the unlabelled images lie evenly are
  not chosen but averaged with the weights that held-out images give them, exp(log-likelihood):
  Bayes' rule with a flat prior over the grid. With some dozens of held-out images the best of a
  hundred settings is luck; the mean is not. It is a linear head all the same. Where there are no
  validation images, each draw holds out its own images, one of each class at a time, and at
  one shot, with nothing to hold out, the grid counts evenly.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from curette.tasks.methods.solvers.head_batch import HeadBatch, held_out_losses
from curette.tasks.methods.solvers.linear import (
    ClassWeight,
    LinearHead,
    Standardisation,
    global_standardisation,
)
from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch

PULLS = (0.0, 0.5, 1.0, 2.0, 4.0)  # tau: from no prior to one that is all but certain
STRENGTHS = (1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4)  # l2, on features of unit variance
_BIAS_PULLS = (0.0, 0.5, 1.0)  # 0: the bias of the labelled images; 1: that of unlabelled ones
_MOST_FOLDS = 5  # of a draw that holds out its own images
_METRIC_FLOOR = 0.01  # e, as a share of the mean eigenvalue of T T^T


class Tried(NamedTuple):
    """The settings that are averaged over, and what images count."""

    pulls: tuple[float, ...] = PULLS
    """tau"""
    l2_values: tuple[float, ...] = STRENGTHS
    class_weight: ClassWeight = "balanced"
    """Balanced: every class counts the same, on held-out images too."""


USUAL = Tried()


@dataclass(frozen=True)
class PulledHeads:
    """For each draw, logits = pull * prior logits + residual head."""

    pull: Float64[Tensor, " draw"]
    residual: HeadBatch
    shares: Float64[Tensor, "draw pull l2 bias_pull"]  # what held-out images gave each setting

    def logits(
        self, features: Float[Tensor, "image dim"], prior_logits: Float[Tensor, "image class"]
    ) -> Float64[Tensor, "draw image class"]:
        """Return one logit a draw, image and class."""
        return self.pull[:, None, None] * prior_logits + self.residual.logits(features)


def prior_head(
    scores: Float[Tensor, "image concept"], signs: Float[Tensor, "class concept"]
) -> LinearHead:
    """Return u, the prior's own answer, as a head on raw scores.

    Args:
        scores: of all training images, which set its scale; no label is needed.
        signs: P in {-1, 0, 1}, or links in {0, 1}.

    Raises:
        ValueError: the prior says the same of every class, or all images have the same scores.
    """
    size = signs.double().abs().sum(1, keepdim=True)
    mean = signs.double() / size.clamp(min=1)
    contrast = mean - mean.mean(0)
    if not contrast.any():
        raise ValueError(
            "the prior says the same of every class, so it decides nothing; usually every concept "
            "was linked to all classes. Ask for concepts that tell the classes apart."
        )
    answers = scores.double() @ contrast.T
    weights = contrast / (answers - answers.mean(0)).square().mean().sqrt()
    bias = -(weights @ scores.double().mean(0))
    return LinearHead(weights, bias)


def prior_answer(
    scores: Float[Tensor, "image concept"], signs: Float[Tensor, "class concept"]
) -> LinearHead:
    """Return `prior_head`, or one that says nothing where the signs of all classes are the same."""
    if (signs == signs[0]).all():
        return LinearHead(torch.zeros_like(signs).double(), torch.zeros(len(signs)).double())
    return prior_head(scores, signs)


def concept_metric(
    concept_vectors: Float[Tensor, "concept dim"],
) -> Float64[Tensor, "concept concept"]:
    """Return M = (T T^T + e I)^(-1/2); on scores @ M a weight costs what it does to images."""
    gram = concept_vectors.double() @ concept_vectors.double().T
    values, axes = torch.linalg.eigh(gram)
    return (axes * (values.clamp(min=0) + _METRIC_FLOOR * values.mean()).rsqrt()) @ axes.T


def train_prior_heads(
    scores: Float[Tensor, "image concept"],
    labels: Int[Tensor, " image"],
    draws: Int[Tensor, "draw shot"],
    signs: Float[Tensor, "class concept"],
    metric: Float[Tensor, "concept concept"],
    validation_scores: Float[Tensor, "validation concept"],
    validation_labels: Int[Tensor, " validation"],
    tried: Tried = USUAL,
) -> HeadBatch:
    """Train a concept head a draw, pulled towards the signs; return heads on raw scores.

    Signs that are the same of every class pull nowhere.

    Args:
        scores: of all training images.
        labels: theirs; those outside a draw are not looked at.
        draws: rows of `scores`; all of them as one draw is the full-data head.
        signs: the prior P, or links.
        metric: of `concept_metric`; for scores without vectors 1 / deviation on the diagonal.
        validation_scores: of the images that weigh the settings; may be empty.
        validation_labels: theirs.
        tried: the settings that are averaged over.

    Raises:
        ValueError: see `prior_head`, `train_pulled_heads` and `global_standardisation`.
    """
    prior = prior_answer(scores, signs)
    scaling = global_standardisation(scores.double() @ metric.double())

    def apply(some: Float[Tensor, "image concept"]) -> Float64[Tensor, "image concept"]:
        return scaling.apply(some.double() @ metric.double())

    pulled = train_pulled_heads(
        apply(scores),
        labels,
        draws,
        prior.logits(scores.double()),
        apply(validation_scores),
        prior.logits(validation_scores.double()),
        validation_labels,
        tried,
    )
    residual = fold_batch(scaling, pulled.residual)
    return HeadBatch(
        pulled.pull[:, None, None] * prior.weights + residual.weights @ metric.double(),
        pulled.pull[:, None] * prior.bias + residual.bias,
    )


def fold_batch(scaling: Standardisation, heads: HeadBatch) -> HeadBatch:
    """Return heads whose logits on raw features are those of `heads` on standardised ones."""
    weights = heads.weights / scaling.scale
    return HeadBatch(weights, heads.bias - weights @ scaling.mean)


def train_pulled_heads(
    features: Float[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    draws: Int[Tensor, "draw shot"],
    prior_logits: Float[Tensor, "image class"],
    validation_features: Float[Tensor, "validation dim"],
    validation_prior_logits: Float[Tensor, "validation class"],
    validation_labels: Int[Tensor, " validation"],
    tried: Tried = USUAL,
) -> PulledHeads:
    """Fit V and b for every draw, tau and l2, and average over these by held-out likelihood.

    Args:
        features: x, standardised over all training images.
        labels: theirs; those outside a draw are not looked at.
        draws: rows of `features`.
        prior_logits: u of every training image.
        validation_features: standardised as `features` are; may be empty.
        validation_prior_logits: theirs.
        validation_labels: theirs.
        tried: the settings that are averaged over.

    Raises:
        ValueError: a draw cannot be trained on; see `solve_logistic_batch`.
    """
    if not prior_logits.any():
        tried = tried._replace(pulls=(0.0,))  # nothing to be pulled to
    grid = _Grid(*tried, features.double().mean(0))
    weights, bias = grid.fit(features, labels, draws, prior_logits)
    if len(validation_labels):
        logits = grid.logits(weights, bias, validation_features, validation_prior_logits)
        losses = held_out_losses(logits.flatten(1, 2), validation_labels[None], tried.class_weight)
        evidence = -len(validation_labels) * losses
    else:
        evidence = grid.left_out_likelihood(features, labels, draws, prior_logits)
    shares = evidence.softmax(1)
    settings = shares.reshape(len(draws), len(grid.pulls), len(grid.l2_values), len(_BIAS_PULLS))
    by_fit = settings.sum(3).flatten(1)
    by_pull = settings.sum((2, 3))
    return PulledHeads(
        pull=by_pull @ by_pull.new_tensor(grid.pulls),
        residual=HeadBatch(
            (by_fit[..., None, None] * weights).sum(1),
            (shares[..., None] * bias.flatten(1, 2)).sum(1),
        ),
        shares=settings,
    )


@dataclass(frozen=True)
class _Grid:
    """All settings: a fit is a (tau, l2), a setting a fit with one of `_BIAS_PULLS`."""

    pulls: tuple[float, ...]
    l2_values: tuple[float, ...]
    class_weight: ClassWeight
    mean: Float64[Tensor, " dim"]  # of all training images

    @property
    def of_fit(self) -> Float64[Tensor, " fit"]:
        """tau of each fit."""
        return torch.tensor(self.pulls, dtype=torch.float64).repeat_interleave(len(self.l2_values))

    def fit(
        self,
        features: Float[Tensor, "image dim"],
        labels: Int[Tensor, " image"],
        draws: Int[Tensor, "draw shot"],
        prior_logits: Float[Tensor, "image class"],
    ) -> tuple[Float64[Tensor, "draw fit class dim"], Float64[Tensor, "draw fit bias_pull class"]]:
        """Return V of every fit and b of every setting.

        The bias at which the mean training image is undecided is -V mean - tau (mean of u); u has
        mean 0. A bias pull goes so much of the way from the fitted bias to that one.
        """
        offsets = self.of_fit[None, :, None, None] * prior_logits.double()[draws][:, None]
        solved = solve_logistic_batch(
            features[draws],
            labels[draws],
            prior_logits.shape[1],
            self.l2_values * len(self.pulls),
            offsets=offsets,
            class_weight=self.class_weight,
        )
        undecided = -(solved.weights @ self.mean)
        part = solved.bias.new_tensor(_BIAS_PULLS)[:, None]
        return solved.weights, torch.lerp(solved.bias[:, :, None], undecided[:, :, None], part)

    def logits(
        self,
        weights: Float64[Tensor, "draw fit class dim"],
        bias: Float64[Tensor, "draw fit bias_pull class"],
        features: Float[Tensor, "*draw image dim"],
        prior_logits: Float[Tensor, "*draw image class"],
    ) -> Float64[Tensor, "draw fit bias_pull image class"]:
        """Return the logits of every setting."""
        of_fit = features.double() @ weights.mT + self.of_fit[:, None, None] * prior_logits
        return of_fit[:, :, None] + bias[:, :, :, None, :]

    def left_out_likelihood(
        self,
        features: Float[Tensor, "image dim"],
        labels: Int[Tensor, " image"],
        draws: Int[Tensor, "draw shot"],
        prior_logits: Float[Tensor, "image class"],
    ) -> Float64[Tensor, "draw setting"]:
        """Return what each draw's own images say of a setting, held out one of each class a time.

        The fold of an image is its place among the images of its class, modulo the folds: as many
        as the smallest class has images, at most `_MOST_FOLDS`.
        """
        settings = len(self.pulls) * len(self.l2_values) * len(_BIAS_PULLS)
        total = torch.zeros(len(draws), settings, dtype=torch.float64)
        drawn = labels[draws]
        one_hot = torch.nn.functional.one_hot(drawn, prior_logits.shape[1])
        place = (one_hot.cumsum(1) - 1).gather(2, drawn[..., None])[..., 0]
        folds = min(int(one_hot.sum(1).min()), _MOST_FOLDS)
        for fold in range(folds if folds > 1 else 0):
            out = place % folds == fold  # as many in every draw
            held = draws[out].reshape(len(draws), -1)
            kept = draws[~out].reshape(len(draws), -1)
            weights, bias = self.fit(features, labels, kept, prior_logits)
            logits = self.logits(
                weights, bias, features[held][:, None], prior_logits[held][:, None]
            )
            losses = held_out_losses(logits.flatten(1, 2), labels[held], self.class_weight)
            total -= held.shape[1] * losses
        return total
