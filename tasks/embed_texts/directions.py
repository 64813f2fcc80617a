"""Concepts as directions among image vectors, for an encoder that reads no text.

A concept that a true/false column decides is the direction in which training images that show it
differ from those that do not: the weights of a logistic classifier (concept activation vectors:
Kim et al., ICML 2018; a bottleneck made of them: post-hoc CBM, Yuksekgonul et al., ICLR 2023). The
cosine with it stands where others have the cosine with a text's vector.

It was learned from all training images whose column is known, so scores of these flatter it; its
strength is chosen by folds that keep groups whole, and what it is worth, validation and test tell.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import normalize

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import normal_form
from curette.schemas.embeddings import ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.tasks.methods.solvers.grounding import train_grounding_functions
from curette.tasks.methods.solvers.linear import LinearHead, global_standardisation
from curette.tasks.methods.splits import deal_groups

_FOLDS = 3
_LEAST = 10
"""Training images with either answer that a direction takes, as a grounding function does."""
_STRENGTHS = (1e2, 1e1, 1e0, 1e-1, 1e-2, 1e-3)


def learn_directions(
    texts: Sequence[str], dataset: ImageDataset, images: ImageEmbeddings
) -> TextEmbeddings:
    """Return one unit vector a text, learned from the column that decides it.

    Raises:
        StudyError: no column decides a text, or too few training images have either answer.
    """
    rows = dataset.rows("train")
    _, group = np.unique(dataset.images["group"].astype(str).iloc[rows], return_inverse=True)
    folds = deal_groups(group, dataset.labels("train"), np.full(_FOLDS, 1 / _FOLDS), seed=0)
    deciding = [_deciding(text, dataset) for text in texts]
    truths = [(d, dataset.attribute(d.column)) for d in deciding]
    present = np.stack([t.present[rows] != d.denied for d, t in truths], axis=1)
    known = np.stack([t.known[rows] for _, t in truths], axis=1)
    _check_enough(deciding, present, known, folds)
    vectors = torch.from_numpy(np.asarray(images.vectors[rows]))
    scaling = global_standardisation(vectors)
    functions = train_grounding_functions(
        scaling.apply(vectors),
        torch.from_numpy(present),
        torch.from_numpy(known),
        torch.from_numpy(folds),
        _STRENGTHS,
    )
    raw = scaling.fold(LinearHead(functions.weights, functions.bias)).weights
    unit = normalize(raw, dim=1).float().numpy()
    return TextEmbeddings(tuple(texts), unit, images.encoder)


class _Column(NamedTuple):
    column: str
    denied: bool


def _deciding(text: str, dataset: ImageDataset) -> _Column:
    for column, phrases in dataset.attribute_phrases.items():
        for denied, said in ((False, phrases.claimed_by), (True, phrases.denied_by)):
            if normal_form(text) in map(normal_form, said):
                return _Column(column, denied)
    raise StudyError(
        f"the encoder reads no text, and no column decides '{text}'. Name one under "
        "`dataset.attributes`, or take an encoder that embeds texts too."
    )


def _check_enough(
    deciding: Sequence[_Column],
    present: np.ndarray,
    known: np.ndarray,
    folds: np.ndarray,
) -> None:
    counts = [(answer & known).sum(axis=0) for answer in (present, ~present)]
    few = np.min(counts, axis=0) < _LEAST
    for fold in range(_FOLDS):
        inside = folds != fold
        few |= ~(present & known)[inside].any(axis=0) | ~(~present & known)[inside].any(axis=0)
    if few.any():
        told = zip(deciding, few, counts[0], strict=True)
        named = [f"{d.column} ({yes} yes)" for d, is_few, yes in told if is_few]
        raise StudyError(
            f"too few training images to learn a direction from: {', '.join(named[:5])} of "
            f"{len(present):,}; {_LEAST} of either answer are needed, in several groups. Leave "
            "these columns out of `dataset.attributes`, or take more images."
        )
