"""How fast a regularisation path and a bootstrap are, beside scikit-learn.

Run `python -m tests.benchmarks.bench_probe`; it takes minutes, nearly all of them scikit-learn's.
Its logistic regression (lbfgs) is given warm starts along the path and the loosest of some
tolerances that brings every objective within 1e-4 of the optimum; ours is held to 1e-6. Its metrics
are timed on 20 resamples and multiplied.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float64, Int
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from schemas.probe import ProbeSpec
from tasks.evaluate.bootstrap import ClusterBootstrap
from tasks.evaluate.metrics import all_metrics
from tasks.probe.linear import RegularisationPath, global_standardisation, regularisation_path

T = TypeVar("T")

IMAGES, DIMS, CLASSES = 8000, 512, 7
TEST_IMAGES, TEST_GROUPS, RESAMPLES = 2000, 1500, 10_000


class Row(NamedTuple):
    """One comparison."""

    name: str
    seconds_ours: float
    seconds_scikit_learn: float
    ratio: float  # seconds_scikit_learn / seconds_ours
    excess_ours: float  # of the objective over the better of the two, relative, at its worst
    excess_scikit_learn: float


def main() -> list[Row]:
    """Print and return one row for each comparison."""
    rows = [compare_paths(), compare_bootstraps()]
    for row in rows:
        print(", ".join(f"{k} {v:.4g}" if k != "name" else v for k, v in row._asdict().items()))
    return rows


def images_like_clips() -> tuple[Float64[Tensor, "image dim"], Int[Tensor, " image"]]:
    """Unit vectors about a common offset, variance falling with rank; labels overlap, some rare."""
    rng = np.random.default_rng(0)
    rank = np.arange(1, DIMS + 1)
    components = rng.normal(size=(IMAGES, DIMS))
    vectors = components * rank**-0.5 + rng.normal(size=DIMS)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    logits = components * rank**-0.15 @ rng.normal(size=(DIMS, CLASSES))
    logits = 3 * logits / logits.std() - 0.7 * np.arange(CLASSES)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    features = torch.from_numpy(vectors)
    return global_standardisation(features).apply(features), torch.from_numpy(labels)


def compare_paths() -> Row:
    """Solve all strengths of the default probe with both."""
    features, labels = images_like_clips()
    strengths = sorted(ProbeSpec().l2_values, reverse=True)
    seconds_ours, path = _timed(partial(regularisation_path, features, labels, CLASSES, strengths))
    for tolerance in (1e-4, 1e-5, 1e-6, 1e-7):
        seconds, theirs = _timed(partial(_scikit_learn_path, features, labels, path, tolerance))
        best = np.minimum(theirs, path.objective)
        if (theirs / best - 1).max() <= 1e-4:
            break
    return Row(
        name=f"{len(strengths)} strengths, {IMAGES} x {DIMS}, {CLASSES} classes",
        seconds_ours=seconds_ours,
        seconds_scikit_learn=seconds,
        ratio=seconds / seconds_ours,
        excess_ours=float((path.objective / best - 1).max()),
        excess_scikit_learn=float((theirs / best - 1).max()),
    )


def _scikit_learn_path(
    features: Float64[Tensor, "image dim"],
    labels: Int[Tensor, " image"],
    path: RegularisationPath,
    tolerance: float,
) -> Float64[np.ndarray, " value"]:
    """Return scikit-learn's objective at every strength of the path."""
    model = LogisticRegression(tol=tolerance, max_iter=10_000, warm_start=True)
    objectives = []
    for l2 in path.l2_values:
        model.set_params(C=1 / (len(labels) * l2)).fit(features.numpy(), labels.numpy())
        probabilities = model.predict_proba(features.numpy())
        loss = metrics.log_loss(labels.numpy(), probabilities)
        objectives.append(loss + l2 / 2 * (model.coef_**2).sum())
    return np.array(objectives)


def compare_bootstraps() -> Row:
    """Compute all metrics of one head on every resample with both."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=TEST_IMAGES)
    probabilities = rng.dirichlet(np.ones(CLASSES), TEST_IMAGES)
    groups = rng.integers(TEST_GROUPS, size=TEST_IMAGES)
    bootstrap = ClusterBootstrap.of(groups, RESAMPLES, seed=0)
    ours, _ = _timed(lambda: bootstrap.replicate(partial(all_metrics, labels, probabilities)))
    few = [rng.integers(TEST_IMAGES, size=TEST_IMAGES) for _ in range(20)]
    theirs, _ = _timed(lambda: [_scikit_learn_values(labels[i], probabilities[i]) for i in few])
    theirs *= RESAMPLES / len(few)
    return Row(
        name=f"6 metrics, {TEST_IMAGES} images, {RESAMPLES} resamples",
        seconds_ours=ours,
        seconds_scikit_learn=theirs,
        ratio=theirs / ours,
        excess_ours=np.nan,
        excess_scikit_learn=np.nan,
    )


def _scikit_learn_values(
    labels: Int[np.ndarray, " image"], probabilities: Float64[np.ndarray, "image class"]
) -> tuple[float, ...]:
    """Return the five of our metrics that scikit-learn has."""
    predicted = probabilities.argmax(1)
    return (
        metrics.accuracy_score(labels, predicted),
        metrics.balanced_accuracy_score(labels, predicted),
        metrics.f1_score(labels, predicted, average="macro"),
        metrics.roc_auc_score(labels, probabilities, multi_class="ovr"),
        metrics.log_loss(labels, probabilities),
    )


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
