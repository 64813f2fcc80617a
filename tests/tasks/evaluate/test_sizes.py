"""Heads on fewer and on more concepts, asked about the same test images, against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads, SkippedHead
from curette.schemas.questions.sizes import SizeTable
from curette.schemas.settings.draw import SizeSpec
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec
from curette.tasks.draw.sizes import draw
from curette.tasks.evaluate.exam import Exam
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import metrics, sizes
from curette.tasks.methods.features import head_features
from curette.tasks.methods.page.render import render
from curette.tasks.methods.statistics.calibration import at_temperature
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.training import train_heads
from curette.tasks.report.render import _TEMPLATES as TEMPLATES
from curette.tasks.report.sections.sizes import size_section
from tests.builders.published_study import published_study
from tests.shapes import unchecked

_SPEC = ProbeSpec(heads=("sparse", "labo"), epochs=5, random_draws=1, nec=())
_SIZES = SizeSpec(concepts=(2, 6), random_draws=2)


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    return published_study(noise=2)


@pytest.fixture(scope="module")
def heads(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    with unchecked():  # what is measured is given here, and checked where it is made
        return train_on_draws(study[0], draw(study[0], SelectSpec(), _SIZES), _SPEC)


@pytest.fixture(scope="module")
def exam(study: tuple[ConceptDataset, TestLabels], heads: Heads) -> Exam:
    images = join_test_labels(*study)
    spec = EvaluateSpec(resamples=100)
    with unchecked():
        probe = train_heads(study[0], _SPEC)
    return Exam(study[0], probe, images, spec, drawn={"sizes": heads})


@pytest.fixture(scope="module")
def table(exam: Exam) -> SizeTable:
    assert sizes.measure(Exam(exam.published, exam.probe, exam.images, exam.spec)) is None
    table = sizes.measure(exam)
    assert table is not None
    return table


def test_every_head_that_answers_by_concepts_is_measured_at_every_number(table: SizeTable) -> None:
    assert sorted((p.head_kind, p.way, p.concepts) for p in table.points) == sorted(
        (kind, way, size)
        for kind in ("concept_bottleneck", "labo", "sparse")
        for way in ("selected", "labo", "random")
        for size in (2, 6)
    )


def test_a_point_is_the_mean_over_its_orders_as_scikit_learn_has_it(
    exam: Exam, heads: Heads, table: SizeTable
) -> None:
    labels, rows = exam.images.labels, exam.rows
    for point in table.points:
        reached = []
        for number, of_order in enumerate(heads.draws):
            if (of_order.way, of_order.size) == (point.way, point.concepts):
                head = heads.of(number).head(point.head_kind)
                said = at_temperature(head.logits(head_features(exam.published, head, rows)), 1.0)
                area = roc_auc_score(labels, said, multi_class="ovr")
                reached.append((balanced_accuracy_score(labels, said.argmax(1)), area))
        assert len(reached) == (2 if point.way == "random" else 1)
        assert point.balanced_accuracy is not None
        assert point.macro_auroc is not None
        found = point.balanced_accuracy.value, point.macro_auroc.value
        assert found == pytest.approx(tuple(np.mean(reached, axis=0)))
        assert point.balanced_accuracy.low < point.balanced_accuracy.high


def test_the_selected_number_and_the_probe_are_what_the_metrics_say(
    exam: Exam, table: SizeTable
) -> None:
    said = {(m.head_kind, m.name): m.value for m in metrics.measure(exam)}
    own = next(
        p
        for p in table.points
        if (p.head_kind, p.way, p.concepts) == ("concept_bottleneck", "selected", 6)
    )
    for kind, reached in (("concept_bottleneck", own), ("linear_probe", table.probe)):
        assert reached.balanced_accuracy is not None
        assert reached.balanced_accuracy.value == said[kind, "balanced_accuracy"]


def test_a_head_that_could_not_be_trained_says_why(exam: Exam, heads: Heads) -> None:
    skipped = SkippedHead(
        name="grounded", kind="grounded", reason="no concept is there", trained_on=1
    )
    told = sizes.measure(replace(exam, drawn={"sizes": replace(heads, skipped=(skipped,))}))
    assert told is not None
    assert told.unusable == (f"{heads.draws[1].title}: grounded: no concept is there",)


def test_the_report_has_a_row_a_head_and_order_and_the_probe_last(table: SizeTable) -> None:
    section = size_section(table)
    assert "with 2 concepts" in section["meaning"]
    assert "with 6 concepts" in section["meaning"]
    for told in section["tables"].values():
        assert [c["label"] for c in told["columns"]] == ["2", "6"]
        assert len(told["rows"]) == 3 * 3 + 1
        assert told["rows"][-1]["head"] == "linear probe"
    page = render("sections/sizes.html.j2", [TEMPLATES], told=section)
    assert page.count("<tr") == 2 * (1 + 10)


def test_where_no_number_can_be_had_the_report_says_so(table: SizeTable) -> None:
    none = table.model_copy(update={"points": (), "unusable": ("500 concepts: there are 18",)})
    section = size_section(none)
    assert section["meaning"] == "No head could be trained on other numbers of concepts."
    assert "there are 18" in render("sections/sizes.html.j2", [TEMPLATES], told=section)
