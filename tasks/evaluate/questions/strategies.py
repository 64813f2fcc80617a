"""Which concepts decide, for how many images, and how often is that right?

Strategies are told of validation images alone, so that whoever edits the head by them has seen no
test label. The exam's test images are asked one thing: whether those of more reliable strategies
are decided rightly more often.
"""

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import softmax

from curette.schemas.heads import EXPLAINED
from curette.schemas.images import Split
from curette.schemas.questions.strategies import HeadStrategy, Strategies, StrategiesForetell
from curette.tasks.evaluate.exam import Exam, estimate
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import stratified_auroc
from curette.tasks.methods.statistics.strategies import (
    concept_leads,
    find_strategies,
    own_reliability,
)

_EXAMPLES = 3


def measure(exam: Exam) -> Strategies:
    """Return the strategies of the concept bottleneck, class by class, most frequent first."""
    published, head, spec = exam.published, exam.probe.head(EXPLAINED), exam.spec
    images = published.images.iloc[published.rows("validation")]
    groups = images["group"].to_numpy()
    name = head.facts.name
    if len(np.unique(groups)) < 2:
        return Strategies(head=name, not_computable="the validation images are of one group")
    called, leads = _decided(exam, "validation")
    deciding = leads.argmax(axis=1)
    ids = images["image_id"].to_numpy()
    clearest = np.argsort(-leads.max(axis=1), kind="stable")

    def examples(class_index: int, concept_index: int) -> tuple[str, ...]:
        its = (called[clearest] == class_index) & (deciding[clearest] == concept_index)
        return tuple(str(i) for i in ids[clearest[its]][:_EXAMPLES])

    found = find_strategies(
        called,
        deciding,
        published.labels("validation"),
        ClusterBootstrap.of(groups, spec.resamples, spec.seed),
        spec.interval,
        spec.confidence,
    )
    told = []
    for strategy in found:
        prevalence = estimate(strategy.prevalence)
        candidate = head.facts.candidates[strategy.concept_index]
        if prevalence is not None:
            told.append(
                HeadStrategy(
                    class_key=published.class_keys[strategy.class_index],
                    concept_id=candidate.concept_id,
                    text=candidate.text,
                    images=strategy.images,
                    prevalence=prevalence,
                    reliability=estimate(strategy.reliability),
                    examples=examples(strategy.class_index, strategy.concept_index),
                )
            )
    return Strategies(head=name, strategies=tuple(told), foretold=_foretold(exam, called, deciding))


def _decided(
    exam: Exam, split: Split
) -> tuple[Int[np.ndarray, " image"], Float64[np.ndarray, "image concept"]]:
    """Return the class that each image is called, and what each concept adds to that."""
    head = exam.probe.head(EXPLAINED)
    features = exam.features(head, split)
    called = head.logits(features).argmax(axis=1)
    return called, concept_leads(head.weights, features, head.center, called)


def _foretold(
    exam: Exam,
    known_called: Int[np.ndarray, " known"],
    known_deciding: Int[np.ndarray, " known"],
) -> StrategiesForetell | None:
    """Return whether reliability on validation images tells which test images are right."""
    head = exam.probe.head(EXPLAINED)
    called, leads = _decided(exam, "test")
    of_strategy, of_class = own_reliability(
        known_called,
        known_deciding,
        exam.published.labels("validation"),
        called,
        leads.argmax(axis=1),
    )
    confidence = softmax(exam.logits[head.facts.name], axis=1).max(axis=1)
    right, known = called == exam.images.labels, np.flatnonzero(~np.isnan(of_strategy))
    if len(np.unique(right[known])) < 2:
        return None

    def areas(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample statistic"]:
        columns = np.ascontiguousarray(weights.T)
        by_strategy, by_class, by_confidence = (
            stratified_auroc(score, right, [known], columns)
            for score in (of_strategy, of_class, confidence)
        )
        lead = by_strategy - by_confidence
        return np.stack([by_strategy, by_class, by_confidence, lead], axis=1)

    strategy, class_alone, confident, over_confidence = exam.estimates(areas)
    if not (strategy and class_alone and confident and over_confidence):
        return None
    return StrategiesForetell(
        images=len(known),
        others=len(right) - len(known),
        strategy=strategy,
        class_alone=class_alone,
        confidence=confident,
        over_confidence=over_confidence,
    )
