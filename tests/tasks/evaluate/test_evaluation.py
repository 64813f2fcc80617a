"""What the evaluation says of heads, against scikit-learn and against shuffled labels."""

import pkgutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import numpy as np
import pytest
from pydantic import BaseModel
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from curette.schemas import questions as answers_to_questions
from curette.schemas.artifact import Recipe, StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.evaluation import Evaluation
from curette.schemas.heads import HeadKind
from curette.schemas.images import TestLabels
from curette.schemas.probe import Head, Heads
from curette.schemas.questions.subgroups import SubgroupMetric, WorstSubgroup
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.storage.ledger import TestLedger
from curette.storage.store import ArtifactCorrupt, ArtifactStore
from curette.tasks.evaluate import questions
from curette.tasks.evaluate.answers import HEAD_METRICS
from curette.tasks.evaluate.evaluation import answer, evaluate_heads
from curette.tasks.evaluate.exam import Exam, check_askable
from curette.tasks.evaluate.images import join_test_labels
from curette.tasks.evaluate.questions import QUESTIONS, curves, differences, metrics
from curette.tasks.evaluate.task import evaluate_probe
from curette.tasks.methods.features import head_features
from curette.tasks.methods.statistics.auroc import delong_macro
from curette.tasks.methods.statistics.calibration import at_temperature, fit_temperature
from curette.tasks.stage import Workplace
from tests.builders.published_study import KEYS, published_study

SPEC = EvaluateSpec(resamples=100, explained_images=6)
SEXES = ("female", "male")


def _trained(published: ConceptDataset) -> Heads:
    from curette.tasks.probe.training import train_heads

    return train_heads(published, ProbeSpec(epochs=80, random_draws=3, nec=(1,)))


def _with_metadata(published: ConceptDataset) -> ConceptDataset:
    """Give each subject a sex, and each image a name of its own."""
    images = published.images.copy()
    images["meta.sex"] = [SEXES[int(subject[1:]) % 2] for subject in images["subject"]]
    images["meta.file_id"] = images["image_id"]
    return replace(published, images=images)


@pytest.fixture(scope="module")
def study() -> tuple[ConceptDataset, TestLabels]:
    published, test = published_study(noise=1.5)
    return _with_metadata(published), test


@pytest.fixture(scope="module")
def probe(study: tuple[ConceptDataset, TestLabels]) -> Heads:
    return _trained(study[0])


@pytest.fixture(scope="module")
def evaluation(study: tuple[ConceptDataset, TestLabels], probe: Heads) -> Evaluation:
    return evaluate_heads(study[0], probe, study[1], SPEC)


def _value(evaluation: Evaluation, kind: str, name: str) -> float:
    return next(m.value for m in evaluation.metrics if m.head_kind == kind and m.name == name)


def test_numbers_are_scikit_learns(evaluation: Evaluation) -> None:
    true = [p.label for p in evaluation.predictions]
    said = [p.predicted["linear probe"] for p in evaluation.predictions]
    assert _value(evaluation, "linear_probe", "balanced_accuracy") == pytest.approx(
        balanced_accuracy_score(true, said)
    )
    curve = next(c for c in evaluation.curves if c.head == "linear probe")
    assert curve.confusion == tuple(map(tuple, confusion_matrix(true, said, labels=list(KEYS))))


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


def _logits(published: ConceptDataset, probe: Heads, kind: HeadKind) -> np.ndarray:
    head = probe.head(kind)
    return head.logits(head_features(published, head, published.rows("test")))


def test_every_head_is_measured_by_every_metric(evaluation: Evaluation, probe: Heads) -> None:
    families = {h.facts.family for h in probe.heads}
    of_head: dict[str, set[str]] = {}
    for metric in evaluation.metrics:
        of_head.setdefault(metric.head.partition(" (mean")[0], set()).add(metric.name)
    assert of_head == {family: set(HEAD_METRICS) for family in families}


def test_heads_measured_together_read_as_measured_alone(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, evaluation: Evaluation
) -> None:
    published, test = study
    images = join_test_labels(published, test)
    for family, heads in list(probe.families.items())[-2:]:
        alone = metrics.measure(Exam(published, replace(probe, heads=tuple(heads)), images, SPEC))
        assert alone == tuple(
            m for m in evaluation.metrics if m.head.partition(" (mean")[0] == family
        )


