"""What ground truth about concepts says of their scores, and of the heads that weigh them."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from math import isnan
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import (
    ConceptFinding,
    ConceptPair,
    ConceptQuality,
    Estimate,
    EvaluateSpec,
    Existence,
    HeadConcepts,
    ImportanceMatch,
)
from curette.schemas.heads import card_of
from curette.schemas.images import Truth
from curette.schemas.probe import Head, Probe
from curette.schemas.screened import LabelledConcept
from curette.tasks.evaluate.features import head_features
from curette.tasks.evaluate.judging import ExaminedImages
from curette.tasks.evaluate.quality import is_defined
from curette.tasks.methods.statistics import concept_tests
from curette.tasks.methods.statistics.average_precision import normalised_average_precision
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap, Interval
from curette.tasks.methods.statistics.metrics import stratified_auroc

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

    def among(self, published: ConceptDataset, concept_ids: Set[str]) -> "LabelledConcepts":
        """Return those of them that have one of these ids."""
        kept = [
            j
            for j, place in enumerate(self.places)
            if published.concepts[place].concept_id in concept_ids
        ]
        return LabelledConcepts(
            places=self.places[kept],
            labels=tuple(self.labels[j] for j in kept),
            truth=Truth(self.truth.present[:, kept], self.truth.known[:, kept]),
        )

    @property
    def why_not(self) -> str:
        """Why nothing can be computed; empty where something can."""
        if not self.labels:
            return (
                "no selected concept is decided by ground truth; name true/false columns, and the "
                "statements that claim them, under `dataset.attributes`, or have reports annotated"
            )
        if not self.truth.known.any():
            return "the ground truth about every labelled concept is missing on all test images"
        return ""


def concept_heads(probe: Probe) -> tuple[Head, ...]:
    """Return the heads with one weight a selected concept, the first of each kind."""
    kinds = dict.fromkeys(h.facts.kind for h in probe.heads)
    return tuple(probe.head(kind) for kind in kinds if card_of(kind).weighs_concepts)


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
    heads = concept_heads(probe)
    pairs = _pairs(published, labelled)
    return quality.model_copy(
        update={
            "findings": tuple(
                finding
                for name, scores, concepts in _scores(published, probe, heads, labelled)
                for finding in _findings(
                    name,
                    scores,
                    _importance(published, heads[0]),
                    published,
                    concepts,
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
    published: ConceptDataset, probe: Probe, heads: Sequence[Head], labelled: LabelledConcepts
) -> Iterator[tuple[ScoreName, Float64[np.ndarray, "image _"], LabelledConcepts]]:
    """Yield what is told of the labelled concepts by their text, and of those grounded by that."""
    rows = published.rows("test")
    of_text = published.scores[rows].astype(np.float64)
    yield "text", of_text[:, labelled.places], labelled
    grounded = labelled.among(published, {g.concept_id for g in probe.grounding})
    for head in heads:
        if head.directions is None:
            continue
        scores = head_features(published, head, rows)
        yield "grounded", scores[:, grounded.places], grounded


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
    truth = labelled.truth
    tested = concept_tests.find_concepts(
        scores, truth.present, truth.known, images.groups, spec.permutations, spec.seed
    )
    intervals = _intervals(scores, truth, images, bootstrap, spec)
    for j, label in enumerate(labelled.labels):
        present = truth.present[truth.known[:, j], j]
        concept = published.concepts[labelled.places[j]]
        auroc, within, precision = intervals[3 * j : 3 * j + 3]
        yield ConceptFinding(
            concept_id=concept.concept_id,
            text=concept.text,
            attribute=label.attribute,
            denied=label.denied,
            labels_from=label.source,
            score=name,
            present=int(present.sum()),
            absent=int((~present).sum()),
            auroc=auroc,
            within_class_auroc=within,
            normalised_ap=precision,
            chance_95=_defined(tested.chance_95[j]),
            p_value=_defined(tested.p_value[j]),
            family_p_value=_defined(tested.family_p_value[j]),
            importance=float(importance[labelled.places[j]]),
        )


def _intervals(
    scores: Float64[np.ndarray, "image labelled"],
    truth: Truth,
    images: ExaminedImages,
    bootstrap: ClusterBootstrap,
    spec: EvaluateSpec,
) -> list[Estimate | None]:
    """Return each concept's AUROC, AUROC within classes, and normalised average precision."""

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        columns = np.ascontiguousarray(weights.T)
        values = []
        for j in range(scores.shape[1]):
            known = np.flatnonzero(truth.known[:, j])
            if not len(known):
                values += [np.full(len(weights), np.nan)] * 3
                continue
            told, present, here = scores[known, j], truth.present[known, j], columns[known]
            labels = images.labels[known]
            strata = [np.flatnonzero(labels == k) for k in np.unique(labels)]
            expected = len(known) / len(images.class_keys)
            values += [
                stratified_auroc(told, present, [np.arange(len(known))], here),
                stratified_auroc(told, present, strata, here),
                normalised_average_precision(told, present, expected, weights[:, known]),
            ]
        return np.column_stack(values)

    made = bootstrap.replicate(statistic, spec.interval)
    return [estimate(x) for x in made.intervals(spec.interval, spec.confidence)]


def _defined(value: float) -> float | None:
    return None if isnan(value) else float(value)


def estimate(interval: Interval) -> Estimate | None:
    """Return a value with its interval; None where there is none."""
    if not is_defined(interval):
        return None
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


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
                table = concept_tests.co_occurrence(shown[:, 0], shown[:, 1])
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
    there = [
        concept_tests.concept_existence(concept_tests.reasons(said, count), labelled.truth.present)
        for count in _REASONS
    ]

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        return np.column_stack([concept_tests.weighted_mean(part, weights) for part in there])

    shares = bootstrap.replicate(statistic, spec.interval).intervals(spec.interval, spec.confidence)
    for count, part, interval in zip(_REASONS, there, shares, strict=True):
        if (share := estimate(interval)) is not None:
            by_chance = float(chance[~np.isnan(part)].mean())
            yield Existence(reasons=count, share=share, chance=by_chance)
