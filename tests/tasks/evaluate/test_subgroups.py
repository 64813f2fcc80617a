"""Subgroups name nobody, cover every image once, and carry scikit-learn's numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from curette.schemas.questions.subgroups import SubgroupMetric, WorstSubgroup
from curette.schemas.settings.evaluate import EvaluateSpec
from curette.tasks.evaluate.answers import HeadAnswers
from curette.tasks.evaluate.questions.subgroups import (
    measure_subgroups,
    metrics_by_subgroup_of,
)
from curette.tasks.methods.metadata import Subgroups, read_column
from curette.tasks.methods.statistics.bootstrap import ClusterBootstrap
from curette.tasks.methods.statistics.metrics import METRICS
from curette.tasks.methods.subgroups import find_subgroups


def _found(
    values: Sequence[object], groups: np.ndarray | None = None, column: str = "x"
) -> Subgroups:
    groups = np.arange(len(values)) if groups is None else groups
    ((found,), unusable) = find_subgroups(pd.DataFrame({column: list(values)}), groups, {})
    assert not unusable
    return found


def _refused(values: Sequence[object], groups: np.ndarray | None = None, column: str = "x") -> str:
    groups = np.arange(len(values)) if groups is None else groups
    found, (unusable,) = find_subgroups(pd.DataFrame({column: list(values)}), groups, {})
    assert not found
    assert unusable.column == column
    return unusable.reason


def _counts(found: Subgroups) -> dict[str, int]:
    counts = {name: int((found.of_image == i).sum()) for i, name in enumerate(found.names)}
    hidden = int((found.of_image == -1).sum())
    assert sum(counts.values()) + hidden == len(found.of_image)
    return counts | ({"hidden": hidden} if hidden else {})


def test_values_missing_ones_among_them_are_subgroups() -> None:
    values = ["female"] * 12 + ["male"] * 15 + ["unknown"] * 6 + [None] * 3 + [""] * 2
    assert _counts(_found(values)) == {"female": 12, "male": 15, "not stated": 11}
    assert _counts(_found([True] * 10 + [False] * 10)) == {"no": 10, "yes": 10}


def test_fewer_than_ten_people_are_merged_or_hidden_however_many_images_they_have() -> None:
    values = ["back"] * 30 + ["face"] * 20 + ["scalp"] * 6 + ["hand"] * 5
    assert _counts(_found(values)) == {"back": 30, "face": 20, "other": 11}
    assert _counts(_found(values[:-2])) == {"back": 30, "face": 20, "hidden": 9}
    person = np.arange(61)
    person[30:50] = np.arange(20) // 4 + 100  # the faces are of five people
    assert _counts(_found(values, person)) == {"back": 30, "other": 31}


def test_a_value_that_is_called_other_takes_the_small_ones_in() -> None:
    values = ["a"] * 10 + ["Other"] * 12 + ["b"] * 3
    assert _counts(_found(values)) == {"a": 10, "other": 15}


def test_skin_types_stay_numbers_in_their_order() -> None:
    found = _found([2, 10, 1] * 10, column="monk_tone")
    assert found.names == ("1", "2", "10")
    assert _found(["2.0", "10.0", "1.0"] * 10).names == ("1", "2", "10")


def test_small_steps_of_a_scale_join_their_neighbours_and_keep_their_names() -> None:
    types = ["I"] * 12 + ["II"] * 30 + ["III"] * 25 + ["IV"] * 8 + ["V"] * 3 + ["VI"] * 2
    assert _counts(_found(types, column="skin_tone")) == {
        **{"I": 12, "II": 30, "III": 25, "IV to VI": 13}
    }
    assert _counts(_found([*types, *[None] * 11]))["not stated"] == 11
    monk = ["1"] * 4 + ["2"] * 20 + ["9"] * 15 + ["10"] * 6
    assert _counts(_found(monk)) == {"1 to 2": 24, "9 to 10": 21}
    assert _counts(_found(["0"] * 5 + ["1"] * 40 + ["2"] * 11)) == {"0 to 1": 45, "2": 11}


def test_ages_are_cut_at_round_years() -> None:
    ages = [5.0, 20, 35, 39, 40, 60, 79, 80, 85, 90, 41, np.nan]
    found = read_column("age_approx", pd.Series(ages), None)
    assert isinstance(found, Subgroups)
    assert found.names[:5] == ("under 20", "20 to 39", "40 to 59", "60 to 79", "80 and over")
    np.testing.assert_array_equal(found.of_image, [0, 1, 1, 1, 2, 3, 3, 4, 4, 4, 2, 5])


def test_other_numbers_are_cut_at_their_quartiles_and_at_declared_edges() -> None:
    values = pd.Series(np.random.default_rng(0).permutation(np.linspace(1, 5, 200)))
    found = read_column("diameter_mm", values, None)
    assert isinstance(found, Subgroups)
    assert found.names[:4] == ("under 2", "2 to under 3", "3 to under 4", "4 and over")
    np.testing.assert_array_equal(np.bincount(found.of_image), [50, 50, 50, 50])
    declared = read_column("diameter_mm", values, [2.5])
    assert isinstance(declared, Subgroups)
    np.testing.assert_array_equal(declared.of_image, (values >= 2.5).to_numpy().astype(int))


@pytest.mark.parametrize("column", ["lesion_id", "imageId", "ID", "meta.subject_id"])
def test_a_column_of_identifiers_is_not_used(column: str) -> None:
    assert "names single images" in _refused(list(range(100)), column=column)


def test_texts_that_are_nearly_all_different_are_not_used() -> None:
    assert "names single images" in _refused([f"p{i}" for i in range(100)])
    assert "names single images" in _refused([f"2020-{i}" for i in range(40)] + ["2020-1"] * 20)


def test_an_identifier_that_is_asked_for_is_used() -> None:
    sites = [i % 4 for i in range(60)] + list(range(4, 20))
    found, _ = find_subgroups(
        pd.DataFrame({"site_id": sites}), np.arange(76), {}, asked_for=("site_id",)
    )
    assert found[0].names == ("0", "1", "2", "3", "other")


def test_a_column_with_one_value_that_can_be_shown_is_not_used() -> None:
    assert "fewer than two values" in _refused(["a"] * 50 + ["b"] * 9)
    assert "fewer than two values" in _refused([None] * 50)


def test_at_most_twelve_values_are_named() -> None:
    values = [f"site {i:02d}" for i in range(15) for _ in range(30 - i)]
    counts = _counts(_found(values))
    assert list(counts) == [f"site {i:02d}" for i in range(12)] + ["other"]
    assert counts["other"] == 18 + 17 + 16


def _sample() -> tuple[np.ndarray, np.ndarray, Subgroups, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    of_image = np.repeat([0, 1, -1], [180, 100, 20])
    strength = np.where(of_image == 1, 0.2, 2.0)[:, None]
    probabilities = np.exp(strength * np.eye(3)[labels] + generator.normal(size=(300, 3)))
    probabilities /= probabilities.sum(1, keepdims=True)
    return labels, probabilities, Subgroups("sex", ("f", "m"), of_image), np.arange(300) // 2


def _measured(
    labels: np.ndarray,
    draws: Sequence[np.ndarray],
    subgroups: Subgroups,
    groups: np.ndarray,
    resamples: int = 100,
) -> tuple[list[SubgroupMetric], list[WorstSubgroup]]:
    bootstrap = ClusterBootstrap.of(groups, resamples, 0)
    head = HeadAnswers("probe", "linear_probe", 0.0, tuple(draws))
    return measure_subgroups(labels, head, subgroups, bootstrap, EvaluateSpec())


def test_numbers_of_a_subgroup_are_scikit_learns_on_its_images() -> None:
    labels, probabilities, subgroups, groups = _sample()
    lines, _ = _measured(labels, [probabilities], subgroups, groups, 200)
    assert len(lines) == 2 * len(METRICS)
    for i, name in enumerate("fm"):
        here = subgroups.of_image == i
        values = {line.name: line for line in lines if line.subgroup == name}
        said = labels[here], probabilities[here].argmax(1)
        assert values["accuracy"].value == pytest.approx(accuracy_score(*said))
        assert values["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(*said))
        assert values["accuracy"].low < values["accuracy"].value < values["accuracy"].high
    male = next(line for line in lines if line.subgroup == "m")
    assert (male.images, male.groups, male.classes) == (100, 50, 3)


def test_a_subgroup_without_a_mistake_keeps_the_doubt_of_clopper_and_pearson() -> None:
    labels, probabilities, subgroups, groups = _sample()
    right = 0.9 * np.eye(probabilities.shape[1])[labels] + 0.1 * probabilities
    lines, _ = _measured(labels, [right], subgroups, groups, 200)
    male = {line.name: line for line in lines if line.subgroup == "m"}["accuracy"]
    assert (male.value, male.high) == (1, 1)
    assert male.low == pytest.approx(beta.ppf(0.025, male.groups, 1))


def test_the_smaller_subgroup_has_the_wider_interval() -> None:
    labels, probabilities, _, _ = _sample()
    subgroups = Subgroups("site", ("large", "small"), np.repeat([0, 1], [270, 30]))
    flipped = probabilities[::-1].copy()[::-1]
    lines, _ = _measured(labels, [flipped], subgroups, np.arange(300), 300)
    widths = [x.high - x.low for x in lines if x.name == "accuracy"]
    assert widths[1] > 1.5 * widths[0]


def test_the_worst_subgroup_is_that_with_the_lowest_value_or_the_highest_loss() -> None:
    labels, probabilities, subgroups, groups = _sample()
    lines, worst = _measured(labels, [probabilities], subgroups, groups)
    assert {w.name for w in worst} == set(METRICS)
    for found in worst:
        values = [line.value for line in lines if line.name == found.name]
        lower_is_better = found.name in ("log_loss", "expected_calibration_error")
        assert found.value == (max if lower_is_better else min)(values)
    assert next(w.subgroup for w in worst if w.name == "balanced_accuracy") == "m"


def test_random_draws_count_with_their_mean() -> None:
    labels, probabilities, subgroups, groups = _sample()
    other = probabilities[::-1].copy()
    one, two, both = (
        _measured(labels, draws, subgroups, groups)[0]
        for draws in ([probabilities], [other], [probabilities, other])
    )
    for a, b, mean in zip(one, two, both, strict=True):
        assert mean.value == pytest.approx((a.value + b.value) / 2)


def test_a_subgroup_that_a_resample_lost_or_that_has_one_class_is_undefined_there() -> None:
    labels, probabilities, subgroups, _ = _sample()
    weights = np.stack([subgroups.of_image == 0, np.ones(300)]).astype(float)
    values = metrics_by_subgroup_of(labels, probabilities, subgroups.of_image, 3)(weights)
    assert np.isnan(values[0, 1]).all()
    assert not np.isnan(values[0, 0]).any()
    assert np.isnan(values[:, 2]).all()
    alike = Subgroups("dx", ("zero", "rest"), (labels > 0).astype(int))
    lines, _ = _measured(labels, [probabilities], alike, np.arange(300))
    assert {x.name for x in lines if x.subgroup == "zero"} == set(METRICS) - {"macro_auroc"}
    assert {x.classes for x in lines} == {1, 2}