def test_a_percentile_interval_needs_no_jackknife_and_bca_has_one(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, evaluation: Evaluation
) -> None:
    few = replace(probe, heads=tuple(h for h in probe.heads if h.facts.kind in _FEW))
    exam = Exam(study[0], few, join_test_labels(*study), SPEC)
    percentile = metrics.measure(exam)
    bca = metrics.measure(replace(exam, spec=SPEC.model_copy(update={"interval": "bca"})))
    assert {m.method for m in percentile} == {"percentile"}
    assert "bca" in {m.method for m in bca}
    assert [m.value for m in bca] == [m.value for m in percentile]


_FEW: tuple[HeadKind, ...] = ("linear_probe", "concept_bottleneck", "random_concepts", "majority")


def test_temperature_comes_from_validation_images_alone(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, evaluation: Evaluation
) -> None:
    published, test = study
    head = probe.head("linear_probe")
    rows = published.rows("validation")
    fitted = fit_temperature(
        published.labels("validation"), head.logits(head_features(published, head, rows))
    )
    told = next(c.calibration for c in evaluation.curves if c.head == "linear probe")
    assert told.temperature == fitted.value
    assert told.validation_images == len(rows)
    assert told.log_loss == pytest.approx(_value(evaluation, "linear_probe", "log_loss"))
    assert told.error == _value(evaluation, "linear_probe", "debiased_calibration_error")
    cooled = at_temperature(_logits(published, probe, "linear_probe"), fitted.value)
    order = {key: i for i, key in enumerate(KEYS)}
    true = [order[p.label] for p in evaluation.predictions]
    assert told.log_loss_after == pytest.approx(-np.log(cooled[range(len(true)), true]).mean())

    wrong = {i: KEYS[(order[k] + 1) % 3] for i, k in test.labels.items()}
    mistaken = join_test_labels(published, TestLabels(labels=wrong))
    others = curves.measure(Exam(published, probe, mistaken, SPEC))
    again = next(c.calibration for c in others if c.head == "linear probe")
    assert again.temperature == told.temperature
    assert again.log_loss != told.log_loss


def test_reliability_bins_have_equally_many_images(evaluation: Evaluation) -> None:
    curve = next(c.calibration for c in evaluation.curves if c.head == "linear probe").reliability
    assert sum(p.images for p in curve) == evaluation.images
    assert max(p.images for p in curve) - min(p.images for p in curve) <= 1


def test_answering_every_image_risks_all_errors(evaluation: Evaluation) -> None:
    for curve in evaluation.curves:
        last = curve.risk_coverage[-1]
        wrong = sum(p.label != p.predicted[curve.head] for p in evaluation.predictions)
        assert last.coverage == 1
        assert last.risk == pytest.approx(wrong / evaluation.images)
        coverages = [p.coverage for p in curve.risk_coverage]
        assert coverages == sorted(coverages)


def test_subgroups_are_measured_apart(
    study: tuple[ConceptDataset, TestLabels], evaluation: Evaluation
) -> None:
    images = study[0].images
    told = {m.subgroup: m for m in evaluation.subgroups.metrics if _is_linear_accuracy(m)}
    assert set(told) == set(SEXES)
    for sex, metric in told.items():
        ids = set(images.loc[images["meta.sex"] == sex, "image_id"])
        here = [p for p in evaluation.predictions if p.image_id in ids]
        assert (metric.images, metric.groups) == (len(here), len(here) // 2)
        assert metric.value == pytest.approx(
            accuracy_score([p.label for p in here], [p.predicted["linear probe"] for p in here])
        )
    worst = next(w for w in evaluation.subgroups.worst if _is_linear_accuracy(w))
    assert worst.value == min(m.value for m in told.values())


def _is_linear_accuracy(line: SubgroupMetric | WorstSubgroup) -> bool:
    return (line.head, line.column, line.name) == ("linear probe", "sex", "accuracy")


def test_columns_that_cannot_be_used_are_named(evaluation: Evaluation) -> None:
    unusable = {u.column: u.reason for u in evaluation.subgroups.unusable}
    assert unusable == {"file_id": "names single images instead of groups of them"}


def test_a_column_that_is_not_there_is_refused_before_the_look_is_counted(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, tmp_path: Path
) -> None:
    published, test = study
    store = ArtifactStore(tmp_path)
    labels = store.save(test, Recipe(stage="ingest", code=""))
    facts = published.facts.model_copy(update={"test_labels": labels.digest})
    named = store.save(replace(published, facts=facts), Recipe(stage="publish", code=""))
    heads = store.save(probe, Recipe(stage="probe", code=""))
    for wrong in (
        SPEC.model_copy(update={"subgroup_columns": ("sexx",)}),
        SPEC.model_copy(update={"subgroup_edges": {"sexx": (1.0,)}}),
    ):
        with pytest.raises(StudyError, match=r"sexx, and the images have no such.*file_id, sex"):
            evaluate_probe.fn(Workplace(store), named, heads, wrong)
    assert not (tmp_path / "test-looks").exists()


def test_edges_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="subgroup_edges of age must be some rising numbers"):
        EvaluateSpec(subgroup_edges={"age": (40, 20)})


