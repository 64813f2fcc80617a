"""How far a direction that was learned from labelled images depends on which images these were.

A concept's direction (a concept activation vector, Kim et al., ICML 2018) is learned again from
each of two halves of the training images that share no group, many times. The cosine of two such
directions is what an independent set of half the size would give again; labels that were dealt to
the images anew give the cosine of directions that found nothing. That what an explanation says
depends on the images that its concepts were learned from is shown by Ramaswamy et al., Overlooked
factors in concept-based explanations, CVPR 2023. A half has fewer images than all, so that what is
learned from all depends on them somewhat less than these cosines say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Shaped
from torch import Tensor

from curette.tasks.methods.solvers.logistic_batch import solve_binary_batch

_BLOCK = 2**23  # logits held at a time


@dataclass(frozen=True)
class HalvedDirections:
    """Directions of each concept from both halves of each split; NaN where a half cannot teach it.

    A half must have both answers of a concept.
    """

    directions: Float64[np.ndarray, "split half concept dim"]

    @property
    def cosines(self) -> Float64[np.ndarray, "split concept"]:
        """Of the two directions of each split."""
        first, second = self.directions[:, 0], self.directions[:, 1]
        lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
        with np.errstate(invalid="ignore"):
            return np.asarray((first * second).sum(-1) / lengths)

    def changed_signs(
        self,
        whole: Float64[np.ndarray, "concept dim"],
        towards: Float64[np.ndarray, "vector dim"],
    ) -> Float64[np.ndarray, "split concept"]:
        """Return on what share of vectors a half's direction has another sign than the whole's.

        Args:
            whole: direction of each concept, learned from all images.
            towards: what products are taken with: centred images, or a head's weights.
        """
        expected = whole @ towards.T > 0
        found = self.directions @ towards.T > 0
        share = (found != expected).mean(-1).mean(1)
        return np.where(np.isnan(self.directions).any((1, 3)), np.nan, share)


def learn_from_halves(
    features: Float64[Tensor, "image dim"],
    present: Bool[np.ndarray, "image concept"],
    known: Bool[np.ndarray, "image concept"],
    groups: Shaped[np.ndarray, " image"],
    l2: Sequence[float],
    splits: int,
    seed: int,
    *,
    dealt_anew: bool = False,
) -> HalvedDirections:
    """Learn every concept's direction from both halves of each split of the groups.

    Args:
        features: of the training images, centred and scaled as for the directions themselves.
        present: whether an image shows a concept.
        known: whether that is known.
        groups: images of one are never in different halves.
        l2: strength of each concept, as it was chosen for the direction of all images.
        splits: how many.
        seed: of the splits, and of what is dealt anew.
        dealt_anew: whether each concept's known answers are dealt to its images at random first,
            another time in each split.
    """
    rng = np.random.default_rng(seed)
    names, group = np.unique(groups, return_inverse=True)
    half, answers = [], []
    for _ in range(splits):
        half.append((rng.permutation(len(names)) % 2)[group])
        answers.append(_dealt(present, known, rng) if dealt_anew else present)
    made = np.full((splits, 2, present.shape[1], features.shape[1]), np.nan)
    for strength, places in _by_strength(l2):
        step = max(1, _BLOCK // (len(features) * len(places) * 4))
        for first in range(0, splits, step):
            some = slice(first, first + step)
            made[some, :, places] = _learn(
                features,
                np.stack(answers[some])[:, :, places],
                known[:, places],
                np.stack(half[some]),
                strength,
            )
    return HalvedDirections(made)


def _learn(
    features: Float64[Tensor, "image dim"],
    present: Bool[np.ndarray, "split image some"],
    known: Bool[np.ndarray, "image some"],
    half: Int[np.ndarray, "split image"],
    strength: float,
) -> Float64[np.ndarray, "split half some dim"]:
    """Return the directions of both halves of some splits, NaN where they cannot be learned."""
    inside = half[:, None, None, :] == np.array([0, 1])[:, None, None]
    seen = known.T & inside
    shown = np.broadcast_to(present.transpose(0, 2, 1)[:, None], seen.shape)
    made = np.full((*seen.shape[:3], features.shape[1]), np.nan)
    teaches = (seen & shown).any(-1) & (seen & ~shown).any(-1)
    if teaches.any():
        questions = torch.from_numpy(shown[teaches]), torch.from_numpy(seen[teaches])
        weights = solve_binary_batch(features, *questions, (strength,)).weights[:, 0].numpy()
        made[teaches] = weights[:, 1] - weights[:, 0]
    return made


def _dealt(
    present: Bool[np.ndarray, "image concept"],
    known: Bool[np.ndarray, "image concept"],
    rng: np.random.Generator,
) -> Bool[np.ndarray, "image concept"]:
    dealt = present.copy()
    for place in range(present.shape[1]):
        rows = np.flatnonzero(known[:, place])
        dealt[rows, place] = present[rng.permutation(rows), place]
    return dealt


def _by_strength(l2: Sequence[float]) -> Iterator[tuple[float, Int[np.ndarray, " some"]]]:
    strengths = np.asarray(l2)
    for strength in np.unique(strengths):
        yield float(strength), np.flatnonzero(strengths == strength)
