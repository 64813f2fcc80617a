"""What a head gains if a person corrects its wrong concepts, one after another.

A concept is read as present where that is the more probable given its score. An intervention looks
at one concept of an image: if it was read wrong its score becomes the one typical of the truth, and
if it was read right nothing changes (Koh et al., Concept bottleneck models, ICML 2020, section 5;
orders as in Shin et al., A closer look at the intervention procedure of concept bottleneck models,
ICML 2023).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

_Scores = Float64[np.ndarray, "image concept"]
_Present = Bool[np.ndarray, "image concept"]
_Order = Int[np.ndarray, "image concept"]


@dataclass(frozen=True, eq=False)
class ConceptReading:
    """How scores are read: the mean of each concept where it is present and absent, in training."""

    present: Float64[np.ndarray, " concept"]
    absent: Float64[np.ndarray, " concept"]
    variance: Float64[np.ndarray, " concept"]
    log_odds: Float64[np.ndarray, " concept"]

    def probability(self, scores: _Scores) -> _Scores:
        """Return the probability of presence: two normal distributions of equal variance.

        Never NaN: a concept that training never, or always, showed is uncertain everywhere.
        """
        with np.errstate(invalid="ignore"):
            logit = self.evidence(scores) + self.log_odds
        return np.nan_to_num(1 / (1 + np.exp(-logit.clip(-500, 500))), nan=0.5)

    def evidence(self, scores: _Scores) -> _Scores:
        """Return the log-odds of presence minus those in training, NaN where nothing is known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            middle, step = (self.present + self.absent) / 2, self.present - self.absent
            return np.asarray((scores - middle) * step / self.variance)

    @property
    def score_per_log_odds(self) -> Float64[np.ndarray, " concept"]:
        """By how much a score that is read with one more of log-odds is higher; else 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            each = self.variance / (self.present - self.absent)
        return np.asarray(np.nan_to_num(each, nan=0.0, posinf=0.0, neginf=0.0))

    def wrong(self, scores: _Scores, present: _Present, known: _Present) -> _Present:
        """Return which concepts are read wrong, as far as their truth is known."""
        return ((self.probability(scores) > 0.5) != present) & known

    def correct(self, scores: _Scores, present: _Present, known: _Present) -> _Scores:
        """Return the scores with every concept that was read wrong set to its true typical value.

        A concept without typical values, or of unknown truth, is left as it is.
        """
        wrong = self.wrong(scores, present, known)
        typical = np.where(present, self.present, self.absent)
        return np.where(wrong & ~np.isnan(self.present + self.absent), typical, scores)


def read_concepts(scores: _Scores, present: _Present, known: _Present) -> ConceptReading:
    """Learn from training images how each concept's score looks where it is present or absent."""
    shown, hidden = (part.astype(np.float64) for part in (present & known, ~present & known))
    count, rest = shown.sum(0), hidden.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_present = (scores * shown).sum(0) / count
        mean_absent = (scores * hidden).sum(0) / rest
        log_odds = np.log(count / rest)
        deviation = scores - np.where(present, mean_present, mean_absent)
        variance = np.where(known, deviation**2, 0.0).sum(0) / known.sum(0)
    return ConceptReading(mean_present, mean_absent, variance, log_odds)


def most_uncertain_first(probability: _Scores) -> _Order:
    """Return each image's concepts, those whose presence is least certain first."""
    return np.argsort(np.abs(probability - 0.5), axis=1, kind="stable")


def most_weighted_first(
    weights: Float64[np.ndarray, "class concept"], predicted: Int[np.ndarray, " image"]
) -> _Order:
    """Return each image's concepts, those with the largest weight for its predicted class first.

    Weights count from their mean over classes: what all classes share decides nothing.
    """
    centred = np.abs(weights - weights.mean(0))
    return np.argsort(-centred, axis=1, kind="stable")[predicted]


def random_order(images: int, concepts: int, seed: int) -> _Order:
    """Return a random order of the concepts for each image."""
    return np.random.default_rng(seed).random((images, concepts)).argsort(axis=1)


def intervene(
    logits: Float64[np.ndarray, "image class"],
    weights: Float64[np.ndarray, "class concept"],
    scores: _Scores,
    corrected: _Scores,
    order: Int[np.ndarray, "image look"],
) -> Float64[np.ndarray, "image step class"]:
    """Return the logits of each image after 0, 1, .. looks at its concepts, in this order.

    Each look adds weights[:, j] (corrected_j - scores_j) to the logits, whatever else they hold,
    such as the residual of a hybrid head.
    """
    change = corrected - scores
    image = np.arange(len(logits))
    steps = [logits]
    for concept in order.T:
        logits = logits + change[image, concept][:, None] * weights[:, concept].T
        steps.append(logits)
    return np.stack(steps, axis=1)
