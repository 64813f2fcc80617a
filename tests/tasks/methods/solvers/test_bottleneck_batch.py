"""Bottlenecks trained together are those that each draw has alone."""

import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from curette.tasks.methods.solvers.bottleneck import Bottleneck, train_bottleneck
from curette.tasks.methods.solvers.bottleneck_batch import train_bottleneck_batch
from curette.tasks.methods.solvers.linear import ClassWeight

_Draw = tuple[Float[Tensor, "image concept"], Int[Tensor, " image"]]


def _links(concepts: int) -> Bool[Tensor, "class concept"]:
    return torch.arange(concepts) % 3 == torch.arange(3)[:, None]


def _draw(images: int, concepts: int, seed: int, noise: float = 0.02) -> _Draw:
    """Cosines in a narrow band, a little higher for the concepts linked to the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 3
    scores = 0.25 + noise * torch.randn(images, concepts, generator=generator)
    return (scores + 0.02 * _links(concepts).T.float()[:, labels].T).double(), labels


def _together(
    drawn: list[_Draw],
    held: list[_Draw],
    *,
    patience: int = 20,
    class_weight: ClassWeight = "none",
) -> Float[Tensor, "draw class concept"]:
    """Train draws together, filled up with large scores that are not to be looked at."""
    most = max(scores.shape[1] for scores, _ in drawn)
    start = [
        pad(_links(s.shape[1]).double(), (0, most - s.shape[1]), value=-torch.inf) for s, _ in drawn
    ]
    return train_bottleneck_batch(
        torch.stack([pad(s, (0, most - s.shape[1]), value=9.0) for s, _ in drawn]),
        torch.stack([labels for _, labels in drawn]),
        torch.stack(start),
        torch.stack([pad(s, (0, most - s.shape[1]), value=9.0) for s, _ in held]),
        torch.stack([labels for _, labels in held]),
        epochs=150,
        learning_rate=0.05,
        patience=patience,
        class_weight=class_weight,
    )


def _alone(drawn: _Draw, held: _Draw, class_weight: ClassWeight = "none") -> Bottleneck:
    return train_bottleneck(
        *(drawn[0], drawn[1], _links(drawn[0].shape[1]), held[0], held[1]),
        epochs=150,
        learning_rate=0.05,
        patience=20,
        class_weight=class_weight,
    )


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_every_draw_ends_where_it_ends_alone(class_weight: ClassWeight) -> None:
    noises = (0.005, 0.02, 0.04, 0.06)
    drawn = [_draw(10, 4 + i, i, noise) for i, noise in enumerate(noises)]
    held = [_draw(31, 4 + i, 10 + i, noise) for i, noise in enumerate(noises)]
    weights = _together(drawn, held, class_weight=class_weight)
    epochs = []
    for i in range(4):
        alone = _alone(drawn[i], held[i], class_weight)
        concepts = drawn[i][0].shape[1]
        torch.testing.assert_close(
            weights[i, :, :concepts], alone.head.weights, rtol=2e-3, atol=2e-3
        )
        assert not weights[i, :, concepts:].any()
        epochs.append(alone.chosen_epoch)
    assert len(set(epochs)) > 2  # so that draws stop at different times


def test_a_class_is_a_weighted_mean_of_concepts() -> None:
    weights = _together([_draw(6, 4, 0), _draw(6, 5, 1)], [_draw(9, 4, 2), _draw(9, 5, 3)])
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(2), torch.full((2, 3), 100.0).double())


def test_neighbours_change_nothing() -> None:
    first, other, held = _draw(9, 6, 0), _draw(9, 6, 1, noise=0.1), _draw(30, 6, 2)
    pair = _together([first, other], [held, held])
    swapped = _together([other, first], [held, held])
    torch.testing.assert_close(pair, swapped.flip(0), rtol=1e-4, atol=1e-4)


def test_one_list_of_validation_labels_serves_all_draws() -> None:
    drawn, held = [_draw(9, 5, 0), _draw(9, 5, 1)], _draw(30, 5, 2)
    shared = train_bottleneck_batch(
        torch.stack([s for s, _ in drawn]),
        torch.stack([labels for _, labels in drawn]),
        _links(5).double().expand(2, -1, -1),
        torch.stack([held[0], held[0]]),
        held[1][None],
        epochs=150,
        learning_rate=0.05,
        patience=20,
    )
    torch.testing.assert_close(shared, _together(drawn, [held, held]))


def test_choosing_without_validation_images_is_refused() -> None:
    drawn, none = _draw(6, 4, 0), _draw(0, 4, 0)
    with pytest.raises(ValueError, match="no validation image to choose by"):
        _together([drawn], [none])
