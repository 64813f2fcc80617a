"""What every head says of the test images, and what these really show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped

from schemas.artifact import StudyError
from schemas.concept_dataset import ConceptDataset
from schemas.images import METADATA, TestLabels
from schemas.probe import HeadKind, Probe
from tasks.evaluate.calibration import at_temperature


@dataclass(frozen=True, eq=False)
class ExaminedImages:
    """The test images with their labels."""

    ids: tuple[str, ...]
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    """Images that are not independent share one."""
    metadata: pd.DataFrame
    """One row an image; the columns' prefix is gone."""
    class_keys: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Judged:
    """A head, or several random draws taken as one, and its probabilities of the test images."""

    name: str
    kind: HeadKind
    nec: float
    """Number of effective concepts, the mean over draws."""
    draws: tuple[Float64[np.ndarray, "image class"], ...]


def join_test_labels(published: ConceptDataset, test: TestLabels) -> ExaminedImages:
    """Return the test images with their labels.

    Raises:
        StudyError: the test split is empty, or all its images are of one group.
    """
    images = published.images.iloc[published.rows("test")]
    order = {key: i for i, key in enumerate(published.class_keys)}
    ids = tuple(str(i) for i in images["image_id"])
    groups = images["group"].to_numpy()
    if len(np.unique(groups)) < 2:
        raise StudyError(
            f"the test split of {published.facts.name} has {len(ids)} images of "
            f"{len(np.unique(groups))} independent groups, so no interval can be given; usually "
            "the test share is too small. Change dataset.splits."
        )
    metadata = images[[c for c in images.columns if c.startswith(METADATA)]]
    return ExaminedImages(
        ids=ids,
        labels=np.array([order[test.labels[i]] for i in ids], dtype=np.int64),
        groups=groups,
        metadata=metadata.rename(columns=lambda name: name.removeprefix(METADATA)),
        class_keys=published.class_keys,
    )


def judge_heads(
    probe: Probe, logits: Mapping[str, Float64[np.ndarray, "image class"]]
) -> Iterator[Judged]:
    """Yield one entry a family of heads, in the order in which the probe names them."""
    for family, heads in probe.families.items():
        yield Judged(
            name=family if len(heads) == 1 else f"{family} (mean of {len(heads)})",
            kind=heads[0].facts.kind,
            nec=float(np.mean([h.facts.nec for h in heads])),
            draws=tuple(at_temperature(logits[h.facts.name], 1.0) for h in heads),
        )
