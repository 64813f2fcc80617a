"""What ground truth about concepts says of their scores, and of the heads that weigh them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int

from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import (
    ConceptFinding,
    ConceptPair,
    ConceptQuality,
    Estimate,
    EvaluateSpec,
    Existence,
    HeadConcepts,
    ImportanceMatch,
)
from schemas.images import Truth
from schemas.probe import Head, HeadKind, Probe
from schemas.screened import LabelledConcept
from tasks.average_precision import normalised_average_precision
from tasks.evaluate import concept_tests
from tasks.evaluate.bootstrap import ClusterBootstrap, Interval
from tasks.evaluate.features import head_features
from tasks.evaluate.judging import ExaminedImages
from tasks.evaluate.metrics import stratified_auroc
from tasks.evaluate.quality import is_defined

CONCEPT_HEADS: tuple[HeadKind, ...] = ("concept_bottleneck", "grounded", "sparse", "prior")
"""Heads with one weight a selected concept; the first of each kind is looked at."""
MOST_PAIRS = 20
_REASONS = (1, 3, 5)  # l of CEM

ScoreName = Literal["text", "grounded"]


@dataclass(frozen=True, eq=False)
class LabelledConcepts:
    """The selected concepts that ground truth decides, on the test images."""

    places: Int[np.ndarray, " labelled"]
    """Among the selected concepts."""
    labels: tuple[LabelledConcept, ...]
    truth: Truth
    """image x labelled"""

    @classmethod
    def of(cls, published: ConceptDataset) -> "LabelledConcepts":
        """Look up the truth about the test images."""
        decided = {x.concept_id: x for x in published.facts.labelled}
        places = [i for i, c in enumerate(published.concepts) if c.concept_id in decided]
        truth = published.concept_truth("test")
        return cls(
            places=np.array(places, dtype=np.int64),
            labels=tuple(decided[published.concepts[i].concept_id] for i in places),
            truth=Truth(truth.present[:, places], truth.known[:, places]),
        )

    @property
    def why_not(self) -> str:
        """Why nothing can be computed; empty where something can."""
        if not self.labels:
            return (
                "no selected concept is decided by ground truth; name true/false columns, and the "
                "statements that claim them, under `dataset.attributes`"
            )
        if not self.truth.known.any():
            return "the ground truth about every labelled concept is missing on all test images"
        return ""


def measure_concepts(
    published: ConceptDataset,
    probe: Probe,
    images: ExaminedImages,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> ConceptQuality:
    """Return whether scores find their concepts, and heads weigh them as the truth would have it.

    Whatever is not known of an image is left out: it is never taken for absent.
    """
    labelled = LabelledConcepts.of(published)
    count = len(labelled.labels)
    quality = ConceptQuality(
        labelled=count,
        unlabelled=len(published.concepts) - count,
        not_computable=labelled.why_not,
    )
    if labelled.why_not:
        return quality
    heads = [probe.head(k) for k in CONCEPT_HEADS if any(h.facts.kind == k for h in probe.heads)]
    pairs = _pairs(published, labelled)
    return quality.model_copy(
        update={
            "findings": tuple(
                finding
                for name, scores in _scores(published, heads, labelled).items()
                for finding in _findings(
                    name,
                    scores,
                    _importance(published, heads[0]),
                    published,
                    labelled,
                    images,
                    bootstrap,
                    spec,
                )
            ),
            "pairs": pairs[:MOST_PAIRS],
            "pairs_found": len(pairs),
            "heads": tuple(
                _judge(head, published, labelled, images, bootstrap, spec) for head in heads
            ),
        }
    )


# --- the scores ----------------------------------------------------------------------------------


def _scores(
    published: ConceptDataset, heads: Sequence[Head], labelled: LabelledConcepts
) -> dict[ScoreName, Float64[np.ndarray, "image labelled"]]:
    """Return what is told of the labelled concepts: by their text and, where trained, grounded."""
    rows = published.rows("test")
    found: dict[ScoreName, Float64[np.ndarray, "image labelled"]] = {
        "text": published.scores[rows][:, labelled.places].astype(np.float64)
    }
    for head in heads:
        if head.facts.kind == "grounded":
            found["grounded"] = head_features(published, head, rows)[:, labelled.places]
    return found


def _importance(published: ConceptDataset, head: Head) -> Float64[np.ndarray, " concept"]:
    """Return the share of what a head's logits move by that each concept accounts for."""
    train = head_features(published, head, published.rows("train"))
    moved = np.abs(concept_tests.global_importance(head.weights, train)).mean(0)
    return np.asarray(moved / (moved.sum() or 1.0))


