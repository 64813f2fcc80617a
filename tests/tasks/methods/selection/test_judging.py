"""What held-out images say of sets: enough, exchanges, stability; no group is on both sides."""

import numpy as np
import pytest
import torch

from curette.tasks.methods.selection.explained_variance import (
    EachClass,
    class_variance,
    rank_greedily,
)
from curette.tasks.methods.selection.judging import (
    Choose,
    Judge,
    answer_by_discriminants,
    deal_folds,
    fit_discriminant,
    measure_stability,
    resample_groups,
    size_curve,
    stand_ins,
)

K, DIM = 3, 8


def images(seed: int, count: int = 240) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors whose first two dimensions tell three classes, labels, and groups of four images."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, K, size=count // 4), 4)
    labels[: 8 * K] = np.repeat(np.arange(K), 8)
    centres = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    vectors = rng.normal(size=(count, DIM)).astype(np.float32)
    vectors[:, :2] += centres[labels]
    return vectors, labels, np.arange(count) // 4


CONCEPTS = np.eye(DIM, dtype=np.float32)


def in_order(_: np.ndarray) -> Choose:
    return np.arange


def test_two_dimensions_are_enough_for_what_two_dimensions_tell() -> None:
    vectors, labels, groups = images(0)
    curve = size_curve(Judge.of(vectors, labels, groups, K), CONCEPTS, in_order, (1, 2, 3, 5, 8))
    assert curve.enough == 2
    assert curve.losses[0] > curve.losses[1] + 0.1
    assert curve.excesses[0].measurable


def test_concepts_are_chosen_without_the_images_that_they_are_asked_about() -> None:
    vectors, labels, groups = images(1)
    judge = Judge.of(vectors, labels, groups, K)
    seen: list[set[int]] = []

    def choose(rows: np.ndarray) -> Choose:
        seen.append(set(rows.tolist()))
        return np.arange

    size_curve(judge, CONCEPTS, choose, (1, 2))
    assert [len(rows) for rows in seen] == [
        len(labels) - int((judge.fold == fold).sum()) for fold in range(5)
    ]
    for fold, rows in enumerate(seen):
        assert not rows & set(np.flatnonzero(judge.fold == fold).tolist())


@pytest.mark.parametrize("seed", range(5))
def test_folds_never_part_a_group_and_every_class_is_always_learned_from(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 30, size=100)
    labels = rng.integers(0, K, size=30)[groups]
    labels[groups == groups[0]] = K  # one class of a single group
    fold = deal_folds(labels, groups, seed)
    for group in np.unique(groups):
        assert len(np.unique(fold[groups == group])) == 1
    assert (fold[labels == K] == -1).all()
    for held in range(5):
        assert set(labels[fold != held]) == set(labels)


def test_the_standard_error_is_that_of_group_means_where_groups_are_equal() -> None:
    rng = np.random.default_rng(0)
    labels, groups = np.zeros(60, dtype=np.int64), np.arange(60) // 3
    judge = Judge(np.zeros((60, 2), dtype=np.float32), labels, groups, 1, groups % 5)
    difference = rng.normal(size=60) + rng.normal(size=20)[groups]
    means = difference.reshape(20, 3).mean(axis=1)
    excess = judge.excess(difference, np.zeros(60))
    assert excess.loss == pytest.approx(difference.mean())
    assert excess.standard_error == pytest.approx(means.std(ddof=1) / np.sqrt(20))


def test_every_class_counts_the_same() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    judge = Judge.of(np.zeros((100, 2), dtype=np.float32), labels, np.arange(100), 2)
    assert judge.mean((labels == 1).astype(float)) == pytest.approx(0.5)


def test_a_copy_can_stand_in_and_noise_cannot() -> None:
    vectors, labels, groups = images(2)
    rng = np.random.default_rng(0)
    copies = CONCEPTS + 1e-4 * rng.normal(size=CONCEPTS.shape).astype(np.float32)
    concepts = np.concatenate([CONCEPTS, copies])
    problem = class_variance(concepts, vectors, labels, K)
    picks = np.array([0, 1])
    judge = Judge.of(vectors, labels, groups, K)
    found = stand_ins(judge, concepts, problem, picks, lambda pick, candidate: True)
    assert {(s.pick, s.candidate) for s in found} == {(0, DIM), (1, DIM + 1)}
    assert not stand_ins(judge, concepts, problem, picks, lambda pick, candidate: False)


def test_what_a_candidate_would_add_is_what_it_adds() -> None:
    vectors, labels, _ = images(3)
    concepts = np.random.default_rng(0).normal(size=(10, DIM)).astype(np.float32)
    problem = class_variance(concepts, vectors, labels, K)
    order = rank_greedily(problem, 3, EachClass(np.zeros((10, K), dtype=bool), 3)).indices
    gains = problem.gains(order)
    for j in set(range(10)) - set(order.tolist()):
        more = problem.explained(np.append(order, j)) - problem.explained(order)
        assert gains[j] == pytest.approx(more)


def test_stability_is_one_for_equal_choices_and_about_zero_for_random_ones() -> None:
    same = [np.array([1, 4, 7])] * 10
    assert measure_stability(same, 20).index == pytest.approx(1)
    rng = np.random.default_rng(0)
    lots = [rng.choice(200, size=20, replace=False) for _ in range(50)]
    assert abs(measure_stability(lots, 200).index) < 0.05


def test_stability_by_hand() -> None:
    """Two choices of 1 of 2 that differ: p = 1/2 each, s^2 = 2 * 1/4, k/M = 1/2: 1 - .5 / .25."""
    steady = measure_stability([np.array([0]), np.array([1])], 2)
    assert steady.index == pytest.approx(-1)
    assert steady.chosen.tolist() == [0.5, 0.5]


def test_groups_are_drawn_whole_and_every_class_keeps_its_number_of_them() -> None:
    _, labels, groups = images(4)
    rows = resample_groups(labels, groups, np.random.default_rng(0))
    drawn, counts = np.unique(groups[rows], return_counts=True)
    assert (counts % 4 == 0).all(), "each of four images"
    assert len(drawn) < len(np.unique(groups)), "with replacement"
    assert np.bincount(labels[rows]).tolist() == np.bincount(labels).tolist()


def test_sets_that_are_judged_together_answer_as_each_does_alone() -> None:
    vectors, labels, _ = images(2)
    sets = np.random.default_rng(0).normal(size=(4, 3, DIM)).astype(np.float32)
    sets[2, 1] = 0  # a score that tells no image from another
    parts = [slice(0, 120), slice(120, 180), slice(180, 240)]
    train, held, asked = (np.einsum("nd,scd->nsc", vectors[p], sets) for p in parts)
    found = answer_by_discriminants(train, labels[parts[0]], held, labels[parts[1]], asked, K)
    for place, of_set in enumerate(found):
        head = fit_discriminant(
            *(train[:, place], labels[parts[0]], held[:, place], labels[parts[1]]), K
        )
        alone = head.logits(torch.from_numpy(asked[:, place]).double())
        np.testing.assert_allclose(of_set, alone, rtol=1e-6, atol=1e-6)
