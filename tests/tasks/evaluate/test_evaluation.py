"""What the evaluation says of heads, against scikit-learn and against shuffled labels."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from schemas.artifact import StudyError
from schemas.concept_dataset import ConceptDataset
from schemas.evaluation import EvaluateSpec, Evaluation
from schemas.images import TestLabels
from schemas.probe import Probe, ProbeSpec
from tasks.evaluate.evaluation import evaluate_heads
from tests.tasks.published_study import KEYS, published_study

SPEC = EvaluateSpec(resamples=200, explained_images=6)


def _trained(published: ConceptDataset) -> Probe:
    from tasks.probe.heads import train_heads

    return train_heads(published, ProbeSpec(epochs=80, random_draws=3))


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    return published_study()


@pytest.fixture(scope="module")
def probe(study: tuple[ConceptDataset, TestLabels]) -> Probe:
    return _trained(study[0])


@pytest.fixture(scope="module")
def evaluation(study: tuple[ConceptDataset, TestLabels], probe: Probe) -> Evaluation:
    return evaluate_heads(study[0], probe, study[1], SPEC)


def _value(evaluation: Evaluation, kind: str, name: str) -> float:
    return next(m.value for m in evaluation.metrics if m.head_kind == kind and m.name == name)


def test_numbers_are_scikit_learns(evaluation: Evaluation) -> None:
    true = [p.label for p in evaluation.predictions]
    said = [p.predicted["linear probe"] for p in evaluation.predictions]
    assert _value(evaluation, "linear_probe", "balanced_accuracy") == pytest.approx(
        balanced_accuracy_score(true, said)
    )
    curves = next(c for c in evaluation.curves if c.head == "linear probe")
    assert curves.confusion == tuple(map(tuple, confusion_matrix(true, said, labels=list(KEYS))))


def test_random_draws_are_told_as_their_mean(evaluation: Evaluation) -> None:
    names = {m.head for m in evaluation.metrics if m.head_kind == "random_concepts"}
    assert names == {"random concepts (mean of 3)"}
    true = [p.label for p in evaluation.predictions]
    draws = [
        balanced_accuracy_score(
            true, [p.predicted[f"random concepts {i}"] for p in evaluation.predictions]
        )
        for i in (1, 2, 3)
    ]
    assert _value(evaluation, "random_concepts", "balanced_accuracy") == pytest.approx(
        np.mean(draws)
    )


def test_every_number_has_an_interval_around_it(evaluation: Evaluation) -> None:
    for metric in evaluation.metrics:
        assert metric.low <= metric.high
        if metric.name in ("accuracy", "balanced_accuracy", "macro_auroc"):
            assert metric.low <= metric.value <= metric.high


def test_whoever_learned_something_beats_the_majority(evaluation: Evaluation) -> None:
    lead = next(
        d
        for d in evaluation.differences
        if d.head == "concept bottleneck"
        and d.baseline == "majority class"
        and d.name == "balanced_accuracy"
    )
    assert lead.low > 0


def test_shuffled_labels_leave_nothing_to_learn() -> None:
    published, test = published_study(shuffled=True)
    evaluation = evaluate_heads(published, _trained(published), test, SPEC)
    three_standard_errors = 0.15  # of an AUROC over some 66 images
    for metric in evaluation.metrics:
        if metric.name == "macro_auroc":
            assert abs(metric.value - 0.5) < three_standard_errors


def test_explanations_add_up_to_the_logit(evaluation: Evaluation, probe: Probe) -> None:
    assert len(evaluation.explanations) == 6
    for e in evaluation.explanations:
        listed = [c.contribution for c in (*e.speaking_for, *e.speaking_against)]
        assert e.baseline + sum(listed) + e.rest == pytest.approx(e.logit)
        assert all(c.contribution > 0 for c in e.speaking_for)
        assert all(c.contribution < 0 for c in e.speaking_against)


def test_explanations_show_right_and_wrong_decisions(evaluation: Evaluation) -> None:
    right = [e.label == e.predicted for e in evaluation.explanations]
    assert any(right)
    errors = sum(p.label != p.predicted["concept bottleneck"] for p in evaluation.predictions)
    assert sum(not r for r in right) == min(3, errors)


def test_intervals_resample_subjects(
    study: tuple[ConceptDataset, TestLabels], evaluation: Evaluation
) -> None:
    published, _ = study
    rows = published.rows("test")
    assert evaluation.images == len(rows)
    assert evaluation.groups == published.images["subject"].iloc[rows].nunique()


def test_one_group_has_no_interval(study: tuple[ConceptDataset, TestLabels], probe: Probe) -> None:
    published, test = study
    images = published.images.assign(group="the same")
    one = ConceptDataset(**{**vars(published), "images": images})
    with pytest.raises(StudyError, match=r"1 independent groups.*dataset\.splits"):
        evaluate_heads(one, probe, test, SPEC)
