"""Mistakes are predicted from signs of doubt, on images that nothing was learned from."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from curette.tasks.methods.error_prediction import SIGNS, learn_errors, signs_of_doubt
from curette.tasks.methods.splits import deal_groups


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_signs_are_what_their_names_say() -> None:
    rng = np.random.default_rng(0)
    said, *others = rng.dirichlet(np.ones(3), size=(3, 20))
    vectors, training = _unit(rng.normal(size=(20, 4))), _unit(rng.normal(size=(30, 4)))
    signs = dict(zip(SIGNS, signs_of_doubt(said, others, vectors, training).T, strict=True))
    np.testing.assert_allclose(signs["highest probability"], said.max(1))
    np.testing.assert_allclose(signs["entropy"], entropy(said, axis=1))
    apart, _ = NearestNeighbors(n_neighbors=5, metric="cosine").fit(training).kneighbors(vectors)
    likeness = signs["likeness to training images"]
    np.testing.assert_allclose(likeness, (1 - apart).mean(1), atol=1e-5)
    otherwise = [[o[i].argmax() != said[i].argmax() for o in others] for i in range(20)]
    np.testing.assert_allclose(
        signs["share of other heads that decide otherwise"], np.mean(otherwise, axis=1)
    )
    assert not signs_of_doubt(said, [], vectors, training)[:, -2:].any()


def _problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mistakes go with the fourth sign; two images a group."""
    rng = np.random.default_rng(seed)
    signs = rng.normal(size=(400, 6)) * [1, 1, 2, 0.1, 1, 1] + [0, 0, 5, 0.8, 0, 0]
    likely = 1 / (1 + np.exp(2 + 15 * (signs[:, 3] - 0.8)))
    return signs, rng.random(400) < likely, np.arange(400) // 2


def test_what_is_learned_is_what_scikit_learn_learns() -> None:
    signs, wrong, groups = _problem(1)
    learned = learn_errors(signs, wrong, groups, seed=0)
    standard = (signs - signs.mean(0)) / signs.std(0)
    peer = LogisticRegression(C=2 / (learned.l2 * len(wrong)), tol=1e-8, max_iter=1000)
    peer.fit(standard, wrong)
    np.testing.assert_allclose(learned.weights, peer.coef_[0], atol=2e-3)
    np.testing.assert_allclose(learned(signs), peer.predict_proba(standard)[:, 1], atol=2e-3)
    assert learned.weights[3] == learned.weights.min() < 0


def test_what_is_held_out_is_predicted_without_its_group() -> None:
    signs, wrong, groups = _problem(2)
    learned = learn_errors(signs, wrong, groups, seed=0)
    fold = deal_groups(groups, wrong.astype(np.int64), np.full(5, 0.2), 0)
    assert all(len(set(fold[groups == group])) == 1 for group in groups)
    standard = (signs - signs.mean(0)) / signs.std(0)
    for number in range(5):
        apart = fold == number
        peer = LogisticRegression(C=2 / (learned.l2 * (~apart).sum()), tol=1e-8, max_iter=1000)
        peer.fit(standard[~apart], wrong[~apart])
        expected = peer.predict_proba(standard[apart])[:, 1]
        np.testing.assert_allclose(learned.held_out[apart], expected, atol=2e-3)


def test_signs_that_tell_nothing_are_given_next_to_no_weight() -> None:
    rng = np.random.default_rng(4)
    learned = learn_errors(rng.normal(size=(300, 6)), rng.random(300) < 0.3, np.arange(300), seed=0)
    assert np.abs(learned.weights).max() < 0.2


def test_too_few_mistakes_are_not_learned_from() -> None:
    signs, _, groups = _problem(5)
    wrong = groups < 4
    with pytest.raises(ValueError, match=r"^4 independent groups of validation images have a wr"):
        learn_errors(signs, wrong, groups, seed=0)
