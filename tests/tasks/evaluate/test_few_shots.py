"""Points are means over seeds, leads are paired, and intervals know of subjects and of seeds."""

import numpy as np
import pytest
from jaxtyping import Int
from sklearn.metrics import balanced_accuracy_score

from curette.schemas.draws import Drawn
from curette.schemas.heads import HeadKind
from curette.schemas.probe import Heads, HeadStack
from curette.schemas.questions.few_shots import FewShotCurves
from curette.tasks.evaluate.questions.few_shots import balanced_accuracies, few_shot_curves
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap

_HEADS: tuple[HeadKind, ...] = ("linear_probe", "prior")
_LABELS = np.arange(60) // 2 % 3
_GROUPS = np.arange(60) // 2


def _predicting(
    said: Int[np.ndarray, "draw head image"],
    shots: tuple[int | None, ...],
    heads: tuple[HeadKind, ...],
) -> Heads:
    """Return heads that say this of the images whose vectors are the rows of the identity."""
    weights = (said[:, :, None] == np.arange(3)[:, None]).astype(np.float32)
    return Heads(
        class_keys=("a", "b", "c"),
        protocol="few shots",
        draws=tuple(Drawn(shots=s, seed=shots[:i].count(s)) for i, s in enumerate(shots)),
        stack=HeadStack(heads, weights, np.zeros(weights.shape[:3], dtype=np.float32)),
    )


def _answers(draws: int, right: float, heads: int = 2) -> Int[np.ndarray, "draw head image"]:
    generator = np.random.default_rng(0)
    wrong = generator.random((draws, heads, 60)) > right
    return (_LABELS + wrong * generator.integers(1, 3, size=wrong.shape)) % 3


def _curves(
    said: Int[np.ndarray, "draw head image"],
    shots: tuple[int | None, ...],
    resamples: int = 400,
    heads: tuple[HeadKind, ...] = _HEADS,
) -> FewShotCurves:
    return few_shot_curves(
        _predicting(said, shots, heads),
        np.eye(60, dtype=np.float32),
        _LABELS,
        ClusterBootstrap.of(_GROUPS, resamples, seed=0),
        0.9,
    )


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracies_are_scikit_learns_in_every_resample() -> None:
    said = _answers(2, 0.6)
    weights = np.random.default_rng(1).integers(0, 3, size=(5, 60)).astype(np.float64)
    weights[4] *= _LABELS != 1  # a class without images
    values = balanced_accuracies((said == _LABELS).reshape(4, 60), _LABELS, weights)
    for row, weight in enumerate(weights):
        seen = weight > 0
        for column, answer in enumerate(said.reshape(4, 60)):
            theirs = balanced_accuracy_score(
                _LABELS[seen], answer[seen], sample_weight=weight[seen]
            )
            assert values[row, column] == pytest.approx(theirs, abs=1e-6)


def test_a_point_is_the_mean_over_seeds() -> None:
    said = _answers(5, 0.6)
    curves = _curves(said, (1, 1, 1, 1, None))
    for point in curves.points:
        draws = said[:4] if point.shots == 1 else said[4:]
        head = _HEADS.index(point.head)
        theirs = np.mean([balanced_accuracy_score(_LABELS, d[head]) for d in draws])
        assert point.value == pytest.approx(theirs, abs=1e-6)
        assert point.low <= point.value <= point.high
    assert [(p.shots, p.head, p.seeds) for p in curves.points] == [
        (1, "linear_probe", 4),
        (1, "prior", 4),
        (None, "linear_probe", 1),
        (None, "prior", 1),
    ]


def test_one_draw_has_the_interval_of_its_subjects_alone() -> None:
    said = _answers(1, 0.6)
    bootstrap = ClusterBootstrap.of(_GROUPS, 400, seed=0)
    right = said[0] == _LABELS
    expected = bootstrap.replicate(
        lambda weights: balanced_accuracies(right, _LABELS, weights), "percentile"
    ).intervals("percentile", 0.9)
    for point, interval in zip(_curves(said, (None,)).points, expected, strict=True):
        assert (point.low, point.high) == pytest.approx((interval.low, interval.high))


def test_a_head_with_the_same_answers_has_no_lead_and_no_doubt_about_it() -> None:
    said = _answers(3, 0.6)
    said[:, 1] = said[:, 0]
    (lead,) = _curves(said, (2, 2, 2)).leads
    assert (lead.value, lead.low, lead.high) == (0, 0, 0)


