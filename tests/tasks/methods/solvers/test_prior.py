"""The prior decides where there is little else, the images do where there are many."""

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from curette.tasks.draw.shots import draw_shots
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.linear import balanced_accuracy, regularisation_path
from curette.tasks.methods.solvers.logistic_batch import solve_logistic_batch
from curette.tasks.methods.solvers.prior import (
    USUAL,
    Tried,
    concept_metric,
    prior_head,
    train_prior_heads,
    train_pulled_heads,
)

_SIGNS = torch.tensor([[1, 1, 1, 0, -1, 0], [-1, 0, -1, 1, 1, 0.0]])


def _draw(
    images: int, seed: int = 0, strength: float = 0.7
) -> tuple[Float[Tensor, "image concept"], Int[Tensor, " image"]]:
    """Scores that follow the signs, in a narrow band as cosines are."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images).remainder(2)
    noise = torch.randn(images, 6, generator=generator)
    return (0.25 + 0.02 * (strength * _SIGNS[labels] + noise)).double(), labels


def _train(
    shots: int | None,
    signs: Float[Tensor, "class concept"] = _SIGNS,
    seeds: int = 20,
    validation: int = 40,
    tried: Tried = USUAL,
) -> HeadBatch:
    scores, labels = _draw(400)
    held, held_labels = _draw(validation, seed=1)
    draws = draw_shots(labels.numpy(), np.arange(400), shots, range(seeds))
    return train_prior_heads(
        scores,
        labels,
        torch.from_numpy(draws),
        signs,
        torch.eye(6),
        held,
        held_labels,
        tried,
    )


def _accuracy(heads: HeadBatch) -> float:
    scores, labels = _draw(1000, seed=2)
    return float(np.mean([balanced_accuracy(each, labels) for each in heads.logits(scores)]))


def test_the_prior_answers_in_deviations_whatever_the_scale_of_the_scores() -> None:
    scores, _ = _draw(300)
    answers = prior_head(scores, _SIGNS).logits(scores)
    assert float(answers.square().mean()) == pytest.approx(1)
    torch.testing.assert_close(answers.sum(1), torch.zeros(300).double())
    torch.testing.assert_close(prior_head(7 * scores + 3, _SIGNS).logits(7 * scores + 3), answers)


def test_a_class_answers_with_what_speaks_for_it_less_what_speaks_against_it() -> None:
    scores, _ = _draw(300)
    signs = torch.tensor([[1.0, -1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    weights = prior_head(scores, signs).weights
    expected = torch.tensor([[1.0, -1, 0, 0, 0, 0], [-1, 1, 0, 0, 0, 0]]).double()
    torch.testing.assert_close(weights / weights[0, 0], expected)


def test_a_metric_makes_weights_cost_what_they_do_to_images() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(5, 30, generator=generator), dim=1)
    metric = concept_metric(vectors)
    weights = torch.randn(3, 5, generator=generator).double()
    on_images = (weights @ metric @ vectors.double()).square().sum()
    assert float(on_images / weights.square().sum()) == pytest.approx(1, rel=0.02)


def test_near_duplicate_concepts_share_their_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(4, 30, generator=generator), dim=1)
    doubled = torch.cat([vectors, vectors[:1]])
    images = torch.randn(60, 30, generator=generator)
    labels = (images @ vectors[0] > 0).long()
    heads = train_prior_heads(
        images @ doubled.T,
        labels,
        torch.arange(60)[None],
        torch.tensor([[0.0, 0, 0, 0, 0], [1, 0, 0, 0, 1]]),
        concept_metric(doubled),
        images[:20] @ doubled.T,
        labels[:20],
    )
    torch.testing.assert_close(heads.weights[..., 0], heads.weights[..., 4], rtol=0.01, atol=0)


def test_at_one_shot_a_true_prior_is_ahead_and_a_head_without_it_behind() -> None:
    assert _accuracy(_train(1)) > _accuracy(_train(1, tried=Tried(pulls=(0.0,)))) + 0.05


def test_with_many_images_a_false_prior_costs_next_to_nothing() -> None:
    right, wrong = (_accuracy(_train(None, signs, seeds=1)) for signs in (_SIGNS, -_SIGNS))
    assert wrong > right - 0.02
    assert wrong > 0.8


def test_weights_do_not_run_off_when_a_direction_separates() -> None:
    separable = _draw(400, strength=50)
    heads = train_prior_heads(
        *separable,
        torch.arange(400)[None],
        _SIGNS,
        torch.eye(6),
        *_draw(40, seed=1, strength=50),
    )
    assert float(heads.logits(separable[0]).abs().max()) < 100


def test_a_strong_l2_leaves_the_prior_alone() -> None:
    scores, _ = _draw(400)
    heads = _train(2, seeds=1, tried=Tried((2.0,), (1e9,)))
    believed = 2 * prior_head(scores, _SIGNS).weights
    torch.testing.assert_close(heads.weights[0], believed, rtol=1e-5, atol=1e-5)


def test_no_pull_and_one_strength_is_the_plain_probe_of_the_bias_pulls() -> None:
    scores, labels = _draw(40)
    features = (scores - scores.mean(0)) / scores.std()
    pulled = train_pulled_heads(
        features,
        labels,
        torch.arange(40)[None],
        torch.zeros(40, 2),
        features,
        torch.zeros(40, 2),
        labels,
        Tried((0.0,), (0.1,)),
    )
    plain = regularisation_path(features, labels, 2, (0.1,), class_weight="balanced").head(0)
    torch.testing.assert_close(pulled.residual.weights[0], plain.weights, atol=1e-3, rtol=1e-2)
    assert float(pulled.shares.sum()) == pytest.approx(1)


def test_settings_that_held_out_images_like_count_more() -> None:
    scores, labels = _draw(400)
    features = (scores - scores.mean(0)) / scores.std()
    prior = prior_head(scores, _SIGNS).logits(scores)
    draw = torch.from_numpy(draw_shots(labels.numpy(), np.arange(400), 1, range(10)))
    right = train_pulled_heads(features, labels, draw, prior, features, prior, labels)
    wrong = train_pulled_heads(features, labels, draw, -prior, features, -prior, labels)
    assert float(wrong.pull.max()) < float(right.pull.min())


def test_without_validation_images_one_shot_weighs_all_settings_alike() -> None:
    scores, labels = _draw(40)
    draw = torch.from_numpy(draw_shots(labels.numpy(), np.arange(40), 1, range(2)))
    nothing = scores[:0], scores[:0, :2], labels[:0]
    prior = prior_head(scores, _SIGNS).logits(scores)
    shares = train_pulled_heads(scores, labels, draw, prior, *nothing).shares
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / shares[0].numel()))


def test_without_validation_images_a_draw_holds_out_one_of_each_class_at_a_time() -> None:
    scores, labels = _draw(60)
    scores = 50 * (scores - scores.mean(0))
    draws = torch.from_numpy(draw_shots(labels.numpy(), np.arange(60), 3, range(2)))
    prior = prior_head(scores, _SIGNS).logits(scores)
    nothing = scores[:0], prior[:0], labels[:0]
    shares = train_pulled_heads(
        scores, labels, draws, prior, *nothing, Tried((0.0, 2.0), (0.1,))
    ).shares
    for draw, share in zip(draws, shares[:, :, 0], strict=True):
        evidence = torch.zeros(2, 3).double()
        for fold in range(3):  # a draw lists its images class by class
            held = draw[[fold, 3 + fold]]
            kept = draw[[i for i in range(6) if i % 3 != fold]]
            for i, pull in enumerate((0.0, 2.0)):
                offset = pull * prior[kept]
                head = solve_logistic_batch(
                    scores[kept][None], labels[kept][None], 2, (0.1,), offsets=offset[None, None]
                ).head(0, 0)
                for j, part in enumerate((0, 0.5, 1)):
                    unlabelled = -head.weights @ scores.mean(0)
                    bias = (1 - part) * head.bias + part * unlabelled
                    logits = scores[held] @ head.weights.T + bias + pull * prior[held]
                    evidence[i, j] += logits.log_softmax(1)[[0, 1], labels[held]].sum()
        torch.testing.assert_close(share, evidence.flatten().softmax(0).reshape(2, 3))


def test_a_prior_that_says_the_same_of_every_class_is_refused() -> None:
    scores, _ = _draw(10)
    with pytest.raises(ValueError, match="says the same of every class"):
        prior_head(scores, torch.ones(2, 6))
