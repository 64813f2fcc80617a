"""Measuring every head on the test split: the one place where test labels are read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from jaxtyping import Float64, Int

from schemas.artifact import StudyError
from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import (
    Contribution,
    CurvePoint,
    Difference,
    EvaluateSpec,
    Evaluation,
    Explanation,
    HeadCurves,
    Metric,
    Prediction,
)
from schemas.images import TestLabels
from schemas.probe import Head, HeadKind, Probe
from tasks.evaluate.bootstrap import ClusterBootstrap, Interval, Replicates
from tasks.evaluate.metrics import METRICS, all_metrics, confusion_matrices, reliability_curve

_FOR, _AGAINST = 6, 4  # contributions listed in an explanation
_BASELINES: dict[HeadKind, tuple[HeadKind, ...]] = {
    "concept_bottleneck": ("linear_probe", "random_concepts", "majority"),
    "linear_probe": ("majority",),
}


@dataclass(frozen=True)
class _Judged:
    """A head, or several random draws taken as one, and its probabilities of the test images."""

    name: str
    kind: HeadKind
    probabilities: tuple[Float64[np.ndarray, "image class"], ...]


def evaluate_heads(
    published: ConceptDataset, probe: Probe, test: TestLabels, spec: EvaluateSpec
) -> Evaluation:
    """Measure every head on the test images, with intervals and against its baselines.

    Random-concept draws are averaged: within each resample the metric is the mean over draws, so
    that the interval is of what an arbitrary draw reaches on average.

    Raises:
        StudyError: the test split is empty, or all its images are of one group.
    """
    rows = published.rows("test")
    order = {key: i for i, key in enumerate(published.class_keys)}
    ids = [str(i) for i in published.images["image_id"].to_numpy()[rows]]
    labels = np.array([order[test.labels[i]] for i in ids], dtype=np.int64)
    groups = published.images["group"].to_numpy()[rows]
    if len(np.unique(groups)) < 2:
        raise StudyError(
            f"the test split of {published.facts.name} has {len(rows)} images of "
            f"{len(np.unique(groups))} independent groups, so no interval can be given; usually "
            "the test share is too small. Change dataset.splits."
        )
    bootstrap = ClusterBootstrap.of(groups, spec.resamples, spec.seed)
    features = {h.facts.name: _features(published, h, rows) for h in probe.heads}
    judged = list(_judge(probe, features))
    replicates = {j.kind: bootstrap.replicate(_statistic(labels, j)) for j in judged}
    bottleneck = probe.head("concept_bottleneck")
    return Evaluation(
        class_keys=published.class_keys,
        images=len(rows),
        groups=bootstrap.groups,
        resamples=spec.resamples,
        confidence=spec.confidence,
        interval=spec.interval,
        metrics=tuple(m for j in judged for m in _metrics(j, replicates[j.kind], spec)),
        differences=tuple(_differences(judged, replicates, spec)),
        curves=tuple(_curves(h, features[h.facts.name], labels) for h in probe.heads),
        explanations=_explain(
            bottleneck, features[bottleneck.facts.name], labels, ids, published, spec
        ),
        predictions=_predictions(probe, features, labels, ids),
    )


def _features(
    published: ConceptDataset, head: Head, rows: Int[np.ndarray, " row"]
) -> Float64[np.ndarray, "image feature"]:
    """Return what a head looks at: nothing, image vectors, or cosines with its concepts."""
    vectors = published.vectors[rows]
    if head.facts.kind == "majority":
        return np.zeros((len(rows), 0))
    if head.facts.kind == "linear_probe":
        return vectors.astype(np.float64)
    place = {c.concept_id: i for i, c in enumerate(published.pool)}
    concepts = [place[c.concept_id] for c in head.facts.candidates]
    return (vectors @ published.pool_vectors[concepts].T).astype(np.float64)


def _probabilities(
    logits: Float64[np.ndarray, "image class"],
) -> Float64[np.ndarray, "image class"]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _judge(
    probe: Probe, features: dict[str, Float64[np.ndarray, "image feature"]]
) -> Iterator[_Judged]:
    """Yield one entry a kind of head, in the order in which the probe names them."""
    kinds = dict.fromkeys(h.facts.kind for h in probe.heads)
    for kind in kinds:
        heads = [h for h in probe.heads if h.facts.kind == kind]
        name = heads[0].facts.name
        if len(heads) > 1:
            name = f"{kind.replace('_', ' ')} (mean of {len(heads)})"
        yield _Judged(
            name, kind, tuple(_probabilities(h.logits(features[h.facts.name])) for h in heads)
        )


def _statistic(
    labels: Int[np.ndarray, " image"], judged: _Judged
) -> Callable[[Float64[np.ndarray, "resample image"]], Float64[np.ndarray, "resample metric"]]:
    def of(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample metric"]:
        return np.mean([all_metrics(labels, p, weights) for p in judged.probabilities], axis=0)

    return of


def _metrics(judged: _Judged, replicates: Replicates, spec: EvaluateSpec) -> Iterator[Metric]:
    """Yield the metrics that are defined; without images of two classes some are not."""
    intervals = replicates.intervals(spec.interval, spec.confidence)
    for name, interval in zip(METRICS, intervals, strict=True):
        if _is_defined(interval):
            yield Metric(
                head=judged.name,
                head_kind=judged.kind,
                name=name,
                value=interval.value,
                low=interval.low,
                high=interval.high,
                method=interval.method,
            )


def _differences(
    judged: Sequence[_Judged], replicates: dict[HeadKind, Replicates], spec: EvaluateSpec
) -> Iterator[Difference]:
    """Yield each head's lead over its baselines, on the same resamples."""
    names = {j.kind: j.name for j in judged}
    for kind, baselines in _BASELINES.items():
        for baseline in baselines:
            lead = replicates[kind] - replicates[baseline]
            intervals = lead.intervals(spec.interval, spec.confidence)
            for name, interval in zip(METRICS, intervals, strict=True):
                if name in ("balanced_accuracy", "macro_auroc") and _is_defined(interval):
                    yield Difference(
                        head=names[kind],
                        baseline=names[baseline],
                        name=name,
                        value=interval.value,
                        low=interval.low,
                        high=interval.high,
                        method=interval.method,
                    )


