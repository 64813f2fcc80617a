"""The bottleneck on grounded scores: concepts with labels are found by classifiers, not by text."""

from dataclasses import dataclass, replace
from math import isnan

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from curette.schemas.images import Truth
from curette.schemas.probe import GroundedConcept, Head
from curette.tasks.methods.solvers.grounding import (
    GroundingFunctions,
    concept_auc,
    random_direction_auc,
    train_grounding_functions,
)
from curette.tasks.methods.solvers.linear import LinearHead, global_standardisation
from curette.tasks.probe.concept_heads import fit_bottleneck
from curette.tasks.probe.training import Features, HeadPlan, Training

_FOLDS = 3
_LEAST = 10
"""Training images with either answer that a function takes (KnoBo skips as many)."""
_RANDOM = 200  # directions behind a p-value


@dataclass(frozen=True)
class Grounding:
    """The functions of the labelled concepts, in the space of the image vectors."""

    training: Training
    places: Int[np.ndarray, " grounded"]
    """Among the selected concepts; no other has a function."""
    functions: LinearHead
    """Log-odds of each concept from raw vectors."""
    held_out: Float64[Tensor, "train grounded"]
    """The same of each training image, by functions that were trained without its fold."""
    concepts: tuple[GroundedConcept, ...]

    @classmethod
    def of(cls, training: Training) -> "Grounding | None":
        """Train a function for every concept that training images can ground; None where none.

        Each is trained on the training images whose truth is known, at a strength chosen by folds
        of them that keep groups whole. Validation images only say how well it finds its concept.
        """
        truth = training.published.concept_truth("train")
        folds = deal_groups(training)
        places = _groundable(truth, folds)
        if not len(places):
            return None
        vectors = _vectors(training)
        scaling = global_standardisation(vectors.train)
        standard = Features(scaling.apply(vectors.train), scaling.apply(vectors.validation))
        functions = train_grounding_functions(
            standard.train,
            torch.from_numpy(truth.present[:, places]),
            torch.from_numpy(truth.known[:, places]),
            torch.from_numpy(folds),
            training.spec.residual_l2_values,
        )
        return cls(
            training,
            places,
            scaling.fold(LinearHead(functions.weights, functions.bias)),
            functions.held_out,
            _describe(training, truth, places, functions, standard),
        )

    def head(self) -> Head:
        """Train the bottleneck on these functions, and on text where there is none.

        It learns from what functions say of images held out of their training: of its own images a
        function is surer than of any other, and a head that believed it would believe too much.
        """
        plan = HeadPlan(
            "concept bottleneck, grounded", "grounded", "scores", self.training.selected
        )
        head, features = self._train(plan, self.functions, self.held_out)
        return replace(head, train_features=features.train.numpy())

    def random_head(self, draw: int) -> Head:
        """Train it on random directions in their place, turned towards the concept.

        What is gained with these is owed to directions that look for nothing in particular.
        """
        plan = HeadPlan(
            name=f"random directions {draw}",
            kind="random_directions",
            inputs="scores",
            concepts=self.training.selected,
            family="random directions",
            draw=draw,
        )
        directions = self._random(draw)
        scores = _vectors(self.training).train @ directions.T
        functions = LinearHead(directions, directions.new_zeros(len(directions)))
        return self._train(plan, functions, scores)[0]

    def _train(
        self, plan: HeadPlan, functions: LinearHead, scores: Float64[Tensor, "train grounded"]
    ) -> tuple[Head, Features]:
        """Train on `scores` of the training images, and on the functions' of validation images.

        The functions' constants are no part of a head's features, and end in its bias.
        """
        training = self.training
        text = torch.from_numpy(training.published.pool_vectors[training.selected]).double()
        wanted = _vectors(training).train @ text[self.places].T
        scale, shift = _scale_and_shift(scores, wanted)
        chosen, offset = text.clone(), text.new_zeros(len(text))
        chosen[self.places] = functions.weights * scale[:, None]
        offset[self.places] = functions.bias * scale + shift
        plan = replace(plan, directions=chosen.numpy())
        features = training.features(plan)
        features.train[:, self.places] = (scores - functions.bias) * scale
        trained = fit_bottleneck(
            training,
            Features(features.train + offset, features.validation + offset),
            training.links(plan.concepts),
            training.train_labels,
            training.validation_labels,
        )
        weights = trained.head.weights.double()
        head = LinearHead(weights, trained.head.bias.double() + weights @ offset)
        made = training.finish(plan, features, head, {"epoch": trained.chosen_epoch})
        return made, features

    def _random(self, draw: int) -> Float64[Tensor, "grounded dim"]:
        """Return random directions in which the training images that show the concept are ahead."""
        training = self.training
        generator = torch.Generator().manual_seed(training.spec.seed + draw)
        drawn = torch.randn(self.functions.weights.shape, generator=generator, dtype=torch.float64)
        truth = training.published.concept_truth("train")
        present, known = (torch.from_numpy(t[:, self.places]) for t in (truth.present, truth.known))
        areas = concept_auc(_vectors(training).train @ drawn.T, present, known)
        return torch.where(areas[:, None] >= 0.5, drawn, -drawn)


