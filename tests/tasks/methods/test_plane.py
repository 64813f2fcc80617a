"""The map keeps what is alike together, is the same each time, and no test image moves it."""

import numpy as np
from sklearn.manifold import trustworthiness

from curette.tasks.methods.plane import lay_out, place_concepts

GENERATOR = np.random.default_rng(0)
OF = np.arange(240) % 3
SCORES = 4 * np.eye(3)[OF] + GENERATOR.normal(size=(240, 3)) * [1, 1, 1]
TRAIN = np.flatnonzero(np.arange(240) < 180)


def _map() -> np.ndarray:
    places = lay_out(SCORES, TRAIN)
    assert places is not None
    return places


def test_images_of_like_scores_lie_together() -> None:
    places = _map()
    assert trustworthiness(SCORES, places, n_neighbors=10) > 0.95
    assert ((places >= 0) & (places <= 1)).all()


def test_the_map_comes_again_and_no_other_image_moves_it() -> None:
    places, fewer = _map(), lay_out(SCORES[:200], TRAIN)
    assert np.array_equal(places, _map())
    assert fewer is not None
    assert np.allclose(places[:200], fewer)


def test_a_concept_lies_where_the_images_lie_that_show_it_most() -> None:
    places = _map()
    for j, place in enumerate(place_concepts(places, SCORES, TRAIN)):
        distance = np.linalg.norm(places - place, axis=1)
        assert OF[np.argsort(distance)[:10]].tolist() == [j] * 10


def test_too_few_images_are_no_map() -> None:
    assert lay_out(SCORES[:10], np.arange(10)) is None
    assert lay_out(SCORES[:, :1], TRAIN) is None
