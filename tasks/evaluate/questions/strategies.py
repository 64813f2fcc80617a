"""Which concepts decide, for how many images, and how often is that right?

It is asked of validation images, so that whoever edits the head by the answer has seen no test
label.
"""

import numpy as np

from curette.schemas.evaluation import HeadStrategy, Strategies
from curette.schemas.heads import EXPLAINED
from curette.tasks.evaluate.exam import Exam, estimate
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.strategies import (
    concept_leads,
    find_strategies,
)

_EXAMPLES = 4


def measure(exam: Exam) -> Strategies:
    """Return the strategies of the concept bottleneck, class by class, most frequent first."""
    published, head, spec = exam.published, exam.probe.head(EXPLAINED), exam.spec
    rows = published.rows("validation")
    images = published.images.iloc[rows]
    groups = images["group"].to_numpy()
    name = head.facts.name
    if len(np.unique(groups)) < 2:
        return Strategies(head=name, not_computable="the validation images are of one group")
    features = exam.features(head, "validation")
    called = head.logits(features).argmax(axis=1)
    leads = concept_leads(head.weights, features, head.center, called)
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
    return Strategies(head=name, strategies=tuple(told))
