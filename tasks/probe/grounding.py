"""Concepts with labels are found by classifiers on image vectors, and not by their text."""

from dataclasses import dataclass
from math import isnan

import numpy as np
import torch
from jaxtyping import Float64, Int, Shaped
from torch import Tensor

from curette.schemas.images import Truth
from curette.schemas.probe import GroundedConcept
from curette.tasks.methods.solvers.grounding import (
    GroundingFunctions,
    concept_auc,
    random_direction_auc,
    train_grounding_functions,
)
from curette.tasks.methods.solvers.linear import LinearHead
from curette.tasks.probe.draws import Images, NotTrainable

_FOLDS = 3
_LEAST = 10
"""Training images with either answer that a function takes (KnoBo skips as many)."""
RANDOM = 200  # directions behind a p-value


@dataclass(frozen=True)
class GroundedScores:
    """Scores of all training and validation images, some of them by functions.

    A function's constant is no part of its score.
    """

    directions: Float64[Tensor, "concept dim"]
    """What validation scores are products of image vectors with."""
    train: Float64[Tensor, "image concept"]
    validation: Float64[Tensor, "validation concept"]


@dataclass(frozen=True)
class Grounding:
    """The functions of the labelled concepts, in the space of the image vectors."""

    images: Images
    places: Int[np.ndarray, " grounded"]
    """Among the selected concepts; no other has a function."""
    functions: LinearHead
    """Log-odds of each concept from raw vectors."""
    held_out: Float64[Tensor, "train grounded"]
    """The same of each training image, by functions that were trained without its fold."""
    concepts: tuple[GroundedConcept, ...]

    @classmethod
    def of(cls, images: Images) -> "Grounding":
        """Train a function for every concept that training images can ground.

        Each is trained on the training images whose truth is known, at a strength chosen by folds
        of them that keep groups whole. Validation images only say how well it finds its concept.

        Raises:
            NotTrainable: no concept can be grounded.
        """
        truth = images.published.concept_truth("train")
        folds = deal_folds(images.groups, images.spec.seed)
        places = groundable(truth, folds)
        if not len(places):
            raise NotTrainable(
                "no selected concept has labels of both kinds on enough training images. Name "
                "true/false columns, and the statements that claim them, under "
                "`dataset.attributes`."
            )
        functions = train_grounding_functions(
            images.features,
            torch.from_numpy(truth.present[:, places]),
            torch.from_numpy(truth.known[:, places]),
            torch.from_numpy(folds),
            images.spec.residual_l2_values,
        )
        return cls(
            images,
            places,
            images.scaling.fold(LinearHead(functions.weights, functions.bias)),
            functions.held_out,
            _describe(images, truth, places, functions),
        )

    @property
    def learned(self) -> GroundedScores:
        """Scores by functions, and by text where there is none.

        Of the training images, they are by functions that were trained without them: of its own
        images a function is surer than of any other, and a head that believed it would believe too
        much.
        """
        return self._scores(self.functions, self.held_out)

    def random(self, seed: int) -> GroundedScores:
        """Scores by random directions, in which the images that show a concept are ahead.

        What is gained with these is owed to directions that look for nothing in particular.
        """
        generator = torch.Generator().manual_seed(self.images.spec.seed + 1 + seed)
        drawn = torch.randn(self.functions.weights.shape, generator=generator, dtype=torch.float64)
        truth = self.images.published.concept_truth("train")
        present, known = (torch.from_numpy(t[:, self.places]) for t in (truth.present, truth.known))
        areas = concept_auc(self.images.vectors @ drawn.T, present, known)
        directions = torch.where(areas[:, None] >= 0.5, drawn, -drawn)
        functions = LinearHead(directions, directions.new_zeros(len(directions)))
        return self._scores(functions, self.images.vectors @ directions.T)

    def _scores(
        self, functions: LinearHead, scores: Float64[Tensor, "train grounded"]
    ) -> GroundedScores:
        return in_place_of_text(self.images, self.places, functions, scores)


