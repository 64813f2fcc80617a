"""What every head says of the test images, and what these really show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import EvaluateSpec
from curette.schemas.heads import HeadKind
from curette.schemas.images import METADATA, TestLabels
from curette.schemas.probe import Probe
from curette.tasks.methods.statistics.calibration import at_temperature


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


def check_askable(published: ConceptDataset, spec: EvaluateSpec) -> None:
    """Refuse what cannot be answered, before test labels are read and the look is counted.

    Raises:
        StudyError: the test split is empty, all its images are of one group, or the settings name
            a column that the images do not have.
    """
    images = published.images.iloc[published.rows("test")]
    if (groups := images["group"].nunique()) < 2:
        raise StudyError(
            f"the test split of {published.facts.name} has {len(images)} images of {groups} "
            "independent groups, so no interval can be given; usually the test share is too small. "
            "Change dataset.splits."
        )
    known = {c.removeprefix(METADATA) for c in images.columns if c.startswith(METADATA)}
    named = {"columns": spec.subgroup_columns or (), "edges": spec.subgroup_edges}
    for name, columns in named.items():
        if strange := sorted(set(columns) - known):
            raise StudyError(
                f"evaluate.subgroup_{name} names {', '.join(strange)}, and the images have no such "
                f"metadata; they have {', '.join(sorted(known)) or 'none'}. Columns that are read "
                "as labels, ids, subjects or attributes are not among them."
            )


def join_test_labels(published: ConceptDataset, test: TestLabels) -> ExaminedImages:
    """Return the test images with their labels."""
    images = published.images.iloc[published.rows("test")]
    order = {key: i for i, key in enumerate(published.class_keys)}
    ids = tuple(str(i) for i in images["image_id"])
    metadata = images[[c for c in images.columns if c.startswith(METADATA)]]
    return ExaminedImages(
        ids=ids,
        labels=np.array([order[test.labels[i]] for i in ids], dtype=np.int64),
        groups=images["group"].to_numpy(),
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
