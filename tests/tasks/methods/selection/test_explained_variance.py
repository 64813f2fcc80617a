"""Greedy picks are the naive reference's, bounds hold against brute force, and rules are kept."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from curette.tasks.methods.selection.avoidance import told_within_classes
from curette.tasks.methods.selection.explained_variance import (
    Choice,
    ClassVariance,
    EachClass,
    class_variance,
    rank_greedily,
)
from curette.tasks.methods.selection.relaxation import upper_bound

SEEDS = range(4)
K = 3


def units(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, dim)) + 0.5
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def study(
    seed: int, candidates: int = 12, images: int = 60, dim: int = 8
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statements, images whose first dimensions depend on their class, and skewed labels."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(K, size=images, p=[0.6, 0.3, 0.1]))
    labels[:K] = range(K)
    vectors = rng.normal(size=(images, dim))
    vectors[:, :K] += 1.5 * np.eye(K)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return units(rng, candidates, dim), vectors.astype(np.float32), labels


def explained(
    texts: np.ndarray, images: np.ndarray, labels: np.ndarray, picks: list[int], ridge: float
) -> float:
    """What scikit-learn's ridge regression of the class on weighted scores explains, plainly."""
    if not picks:
        return 0.0
    weights = 1 / (K * np.bincount(labels)[labels])
    scores = images.astype(np.float64) @ texts[picks].T.astype(np.float64)
    scores -= weights @ scores
    scores /= np.sqrt(weights @ scores**2)
    classes = np.eye(K)[labels] - 1 / K
    model = Ridge(alpha=ridge, fit_intercept=False, solver="cholesky")
    model.fit(scores, classes, sample_weight=weights)
    left = weights @ (classes - model.predict(scores)) ** 2
    shrunk = ridge * (model.coef_**2).sum()
    return float(1 - (left.sum() + shrunk) / (weights @ classes**2).sum())