def _findings(
    name: ScoreName,
    scores: Float64[np.ndarray, "image labelled"],
    importance: Float64[np.ndarray, " concept"],
    published: ConceptDataset,
    labelled: LabelledConcepts,
    images: ExaminedImages,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> Iterator[ConceptFinding]:
    """Yield one line a concept."""
    by_chance = _against_chance(scores, labelled.truth, images, spec)
    for j, label in enumerate(labelled.labels):
        known = np.flatnonzero(labelled.truth.known[:, j])
        present = labelled.truth.present[known, j]
        concept = published.concepts[labelled.places[j]]
        auroc, within, precision = _intervals(
            scores[known, j], present, known, images, bootstrap, spec
        )
        tested = by_chance.get(j)
        yield ConceptFinding(
            concept_id=concept.concept_id,
            text=concept.text,
            attribute=label.attribute,
            denied=label.denied,
            score=name,
            present=int(present.sum()),
            absent=int((~present).sum()),
            auroc=auroc,
            within_class_auroc=within,
            normalised_ap=precision,
            chance_95=tested.chance_95 if tested else None,
            p_value=tested.p_value if tested else None,
            family_p_value=tested.family_p_value if tested else None,
            importance=float(importance[labelled.places[j]]),
        )


def _intervals(
    scores: Float64[np.ndarray, " known"],
    present: np.ndarray,
    known: Int[np.ndarray, " known"],
    images: ExaminedImages,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> list[Estimate | None]:
    """Return AUROC, AUROC within classes, and normalised average precision."""
    labels = images.labels[known]
    strata = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    everything = [np.arange(len(known))]
    expected = len(known) / len(images.class_keys)

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        here = weights[:, known]
        columns = np.ascontiguousarray(here.T)
        return np.column_stack(
            [
                stratified_auroc(scores, present, everything, columns),
                stratified_auroc(scores, present, strata, columns),
                normalised_average_precision(scores, present, expected, here),
            ]
        )

    made = bootstrap.replicate(statistic, spec.interval)
    return [estimate(x) for x in made.intervals(spec.interval, spec.confidence)]


def estimate(interval: Interval) -> Estimate | None:
    """Return a value with its interval; None where there is none."""
    if not is_defined(interval):
        return None
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


@dataclass(frozen=True)
class _Chance:
    chance_95: float
    p_value: float
    family_p_value: float


def _against_chance(
    scores: Float64[np.ndarray, "image labelled"],
    truth: Truth,
    images: ExaminedImages,
    spec: EvaluateSpec,
) -> dict[int, _Chance]:
    """Return the permutation test of each concept that has both values.

    Concepts that are known of the same images are tested together; between such families the
    corrected p-value is multiplied by their number (Bonferroni).
    """
    families: dict[bytes, list[int]] = {}
    for j in range(scores.shape[1]):
        if truth.known[:, j].any():
            families.setdefault(truth.known[:, j].tobytes(), []).append(j)
    chances = {}
    for members in families.values():
        known = np.flatnonzero(truth.known[:, members[0]])
        found = concept_tests.find_concepts(
            scores[known][:, members],
            truth.present[known][:, members],
            images.groups[known],
            spec.permutations,
            spec.seed,
        )
        for i, j in enumerate(members):
            if not isnan(found.auroc[i]):
                chances[j] = _Chance(
                    float(found.chance_95[i]),
                    float(found.p_value[i]),
                    min(1.0, float(found.family_p_value[i]) * len(families)),
                )
    return chances


def _pairs(published: ConceptDataset, labelled: LabelledConcepts) -> tuple[ConceptPair, ...]:
    """Return the pairs that the images on which both are known could not tell apart.

    A concept that all of these images show, or none, is told apart from nothing and left out.
    """
    texts = [published.concepts[i].text for i in labelled.places]
    truth, found = labelled.truth, []
    for i in range(len(texts)):
        for j in range(i + 1, len(texts)):
            both = truth.known[:, i] & truth.known[:, j]
            shown = truth.present[both][:, [i, j]]
            varies = shown.any(0) & ~shown.all(0)
            if len(shown) and varies.all():
                (table,) = concept_tests.co_occurrences(shown)
                if table.inseparable:
                    found.append((i, j, table))
    found.sort(key=lambda x: -x[2].jaccard)
    return tuple(
        ConceptPair(
            first=texts[i],
            second=texts[j],
            both=table.both,
            only_first=table.only_first,
            only_second=table.only_second,
            neither=table.neither,
        )
        for i, j, table in found
    )


# --- the heads -----------------------------------------------------------------------------------


def _judge(
    head: Head,
    published: ConceptDataset,
    labelled: LabelledConcepts,
    images: ExaminedImages,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> HeadConcepts:
    scores = head_features(published, head, published.rows("test"))
    predicted = head.logits(scores).argmax(1)
    return HeadConcepts(
        head=head.facts.name,
        head_kind=head.facts.kind,
        importance=tuple(_importance_match(head, scores, predicted, labelled, images)),
        existence=tuple(_existence(head, scores, predicted, labelled, bootstrap, spec)),
    )


def _importance_match(
    head: Head,
    scores: Float64[np.ndarray, "image concept"],
    predicted: Int[np.ndarray, " image"],
    labelled: LabelledConcepts,
    images: ExaminedImages,
) -> Iterator[ImportanceMatch]:
    """Yield CGIM over the images of which every labelled concept is known."""
    told = labelled.truth.known.all(1)
    if not told.any():
        return
    metric = concept_tests.concept_global_importance(
        head.weights[:, labelled.places],
        scores[told][:, labelled.places],
        labelled.truth.present[told],
        images.labels[told],
        predicted[told],
    )
    for of in get_args(ImportanceMatch.model_fields["of"].annotation):
        match = getattr(metric, of)
        if not np.isnan(match.value).all() and not np.isnan(match.of_others).all():
            yield ImportanceMatch(
                of=of,
                value=float(np.nanmean(match.value)),
                of_others=float(np.nanmean(match.of_others)),
            )


def _existence(
    head: Head,
    scores: Float64[np.ndarray, "image concept"],
    predicted: Int[np.ndarray, " image"],
    labelled: LabelledConcepts,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> Iterator[Existence]:
    """Yield CEM of the labelled concepts.

    A reason is a concept whose score lies above that of the average training image and raises the
    logit: the head says that it is there. What is not known of an image is no reason there.
    """
    above = (scores - head.center)[:, labelled.places]
    said = head.weights[predicted][:, labelled.places] * above
    said = np.where((above > 0) & labelled.truth.known, said, 0.0)
    chance = labelled.truth.present.sum(1) / np.maximum(labelled.truth.known.sum(1), 1)
    for count in _REASONS:
        reasons = concept_tests.reasons(said, count)
        there = concept_tests.concept_existence(reasons, labelled.truth.present)
        by_chance = np.where(np.isnan(there), np.nan, chance)

        def statistic(
            weights: Float64[np.ndarray, "resample image"],
            there: Float64[np.ndarray, " image"] = there,
        ) -> Float64[np.ndarray, "resample statistic"]:
            return concept_tests.weighted_mean(there, weights)[:, None]

        (interval,) = bootstrap.replicate(statistic, spec.interval).intervals(
            spec.interval, spec.confidence
        )
        if (share := estimate(interval)) is not None:
            (mean,) = concept_tests.weighted_mean(by_chance, np.ones((1, len(there))))
            yield Existence(reasons=count, share=share, chance=float(mean))