def _is_defined(interval: Interval) -> bool:
    return not any(isnan(v) for v in (interval.value, interval.low, interval.high))


def _curves(
    head: Head,
    features: Float64[np.ndarray, "image feature"],
    labels: Int[np.ndarray, " image"],
) -> HeadCurves:
    probabilities = _probabilities(head.logits(features))
    confusion = confusion_matrices(labels, probabilities, np.ones((1, len(labels))))[0]
    curve = reliability_curve(labels, probabilities)
    points = zip(curve.confidence, curve.accuracy, curve.images, strict=True)
    return HeadCurves(
        head=head.facts.name,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        reliability=tuple(
            CurvePoint(confidence=float(c), accuracy=float(a), images=int(n))
            for c, a, n in points
            if n
        ),
    )


def _explain(
    head: Head,
    features: Float64[np.ndarray, "image concept"],
    labels: Int[np.ndarray, " image"],
    ids: Sequence[str],
    published: ConceptDataset,
    spec: EvaluateSpec,
) -> tuple[Explanation, ...]:
    """Take apart the surest right decisions, one a class in turn, and the surest wrong ones."""
    logits = head.logits(features)
    probabilities = _probabilities(logits)
    chosen = _worth_explaining(labels, probabilities, spec.explained_images)
    keys = published.class_keys
    return tuple(
        _explanation(head, features[i], ids[i], keys[labels[i]], keys, logits[i], probabilities[i])
        for i in chosen
    )


def _worth_explaining(
    labels: Int[np.ndarray, " image"],
    probabilities: Float64[np.ndarray, "image class"],
    count: int,
) -> list[int]:
    predicted, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
    by_sureness = np.argsort(-sureness, kind="stable")
    wrong = [int(i) for i in by_sureness if predicted[i] != labels[i]][: count // 2]
    of_class = {
        k: [int(i) for i in by_sureness if predicted[i] == labels[i] == k]
        for k in range(probabilities.shape[1])
    }
    right: list[int] = []
    while len(right) + len(wrong) < count and any(of_class.values()):
        right += [images.pop(0) for images in of_class.values() if images]
    return right[: count - len(wrong)] + wrong


def _explanation(
    head: Head,
    features: Float64[np.ndarray, " concept"],
    image_id: str,
    label: str,
    keys: tuple[str, ...],
    logits: Float64[np.ndarray, " class"],
    probabilities: Float64[np.ndarray, " class"],
) -> Explanation:
    predicted = int(logits.argmax())
    contributions = head.contributions(features)[predicted]
    order = np.argsort(-contributions, kind="stable")
    strongest = [int(j) for j in order[:_FOR] if contributions[j] > 0]
    weakest = [int(j) for j in order[::-1][:_AGAINST] if contributions[j] < 0]

    def told(j: int) -> Contribution:
        candidate = head.facts.candidates[j]
        return Contribution(
            concept_id=candidate.concept_id,
            text=candidate.text,
            score=float(features[j]),
            contribution=float(contributions[j]),
        )

    listed = contributions[strongest].sum() + contributions[weakest].sum()
    return Explanation(
        image_id=image_id,
        label=label,
        predicted=keys[predicted],
        probability=float(probabilities[predicted]),
        logit=float(logits[predicted]),
        baseline=float(head.baseline[predicted]),
        speaking_for=tuple(told(j) for j in strongest),
        speaking_against=tuple(told(j) for j in weakest),
        rest=float(contributions.sum() - listed),
    )


def _predictions(
    probe: Probe,
    features: dict[str, Float64[np.ndarray, "image feature"]],
    labels: Int[np.ndarray, " image"],
    ids: Sequence[str],
) -> tuple[Prediction, ...]:
    keys = probe.class_keys
    said = {h.facts.name: h.logits(features[h.facts.name]).argmax(axis=1) for h in probe.heads}
    return tuple(
        Prediction(
            image_id=image_id,
            label=keys[labels[i]],
            predicted={name: keys[predicted[i]] for name, predicted in said.items()},
        )
        for i, image_id in enumerate(ids)
    )
