"""The exam: test images with their labels, what every head answers, and how intervals are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import HeadKind, Protocol
from curette.schemas.heat_maps import HeatMaps
from curette.schemas.images import METADATA, Split
from curette.schemas.metrics import Estimate, HeadMetricName
from curette.schemas.probe import Head, Heads
from curette.schemas.readings import TestReading
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.taxonomy import levels_of
from curette.tasks.evaluate.answers import HeadAnswers, answers_of, replicate_metrics
from curette.tasks.evaluate.encoders import FurtherEncoder
from curette.tasks.evaluate.external import ExternalTest
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.features import head_features
from curette.tasks.methods.statistics.bootstrap import (
    ClusterBootstrap,
    Interval,
    Replicates,
    Statistic,
    doubted,
)


@dataclass(frozen=True, eq=False)
class Exam:
    """What every question of the evaluation is asked of."""

    published: ConceptDataset
    probe: Heads
    images: ExaminedImages
    """The test split."""
    spec: EvaluateSpec
    drawn: Mapping[Protocol, Heads] = field(default_factory=dict)
    """What was trained on drawn images, by what drew them."""
    heat_maps: HeatMaps | None = None
    external: tuple[ExternalTest, ...] = ()
    encoders: tuple[FurtherEncoder, ...] = ()
    resampled: Heads | None = None
    """Heads of the study's own encoder, of resampled training images; None without `encoders`."""
    earlier_readings: tuple[TestReading, ...] = ()

    @cached_property
    def bootstrap(self) -> ClusterBootstrap:
        """The resamples of the test images' groups, the same for every question."""
        return ClusterBootstrap.of(self.images.groups, self.spec.resamples, self.spec.seed)

    @cached_property
    def rows(self) -> Int[np.ndarray, " image"]:
        """Where the test images stand in the dataset."""
        return self.published.rows("test")

    @cached_property
    def logits(self) -> Mapping[str, Float64[np.ndarray, "image class"]]:
        """What each head says of the test images, by the head's name."""
        return {head.facts.name: head.logits(self.features(head)) for head in self.probe.heads}

    @cached_property
    def heads(self) -> tuple[HeadAnswers, ...]:
        """One entry a family of heads, in the order in which the probe names them."""
        return tuple(answers_of(self.probe, self.logits))

    @cached_property
    def replicates(self) -> list[Replicates]:
        """All of `HEAD_METRICS` of each of `heads`."""
        return replicate_metrics(self.images, self.heads, self.bootstrap, self.spec.interval)

    def answers(self, kind: HeadKind) -> HeadAnswers:
        """Return what the first head of a kind answers."""
        return next(head for head in self.heads if head.kind == kind)

    def drawn_answers(self, protocol: Protocol) -> list[dict[HeadKind, HeadAnswers]]:
        """Return what the heads of each draw of a protocol answer, by their kinds."""
        answers = []
        for number in range(len(self.drawn[protocol].draws)):
            heads = self.drawn[protocol].of(number)
            said = {head.facts.name: head.logits(self.features(head)) for head in heads.heads}
            answers.append({head.kind: head for head in answers_of(heads, said)})
        return answers

    def features(self, head: Head, split: Split = "test") -> Float64[np.ndarray, "image feature"]:
        """Return what a head looks at of a split's images."""
        rows = self.rows if split == "test" else self.published.rows(split)
        return head_features(self.published, head, rows)

    def estimates(self, statistic: Statistic) -> list[Estimate | None]:
        """Return each statistic with its interval, None where it has none."""
        made = self.bootstrap.replicate(statistic, self.spec.interval)
        return [estimate(x) for x in made.intervals(self.spec.interval, self.spec.confidence)]


def check_askable(published: ConceptDataset, spec: EvaluateSpec) -> None:
    """Refuse what cannot be answered, before test labels are read and the reading is counted.

    Raises:
        StudyError: the test split is empty, all its images are of one group, or the settings name
            a column that the images do not have or a tree that is not of their classes.
    """
    images = published.images.iloc[published.rows("test")]
    if (groups := images["group"].nunique()) < 2:
        raise StudyError(
            f"the test split of {published.facts.name} has {len(images)} images of {groups} "
            "independent groups, so no interval can be given; usually the test share is too small. "
            "Change dataset.splits."
        )
    if spec.taxonomy:
        try:
            levels_of(spec.taxonomy, published.class_keys)
        except ValueError as error:
            raise StudyError(f"dataset.taxonomy: {error}") from None
    known = {c.removeprefix(METADATA) for c in images.columns if c.startswith(METADATA)}
    named = {
        "subgroup_columns": spec.subgroup_columns or (),
        "subgroup_edges": spec.subgroup_edges,
        "inferred_shares": spec.inferred_shares,
    }
    for name, columns in named.items():
        if strange := sorted(set(columns) - known):
            raise StudyError(
                f"evaluate.{name} names {', '.join(strange)}, and the images have no such "
                f"metadata; they have {', '.join(sorted(known)) or 'none'}. Columns that are read "
                "as labels, ids, subjects or attributes are not among them."
            )


def is_defined(interval: Interval) -> bool:
    """Return whether an interval has a value and bounds; lost classes leave some without."""
    return not any(isnan(v) for v in (interval.value, interval.low, interval.high))


def with_doubt(
    metric: HeadMetricName, interval: Interval, groups: int, confidence: float
) -> Interval:
    """Return a metric's interval, as `doubted` has it where the metric is a share of images."""
    return doubted(interval, groups, confidence) if metric == "accuracy" else interval


def estimate(interval: Interval) -> Estimate | None:
    """Return a value with its interval; None where there is none."""
    return interval.estimate if is_defined(interval) else None
