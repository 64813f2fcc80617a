"""The bottleneck is LaBo's: a class is a weighted mean of concept scores, chosen on validation."""

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torch.optim.adam import adam

from curette.tasks.methods.solvers.bottleneck import Bottleneck, train_bottleneck
from curette.tasks.methods.solvers.linear import ClassWeight, Criterion, balanced_accuracy

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
    criterion: Criterion = "log_loss",
    class_weight: ClassWeight = "none",
) -> Bottleneck:
    scores, labels = _draw(200)
    validation_scores, validation_labels = _draw(100, seed=1)
    return train_bottleneck(
        scores + shift,
        labels,
        links,
        validation_scores + shift,
        validation_labels,
        epochs=epochs,
        learning_rate=0.05,
        patience=patience,
        criterion=criterion,
        class_weight=class_weight,
    )


def test_epoch_0_weighs_linked_concepts_e_times_as_much_as_others() -> None:
    start = _train(epochs=0)
    expected = torch.exp(_LINKS.double())
    expected = expected / expected.sum(1, keepdim=True)
    np.testing.assert_allclose(start.association, expected)
    assert start.chosen_epoch == 0
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
        assert epoch.train_loss == pytest.approx(loss.item(), abs=1e-8)
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


def test_the_head_is_100_times_an_association_whose_rows_are_means() -> None:
    trained = _train()
    assert (trained.association > 0).all()
    np.testing.assert_allclose(trained.association.sum(1), torch.ones(3, dtype=torch.float64))
    np.testing.assert_allclose(trained.head.weights, 100 * trained.association)
    assert not trained.head.bias.any()


def test_a_logit_is_the_sum_of_its_contributions() -> None:
    head = _train().head
    scores, _ = _draw(20)
    contributions = scores[:, None, :] * head.weights
    np.testing.assert_allclose(contributions.sum(2) + head.bias, head.logits(scores))


def test_training_fits_and_the_chosen_epoch_is_the_best_on_validation() -> None:
    trained = _train(epochs=200, patience=200)
    losses = [epoch.validation_loss for epoch in trained.history]
    assert trained.chosen_epoch == losses.index(min(losses)) > 0
    assert trained.history[-1].train_loss < trained.history[0].train_loss
    scores, labels = _draw(100, seed=1)
    assert float(cross_entropy(trained.head.logits(scores), labels)) == pytest.approx(min(losses))


def test_ties_in_balanced_accuracy_go_to_the_earlier_epoch() -> None:
    trained = _train(criterion="balanced_accuracy")
    shares = [epoch.validation_balanced_accuracy for epoch in trained.history]
    assert trained.chosen_epoch == shares.index(max(shares))
    assert shares.count(max(shares)) > 1


def test_training_stops_when_patience_runs_out() -> None:
    patient = _train(epochs=200, patience=200, criterion="balanced_accuracy")
    impatient = _train(epochs=200, patience=10, criterion="balanced_accuracy")
    assert len(impatient.history) == impatient.chosen_epoch + 11 < 201
    assert impatient.history == patient.history[: len(impatient.history)]


def test_what_all_cosines_share_changes_nothing() -> None:
    here, there = _train(), _train(shift=0.5)
    assert here.chosen_epoch == there.chosen_epoch
    np.testing.assert_allclose(here.head.weights, there.head.weights, atol=1e-6, rtol=0)


def test_permuting_concepts_permutes_the_weights() -> None:
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    scores, labels = _draw(200)
    permuted = train_bottleneck(
        scores[:, order],
        labels,
        _LINKS[:, order],
        scores[:, order],
        labels,
        epochs=30,
        learning_rate=0.05,
        patience=30,
    )
    plain = train_bottleneck(
        scores, labels, _LINKS, scores, labels, epochs=30, learning_rate=0.05, patience=30
    )
    np.testing.assert_allclose(permuted.head.weights, plain.head.weights[:, order])


def test_balanced_classes_raise_the_share_of_rare_ones_predicted_right() -> None:
    scores, labels = _draw(1000, seed=2)
    plain, balanced = (
        balanced_accuracy(_train(class_weight=how, epochs=200).head.logits(scores), labels)
        for how in ("none", "balanced")
    )
    assert balanced > plain


def test_equal_input_gives_equal_weights() -> None:
    assert torch.equal(_train().head.weights, _train().head.weights)


def test_random_concepts_predict_shuffled_labels_no_better_than_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 0.25 + 0.02 * torch.randn(1200, 6, generator=generator)
    labels = torch.randint(0, 3, (1200,), generator=generator)
    links = one_hot(torch.randint(0, 3, (6,), generator=generator), 3).T.bool()
    trained = train_bottleneck(
        scores[:300],
        labels[:300],
        links,
        scores[300:600],
        labels[300:600],
        epochs=100,
        learning_rate=0.05,
        patience=100,
    )
    share = balanced_accuracy(trained.head.logits(scores[600:]), labels[600:])
    assert abs(share - 1 / 3) < 0.06  # three standard errors


def test_a_class_without_links_starts_with_all_concepts_alike() -> None:
    links = _LINKS.clone()
    links[2] = False
    start = _train(links, epochs=0)
    np.testing.assert_allclose(start.association[2], torch.full((6,), 1 / 6).double())


def test_no_validation_image_is_refused() -> None:
    scores, labels = _draw(10)
    with pytest.raises(ValueError, match="there is no validation image to choose by"):
        train_bottleneck(
            scores, labels, _LINKS, scores[:0], labels[:0], epochs=1, learning_rate=0.1, patience=1
        )


def test_no_concept_says_where_the_reasons_are() -> None:
    scores, labels = _draw(10)
    with pytest.raises(ValueError, match="Read the reasons in the screened set"):
        train_bottleneck(
            scores[:, :0],
            labels,
            _LINKS[:, :0],
            scores[:, :0],
            labels,
            epochs=1,
            learning_rate=0.1,
            patience=1,
        )


def test_a_score_that_overflowed_names_the_split() -> None:
    scores, labels = _draw(10)
    broken = scores.clone()
    broken[3, 3] = torch.nan
    with pytest.raises(ValueError, match=r"a validation score is not finite.*Embed at float32"):
        train_bottleneck(
            scores, labels, _LINKS, broken, labels, epochs=1, learning_rate=0.1, patience=1
        )
