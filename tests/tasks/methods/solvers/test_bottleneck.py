"""The bottleneck is LaBo's: a class is a weighted mean of concept scores, chosen on validation."""

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, pad
from torch.optim.adam import adam

from curette.tasks.methods.solvers.bottleneck import Bottlenecks, train_bottlenecks
from curette.tasks.methods.solvers.linear import ClassWeight, balanced_accuracy

_Images = tuple[Float[Tensor, "image concept"], Int[Tensor, " image"]]
_LINKS = torch.tensor(
    [[1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 1, 0]], dtype=torch.bool
)


def _draw(
    images: int, seed: int = 0
) -> tuple[Float[Tensor, "image concept"], Int[Tensor, " image"]]:
    """Cosines in a narrow band, a little higher for the concepts linked to the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), images, True, generator=generator)
    scores = 0.25 + 0.02 * torch.randn(images, 6, generator=generator) + 0.02 * _LINKS[labels]
    return scores.double(), labels


def _train(
    links: Bool[Tensor, "class concept"] = _LINKS,
    *,
    shift: float = 0,
    epochs: int = 60,
    patience: int = 60,
    class_weight: ClassWeight = "none",
) -> Bottlenecks:
    scores, labels = _draw(200)
    validation_scores, validation_labels = _draw(100, seed=1)
    return _fit(
        (scores + shift, labels),
        links,
        (validation_scores + shift, validation_labels),
        epochs=epochs,
        patience=patience,
        class_weight=class_weight,
    )


def _fit(
    drawn: _Images,
    links: Bool[Tensor, "class concept"],
    held: _Images,
    *,
    epochs: int,
    patience: int,
    class_weight: ClassWeight = "none",
) -> Bottlenecks:
    """Train a single draw."""
    return train_bottlenecks(
        drawn[0][None],
        drawn[1][None],
        links.double()[None],
        held[0][None],
        held[1][None],
        epochs=epochs,
        learning_rate=0.05,
        patience=patience,
        class_weight=class_weight,
    )


def _logits(trained: Bottlenecks, scores: Tensor) -> Tensor:
    return scores.double() @ trained.weights[0].T


def test_epoch_0_weighs_linked_concepts_e_times_as_much_as_others() -> None:
    start = _train(epochs=0)
    expected = torch.exp(_LINKS.double())
    expected = expected / expected.sum(1, keepdim=True)
    np.testing.assert_allclose(start.weights[0] / 100, expected, rtol=1e-6)
    assert start.chosen_epoch.tolist() == [0]
    assert len(start.history) == 1


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_training_is_torchs_adam_on_torchs_gradient(class_weight: ClassWeight) -> None:
    scores, labels = _draw(200)
    by_class = 1 / torch.bincount(labels).double() if class_weight == "balanced" else None
    free, step = _LINKS.double(), torch.tensor(0.0)
    momentum, energy = torch.zeros_like(free), torch.zeros_like(free)
    for epoch in _train(class_weight=class_weight).history:
        free.requires_grad_()
        loss = cross_entropy(100 * scores @ free.softmax(1).T, labels, by_class)
        (gradient,) = torch.autograd.grad(loss, free)
        assert epoch.train_loss == pytest.approx(loss.item(), abs=1e-5)
        free = free.detach()
        adam(
            [free],
            [gradient],
            [momentum],
            [energy],
            [],
            [step],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=0.05,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def test_the_weights_are_100_times_means_over_concepts() -> None:
    (weights,) = _train().weights
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(1), np.full(3, 100.0), rtol=1e-6)


def test_training_fits_and_the_chosen_epoch_is_the_best_on_validation() -> None:
    trained = _train(epochs=200, patience=200)
    losses = [epoch.validation_loss for epoch in trained.history]
    assert trained.chosen_epoch.tolist() == [losses.index(min(losses))] != [0]
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    scores, labels = _draw(100, seed=1)
    assert float(cross_entropy(_logits(trained, scores), labels)) == pytest.approx(
        min(losses), abs=1e-5
    )
    accuracies = [epoch.validation_balanced_accuracy for epoch in trained.history]
    best = accuracies[int(trained.chosen_epoch[0])]
    assert balanced_accuracy(_logits(trained, scores), labels) == pytest.approx(best)


def test_training_stops_when_patience_runs_out() -> None:
    patient = _train(epochs=400, patience=400)
    impatient = _train(epochs=400, patience=3)
    assert len(impatient.history) == int(impatient.chosen_epoch) + 4 < 401
    assert impatient.history == patient.history[: len(impatient.history)]


def test_what_all_cosines_share_changes_nothing() -> None:
    here, there = _train(), _train(shift=0.5)
    assert here.chosen_epoch == there.chosen_epoch
    np.testing.assert_allclose(here.weights, there.weights, atol=1e-2, rtol=0)


def test_permuting_concepts_permutes_the_weights() -> None:
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    scores, labels = _draw(200)
    drawn = scores, labels
    moved = scores[:, order], labels
    permuted = _fit(moved, _LINKS[:, order], moved, epochs=30, patience=30)
    plain = _fit(drawn, _LINKS, drawn, epochs=30, patience=30)
    np.testing.assert_allclose(permuted.weights, plain.weights[..., order], rtol=1e-3)


def test_balanced_classes_raise_the_share_of_rare_ones_predicted_right() -> None:
    scores, labels = _draw(1000, seed=2)
    plain, balanced = (
        balanced_accuracy(_logits(_train(class_weight=how, epochs=200), scores), labels)
        for how in ("none", "balanced")
    )
    assert balanced > plain


def test_equal_input_gives_equal_weights() -> None:
    assert torch.equal(_train().weights, _train().weights)


def test_random_concepts_predict_shuffled_labels_no_better_than_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 0.25 + 0.02 * torch.randn(1200, 6, generator=generator)
    labels = torch.randint(0, 3, (1200,), generator=generator)
    links = one_hot(torch.randint(0, 3, (6,), generator=generator), 3).T.bool()
    drawn, held = (scores[:300], labels[:300]), (scores[300:600], labels[300:600])
    trained = _fit(drawn, links, held, epochs=100, patience=100)
    share = balanced_accuracy(_logits(trained, scores[600:]), labels[600:])
    assert abs(share - 1 / 3) < 0.06  # three standard errors


def test_a_class_without_links_starts_with_all_concepts_alike() -> None:
    links = _LINKS.clone()
    links[2] = False
    start = _train(links, epochs=0)
    np.testing.assert_allclose(start.weights[0, 2], np.full(6, 100 / 6), rtol=1e-6)


def test_no_validation_image_is_refused() -> None:
    scores, labels = _draw(10)
    with pytest.raises(ValueError, match="there is no validation image to choose by"):
        _fit((scores, labels), _LINKS, (scores[:0], labels[:0]), epochs=1, patience=1)


def test_no_concept_says_where_the_reasons_are() -> None:
    scores, labels = _draw(10)
    nothing = scores[:, :0], labels
    with pytest.raises(ValueError, match="Read the reasons in the screened set"):
        _fit(nothing, _LINKS[:, :0], nothing, epochs=1, patience=1)


def test_a_score_that_overflowed_names_the_split() -> None:
    scores, labels = _draw(10)
    broken = scores.clone()
    broken[3, 3] = torch.nan
    with pytest.raises(ValueError, match=r"a validation score is not finite.*Embed at float32"):
        _fit((scores, labels), _LINKS, (broken, labels), epochs=1, patience=1)


# --- draws together --------------------------------------------------------------------------


def _links(concepts: int) -> Bool[Tensor, "class concept"]:
    return torch.arange(concepts) % 3 == torch.arange(3)[:, None]


def _drawn(images: int, concepts: int, seed: int, noise: float = 0.02) -> _Images:
    """Cosines in a narrow band, a little higher for the concepts linked to the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % 3
    scores = 0.25 + noise * torch.randn(images, concepts, generator=generator)
    return (scores + 0.02 * _links(concepts).T.float()[:, labels].T).double(), labels


