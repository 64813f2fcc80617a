"""A head that only has a card and a `fit` is seen wherever heads are."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import CARDS, REFERENCE, HeadCard, card_of
from curette.schemas.images import TestLabels
from curette.schemas.probe import Heads
from curette.schemas.settings.draw import DomainShift, FewShotSpec
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.tasks.draw.protocols import PROTOCOLS
from curette.tasks.evaluate.evaluation import evaluate_heads
from curette.tasks.methods.features import features_of
from curette.tasks.methods.page.charts import Row, interval_chart
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.probe.draws import Draws, Fitted
from curette.tasks.probe.heads import TRAINERS
from curette.tasks.probe.protocols import train_on_draws
from curette.tasks.probe.training import train_heads
from curette.tasks.report.sections.few_shots import few_shot_section
from curette.tasks.report.sections.shifts import shift_section
from tests.builders.published_study import published_study, with_people

RIDGE = HeadCard(
    kind="ridge",
    title="ridge on scores",
    inputs="scores",
    role="concepts",
    colour="#123456",
    baselines=(REFERENCE, "majority"),
    without_concepts=("random_concepts",),
)
_SELECT = SelectSpec(size=Size(per_class=2))


def _fit(draws: Draws) -> Fitted:
    """Ridge regression of the classes on the draw's centred scores."""
    scores, labels = draws.scores.drawn, one_hot(draws.labels, draws.images.class_count).double()
    mean = scores.mean(1, keepdim=True)
    gram = (scores - mean).mT @ (scores - mean) + 0.01 * torch.eye(scores.shape[2]).double()
    weights = torch.linalg.solve(gram, (scores - mean).mT @ labels).mT
    return Fitted(draws, HeadBatch(weights, labels.mean(1) - (weights @ mean.mT)[..., 0]))


@pytest.fixture(scope="module", autouse=True)
def _ridge() -> Iterator[None]:
    CARDS[RIDGE.kind], TRAINERS[RIDGE.kind] = RIDGE, _fit
    yield
    del CARDS[RIDGE.kind], TRAINERS[RIDGE.kind]


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    published, test = published_study(noise=1.5)
    return with_people(published), test


@pytest.fixture(scope="module")
def probe(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    return train_heads(study[0], _settings())


@pytest.fixture(scope="module")
def evaluation(study: tuple[ConceptDataset, TestLabels], probe: Heads) -> Evaluation:
    published, test = study
    spec = FewShotSpec(shots=(1, 4), seeds=2, heads=("ridge", "random_concepts", "nearest_mean"))
    few = PROTOCOLS["few shots"](published, _SELECT, spec)
    shift = DomainShift(kind="domain", column="sex", train_on=("male",))
    return evaluate_heads(
        published,
        probe,
        test,
        EvaluateSpec(resamples=100, smallest_subgroup=2),
        drawn=[
            train_on_draws(published, draws, _settings(), probe)
            for draws in (few, PROTOCOLS["shifts"](published, _SELECT, (shift,)))
        ],
    )


def _settings() -> ProbeSpec:
    return ProbeSpec(heads=("ridge",), epochs=20, random_draws=2, nec=())


def test_it_can_be_asked_for_and_is_trained_beside_what_always_is(probe: Heads) -> None:
    assert probe.head("ridge").facts.name == "ridge on scores"
    assert {"linear_probe", "concept_bottleneck", "majority"} <= {
        head.facts.kind for head in probe.heads
    }


def test_it_says_on_vectors_what_it_says_on_scores(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    published, _ = study
    head, vectors = probe.head("ridge"), published.vectors[published.rows("validation")]
    said = head.logits(features_of(published, head, vectors)).argmax(1)
    assert np.mean(said == published.labels("validation")) > 0.5


def test_it_is_measured_with_its_leads_curves_and_decisions(evaluation: Evaluation) -> None:
    assert "ridge" in {metric.head_kind for metric in evaluation.metrics}
    assert {d.baseline for d in evaluation.differences if d.head == RIDGE.title} == {
        "linear probe",
        "majority class",
    }
    assert RIDGE.title in {curve.head for curve in evaluation.curves}
    assert all(RIDGE.title in p.predicted for p in evaluation.predictions)
    assert RIDGE.title in {head.head for head in evaluation.concept_truth.heads}


def test_it_is_measured_with_few_shots_and_over_what_it_is_without_concepts(
    evaluation: Evaluation,
) -> None:
    curves = evaluation.few_shots
    assert curves is not None
    assert {p.shots for p in curves.points if p.head == "ridge"} == {1, 4, None}
    assert {lead.baseline for lead in curves.leads if lead.head == "ridge"} == {
        "random_concepts",
        "best_probe",
        "linear_probe",
    }


def test_it_is_measured_under_shifts_with_its_lead(evaluation: Evaluation) -> None:
    assert evaluation.shifts is not None
    (result,) = evaluation.shifts.results
    leads = [v.lead for v in result.values if v.head_kind == "ridge" and v.of == "out_of_domain"]
    assert leads
    assert None not in leads


def test_charts_and_tables_of_the_report_show_it(
    study: tuple[ConceptDataset, TestLabels], evaluation: Evaluation
) -> None:
    accuracies = [m for m in evaluation.metrics if m.name == "balanced_accuracy"]
    rows = [Row(m.head, card_of(m.head_kind).colour, m.value, m.low, m.high) for m in accuracies]
    assert RIDGE.colour in interval_chart(rows, "balanced accuracy").svg
    assert evaluation.few_shots is not None
    section = few_shot_section(evaluation.few_shots)
    assert RIDGE.title in section["chart"].csv
    assert RIDGE.title in {row["name"] for row in section["rows"]}
    assert evaluation.shifts is not None
    shown = str(shift_section(evaluation.shifts, study[0].facts.classes))
    assert RIDGE.colour in shown
    assert RIDGE.title in shown
