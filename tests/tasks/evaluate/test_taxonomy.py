"""Every head is measured at every level of a tree of classes, where there is one."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from curette.schemas.artifact import StudyError
from curette.schemas.heads import EXPLAINED, REFERENCE
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.evaluate.exam import Exam, check_askable
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import taxonomy
from curette.tasks.probe.training import train_heads
from tests.builders.published_study import published_study


def test_every_head_has_its_levels_and_the_bottleneck_its_lead() -> None:
    published, test = published_study(noise=1.5)
    probe = train_heads(published, ProbeSpec(epochs=20, random_draws=2, heads=()))
    spec = EvaluateSpec(resamples=100, taxonomy={"both": ("a", "b")})
    exam = Exam(published, probe, join_test_labels(published, test), spec)
    told = taxonomy.measure(exam)
    assert told is not None
    assert [level.nodes for level in told.levels] == [("both", "c"), ("a", "b", "c")]
    heads = {m.head_kind: m for m in told.heads}
    assert set(heads) == {head.kind for head in exam.heads}
    labels, at_top = exam.images.labels, []
    for kind in (EXPLAINED, REFERENCE):
        said = exam.answers(kind).draws[0].argmax(axis=1)
        top, classes = heads[kind].levels
        assert top is not None and classes is not None
        assert top.value == pytest.approx(balanced_accuracy_score(labels == 2, said == 2))
        assert classes.value == pytest.approx(balanced_accuracy_score(labels, said))
        at_top.append(top.value)
        wrong, across, distance = labels != said, heads[kind].across, heads[kind].distance
        assert across is not None and distance is not None
        assert across.value == pytest.approx(np.mean((labels == 2)[wrong] != (said == 2)[wrong]))
        assert distance.value == pytest.approx(1 + across.value)
    lead = told.level_leads[0]
    assert lead is not None and lead.value == pytest.approx(at_top[0] - at_top[1])
    without = Exam(published, probe, exam.images, EvaluateSpec(resamples=100))
    assert taxonomy.measure(without) is None


def test_a_tree_of_other_classes_is_refused_before_labels_are_read() -> None:
    published, _ = published_study()
    with pytest.raises(StudyError, match=r"dataset.taxonomy: mel is neither a class \(a, b, c\)"):
        check_askable(published, EvaluateSpec(taxonomy={"x": ("a", "mel")}))
