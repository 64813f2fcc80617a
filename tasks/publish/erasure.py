"""Taking columns of metadata out of published vectors, and showing what that left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.erasure import ErasedColumn, Erasure, Probed
from curette.schemas.images import METADATA, ImageDataset
from curette.tasks.methods.erasure import leace
from curette.tasks.methods.solvers.linear import global_standardisation, regularisation_path
from curette.tasks.methods.splits import deal_groups
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import balanced_accuracies

_MOST_VALUES = 20
_FOLDS = 5
_RESAMPLES, _CONFIDENCE = 1_000, 0.95
_STRENGTHS = (1.0, 0.1, 0.01, 0.001)


def erase_columns(
    columns: Sequence[str],
    dataset: ImageDataset,
    vectors: Float[np.ndarray, "image dim"],
) -> Erasure:
    """Return the map that takes columns out of vectors, fitted on training images.

    What that leaves is measured on validation images, of which it knows nothing: on the training
    images no linear probe finds anything, by construction.

    Args:
        columns: names in the data.
        dataset: whose metadata has them.
        vectors: of its images.

    Raises:
        StudyError: a column is not there, or has not between 2 and 20 values in two groups each.
    """
    train, held = (dataset.rows(split) for split in ("train", "validation"))
    coded = {name: _codes(name, dataset.images, train) for name in columns}
    told = np.concatenate([_one_hot(codes[train]) for codes in coded.values()], axis=1)
    eraser = leace(vectors[train], told)
    cleared = eraser.apply(vectors[held]).astype(np.float32)
    groups = dataset.images["group"].to_numpy()[held]
    return Erasure(
        columns=tuple(
            _proven(name, codes[held], int(codes[train].max()) + 1, groups, vectors[held], cleared)
            for name, codes in coded.items()
        ),
        mean=tuple(eraser.mean.tolist()),
        left=tuple(map(tuple, eraser.left.tolist())),
        right=tuple(map(tuple, eraser.right.tolist())),
    )


def _codes(
    name: str, images: pd.DataFrame, train: Int[np.ndarray, " row"]
) -> Int[np.ndarray, " image"]:
    """Return a number for each value that training images have; -1 for others and unknown ones."""
    column = f"{METADATA}{name}"
    if column not in images:
        there = ", ".join(
            c.removeprefix(METADATA) for c in map(str, images) if c.startswith(METADATA)
        )
        raise StudyError(
            f"publish.erase names {name}, which is no column of metadata; there are: "
            f"{there or 'none'}. Correct it."
        )
    values: pd.Series[Any] = images[column]
    texts = values.astype("str").where(values.notna())
    found = sorted(texts.iloc[train].dropna().unique())
    codes = texts.map({value: k for k, value in enumerate(found)}).fillna(-1).to_numpy(np.int64)
    trained = images["group"].iloc[train]
    groups = [trained[codes[train] == k].nunique() for k in range(len(found))]
    if not 2 <= len(found) <= _MOST_VALUES or min(groups) < 2:
        raise StudyError(
            f"publish.erase names {name}, which has {len(found)} values in training; "
            f"between 2 and {_MOST_VALUES} can be erased, each of at least two groups of images. "
            "Put numbers into a few bands, or leave it out."
        )
    return codes


def _one_hot(codes: Int[np.ndarray, " image"]) -> Float[np.ndarray, "image value"]:
    told = np.equal.outer(codes, np.arange(codes.max() + 1)).astype(np.float64)
    return np.where((codes >= 0)[:, None], told, np.nan)


def _proven(
    name: str,
    codes: Int[np.ndarray, " image"],
    values: int,
    groups: Shaped[np.ndarray, " image"],
    seen: Float[np.ndarray, "image dim"],
    cleared: Float[np.ndarray, "image dim"],
) -> ErasedColumn:
    known = codes >= 0
    codes, groups = codes[known], groups[known]
    counts = [len(np.unique(groups[codes == k])) for k in range(values)]
    before = after = None
    if min(counts) >= _FOLDS:
        _, owner = np.unique(groups, return_inverse=True)
        fold = deal_groups(owner, codes, np.full(_FOLDS, 1 / _FOLDS), seed=0)
        before, after = (probe_held_out(v[known], codes, groups, fold) for v in (seen, cleared))
    return ErasedColumn(column=name, values=values, images=len(codes), before=before, after=after)


def probe_held_out(
    vectors: Float[np.ndarray, "image dim"],
    codes: Int[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
    fold: Int[np.ndarray, " image"],
) -> Probed:
    """Return what fresh linear probes find on folds of whole groups that they were not fitted on.

    Of four strengths the one counts that finds most, which favours whoever looks.
    """
    features = torch.from_numpy(vectors.astype(np.float64))
    labels = torch.from_numpy(codes)
    count = int(codes.max()) + 1
    right = np.zeros((len(_STRENGTHS), len(codes)), dtype=bool)
    for held in np.unique(fold):
        fitted, asked = torch.from_numpy(fold != held), torch.from_numpy(fold == held)
        scale = global_standardisation(features[fitted])
        path = regularisation_path(
            scale.apply(features[fitted]),
            labels[fitted],
            count,
            _STRENGTHS,
            class_weight="balanced",
        )
        for i in range(len(_STRENGTHS)):
            answer = path.head(i).logits(scale.apply(features[asked])).argmax(dim=1)
            right[i, fold == held] = (answer == labels[asked]).numpy()
    bootstrap = ClusterBootstrap.of(groups, _RESAMPLES, seed=0)
    made = bootstrap.replicate(lambda w: balanced_accuracies(right, codes, w), "percentile")
    interval = made.intervals("percentile", _CONFIDENCE)[int(made.value.argmax())]
    return Probed(value=interval.value, low=interval.low, high=interval.high)
