"""How good are heads in and out of domain, when trained under a shift?

Test images are sides here, the one place where their labels are read. In a domain shift the column
parts them. In a confounded one every image counts on both sides, by weights under which label and
attribute go together as in training, or the other way round (methods/confounding.py). Either way
they are the study's own test images, so nobody on them was trained on, and whole groups are drawn
in the bootstrap, so that the gap is paired as far as the data is.

Another dataset is out of domain as a whole: the heads are the study's own, and the two datasets
were collected apart, so that in the bootstrap the groups of each are drawn among themselves.

Means over classes compare only over the same classes, so a class of which one side has hardly any
image is left out of both. Intervals are percentiles, and all heads see the same resamples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import cast, get_args

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.images import METADATA
from curette.schemas.metrics import MetricName
from curette.schemas.probe import Heads
from curette.schemas.questions.shifts import (
    ConfounderScore,
    ShiftMetricName,
    ShiftResult,
    ShiftTables,
    ShiftValue,
    WorstGroup,
)
from curette.schemas.settings.draw import ConfoundedShift, ShiftSpec
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.shifts import ShiftPart, ShiftPlan, UnusableDraw
from curette.tasks.evaluate.answers import HeadAnswers, answers_of
from curette.tasks.evaluate.exam import Exam, is_defined
from curette.tasks.evaluate.external import ExternalTest, join_external, plan_external
from curette.tasks.evaluate.images import ExaminedImages
from curette.tasks.methods.confounding import describe_part, reverse_pairing, weigh_confounded
from curette.tasks.methods.features import features_of
from curette.tasks.methods.metadata import name_values
from curette.tasks.methods.statistics.bootstrap import (
    ClusterBootstrap,
    Interval,
    Replicates,
    Statistic,
)
from curette.tasks.methods.statistics.calibration import debiased_calibration_error_of
from curette.tasks.methods.statistics.metrics import METRICS, stratified_auroc
from curette.tasks.methods.statistics.shift import (
    SHIFT_VALUES,
    shift_metrics_of,
    worst_group_accuracy,
)

_METRICS: tuple[ShiftMetricName, ...] = get_args(ShiftMetricName)
_OF_IMAGES: tuple[MetricName, ...] = ("balanced_accuracy", "macro_auroc")
_FEWEST_GROUPS = 5  # of a class on one side; what they leave to say stands beside the numbers
_COLUMNS = [METRICS.index(name) for name in _OF_IMAGES]


class _Unusable(Exception):
    """These test images cannot show the shift."""


def measure(exam: Exam) -> ShiftTables | None:
    """Measure the heads of every shift, and the study's own on other datasets.

    A shift that too few images are left for says so. None where the study has no shift.
    """
    if "shifts" not in exam.drawn and not exam.external:
        return None
    heads = exam.drawn.get("shifts") or Heads(exam.published.class_keys)
    measurements: list[tuple[str, Callable[[], ShiftResult]]] = [
        (draw.plan.spec.title, partial(_measure, exam, draw.plan, heads.of(i)))
        for i, draw in enumerate(heads.draws)
        if draw.plan
    ]
    measurements += [
        (other.images.shift.title, partial(_measure_external, exam, other))
        for other in exam.external
    ]
    results: list[ShiftResult] = []
    unusable = [*heads.unusable]
    for title, measured in measurements:
        try:
            results.append(measured())
        except (_Unusable, StudyError) as reason:
            unusable.append(UnusableDraw(title=title, reason=str(reason)))
    return ShiftTables(
        results=tuple(results),
        unusable=tuple(unusable),
        confidence=exam.spec.confidence,
        resamples=exam.spec.resamples,
        smallest=exam.spec.smallest_subgroup,
        fewest=_fewest(exam.spec),
    )


@dataclass(frozen=True, eq=False)
class _Sides:
    """The test images whose value is known, and what each counts in and out of domain."""

    rows: Int[np.ndarray, " image"]  # of the examined images
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    levels: Int[np.ndarray, " image"]
    inside: Float64[np.ndarray, " image"]
    outside: Float64[np.ndarray, " image"]
    left_out: tuple[str, ...]
    smaller_side: dict[
        str, int
    ]  # independent groups of the measured classes, on the side that has fewer

    def describe(self, plan: ShiftPlan) -> tuple[ShiftPart, ShiftPart]:
        """Return what the two sides have."""
        images = self.labels, self.levels, self.groups
        return (
            describe_part(plan, "in_domain", *images, self.inside),
            describe_part(plan, "out_of_domain", *images, self.outside),
        )

    def cells(self, smallest: int) -> Int[np.ndarray, " image"]:
        """Return class x value of each image as one number.

        -1 where that has too few groups, or where the class is left out of both sides.
        """
        cell = self.labels * (int(self.levels.max()) + 1) + self.levels
        cell = np.where(self.inside + self.outside > 0, cell, -1)
        large = [c for c in np.unique(cell) if len(np.unique(self.groups[cell == c])) >= smallest]
        return np.where(np.isin(cell, large), cell, -1)


@dataclass(frozen=True, eq=False)
class _Seen:
    """The images by which concepts are told to know of the column."""

    vectors: Float32[np.ndarray, "image dim"]
    labels: Int[np.ndarray, " image"]
    levels: Int[np.ndarray, " image"]


@dataclass(frozen=True, eq=False)
class _Tested:
    """Images to measure on; their value, if it is known, says in or out of domain."""

    images: ExaminedImages
    vectors: Float32[np.ndarray, "image dim"]
    levels: Int[np.ndarray, " image"]


def _measure(exam: Exam, plan: ShiftPlan, probe: Heads) -> ShiftResult:
    published = exam.published
    levels = _levels(published, plan)
    rows = np.concatenate([published.rows("train"), published.rows("validation")])
    labels = np.concatenate([published.labels("train"), published.labels("validation")])
    known = levels[rows] >= 0
    seen = _Seen(published.vectors[rows[known]], labels[known], levels[rows[known]])
    tested = _Tested(exam.images, published.vectors[exam.rows], levels[exam.rows])
    return _tabulate(exam, plan, probe, tested, seen)


def _measure_external(exam: Exam, external: ExternalTest) -> ShiftResult:
    """Measure the study's own heads on its test images and on another dataset's."""
    plan = plan_external(exam.published, external.images.shift)
    together, levels = join_external(exam.images, external)
    vectors = np.concatenate([exam.published.vectors[exam.rows], external.images.vectors])
    seen = _Seen(vectors, together.labels, levels)
    return _tabulate(exam, plan, exam.probe, _Tested(together, vectors, levels), seen)


def _tabulate(
    exam: Exam, plan: ShiftPlan, probe: Heads, tested: _Tested, seen: _Seen
) -> ShiftResult:
    """Measure heads on the images whose value is known."""
    spec = exam.spec
    sides = _part(plan, tested.images, tested.levels, _fewest(spec))
    parts = sides.describe(plan)
    if min(part.classes for part in parts) < 2 or (plan.pairing and parts[0].cramers_v is None):
        raise _Unusable(
            f"too few classes have test images of {_fewest(spec)} independent groups on both "
            f"sides; left out are: {', '.join(sides.left_out)}"
        )
    vectors = tested.vectors[sides.rows]
    said = {h.facts.name: h.logits(features_of(exam.published, h, vectors)) for h in probe.heads}
    heads = tuple(answers_of(probe, said))
    cells = sides.cells(spec.smallest_subgroup)
    apart = sides.levels if plan.spec.kind == "dataset" else None
    bootstrap = ClusterBootstrap.of(sides.groups, spec.resamples, spec.seed, apart)
    return ShiftResult(
        plan=plan,
        parts=parts,
        left_out=sides.left_out,
        smaller_side=sides.smaller_side,
        values=tuple(_values(heads, sides, cells, bootstrap, spec.confidence)),
        worst_groups=tuple(_worst_groups(heads, sides, cells, plan, tested.images.class_keys)),
        confounders=_confounders(exam.published, plan, probe, seen),
    )


def _fewest(spec: EvaluateSpec) -> int:
    return min(_FEWEST_GROUPS, spec.smallest_subgroup)


def _levels(published: ConceptDataset, plan: ShiftPlan) -> Int[np.ndarray, " image"]:
    """Return which value of the plan every image of the study has; -1 where none is known."""
    shift = cast(ShiftSpec, plan.spec)  # another dataset is no column
    named = name_values(shift.column, published.images[METADATA + shift.column], shift.below)
    return plan.positions(named.tolist())


def _part(
    plan: ShiftPlan, images: ExaminedImages, levels: Int[np.ndarray, " image"], fewest: int
) -> _Sides:
    """Return both sides over the classes that have `fewest` groups where each side mostly looks.

    In a confounded shift that is at the value that goes with the class there: a class that one
    image stands for would be a draw of luck that weighs as much as any other class.
    """
    shift = plan.spec
    pairings: list[Int[np.ndarray, " class"]] = [np.zeros(len(images.class_keys), dtype=np.int64)]
    pairings.append(pairings[0] + 1)  # of a domain shift: 0 is trained on, 1 is not
    if isinstance(shift, ConfoundedShift):
        pairings = [plan.paired, reverse_pairing(plan.paired)]
    groups = [
        min(
            len(np.unique(images.groups[(images.labels == k) & (levels == pairing[k])]))
            for pairing in pairings
        )
        for k in range(len(images.class_keys))
    ]
    enough = (np.array(groups) >= fewest) & ~np.isin(images.class_keys, plan.left_out)
    rows = np.flatnonzero(levels >= 0)
    labels, levels = images.labels[rows], levels[rows]
    counted = np.where(enough[labels], levels, -1)
    inside, outside = (counted == 0).astype(np.float64), (counted == 1).astype(np.float64)
    if isinstance(shift, ConfoundedShift):
        inside, outside = (
            weigh_confounded(labels, counted, pairing, shift.correlation) for pairing in pairings
        )
    return _Sides(
        rows=rows,
        labels=labels,
        groups=images.groups[rows],
        levels=levels,
        inside=inside,
        outside=outside,
        left_out=tuple(images.class_keys[k] for k in np.flatnonzero(~enough)),
        smaller_side={images.class_keys[k]: groups[k] for k in np.flatnonzero(enough)},
    )


# --- numbers ---------------------------------------------------------------------------------


def _values(
    heads: Sequence[HeadAnswers],
    sides: _Sides,
    cells: Int[np.ndarray, " image"],
    bootstrap: ClusterBootstrap,
    confidence: float,
) -> Iterator[ShiftValue]:
    """Yield every defined number of every head with its lead over the linear probe."""
    numbers = [_numbers(head, sides, cells) for head in heads]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        return np.concatenate([of_head(weights) for of_head in numbers], axis=1)

    together = bootstrap.replicate(statistic, "percentile")
    wide = len(SHIFT_VALUES) * len(_METRICS) + 1
    of_head = [together.columns(slice(i * wide, (i + 1) * wide)) for i in range(len(heads))]
    linear = of_head[next(i for i, head in enumerate(heads) if head.kind == REFERENCE)]
    for head, replicates in zip(heads, of_head, strict=True):
        lead = None if replicates is linear else replicates - linear
        yield from _of_head(head, replicates, lead, confidence)


def _numbers(head: HeadAnswers, sides: _Sides, cells: Int[np.ndarray, " image"]) -> Statistic:
    """Return what computes `SHIFT_VALUES` x `_METRICS`, draws' mean, and the worst accuracy."""
    draws = [
        (
            shift_metrics_of(sides.labels, probabilities, sides.inside, sides.outside),
            _calibration(probabilities, sides),
        )
        for probabilities in head.draws
    ]
    rights = _rights(head, sides)

    def measure(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        found = [
            np.dstack([metrics(weights)[:, :, _COLUMNS], calibration(weights)])
            for metrics, calibration in draws
        ]
        worst = worst_group_accuracy(rights, cells, weights)
        return np.column_stack([np.mean(found, axis=0).reshape(len(weights), -1), worst])

    return measure


def _calibration(probabilities: Float64[np.ndarray, "image class"], sides: _Sides) -> Statistic:
    """Return what computes the debiased calibration error as `SHIFT_VALUES`.

    NaN where sides weigh images, since its pairs are of groups that count as wholes.
    """
    if not np.isin([sides.inside, sides.outside], (0, 1)).all():
        return lambda weights: np.full((len(weights), len(SHIFT_VALUES)), np.nan)
    errors = [
        (
            side,
            debiased_calibration_error_of(
                sides.labels[side], probabilities[side], sides.groups[side]
            ),
        )
        for side in (sides.inside > 0, sides.outside > 0)
    ]

    def measure(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample value"]:
        inside, outside = (error(weights.T[side].T) for side, error in errors)
        return np.column_stack([inside, outside, inside - outside, (inside + outside) / 2])

    return measure


def _rights(head: HeadAnswers, sides: _Sides) -> Float64[np.ndarray, " image"]:
    """Return in which share of its draws a head is right of each image."""
    rights = [draw.argmax(axis=1) == sides.labels for draw in head.draws]
    return np.asarray(np.mean(rights, axis=0))


def _of_head(
    head: HeadAnswers, replicates: Replicates, lead: Replicates | None, confidence: float
) -> Iterator[ShiftValue]:
    names = [(of, name) for of in SHIFT_VALUES for name in _METRICS]
    found = replicates.intervals("percentile", confidence)
    ahead: Sequence[Interval | None] = [None] * len(found)
    if lead:
        ahead = [i if is_defined(i) else None for i in lead.intervals("percentile", confidence)]
    for (of, name), interval, before in zip(
        [*names, ("worst_group", "accuracy")], found, ahead, strict=True
    ):
        if is_defined(interval):
            yield ShiftValue(
                head=head.name,
                head_kind=head.kind,
                name=name,
                of=of,
                value=interval.value,
                low=interval.low,
                high=interval.high,
                lead=before.value if before else None,
                lead_low=before.low if before else None,
                lead_high=before.high if before else None,
            )


def _worst_groups(
    heads: Sequence[HeadAnswers],
    sides: _Sides,
    cells: Int[np.ndarray, " image"],
    plan: ShiftPlan,
    class_keys: tuple[str, ...],
) -> Iterator[WorstGroup]:
    large = np.unique(cells[cells >= 0])
    if not len(large):
        return
    level_count = int(sides.levels.max()) + 1
    for head in heads:
        right = _rights(head, sides)
        worst = min(large.tolist(), key=lambda cell: float(right[cells == cell].mean()))
        yield WorstGroup(
            head=head.name,
            class_key=class_keys[worst // level_count],
            value=plan.values[worst % level_count],
            images=int((cells == worst).sum()),
        )


# --- do concepts know the confounder? ------------------------------------------------------------


def _confounders(
    published: ConceptDataset,
    plan: ShiftPlan,
    probe: Heads,
    seen: _Seen,
) -> tuple[ConfounderScore, ...]:
    """Return every concept of the bottleneck with the value that it tells best, the best first.

    By training and validation images of the whole study; of two datasets by their test images. As
    the data has label and attribute go together, a concept that tells the class tells of the
    attribute too; within classes it does not.
    """
    labels, levels = seen.labels, seen.levels
    candidates = probe.head(EXPLAINED).facts.candidates
    chosen = published.pool_vectors[published.pool_rows(c.concept_id for c in candidates)]
    scores = (seen.vectors @ chosen.T).astype(np.float64)
    told = [a for a in range(len(plan.values)) if 0 < (levels == a).sum() < len(levels)]
    if len(told) == 2 == len(plan.values):
        told = told[1:]  # the other is the same turned round
    found = [
        _telling(scores, levels == a, strata)
        for strata in (
            [np.flatnonzero(labels == k) for k in np.unique(labels)],
            [np.arange(len(levels))],
        )
        for a in told
    ]
    if not told:
        return ()
    within, over_all = np.array(found).reshape(2, len(told), len(candidates))
    ranked = over_all if np.isnan(within).all() else np.nan_to_num(within, nan=0.5)
    strength = np.abs(ranked - 0.5)
    best = strength.argmax(0)
    return tuple(
        ConfounderScore(
            concept_id=candidates[i].concept_id,
            text=candidates[i].text,
            value=plan.values[told[best[i]]],
            within_class_auroc=None if isnan(within[best[i], i]) else float(within[best[i], i]),
            auroc=float(over_all[best[i], i]),
        )
        for i in np.argsort(-strength.max(0), kind="stable")
    )


def _telling(
    scores: Float64[np.ndarray, "image concept"],
    positive: Bool[np.ndarray, " image"],
    strata: Sequence[Int[np.ndarray, " _"]],
) -> list[float]:
    once = np.ones((len(scores), 1))
    return [float(stratified_auroc(of, positive, strata, once)[0]) for of in scores.T]