def test_disagreement_counts_every_image_once(evaluation: Evaluation) -> None:
    d = evaluation.disagreement
    assert (d.first, d.second) == ("concept bottleneck", "linear probe")
    counts = (d.both_right, d.only_first_right, d.only_second_right)
    assert sum(counts) + d.both_wrong_alike + d.both_wrong_apart == evaluation.images
    said = {p.image_id: p for p in evaluation.predictions}
    for example in d.examples:
        prediction = said[example.image_id]
        assert example.first == prediction.predicted["concept bottleneck"]
        assert example.second == prediction.predicted["linear probe"]
        assert example.first != example.second


def test_an_auroc_difference_is_delongs_too(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, evaluation: Evaluation
) -> None:
    """A head of several draws counts as their mean: its lead is the mean of their leads."""
    published, test = study
    images = join_test_labels(published, test)
    rows = published.rows("test")
    draws = [
        at_temperature(h.logits(head_features(published, h, rows)), 1.0)
        for h in [probe.head("concept_bottleneck"), *_random(probe)]
    ]
    areas = delong_macro(images.labels, np.stack(draws), images.groups)
    told = next(
        d
        for d in evaluation.differences
        if (d.head, d.name) == ("concept bottleneck", "macro_auroc") and "random" in d.baseline
    )
    assert told.value == pytest.approx(areas.value[0] - areas.value[1:].mean())
    assert told.delong is not None
    lead = np.array([1.0, *[-1 / 3] * 3])
    error = float(lead @ areas.covariance @ lead) ** 0.5
    assert told.delong.high - told.delong.low == pytest.approx(2 * 1.959964 * error, rel=1e-5)
    assert all(d.delong is None for d in evaluation.differences if d.name != "macro_auroc")


def _random(probe: Heads) -> list[Head]:
    return [h for h in probe.heads if h.facts.kind == "random_concepts"]


def test_a_class_of_one_image_has_no_delong(
    study: tuple[ConceptDataset, TestLabels], probe: Heads
) -> None:
    published, test = study
    lonely = next(iter(test.labels))
    labels = {i: "c" if i == lonely else "a" if k == "c" else k for i, k in test.labels.items()}
    images = join_test_labels(published, TestLabels(labels=labels))
    found = differences.measure(Exam(published, probe, images, SPEC))
    assert {d.name for d in found} == {"balanced_accuracy", "macro_auroc"}
    assert all(d.delong is None for d in found)


def test_sparse_heads_are_compared_at_their_own_number_of_concepts(evaluation: Evaluation) -> None:
    nec = {m.head: m.nec for m in evaluation.metrics}
    at_random = {head: n for head, n in nec.items() if "random sparse" in head}
    pairs = [(d.head, d.baseline) for d in evaluation.differences if d.baseline in at_random]
    assert pairs
    for head, baseline in pairs:
        nearest = min(abs(n - nec[head]) for n in at_random.values())
        assert abs(nec[baseline] - nec[head]) == nearest


