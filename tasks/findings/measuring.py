"""What heads are worth at several findings at once, on resamples that all findings share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Final, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.findings import (
    FindingMetric,
    FindingPair,
    FindingRow,
    FindingsFacts,
    HeadValue,
    SplitCount,
)
from curette.schemas.heads import EXPLAINED, REFERENCE, HeadKind
from curette.schemas.images import SPLITS, ImageDataset, TestLabels
from curette.schemas.probe import Heads
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.methods.features import head_features
from curette.tasks.methods.statistics.average_precision import average_precision
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Replicates
from curette.tasks.methods.statistics.metrics import balanced_accuracies, stratified_auroc

METRICS: Final[tuple[FindingMetric, ...]] = get_args(FindingMetric)
HEADS: Final[tuple[HeadKind, ...]] = (EXPLAINED, REFERENCE, "random_concepts")
"""What is told of each finding: the answer by concepts, and what it is held against."""
_PRESENT = 0
"""Place of the class that is the finding; the other is its absence."""


@dataclass(frozen=True, eq=False)
class StudiedFinding:
    """One finding whose study has been evaluated."""

    key: str
    dataset: ImageDataset
    published: ConceptDataset
    heads: Heads
    evaluation: str
    report: str
    readings: str


@dataclass(frozen=True, eq=False)
class _Asked:
    """The test images of one finding among those of all, and what its heads say of them."""

    rows: Int[np.ndarray, " image"]
    present: Bool[np.ndarray, " image"]
    leads: Mapping[HeadKind, Sequence[Float64[np.ndarray, " image"]]]
    """By how much the logit of presence is ahead; several where chance deals a head anew."""


def measure_findings(
    study: str,
    findings: Sequence[StudiedFinding],
    labels: Sequence[TestLabels],
    spec: EvaluateSpec,
) -> FindingsFacts:
    """Return what every head is worth at each finding, and in the mean over them.

    A resample draws whole groups of the test images of all findings, and each finding is weighed by
    those of its own images: so the mean's interval knows that findings share patients. A resample
    that leaves a finding no image with it, or none without, counts the others alone.

    Args:
        study: name of the whole.
        findings: at least one.
        labels: the test labels of each.
        spec: how intervals are made.
    """
    images = pd.concat([f.published.images.iloc[f.published.rows("test")] for f in findings])
    images = images.drop_duplicates("image_id").sort_values("image_id")
    place = pd.Series(np.arange(len(images)), index=images["image_id"].to_numpy())
    asked = [_asked(f, test, place) for f, test in zip(findings, labels, strict=True)]
    heads = [kind for kind in HEADS if all(kind in a.leads for a in asked)]
    bootstrap = ClusterBootstrap.of(images["group"].to_numpy(), spec.resamples, spec.seed)
    replicates = bootstrap.replicate(partial(_statistics, asked, heads), spec.interval)
    values = list(_values(replicates, heads, len(findings) + 1, spec))
    return FindingsFacts(
        study=study,
        rows=tuple(_row(f, own) for f, own in zip(findings, values, strict=False)),
        means=values[-1],
        together=tuple(count_together([f.key for f in findings], [f.dataset for f in findings])),
        images=len(images),
        groups=bootstrap.groups,
        resamples=spec.resamples,
        confidence=spec.confidence,
        interval=spec.interval,
    )


def _asked(finding: StudiedFinding, test: TestLabels, place: "pd.Series[int]") -> _Asked:
    published = finding.published
    rows = published.rows("test")
    ids = published.images["image_id"].iloc[rows]
    leads: dict[HeadKind, list[Float64[np.ndarray, " image"]]] = {}
    for head in finding.heads.heads:
        if head.facts.kind in HEADS:
            logits = head.logits(head_features(published, head, rows))
            lead = logits[:, _PRESENT] - logits[:, 1 - _PRESENT]
            leads.setdefault(head.facts.kind, []).append(lead)
    key = published.class_keys[_PRESENT]
    return _Asked(
        rows=place.loc[ids].to_numpy(),
        present=np.array([test.labels[i] == key for i in ids]),
        leads=leads,
    )


def _statistics(
    asked: Sequence[_Asked],
    heads: Sequence[HeadKind],
    weights: Float64[np.ndarray, "resample image"],
) -> Float64[np.ndarray, "resample statistic"]:
    """Return finding by finding, then for their mean, head by head, all `METRICS`."""
    found = np.stack(
        [
            np.concatenate([_metrics(a, kind, weights[:, a.rows]) for kind in heads], axis=1)
            for a in asked
        ]
    )
    defined = ~np.isnan(found)
    count = defined.sum(0)
    total = np.where(defined, found, 0.0).sum(0)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return np.concatenate([*found, mean], axis=1)


def _metrics(
    asked: _Asked, kind: HeadKind, weights: Float64[np.ndarray, "resample image"]
) -> Float64[np.ndarray, "resample metric"]:
    """Return the metrics of a kind of head, the mean over its draws."""
    everything = [np.arange(len(asked.rows))]
    columns = np.ascontiguousarray(weights.T)
    draws = [
        np.stack(
            [
                stratified_auroc(lead, asked.present, everything, columns),
                average_precision(lead, asked.present, weights),
                balanced_accuracies(
                    ((lead > 0) == asked.present)[None], asked.present.astype(np.int64), weights
                )[:, 0],
            ],
            axis=1,
        )
        for lead in asked.leads[kind]
    ]
    return np.asarray(np.mean(draws, axis=0))


def _values(
    replicates: Replicates, heads: Sequence[HeadKind], parts: int, spec: EvaluateSpec
) -> Iterator[tuple[HeadValue, ...]]:
    """Yield the values of each finding, then of their mean; what is not defined is left out."""
    intervals = replicates.intervals(spec.interval, spec.confidence)
    names = [(head, name) for head in heads for name in METRICS]
    for part in range(parts):
        own = intervals[part * len(names) : (part + 1) * len(names)]
        yield tuple(
            HeadValue(head=head, name=name, value=x.estimate)
            for (head, name), x in zip(names, own, strict=True)
            if not np.isnan([x.value, x.low, x.high]).any()
        )


def _row(finding: StudiedFinding, values: tuple[HeadValue, ...]) -> FindingRow:
    facts, dataset = finding.published.facts, finding.dataset
    present, absent = (facts.class_counts[c.key] for c in facts.classes)
    return FindingRow(
        key=finding.key,
        name=facts.classes[_PRESENT].name,
        counts={s: SplitCount(present=present[s], absent=absent[s]) for s in SPLITS},
        left_out=sum(r.reason == "unclear-finding" for r in dataset.rejected),
        concepts=len(finding.published.concepts),
        evaluation=finding.evaluation,
        report=finding.report,
        readings=finding.readings,
        values=values,
    )


def count_together(keys: Sequence[str], datasets: Sequence[ImageDataset]) -> Iterator[FindingPair]:
    """Yield for each ordered pair of findings how often the first comes with the second.

    Of training images alone, whose labels anybody may read, and of those of which both are known.

    Args:
        keys: of the findings.
        datasets: the images of each finding's study.
    """
    shown = {}
    for key, dataset in zip(keys, datasets, strict=True):
        train = dataset.images.iloc[dataset.rows("train")]
        shown[key] = pd.Series(dataset.labels("train") == _PRESENT, index=train["image_id"])
    for first, second in permutations(keys, 2):
        one, other = shown[first].align(shown[second], join="inner")
        yield FindingPair(
            first=first,
            second=second,
            both=int((one & other).sum()),
            first_of_known=int(one.sum()),
            known=len(one),
        )