def test_seeds_that_disagree_widen_the_interval() -> None:
    alike = np.repeat(_answers(1, 0.6), 6, axis=0)
    unlike = alike.copy()
    unlike[:3], unlike[3:] = _LABELS, (_LABELS + 1) % 3
    widths = [p.high - p.low for said in (alike, unlike) for p in _curves(said, (1,) * 6).points]
    assert min(widths[2:]) > 2 * max(widths[:2])


def test_the_lead_over_a_probe_that_fails_on_the_same_subjects_is_surer_than_the_points() -> None:
    said = _answers(4, 0.5)
    said[:, 1] = said[:, 0]
    said[:, 1, :6] = _LABELS[:6]
    curves = _curves(said, (1,) * 4)
    (lead,) = curves.leads
    assert lead.high - lead.low < min(p.high - p.low for p in curves.points)
    assert lead.value == pytest.approx(curves.points[1].value - curves.points[0].value)


def test_what_concepts_bring_is_the_lead_over_the_same_without_them() -> None:
    heads: tuple[HeadKind, ...] = (
        *("linear_probe", "pulled_hybrid", "averaged_linear_probe", "nearest_mean"),
    )
    said = _answers(4, 0.6, heads=4)
    said[:, 1] = said[:, 2]  # all that it has comes from averaging
    curves = _curves(said, (1,) * 4, heads=heads)
    points: dict[str, float] = {p.head: p.value for p in curves.points}
    leads = {(x.head, x.baseline): x for x in curves.leads}
    brought = leads["pulled_hybrid", "averaged_linear_probe"]
    assert (brought.value, brought.low, brought.high) == (0, 0, 0)
    for (head, baseline), lead in leads.items():
        others = ("linear_probe", "nearest_mean") if baseline == "best_probe" else (baseline,)
        best = max(points[other] for other in others)
        assert lead.value == pytest.approx(points[head] - best), (head, baseline)
    assert set(leads) == {
        ("pulled_hybrid", "averaged_linear_probe"),
        ("pulled_hybrid", "best_probe"),
        ("pulled_hybrid", "linear_probe"),
        ("averaged_linear_probe", "linear_probe"),
        ("nearest_mean", "linear_probe"),
    }


def test_the_best_probe_is_picked_in_every_resample() -> None:
    """Two probes are each right on half of the subjects: whichever was drawn more often is best."""
    said = np.repeat(_LABELS[None, None], 3, axis=1)
    first = np.arange(60) < 30
    said[:, 0], said[:, 2] = (
        np.where(right, _LABELS, (_LABELS + 1) % 3) for right in (first, ~first)
    )
    heads: tuple[HeadKind, ...] = ("linear_probe", "prior", "nearest_mean")
    leads = {
        x.baseline: x
        for x in _curves(said, (None,), resamples=1000, heads=heads).leads
        if x.head == "prior"
    }
    assert leads["best_probe"].value == pytest.approx(0.5)
    assert leads["best_probe"].high < 0.5 + 1e-6 < leads["linear_probe"].high


def test_heads_that_are_not_there_lead_nothing() -> None:
    few: list[tuple[HeadKind, ...]] = [
        ("linear_probe",),
        ("linear_probe", "random_concepts"),
    ]
    for heads in few:
        leads = _curves(_answers(1, 0.6, len(heads)), (1,), heads=heads).leads
        assert {x.baseline for x in leads} <= {"linear_probe"}
        assert len(leads) == len(heads) - 1


def test_intervals_cover_the_mean_over_subjects_and_draws_at_least_as_often_as_they_say() -> None:
    """Answers are right by chance, more or less often by draw and by subject."""
    covered, repeats = 0, 120
    for repeat in range(repeats):
        generator = np.random.default_rng(repeat)
        by_draw, by_subject = 0.1 * generator.normal(size=8), 0.15 * generator.normal(size=30)
        chance = 0.6 + by_draw[:, None, None] + np.repeat(by_subject, 2)
        wrong = generator.random((8, 2, 60)) > chance
        point = _curves((_LABELS + wrong) % 3, (1,) * 8, resamples=200).points[0]
        covered += point.low <= 0.6 <= point.high
    assert covered / repeats > 0.9 - 2.5 * np.sqrt(0.09 / repeats)