def _vectors(training: Training) -> Features:
    return training.features(HeadPlan("", "linear_probe", "vectors"))


def deal_groups(training: Training) -> Int[np.ndarray, " train"]:
    """Return a fold for each training image; images of one group share it."""
    groups = training.published.images["group"].to_numpy()[training.train]
    names, group = np.unique(groups, return_inverse=True)
    dealt = np.random.default_rng(training.spec.seed).permutation(len(names)) % _FOLDS
    return np.asarray(dealt[group], dtype=np.int64)


def _groundable(truth: Truth, folds: Int[np.ndarray, " train"]) -> Int[np.ndarray, " grounded"]:
    """Return the concepts with enough of both answers, also without any one fold."""
    answers = (truth.present & truth.known, ~truth.present & truth.known)
    enough = np.all([a.sum(0) >= _LEAST for a in answers], axis=0)
    for fold in range(_FOLDS):
        enough &= np.all([a[folds != fold].any(0) for a in answers], axis=0)
    return np.flatnonzero(enough)


def _describe(
    training: Training,
    seen: Truth,
    places: Int[np.ndarray, " grounded"],
    functions: GroundingFunctions,
    standard: Features,
) -> tuple[GroundedConcept, ...]:
    """Return what validation images say of each function, of text, and of random directions."""
    published = training.published
    sources = {x.concept_id: x.source for x in published.facts.labelled}
    judged = published.concept_truth("validation")
    present, known, unseen_present, unseen_known = (
        torch.from_numpy(part[:, places])
        for part in (seen.present, seen.known, judged.present, judged.known)
    )
    areas = concept_auc(functions.log_odds(standard.validation), unseen_present, unseen_known)
    text = torch.from_numpy(published.scores[training.validation][:, places])
    of_text = concept_auc(text, unseen_present, unseen_known)
    luck = random_direction_auc(
        standard.train,
        present,
        known,
        standard.validation,
        unseen_present,
        unseen_known,
        directions=_RANDOM,
        seed=training.spec.seed,
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
            auroc=_defined(area),
            text_auroc=_defined(by_text),
            random_95=_defined(lucky),
            p_value=_defined(p),
        )
        for j, l2, area, by_text, lucky, p in columns
    )


def _scale_and_shift(
    scores: Float64[Tensor, "train grounded"], wanted: Float64[Tensor, "train grounded"]
) -> tuple[Float64[Tensor, " grounded"], Float64[Tensor, " grounded"]]:
    """Return with what scores have the mean and spread of those that are wanted, the text's.

    The bottleneck's scale is made for cosines, and a score that varies more would count for more.
    """
    spread = scores.std(0)
    scale = torch.where(spread > 0, wanted.std(0) / spread, 0.0)
    return scale, wanted.mean(0) - scores.mean(0) * scale


def _defined(value: Tensor) -> float | None:
    return None if isnan(value) else float(value)