def test_an_evaluation_can_be_saved_whatever_is_undefined(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, tmp_path: Path
) -> None:
    """Two images of two subjects: classes are missing and bins have one group."""
    published, _ = study
    rows = published.rows("test")[[0, 2]]
    kept = np.sort([*np.flatnonzero(published.images["split"] != "test"), *rows])
    few = replace(
        published,
        images=published.images.iloc[kept].reset_index(drop=True),
        vectors=published.vectors[kept],
        scores=published.scores[kept],
    )
    ids = published.images["image_id"].iloc[rows]
    evaluation = evaluate_heads(few, probe, TestLabels(labels=dict.fromkeys(ids, "a")), SPEC)
    evaluation.write(tmp_path)
    assert Evaluation.read(tmp_path) == evaluation


def test_a_look_is_recorded_before_the_labels_are_read_and_told_from_the_second_on(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, tmp_path: Path
) -> None:
    """Labels set apart under another recipe have another address, and are the same labels."""
    published, test = study
    store = ArtifactStore(tmp_path)
    few = replace(probe, heads=tuple(h for h in probe.heads if h.facts.kind in _FEW))
    heads = store.save(few, Recipe(stage="probe", code=""))
    looked = []
    for number in (1, 2):
        labels = store.save(test, Recipe(stage="ingest", code="", spec={"number": number}))
        facts = published.facts.model_copy(
            update={"test_labels": labels.digest, "labelled": ()}  # these take longest to ask about
        )
        named = store.save(replace(published, facts=facts), Recipe(stage="publish", code=""))
        looked.append(
            store.load(Evaluation, evaluate_probe.fn(Workplace(store), named, heads, SPEC))
        )
    assert looked[0].earlier_readings == ()
    (first,) = looked[1].earlier_readings
    assert first.study == "by-hand"
    assert first.asked == "every metric of 4 heads"

    (store.path(labels) / "test-labels.json").unlink()
    another = SPEC.model_copy(update={"seed": 5})
    with pytest.raises(ArtifactCorrupt):
        evaluate_probe.fn(Workplace(store), named, heads, another)
    assert len(TestLedger(tmp_path).readings(first.labels)) == 3


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
    exam = Exam(published, _trained(published), join_test_labels(published, test), SPEC)
    three_standard_errors = 0.15  # of an AUROC over some 66 images
    for metric in metrics.measure(exam):
        if metric.name == "macro_auroc":
            assert abs(metric.value - 0.5) < three_standard_errors


def test_explanations_add_up_to_the_logit(evaluation: Evaluation, probe: Heads) -> None:
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


def test_one_group_has_no_interval(study: tuple[ConceptDataset, TestLabels]) -> None:
    published, _ = study
    images = published.images.assign(group="the same")
    one = ConceptDataset(**{**vars(published), "images": images})
    with pytest.raises(StudyError, match=r"1 independent groups.*dataset\.splits"):
        check_askable(one, SPEC)


def test_a_further_question_is_answered_beside_the_others(
    study: tuple[ConceptDataset, TestLabels], probe: Heads, evaluation: Evaluation
) -> None:
    def rarest(exam: Exam) -> int:
        return int(np.bincount(exam.images.labels).min())

    exam = Exam(study[0], probe, join_test_labels(*study), SPEC)
    answers = answer(exam, {"metrics": QUESTIONS["metrics"], "rarest": rarest})
    assert answers["metrics"] == evaluation.metrics
    assert answers["rarest"] == min(np.unique(exam.images.labels, return_counts=True)[1])
    assert answers["images"] == evaluation.images


def _names_in(package: ModuleType) -> set[str]:
    return {module.name for module in pkgutil.iter_modules(package.__path__)}


def _records(annotation: object) -> list[type[BaseModel]]:
    """Return the models in a type: itself, or those of its arguments."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [record for argument in get_args(annotation) for record in _records(argument)]


def test_every_question_is_a_field_of_the_evaluation_and_has_a_file_of_its_records() -> None:
    files = _names_in(questions)
    assert set(QUESTIONS) == files == _names_in(answers_to_questions)
    for name in files:
        answered = _records(Evaluation.model_fields[name].annotation)
        assert {record.__module__ for record in answered} == {f"curette.schemas.questions.{name}"}
    assert all(get_type_hints(measure)["exam"] is Exam for measure in QUESTIONS.values())
    required = {name for name, field in Evaluation.model_fields.items() if field.is_required()}
    assert required <= set(QUESTIONS) | {
        *("class_keys", "images", "groups", "resamples", "confidence", "interval"),
        *("earlier_readings", "pretraining", "pretraining_covers_test"),
    }
