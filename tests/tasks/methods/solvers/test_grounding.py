"""Grounding functions find concepts that are there, and random directions show what luck finds."""

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from curette.tasks.methods.solvers.grounding import (
    RandomDirections,
    concept_auc,
    random_direction_auc,
    train_grounding_functions,
)

_STRENGTHS = (1.0, 0.1, 0.01)
_FOLDS = torch.arange(120).remainder(4)


def _draw(
    images: int, seed: int
) -> tuple[
    Float[Tensor, "image dim"], Bool[Tensor, "image concept"], Bool[Tensor, "image concept"]
]:
    """Two concepts that the vectors show, one that they do not; a third of labels unknown."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(images, 10, generator=generator).double()
    noise = 0.5 * torch.randn(images, 2, generator=generator)
    shown = vectors[:, :2] + noise > torch.tensor([0.0, 1.0])
    luck = torch.rand(images, 1, generator=generator) < 0.5
    known = torch.rand(images, 3, generator=generator) < 2 / 3
    return vectors, torch.cat([shown, luck], 1), known


def test_shown_concepts_are_found_and_others_are_not() -> None:
    functions = train_grounding_functions(*_draw(120, 0), _FOLDS, _STRENGTHS)
    vectors, present, known = _draw(2000, 1)
    auc = concept_auc(functions.log_odds(vectors), present, known)
    assert auc[:2].min() > 0.9
    assert abs(float(auc[2]) - 0.5) < 0.08


def test_a_function_is_scikit_learns_at_the_strength_that_folds_chose() -> None:
    vectors, present, known = _draw(120, 0)
    functions = train_grounding_functions(vectors, present, known, _FOLDS, _STRENGTHS)
    for j in range(3):
        rows = known[:, j]
        x, y = vectors[rows].numpy(), present[rows, j].numpy()
        losses = []
        for l2 in _STRENGTHS:
            of_fold = []
            for fold in range(4):
                out = (_FOLDS[rows] == fold).numpy()
                model = _balanced(l2, int((~out).sum())).fit(x[~out], y[~out])
                log = model.predict_log_proba(x[out])
                of_fold.append(-(log[y[out], 1].mean() + log[~y[out], 0].mean()) / 2)
            losses.append(np.mean(of_fold))
        assert functions.l2[j] == _STRENGTHS[int(np.argmin(losses))]
        model = _balanced(functions.l2[j], len(y)).fit(x, y)
        theirs = model.predict_proba(vectors.numpy())[:, 1]
        np.testing.assert_allclose(functions.log_odds(vectors).sigmoid()[:, j], theirs, atol=2e-3)


def test_held_out_log_odds_are_scikit_learns_of_the_other_folds() -> None:
    vectors, present, known = _draw(120, 0)
    functions = train_grounding_functions(vectors, present, known, _FOLDS, _STRENGTHS)
    x = vectors.numpy()
    for j in range(3):
        for fold in range(4):
            inside = (known[:, j] & _FOLDS.ne(fold)).numpy()
            model = _balanced(functions.l2[j], int(inside.sum()))
            model.fit(x[inside], present[inside, j].numpy())
            out = _FOLDS.eq(fold).numpy()  # also where the answer is not known
            theirs = model.decision_function(x[out])
            np.testing.assert_allclose(functions.held_out[out, j], theirs, atol=1e-2)


def _balanced(l2: float, images: int) -> LogisticRegression:
    return LogisticRegression(
        C=2 / (images * l2), class_weight="balanced", solver="newton-cholesky", tol=1e-10
    )


def test_unknown_labels_change_nothing() -> None:
    vectors, present, known = _draw(120, 0)
    first = train_grounding_functions(vectors, present, known, _FOLDS, _STRENGTHS)
    second = train_grounding_functions(vectors, present ^ ~known, known, _FOLDS, _STRENGTHS)
    assert torch.equal(first.weights, second.weights)


def test_auc_is_scikit_learns_with_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 5, (60, 3), generator=generator).double()
    present = torch.rand(60, 3, generator=generator) < 0.4
    known = torch.rand(60, 3, generator=generator) < 0.8
    auc = concept_auc(scores, present, known)
    for j in range(3):
        rows = known[:, j]
        assert float(auc[j]) == pytest.approx(roc_auc_score(present[rows, j], scores[rows, j]))


def test_auc_is_missing_where_nothing_shows_the_concept() -> None:
    nothing = torch.zeros(5, 1, dtype=torch.bool)
    assert concept_auc(torch.rand(5, 1), nothing, ~nothing).isnan().all()


def test_random_directions_find_concepts_less_often_than_trained_ones() -> None:
    train, validation = _draw(120, 0), _draw(300, 1)
    baseline = random_direction_auc(*train, *validation, directions=100, seed=0)
    functions = train_grounding_functions(*train, _FOLDS, _STRENGTHS)
    auc = concept_auc(functions.log_odds(validation[0]), *validation[1:])
    chance = baseline.share_at_least(auc)
    assert float(chance[:2].max()) < 0.05 < float(chance[2])
    assert (
        float(baseline.auc[:, :2].mean()) > 0.52
    )  # the sign is learned, and that is worth something
    assert abs(float(baseline.auc[:, 2].mean()) - 0.5) < 0.05
    again = random_direction_auc(*train, *validation, directions=100, seed=0)
    assert torch.equal(again.auc, baseline.auc)


def test_a_p_value_is_never_zero_and_missing_where_the_auc_is() -> None:
    directions = RandomDirections(torch.full((9, 2), 0.5).double())
    shares = directions.share_at_least(torch.tensor([0.9, torch.nan]))
    assert float(shares[0]) == pytest.approx(0.1)
    assert shares[1].isnan()


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="takes at least 2 folds"):
        train_grounding_functions(*_draw(120, 0), torch.zeros(120, dtype=torch.int64), _STRENGTHS)