def nuisances(seed: int, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column that an axis tells, and one of three values by chance, some of them not known."""
    rng = np.random.default_rng(seed)
    axis = vectors[:, -1].astype(np.float64)
    told = (axis + 0.1 * rng.normal(size=len(axis)) > np.median(axis)).astype(np.int64)
    return told, rng.integers(-1, 3, size=len(axis))


def told(
    texts: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    picks: list[int],
    levels: np.ndarray,
    ridge: float,
) -> float:
    """What scikit-learn's ridge regression of a column's values tells within classes, plainly."""
    known = levels >= 0
    labels, levels = labels[known], levels[known]
    if not picks or len(labels) - K < 2:
        return 0.0
    scores = images[known].astype(np.float64) @ texts[picks].T.astype(np.float64)
    for k in range(K):
        scores[labels == k] -= scores[labels == k].mean(axis=0) if (labels == k).any() else 0
    scores /= np.sqrt((scores**2).mean(axis=0))
    most = 0.0
    for value in range(levels.max() + 1):
        has = (levels == value).astype(np.float64)
        for k in range(K):
            has[labels == k] -= has[labels == k].mean() if (labels == k).any() else 0
        if (has**2).sum() < 1e-9:
            continue
        model = Ridge(alpha=ridge * len(has), fit_intercept=False, solver="cholesky")
        model.fit(scores, has)
        lost = ((has - model.predict(scores)) ** 2).sum() + ridge * len(has) * (
            model.coef_**2
        ).sum()
        most = max(most, 1 - lost / (has**2).sum())
    return max(0.0, 1 - 20 / (len(labels) - K)) * most


def free(problem: ClassVariance, count: int) -> EachClass:
    return EachClass(np.zeros((problem.count, K), dtype=bool), count)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("images", [6, 60])  # fewer than dimensions, and more
def test_greedy_picks_what_a_naive_reference_picks(seed: int, images: int) -> None:
    texts, vectors, labels = study(seed, images=images)
    problem = class_variance(texts, vectors, labels, K, ridge=0.05)
    ranking = rank_greedily(problem, 6, free(problem, 6), most_correlated=1.0)
    picks: list[int] = []
    for _ in range(6):
        worth = [
            -1.0 if j in picks else explained(texts, vectors, labels, [*picks, j], 0.05)
            for j in range(len(texts))
        ]
        picks.append(int(np.argmax(worth)))
    assert ranking.indices.tolist() == picks
    values = [explained(texts, vectors, labels, picks[: m + 1], 0.05) for m in range(6)]
    assert np.cumsum(ranking.gains) == pytest.approx(values, abs=1e-6)
    assert problem.explained(ranking.indices) == pytest.approx(values[-1], abs=1e-6)


def test_equal_candidates_tie_and_the_first_is_picked() -> None:
    texts, vectors, labels = study(0, candidates=6)
    texts = np.concatenate([texts, texts])
    problem = class_variance(texts, vectors, labels, K)
    ranking = rank_greedily(problem, 12, free(problem, 12), most_correlated=1.1)
    assert sorted(ranking.indices[:6]) == list(range(6))


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_of_any_order_are_what_each_adds(seed: int) -> None:
    texts, vectors, labels = study(seed, candidates=10)
    problem = class_variance(texts, vectors, labels, K, avoided=nuisances(seed, vectors))
    order = np.random.default_rng(seed).permutation(10)[:6]
    values = [problem.value(order[:count]) for count in range(7)]
    np.testing.assert_allclose(problem.steps(order), np.diff(values), atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 4])
def test_no_set_exceeds_the_bound_and_it_is_near_the_best(seed: int, count: int) -> None:
    texts, vectors, labels = study(seed, candidates=14)
    for ridge, share in (
        (0.003, 0.5),
        (0.1, 0.6),
        (1.0, 0.8),
    ):  # parts are cheap where rho is small
        problem = class_variance(texts, vectors, labels, K, ridge=ridge)
        greedy = rank_greedily(problem, count, free(problem, count)).indices
        best = max(problem.value(np.array(some)) for some in combinations(range(14), count))
        bound = upper_bound(problem, greedy)
        assert problem.value(greedy) <= best + 1e-9 <= bound + 2e-9
        assert best > share * bound
    for steps in (1, 2, 5):
        assert upper_bound(problem, greedy, steps=steps) >= bound - 1e-9, "every step has a bound"
        assert upper_bound(problem, np.arange(count), steps=steps) >= best - 1e-9, "wherever from"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bound_holds_where_sets_cost_something(seed: int) -> None:
    texts, vectors, labels = study(seed, candidates=12)
    problem = class_variance(texts, vectors, labels, K, avoided=nuisances(seed, vectors))
    greedy = rank_greedily(problem, 3, free(problem, 3))
    sets = [np.array(some) for some in combinations(range(12), 3)]
    best = max(problem.value(some) for some in sets)
    assert greedy.gains.sum() == pytest.approx(problem.value(greedy.indices))
    bound = upper_bound(problem, greedy.indices)
    assert problem.value(greedy.indices) <= best + 1e-9 <= bound + 2e-9
    assert bound < upper_bound(class_variance(texts, vectors, labels, K), greedy.indices)
    for some in sets:
        cost = problem.explained(some) - problem.value(some)
        assert problem.least_costs()[some].max() <= cost + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("images", [9, 30, 60])
def test_a_set_costs_what_a_regression_within_classes_tells(seed: int, images: int) -> None:
    texts, vectors, labels = study(seed, images=images)
    columns = nuisances(seed, vectors)
    problem = class_variance(texts, vectors, labels, K, avoided=columns, ridge=0.05)
    choice = Choice(problem, 4)
    for size in range(1, 5):
        gains = choice.gains()
        picks = np.random.default_rng(seed).permutation(len(texts))[:size]
        before, after = (
            explained(texts, vectors, labels, list(some), 0.05)
            - sum(told(texts, vectors, labels, list(some), levels, 0.05) for levels in columns)
            for some in (picks[:-1], picks)
        )
        assert gains[picks[-1]] == pytest.approx(after - before, abs=1e-6)
        assert problem.value(picks) == pytest.approx(after, abs=1e-6)
        assert problem.gains(picks[:-1]) == pytest.approx(gains, abs=1e-9)
        choice.take(int(picks[-1]))


def test_what_many_tell_together_costs_though_each_tells_little() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 400)
    ruler = (rng.random(800) < np.where(labels == 1, 0.9, 0.1)).astype(np.int64)
    vectors = 0.3 * rng.normal(size=(800, 20))
    vectors[:, 0] += ruler
    vectors[:, 1] += labels
    texts = np.eye(20, dtype=np.float32)[1:]
    hinting = texts + 0.3 * np.eye(20, dtype=np.float32)[0]
    hinting[:, 1] += 0.1  # and a little more of the class
    texts = np.concatenate([hinting, texts])
    told_by_one = told_within_classes(texts, vectors, labels, 2, ruler)
    problem = class_variance(texts, vectors, labels, 2)
    avoiding = class_variance(texts, vectors, labels, 2, avoided=(ruler,))

    def cost(picks: np.ndarray) -> float:
        return problem.value(picks) - avoiding.value(picks)

    freely = rank_greedily(problem, 6, free(problem, 6)).indices
    kept = rank_greedily(avoiding, 6, free(avoiding, 6)).indices
    assert cost(freely) > told_by_one[freely].max() + 0.1
    assert cost(kept) < cost(freely) / 5
    assert avoiding.explained(kept) > problem.explained(freely) - 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_more_concepts_never_explain_less(seed: int) -> None:
    texts, vectors, labels = study(seed)
    problem = class_variance(texts, vectors, labels, K)
    order = np.random.default_rng(seed).permutation(len(texts))
    values = [problem.explained(order[:m]) for m in range(len(order) + 1)]
    assert values[0] == 0
    assert np.diff(values).min() > -1e-12
    assert values[-1] <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_candidates_images_and_classes_does_not_matter(seed: int) -> None:
    texts, vectors, labels = study(seed)
    rng = np.random.default_rng(seed)
    of_texts, of_images = rng.permutation(len(texts)), rng.permutation(len(labels))
    links = rng.random((len(texts), K)) < 0.4
    classes = rng.permutation(K)
    problem = class_variance(texts, vectors, labels, K, links=links)
    other = class_variance(
        texts[of_texts],
        vectors[of_images],
        np.argsort(classes)[labels[of_images]],
        K,
        links=links[of_texts][:, classes],
    )
    picks = rank_greedily(problem, 5, EachClass(links, 5)).indices
    again = rank_greedily(other, 5, EachClass(links[of_texts][:, classes], 5)).indices
    assert of_texts[again].tolist() == picks.tolist()


def test_every_class_keeps_a_concept_that_was_proposed_for_it() -> None:
    texts, vectors, labels = study(1, candidates=20)
    links = np.zeros((20, K), dtype=bool)
    links[:18, 0] = True
    links[18, 1] = links[19, 2] = True
    problem = class_variance(texts, vectors, labels, K, links=links)
    for count in (3, 5):
        picks = rank_greedily(problem, count, EachClass(links, count)).indices
        assert links[picks].any(axis=0).all()
    two = rank_greedily(problem, 2, EachClass(links, 2)).indices
    assert links[two].any(axis=0).sum() == 2, "as many classes as there are picks"


def test_no_two_picks_say_the_same() -> None:
    texts, vectors, labels = study(2, candidates=6)
    rng = np.random.default_rng(0)
    nearly = texts + 1e-3 * rng.normal(size=texts.shape).astype(np.float32)
    problem = class_variance(np.concatenate([texts, nearly]), vectors, labels, K)
    picks = rank_greedily(problem, 12, free(problem, 12)).indices
    assert sorted(picks % 6) == list(range(6)), "one of each pair, then no more"


def test_a_shared_template_does_not_make_statements_the_same() -> None:
    texts, vectors, labels = study(2, candidates=6)
    template = 20 * np.ones(texts.shape[1], dtype=np.float32) / np.sqrt(texts.shape[1])
    problem = class_variance(texts + template, vectors, labels, K)
    assert (np.corrcoef(problem.directions)[0, 1:] > 0.95).all(), "scores are those of the template"
    assert len(rank_greedily(problem, 6, free(problem, 6)).indices) == 6


def test_only_picks_that_say_the_same_are_left_where_a_class_needs_one() -> None:
    texts, vectors, labels = study(3, candidates=5)
    texts = np.concatenate([texts, texts[:1]])
    links = np.array([[True, False, False]] * 5 + [[False, True, False]])
    problem = class_variance(texts, vectors, labels, K)
    picks = rank_greedily(problem, 6, EachClass(links, 6)).indices
    assert 5 in picks


def test_the_fewer_the_images_the_more_the_statements_say() -> None:
    texts, _, _ = study(0)
    links = np.random.default_rng(0).random((len(texts), K)) < 0.4
    rule = np.zeros_like(links)

    def picks(seed: int, prior_images: float) -> list[int]:
        images = units(np.random.default_rng(seed), K, 8)
        problem = class_variance(
            texts, images, np.arange(K), K, links=links, prior_images=prior_images
        )
        return rank_greedily(problem, 4, EachClass(rule, 4)).indices.tolist()

    assert picks(1, 1e6) == picks(2, 1e6), "by links and diversity alone, whatever the images"
    assert picks(1, 0) != picks(2, 0)
    _, vectors, labels = study(0, images=2000)
    plain = class_variance(texts, vectors, labels, K)
    shrunk = class_variance(texts, vectors, labels, K, links=links, prior_images=0.1)
    some = np.arange(4)
    assert shrunk.explained(some) == pytest.approx(plain.explained(some), abs=1e-3)


def test_what_a_concept_tells_about_a_column_is_its_correlation_within_classes() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    hair = (rng.random(400) < np.where(labels == 1, 0.9, 0.1)).astype(np.int64)
    vectors = 0.3 * rng.normal(size=(400, 4))
    vectors[:, 0] += hair
    vectors[:, 1] += labels
    texts = np.eye(4, dtype=np.float32)
    told = told_within_classes(texts, vectors, labels, 2, hair)
    pooled = np.concatenate(
        [vectors[labels == k, 0] - vectors[labels == k, 0].mean() for k in (0, 1)]
    )
    column = np.concatenate([hair[labels == k] - hair[labels == k].mean() for k in (0, 1)])
    squared = np.corrcoef(pooled, column)[0, 1] ** 2
    assert told[0] == pytest.approx(squared, abs=0.01)
    assert told[1:].max() < 0.03, "what goes with the class alone costs nothing"
    unknown = np.where(rng.random(400) < 0.3, -1, hair)
    assert told_within_classes(texts, vectors, labels, 2, unknown)[0] == pytest.approx(
        squared, abs=0.1
    )


def test_a_candidate_whose_scores_do_not_vary_explains_nothing() -> None:
    texts, vectors, labels = study(0, candidates=4)
    vectors = np.concatenate([vectors, np.ones((len(vectors), 1), dtype=np.float32)], axis=1)
    texts = np.concatenate([texts, np.zeros((4, 1), dtype=np.float32)], axis=1)
    texts = np.concatenate([texts, np.eye(9, dtype=np.float32)[8:]])
    problem = class_variance(texts, vectors, labels, K)
    assert problem.explained(np.array([4])) == 0


def test_bad_input_is_named() -> None:
    texts, vectors, labels = study(0)
    with pytest.raises(ValueError, match="have no training image"):
        class_variance(texts, vectors, np.zeros_like(labels), K)
    with pytest.raises(ValueError, match="ridge must be above 0"):
        class_variance(texts, vectors, labels, K, ridge=0)
