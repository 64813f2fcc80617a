"""The baselines of few shots are what their names say."""

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from curette.tasks.methods.solvers.head_batch import (
    linear_probes,
    nearest_means,
    shrinkage_discriminants,
)
from curette.tasks.methods.solvers.linear import choose_by_validation, regularisation_path


def _task() -> tuple[Float[Tensor, "image dim"], Int[Tensor, " image"]]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60).remainder(3)
    centres = torch.randn(3, 20, generator=generator)
    return (centres[labels] + torch.randn(60, 20, generator=generator)).double(), labels


def _draws(labels: Int[Tensor, " image"], shots: int) -> Int[Tensor, "draw shot"]:
    """Return four draws, each of so many images of every class."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(labels.numpy() == k) for k in range(3)]
    return torch.from_numpy(
        np.array(
            [np.concatenate([rng.choice(r, shots, replace=False) for r in rows]) for _ in range(4)]
        )
    )


def test_linear_probes_are_those_that_validation_chooses_one_by_one() -> None:
    features, labels = _task()
    train, validation = features[:40], features[40:]
    draws, strengths = _draws(labels[:40], 4), (1e-3, 1.0, 10.0)
    heads = linear_probes(train, labels[:40], draws, 3, strengths, validation, labels[40:])
    for i, draw in enumerate(draws):
        path = regularisation_path(train[draw], labels[draw], 3, (10.0, 1.0, 1e-3))
        index = choose_by_validation(path, validation, labels[40:]).index
        torch.testing.assert_close(
            heads.logits(validation)[i].softmax(1),
            path.head(index).logits(validation).softmax(1),
            atol=1e-2,
            rtol=0,
        )
        torch.testing.assert_close(heads.head(i).logits(train), heads.logits(train)[i])


def test_nearest_means_predict_as_scikit_learns_centroids() -> None:
    features, labels = _task()
    draws = _draws(labels, 3)
    predicted = nearest_means(features, labels, draws, 3).logits(features).argmax(2)
    for i, draw in enumerate(draws):
        theirs = NearestCentroid().fit(features[draw].numpy(), labels[draw].numpy())
        np.testing.assert_array_equal(predicted[i], theirs.predict(features.numpy()))


@pytest.mark.parametrize("shots", [3, 15], ids=["fewer images than dimensions", "more"])
@pytest.mark.parametrize("shrinkage", [0.5, 0.05])
def test_shrinkage_discriminants_are_scikit_learns(shots: int, shrinkage: float) -> None:
    features, labels = _task()
    draws = _draws(labels, shots)
    logits = shrinkage_discriminants(
        features, labels, draws, 3, features, labels, shrinkages=(shrinkage,)
    ).logits(features)
    for i, draw in enumerate(draws):
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        model.fit(features[draw].numpy(), labels[draw].numpy())
        np.testing.assert_allclose(
            logits[i].softmax(1), model.predict_proba(features.numpy()), atol=1e-9
        )


def test_one_shot_discriminants_are_the_nearest_means() -> None:
    features, labels = _task()
    draws = _draws(labels, 1)
    discriminants = shrinkage_discriminants(features, labels, draws, 3, features, labels)
    means = nearest_means(features, labels, draws, 3)
    assert torch.equal(discriminants.logits(features).argmax(2), means.logits(features).argmax(2))


def test_images_outside_a_draw_are_not_looked_at() -> None:
    features, labels = _task()
    draws = _draws(labels[:40], 2)
    outside = torch.ones(40, dtype=torch.bool)
    outside[draws.flatten()] = False
    changed, other = features[:40].clone(), labels[:40].clone()
    changed[outside] += 5
    other[outside] = (other[outside] + 1) % 3
    arguments = 3, (1.0, 0.1), features[40:], labels[40:]
    first = linear_probes(features[:40], labels[:40], draws, *arguments)
    assert torch.equal(first.weights, linear_probes(changed, other, draws, *arguments).weights)


def test_choosing_without_validation_images_is_refused() -> None:
    features, labels = _task()
    with pytest.raises(ValueError, match="the test images must not choose"):
        linear_probes(features, labels, _draws(labels, 2), 3, (1.0,), features[:0], labels[:0])