def _together(
    drawn: list[_Images],
    held: list[_Images],
    *,
    patience: int = 20,
    class_weight: ClassWeight = "none",
) -> Bottlenecks:
    """Train draws together, filled up with large scores that are not to be looked at."""
    most = max(scores.shape[1] for scores, _ in drawn)
    start = [
        pad(_links(s.shape[1]).double(), (0, most - s.shape[1]), value=-torch.inf) for s, _ in drawn
    ]
    return train_bottlenecks(
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


def _alone(drawn: _Images, held: _Images, class_weight: ClassWeight = "none") -> Bottlenecks:
    links = _links(drawn[0].shape[1])
    return _fit(drawn, links, held, epochs=150, patience=20, class_weight=class_weight)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
def test_every_draw_ends_where_it_ends_alone(class_weight: ClassWeight) -> None:
    noises = (0.005, 0.02, 0.04, 0.06)
    drawn = [_drawn(10, 4 + i, i, noise) for i, noise in enumerate(noises)]
    held = [_drawn(31, 4 + i, 10 + i, noise) for i, noise in enumerate(noises)]
    together = _together(drawn, held, class_weight=class_weight)
    weights = together.weights
    for i in range(4):
        alone = _alone(drawn[i], held[i], class_weight)
        concepts = drawn[i][0].shape[1]
        torch.testing.assert_close(weights[i, :, :concepts], alone.weights[0], rtol=2e-3, atol=2e-3)
        assert not weights[i, :, concepts:].any()
        assert together.chosen_epoch[i] == alone.chosen_epoch[0]
    assert len(set(together.chosen_epoch.tolist())) > 2  # so that draws stop at different times


def test_a_class_is_a_weighted_mean_of_concepts() -> None:
    drawn, held = [_drawn(6, 4, 0), _drawn(6, 5, 1)], [_drawn(9, 4, 2), _drawn(9, 5, 3)]
    together = _together(drawn, held)
    weights = together.weights
    assert together.history == ()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(2), torch.full((2, 3), 100.0).double())


def test_neighbours_change_nothing() -> None:
    first, other, held = _drawn(9, 6, 0), _drawn(9, 6, 1, noise=0.1), _drawn(30, 6, 2)
    pair = _together([first, other], [held, held])
    swapped = _together([other, first], [held, held])
    torch.testing.assert_close(pair.weights, swapped.weights.flip(0), rtol=1e-4, atol=1e-4)


def test_one_list_of_validation_labels_serves_all_draws() -> None:
    drawn, held = [_drawn(9, 5, 0), _drawn(9, 5, 1)], _drawn(30, 5, 2)
    shared = train_bottlenecks(
        torch.stack([s for s, _ in drawn]),
        torch.stack([labels for _, labels in drawn]),
        _links(5).double().expand(2, -1, -1),
        torch.stack([held[0], held[0]]),
        held[1][None],
        epochs=150,
        learning_rate=0.05,
        patience=20,
    )
    torch.testing.assert_close(shared.weights, _together(drawn, [held, held]).weights)
