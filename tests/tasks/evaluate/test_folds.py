"""Heads of every fold are asked about the same test images, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.questions.folds import FoldTable
from curette.schemas.settings.draw import FoldSpec
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.tasks.draw.folds import draw
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import folds
from curette.tasks.methods.features import head_features
from curette.tasks.methods.page.render import render
from curette.tasks.probe.each_draw import restrict
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.training import train_heads
from curette.tasks.report.render import _TEMPLATES as TEMPLATES
from curette.tasks.report.sections.folds import fold_section
from tests.builders.published_study import published_study
from tests.shapes import unchecked

_SPEC = ProbeSpec(heads=("sparse",), epochs=5, random_draws=1, nec=(1,))


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    return published_study(noise=2)


@pytest.fixture(scope="module")
def heads(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    draws = draw(study[0], SelectSpec(size=Size(per_class=2)), FoldSpec(count=3))
    with unchecked():  # what is measured is given here, and checked where it is made
        return train_on_draws(study[0], draws, _SPEC)


@pytest.fixture(scope="module")
def table(study: tuple[ConceptDataset, TestLabels], heads: Heads) -> FoldTable:
    images = join_test_labels(*study)
    with unchecked():
        probe = train_heads(study[0], _SPEC)
    exam = Exam(study[0], probe, images, EvaluateSpec(resamples=200))
    assert folds.measure(exam) is None
    table = folds.measure(
        Exam(exam.published, exam.probe, images, exam.spec, drawn={"folds": heads})
    )
    assert table is not None
    return table


def test_every_head_of_all_images_is_trained_by_every_fold_but_none_at_fixed_sizes(
    table: FoldTable,
) -> None:
    assert [s.head for s in table.spreads] == [
        "linear probe",
        "concept bottleneck",
        "sparse",
        "random concepts",
        "majority class",
    ]
    assert {len(s.folds) for s in table.spreads} == {3}


def test_what_a_fold_reaches_is_what_scikit_learn_says(
    study: tuple[ConceptDataset, TestLabels], heads: Heads, table: FoldTable
) -> None:
    published, test = study
    rows = published.rows("test")
    labels = [test.labels[i] for i in published.images["image_id"][rows]]
    found = next(s for s in table.spreads if s.head_kind == "sparse")
    for fold, reached in enumerate(found.folds):
        head = heads.of(fold).head("sparse")
        said = head.logits(head_features(published, head, rows)).argmax(1)
        expected = balanced_accuracy_score(labels, np.array(published.class_keys)[said])
        assert reached == pytest.approx(expected)
    assert found.deviation == pytest.approx(np.std(found.folds, ddof=1))


def test_a_fold_sees_validation_images_of_its_own(
    study: tuple[ConceptDataset, TestLabels],
) -> None:
    published = study[0]
    drawn = draw(published, SelectSpec(size=Size(per_class=2)), FoldSpec(count=3)).draws[0]
    view = restrict(published, drawn)
    ids = view.images["image_id"]
    assert {*ids.iloc[view.rows("train")]} == {*drawn.image_ids}
    assert {*ids.iloc[view.rows("validation")]} == {*drawn.validation_ids}
    assert not len(view.rows("test"))


def test_the_report_tells_the_range_beside_the_number(table: FoldTable) -> None:
    section = fold_section(table)
    spread = next(s for s in table.spreads if s.head_kind == "concept_bottleneck")
    assert f"{min(spread.folds):.3f} to {max(spread.folds):.3f}" in section["meaning"]
    assert [row["head"] for row in section["rows"]] == [s.head for s in table.spreads]
    page = render("sections/folds.html.j2", [TEMPLATES], told=section)
    assert page.count("<tr>") == 1 + len(table.spreads)
