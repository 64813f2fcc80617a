"""Edits do what they say to the differences of logits, and nothing to the average image."""

from dataclasses import dataclass

import numpy as np
import pytest
from jaxtyping import Float64

from curette.tasks.methods.editing import ColumnEdit, LinearWeights, edit_column, edit_weights

CLASSES, CONCEPTS, DIM, IMAGES = 4, 6, 9, 50


@dataclass
class Study:
    """A head on concepts with a residual, and the images it was trained on."""

    head: LinearWeights
    directions: Float64[np.ndarray, "concept dim"]
    vectors: Float64[np.ndarray, "image dim"]

    @property
    def scores(self) -> Float64[np.ndarray, "image concept"]:
        return self.vectors @ self.directions.T

    def edited(self, *edits: ColumnEdit) -> LinearWeights:
        means = self.scores.mean(axis=0), self.vectors.mean(axis=0)
        return edit_weights(self.head, edits, *means, self.directions)

    def logits(self, head: LinearWeights) -> Float64[np.ndarray, "image class"]:
        said = self.scores @ head.concepts.T + head.bias
        return said if head.residual is None else said + self.vectors @ head.residual.T


@pytest.fixture(params=[False, True], ids=["concepts", "hybrid"])
def study(request: pytest.FixtureRequest) -> Study:
    g = np.random.default_rng(3)
    vectors = g.normal(size=(IMAGES, DIM)) + 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = g.normal(size=(CONCEPTS, DIM))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    weights, bias = g.normal(size=(CLASSES, CONCEPTS)), g.normal(size=CLASSES)
    residual = g.normal(size=(CLASSES, DIM)) if request.param else None
    return Study(LinearWeights(weights, bias, residual), directions, vectors)


def test_no_edit_is_the_head_itself(study: Study) -> None:
    assert study.edited() is study.head


EDITS = [
    ColumnEdit(2, "neutralise"),
    ColumnEdit(2, "forget", class_index=1),
    ColumnEdit(2, "scale", amount=0.3),
    ColumnEdit(2, "cap", amount=0.2),
    ColumnEdit(2, "at least 0", class_index=0),
    ColumnEdit(2, "at most 0", class_index=3),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.operation)
def test_the_average_training_image_keeps_its_logits(study: Study, edit: ColumnEdit) -> None:
    before, after = study.logits(study.head), study.logits(study.edited(edit))
    assert after.mean(axis=0) == pytest.approx(before.mean(axis=0))


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.operation)
def test_a_number_added_to_the_column_changes_no_decision_of_an_edit(
    study: Study, edit: ColumnEdit
) -> None:
    moved = study.head.concepts.copy()
    moved[:, 2] += 5
    other = Study(
        LinearWeights(moved, study.head.bias, study.head.residual), study.directions, study.vectors
    )
    for a, b in ((study.edited(edit), other.edited(edit)),):
        first, second = study.logits(a), other.logits(b)
        centred = [x - x.mean(axis=1, keepdims=True) for x in (first, second)]
        assert centred[1] == pytest.approx(centred[0])


def test_a_neutralised_concept_adds_nothing_to_any_difference_of_logits(study: Study) -> None:
    edited = study.edited(ColumnEdit(2, "neutralise"))
    along = study.vectors + study.directions[2]  # the same images with more of the concept
    more, less = (
        (v @ study.directions[[2]].T) @ edited.concepts[:, [2]].T
        + (0 if edited.residual is None else v @ edited.residual.T)
        for v in (along, study.vectors)
    )
    gained = more - less
    assert gained - gained[:, :1] == pytest.approx(np.zeros_like(gained), abs=1e-12)


def test_the_residual_has_no_component_along_an_edited_concept(study: Study) -> None:
    edited = study.edited(ColumnEdit(2, "neutralise"), ColumnEdit(4, "scale", amount=0.5))
    if edited.residual is not None:
        along = edited.residual @ study.directions[[2, 4]].T
        assert along == pytest.approx(np.zeros((CLASSES, 2)), abs=1e-12)


def test_forgetting_for_a_class_keeps_the_differences_of_the_others(study: Study) -> None:
    before = study.head.concepts[:, 2]
    after = edit_column(before, ColumnEdit(2, "forget", class_index=1))
    others = [0, 2, 3]
    assert np.diff(after[others]) == pytest.approx(np.diff(before[others]))
    assert after[1] == pytest.approx(after.mean())


def test_a_held_sign_changes_only_a_weight_of_the_other_sign() -> None:
    column = np.array([1.0, -2.0, 0.5, 0.5])
    assert edit_column(column, ColumnEdit(0, "at least 0", class_index=0)) == pytest.approx(column)
    held = edit_column(column, ColumnEdit(0, "at least 0", class_index=1))
    assert held[1] - held.mean() == pytest.approx(0)


def test_a_cap_bounds_every_class_and_leaves_weaker_columns_alone() -> None:
    column = np.array([1.0, -2.0, 0.5, 0.5])
    capped = edit_column(column, ColumnEdit(0, "cap", amount=0.5))
    assert np.abs(capped - capped.mean()).max() == pytest.approx(0.5)
    assert edit_column(column, ColumnEdit(0, "cap", amount=9.0)) == pytest.approx(column)


def test_an_edit_that_allows_all_that_a_concept_says_leaves_the_head(study: Study) -> None:
    made = study.edited(ColumnEdit(2, "scale", amount=1.0), ColumnEdit(3, "cap", amount=99.0))
    assert study.logits(made) == pytest.approx(study.logits(study.head))
    assert made.residual is study.head.residual


def test_scaling_and_its_inverse_give_the_head_back(study: Study) -> None:
    if study.head.residual is None:
        there = ColumnEdit(2, "scale", amount=0.5), ColumnEdit(2, "scale", amount=2.0)
        assert study.edited(*there).concepts == pytest.approx(study.head.concepts)


def test_an_edit_without_its_class_or_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a class"):
        edit_column(np.zeros(3), ColumnEdit(0, "forget"))
    with pytest.raises(ValueError, match="needs an amount"):
        edit_column(np.zeros(3), ColumnEdit(0, "scale"))
