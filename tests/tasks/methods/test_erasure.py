"""LEACE: what it removes, what it moves, and against what the formula says written out."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from curette.tasks.methods.erasure import leace


def told(seed: int = 0, images: int = 400, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of which two directions tell which of three values an image has."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 3, images)
    vectors = generator.normal(size=(images, dim)) @ generator.normal(size=(dim, dim))
    vectors[:, 0] += 3 * (codes == 1)
    vectors[:, 1] += 5 * (codes == 2)
    return vectors, codes


def one_hot(codes: np.ndarray) -> np.ndarray:
    return np.equal.outer(codes, np.arange(3)).astype(float)


def test_nothing_is_left_that_goes_with_the_attribute_and_no_linear_probe_beats_the_prior() -> None:
    vectors, codes = told()
    cleared = leace(vectors, one_hot(codes)).apply(vectors)
    cross = (cleared - cleared.mean(axis=0)).T @ one_hot(codes)
    np.testing.assert_allclose(cross, 0, atol=1e-8)
    cleared = (cleared - cleared.mean(axis=0)) / cleared.std(axis=0)
    probe = LogisticRegression(C=1e3, tol=1e-9, max_iter=50_000).fit(cleared, codes)
    np.testing.assert_allclose(probe.coef_, 0, atol=1e-3)
    shares = np.bincount(codes) / len(codes)
    np.testing.assert_allclose(probe.predict_proba(cleared), np.tile(shares, (400, 1)), atol=1e-3)
    assert LogisticRegression(max_iter=5_000).fit(vectors, codes).score(vectors, codes) > 0.6


def test_it_is_the_formula_of_the_paper_written_out() -> None:
    vectors, codes = told(1)
    mean = vectors.mean(axis=0)
    values, axes = np.linalg.eigh(ledoit_wolf(vectors)[0])
    whiten = axes @ np.diag(values**-0.5) @ axes.T
    z = one_hot(codes) - one_hot(codes).mean(axis=0)
    image = whiten @ ((vectors - mean).T @ z)
    projector = image @ np.linalg.pinv(image)
    expected = vectors - (vectors - mean) @ (np.linalg.pinv(whiten) @ projector @ whiten).T
    np.testing.assert_allclose(leace(vectors, one_hot(codes)).apply(vectors), expected, atol=1e-8)


def test_it_moves_vectors_in_as_few_directions_as_values_need_and_twice_is_once() -> None:
    vectors, codes = told(2)
    eraser = leace(vectors, one_hot(codes))
    assert eraser.left.shape == (12, 2)
    once = eraser.apply(vectors)
    np.testing.assert_allclose(eraser.apply(once), once, atol=1e-9)
    np.testing.assert_allclose(once.mean(axis=0), vectors.mean(axis=0), atol=1e-9)


def test_what_is_unknown_of_an_image_does_not_count() -> None:
    vectors, codes = told(3)
    z = one_hot(codes)
    z[::2] = np.nan
    cleared = leace(vectors, z).apply(vectors)[1::2]
    cross = (cleared - cleared.mean(axis=0)).T @ one_hot(codes)[1::2]
    np.testing.assert_allclose(cross, 0, atol=1e-8)


@pytest.mark.parametrize("images", [6, 20])
def test_fewer_images_than_dimensions_are_no_hindrance(images: int) -> None:
    vectors, codes = told(4, images, 30)
    cleared = leace(vectors, one_hot(codes)).apply(vectors)
    cross = (cleared - cleared.mean(axis=0)).T @ one_hot(codes)
    np.testing.assert_allclose(cross, 0, atol=1e-8)


def test_what_goes_with_nothing_is_left_as_it_is() -> None:
    vectors, _ = told(5)
    np.testing.assert_allclose(leace(vectors, np.ones((400, 1))).apply(vectors), vectors)
