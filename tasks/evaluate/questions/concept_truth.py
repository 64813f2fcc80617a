"""Do scores find the concepts they are named after, and do heads weigh these rightly?"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import isnan
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import BORROWED
from curette.schemas.images import Truth
from curette.schemas.metrics import Estimate
from curette.schemas.probe import Head
from curette.schemas.questions.concept_truth import (
    ConceptFinding,
    ConceptPair,
    ConceptQuality,
    Existence,
    HeadConcepts,
    ImportanceMatch,
)
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.labelled_concepts import LabelledConcepts, concept_heads
from curette.tasks.methods.statistics import concept_tests
from curette.tasks.methods.statistics.average_precision import normalised_average_precision
from curette.tasks.methods.statistics.metrics import stratified_auroc

MOST_PAIRS = 20
_REASONS = (1, 3, 5)  # l of CEM

ScoreName = Literal["text", "grounded", "borrowed"]


def measure(exam: Exam) -> ConceptQuality:
    """Return whether scores find their concepts, and heads weigh them as the truth would have it.

    Whatever is not known of an image is left out: it is never taken for absent.
    """
    published = exam.published
    labelled = LabelledConcepts.of(published)
    count = len(labelled.labels)
    quality = ConceptQuality(
        labelled=count,
        unlabelled=len(published.concepts) - count,
        not_computable=labelled.why_not,
    )
    if labelled.why_not:
        return quality
    heads = concept_heads(exam.probe)
    pairs = _pairs(published, labelled)
    importance = _importance(exam, heads[0])
    return quality.model_copy(
        update={
            "findings": tuple(
                finding
                for name, scores, concepts in _scores(exam, heads, labelled)
                for finding in _findings(exam, name, scores, importance, concepts)
            ),
            "pairs": pairs[:MOST_PAIRS],
            "pairs_found": len(pairs),
            "heads": tuple(_of_head(exam, head, labelled) for head in heads),
        }
    )


# --- the scores ----------------------------------------------------------------------------------


def _scores(
    exam: Exam, heads: Sequence[Head], labelled: LabelledConcepts
) -> Iterator[tuple[ScoreName, Float64[np.ndarray, "image _"], LabelledConcepts]]:
    """Yield what is told of the labelled concepts by their text, and of those grounded by that."""
    of_text = exam.published.scores[exam.rows].astype(np.float64)
    yield "text", of_text[:, labelled.places], labelled
    borrowed = exam.probe.borrowed
    taught: dict[str, tuple[ScoreName, set[str]]] = {
        "grounded": ("grounded", {g.concept_id for g in exam.probe.grounding}),
        BORROWED: ("borrowed", {c.concept_id for c in borrowed.concepts} if borrowed else set()),
    }
    for head in heads:
        if head.facts.kind in taught:
            name, ids = taught[head.facts.kind]
            some = labelled.among(exam.published, ids)
            yield name, exam.features(head)[:, some.places], some


def _importance(exam: Exam, head: Head) -> Float64[np.ndarray, " concept"]:
    """Return the share of what a head's logits move by that each concept accounts for."""
    train = exam.features(head, "train")
    moved = np.abs(concept_tests.global_importance(head.weights, train)).mean(0)
    return np.asarray(moved / (moved.sum() or 1.0))


def _findings(
    exam: Exam,
    name: ScoreName,
    scores: Float64[np.ndarray, "image labelled"],
    importance: Float64[np.ndarray, " concept"],
    labelled: LabelledConcepts,
) -> Iterator[ConceptFinding]:
    """Yield one line a concept."""
    truth, spec = labelled.truth, exam.spec
    tested = concept_tests.find_concepts(
        scores, truth.present, truth.known, exam.images.groups, spec.permutations, spec.seed
    )
    intervals = _intervals(exam, scores, truth)
    for j, label in enumerate(labelled.labels):
        present = truth.present[truth.known[:, j], j]
        concept = exam.published.concepts[labelled.places[j]]
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
    exam: Exam, scores: Float64[np.ndarray, "image labelled"], truth: Truth
) -> list[Estimate | None]:
    """Return each concept's AUROC, AUROC within classes, and normalised average precision."""

    def statistic(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        columns = np.ascontiguousarray(weights.T)
        values = []
        for score, known_of, shown in zip(scores.T, truth.known.T, truth.present.T, strict=True):
            known = np.flatnonzero(known_of)
            if not len(known):
                values += [np.full(len(weights), np.nan)] * 3
                continue
            told, present, here = score[known], shown[known], columns[known]
            labels = exam.images.labels[known]
            strata = [np.flatnonzero(labels == k) for k in np.unique(labels)]
            expected = len(known) / len(exam.images.class_keys)
            values += [
                stratified_auroc(told, present, [np.arange(len(known))], here),
                stratified_auroc(told, present, strata, here),
                normalised_average_precision(told, present, expected, weights[:, known]),
            ]
        return np.column_stack(values)

    return exam.estimates(statistic)


def _defined(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _pairs(published: ConceptDataset, labelled: LabelledConcepts) -> tuple[ConceptPair, ...]:
    """Return the pairs that the images on which both are known could not tell apart.

    A concept that all of these images show, or none, is told apart from nothing and left out.
    """
    texts = [published.concepts[i].text for i in labelled.places]
    columns = zip(texts, labelled.truth.known.T, labelled.truth.present.T, strict=True)
    found: list[tuple[float, ConceptPair]] = []
    for (first, known, shown), (second, also_known, also_shown) in combinations(columns, 2):
        one, other = (present[known & also_known] for present in (shown, also_shown))
        if any(present.all() or not present.any() for present in (one, other)):
            continue
        table = concept_tests.co_occurrence(one, other)
        if table.inseparable:
            pair = ConceptPair(
                first=first,
                second=second,
                both=table.both,
                only_first=table.only_first,
                only_second=table.only_second,
                neither=table.neither,
            )
            found.append((table.jaccard, pair))
    return tuple(pair for _, pair in sorted(found, key=lambda x: -x[0]))


# --- the heads -----------------------------------------------------------------------------------


def _of_head(exam: Exam, head: Head, labelled: LabelledConcepts) -> HeadConcepts:
    scores = exam.features(head)
    predicted = head.logits(scores).argmax(1)
    return HeadConcepts(
        head=head.facts.name,
        head_kind=head.facts.kind,
        importance=tuple(_importance_match(exam, head, scores, predicted, labelled)),
        existence=tuple(_existence(exam, head, scores, predicted, labelled)),
    )


def _importance_match(
    exam: Exam,
    head: Head,
    scores: Float64[np.ndarray, "image concept"],
    predicted: Int[np.ndarray, " image"],
    labelled: LabelledConcepts,
) -> Iterator[ImportanceMatch]:
    """Yield CGIM over the images of which every labelled concept is known."""
    told = labelled.truth.known.all(1)
    if not told.any():
        return
    metric = concept_tests.concept_global_importance(
        head.weights[:, labelled.places],
        scores[told][:, labelled.places],
        labelled.truth.present[told],
        exam.images.labels[told],
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
    exam: Exam,
    head: Head,
    scores: Float64[np.ndarray, "image concept"],
    predicted: Int[np.ndarray, " image"],
    labelled: LabelledConcepts,
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

    for count, part, share in zip(_REASONS, there, exam.estimates(statistic), strict=True):
        if share is not None:
            by_chance = float(chance[~np.isnan(part)].mean())
            yield Existence(reasons=count, share=share, chance=by_chance)