def in_place_of_text(
    images: Images,
    places: Int[np.ndarray, " grounded"],
    functions: LinearHead,
    scores: Float64[Tensor, "train grounded"],
) -> GroundedScores:
    """Return scores of which some are by functions, with the spread that their text's have.

    Args:
        images: the images, and the selected concepts.
        places: of the concepts that have a function, among these.
        functions: log-odds from raw vectors.
        scores: theirs of the training images, by functions that learned from none of them.
    """
    (concepts,) = images.whole().concepts
    text = concepts.vectors
    scale = _scale(scores, images.vectors @ text[places].T)
    directions = text.clone()
    directions[places] = functions.weights * scale[:, None]
    train = images.vectors @ directions.T
    train[:, places] = (scores - functions.bias) * scale
    return GroundedScores(directions, train, images.validation_vectors @ directions.T)


def deal_folds(groups: Shaped[np.ndarray, " train"], seed: int) -> Int[np.ndarray, " train"]:
    """Return a fold for each training image; images of one group share it."""
    names, group = np.unique(groups, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(names)) % _FOLDS
    return np.asarray(dealt[group], dtype=np.int64)


def groundable(truth: Truth, folds: Int[np.ndarray, " train"]) -> Int[np.ndarray, " grounded"]:
    """Return the concepts with enough of both answers, also without any one fold."""
    answers = (truth.present & truth.known, ~truth.present & truth.known)
    enough = np.all([a.sum(0) >= _LEAST for a in answers], axis=0)
    for fold in range(_FOLDS):
        enough &= np.all([a[folds != fold].any(0) for a in answers], axis=0)
    return np.flatnonzero(enough)


def _describe(
    images: Images,
    seen: Truth,
    places: Int[np.ndarray, " grounded"],
    functions: GroundingFunctions,
) -> tuple[GroundedConcept, ...]:
    """Return what validation images say of each function, of text, and of random directions."""
    published = images.published
    sources = {x.concept_id: x.source for x in published.facts.labelled}
    judged = published.concept_truth("validation")
    present, known, unseen_present, unseen_known = (
        torch.from_numpy(part[:, places])
        for part in (seen.present, seen.known, judged.present, judged.known)
    )
    areas = concept_auc(
        functions.log_odds(images.validation_features), unseen_present, unseen_known
    )
    text = torch.from_numpy(published.scores[published.rows("validation")][:, places])
    of_text = concept_auc(text, unseen_present, unseen_known)
    luck = random_direction_auc(
        images.features,
        present,
        known,
        images.validation_features,
        unseen_present,
        unseen_known,
        directions=RANDOM,
        seed=images.spec.seed,
    )
    columns = zip(
        places,
        functions.l2,
        areas,
        of_text,
        luck.auc.quantile(0.95, dim=0),
        luck.share_at_least(areas),
        strict=True,
    )
    return tuple(
        GroundedConcept(
            concept_id=published.concepts[j].concept_id,
            text=published.concepts[j].text,
            present=int((seen.present & seen.known)[:, j].sum()),
            absent=int((~seen.present & seen.known)[:, j].sum()),
            labels_from=sources[published.concepts[j].concept_id],
            l2=l2,
            auroc=defined(area),
            text_auroc=defined(by_text),
            random_95=defined(lucky),
            p_value=defined(p),
        )
        for j, l2, area, by_text, lucky, p in columns
    )


def _scale(
    scores: Float64[Tensor, "train grounded"], wanted: Float64[Tensor, "train grounded"]
) -> Float64[Tensor, " grounded"]:
    """Return with what scores have the spread of those that are wanted, the text's."""
    spread = scores.std(0)
    return torch.where(spread > 0, wanted.std(0) / spread, 0.0)


def defined(value: Tensor) -> float | None:
    """Return a number, None where it is none."""
    return None if isnan(value) else float(value)
