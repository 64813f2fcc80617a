"""Directions learned from halves agree as far as there is something to be found."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from curette.tasks.methods.statistics.direction_stability import (
    HalvedDirections,
    learn_from_halves,
)

GROUPS = np.arange(200) // 2
L2 = (0.1, 0.01, 0.1)


def _images(seed: int = 0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Two concepts that the vectors show and one that is luck; a tenth of labels unknown."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(200, 8))
    shown = vectors[:, :2] + 0.3 * rng.normal(size=(200, 2)) > 0
    present = np.column_stack([shown, rng.random(200) < 0.5])
    return torch.from_numpy(vectors), present, rng.random((200, 3)) < 0.9


def test_what_is_shown_comes_again_and_luck_does_not() -> None:
    halved = learn_from_halves(*_images(), GROUPS, L2, splits=40, seed=0)
    shown, also, luck = np.mean(halved.cosines, axis=0)
    assert min(shown, also) > 0.9
    assert luck < 0.3  # halves of one sample share no luck; theirs is opposite if anything
    anew = learn_from_halves(*_images(), GROUPS, L2, splits=40, seed=0, dealt_anew=True)
    assert np.abs(np.mean(anew.cosines, axis=0)).max() < 0.25


def test_a_half_is_learned_as_scikit_learn_learns_it_from_whole_groups_of_known_images() -> None:
    vectors, present, known = _images()
    halved = learn_from_halves(vectors, present, known, GROUPS, L2, splits=1, seed=3)
    half = (np.random.default_rng(3).permutation(100) % 2)[GROUPS]
    for number in (0, 1):
        assert (half == number).sum() == 100
        for place, l2 in enumerate(L2):
            rows = known[:, place] & (half == number)
            # both answers weigh a half together, and two weight vectors share the penalty
            peer = LogisticRegression(C=2 / (l2 * rows.sum()), class_weight="balanced", tol=1e-9)
            peer.fit(vectors.numpy()[rows], present[rows, place])
            np.testing.assert_allclose(
                halved.directions[0, number, place], peer.coef_[0], atol=5e-3
            )


def test_signs_that_change_are_counted_by_hand() -> None:
    halved = HalvedDirections(np.array([[[[1.0, 0.0]], [[0.0, 1.0]]]]))
    towards = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -2.0]])
    whole = np.array([[1.0, 0.0]])
    assert halved.changed_signs(whole, towards) == pytest.approx(np.array([[0.25]]))
    assert halved.cosines == pytest.approx(np.array([[0.0]]))


def test_a_concept_whose_rare_answer_is_in_one_half_has_no_cosine() -> None:
    vectors, present, known = _images()
    present[:, 0] = GROUPS == 5
    halved = learn_from_halves(vectors, present, known, GROUPS, L2, splits=4, seed=0)
    assert np.isnan(halved.cosines[:, 0]).all()
    assert not np.isnan(halved.cosines[:, 1:]).any()
    unknown = halved.changed_signs(np.ones((3, 8)), np.ones((2, 8)))
    assert np.isnan(unknown[:, 0]).all()
