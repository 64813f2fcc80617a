"""Which ridge should weigh sets of concepts? A study on drawn problems.

Run `python -m tests.benchmarks.bench_ridge`. Image vectors have a power-law spectrum and all 80
statements share a template, as real encoders have them. For every ridge, 3, 5, 8 and 12 statements
are chosen by explained class variance, a discriminant is trained on their scores, and what it loses
(squared, classes alike) is seen on 4,000 fresh images. A ridge may be a constant, or one over the
effective number of images: a prior that is worth one image, wherever that many were drawn.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from curette.tasks.methods.selection.explained_variance import (
    EachClass,
    class_variance,
    rank_greedily,
)
from curette.tasks.methods.selection.judging import fit_discriminant
from tests.benchmarks.measuring import print_rows

PROBLEMS, STATEMENTS, DIMENSIONS, FRESH, SIZES = 16, 80, 64, 4000, (3, 5, 8, 12)
FAMILIES = ((2, 60), (2, 160), (5, 100), (5, 1200))
"""Classes and images; of two classes the second is rare, one image in five."""
RIDGES = {
    **{f"{ridge:g}": (ridge, 0.0) for ridge in (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)},
    **{f"{images:g} / n": (0.0, images) for images in (0.1, 0.3, 1.0, 3.0, 10.0)},
}


class Row(NamedTuple):
    """One ridge on the problems of one family."""

    classes: int
    images: int
    ridge: str
    loss: float  # mean over sizes and problems
    more_than_a_hundredth: str  # than with .01, with one standard error over problems


class Problem(NamedTuple):
    """A drawn problem and fresh images of it."""

    statements: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    fresh: np.ndarray
    fresh_labels: np.ndarray


def draw_problem(classes: int, images: int, generator: np.random.Generator) -> Problem:
    """Draw statements about one template, class means and images."""
    spectrum = (1 + np.arange(DIMENSIONS)) ** -0.5
    statements = generator.normal(size=(STATEMENTS, DIMENSIONS)) * np.sqrt(spectrum)
    template = generator.normal(size=DIMENSIONS) * spectrum
    length = np.linalg.norm(statements, axis=1).mean()
    statements += 3 * length * template / np.linalg.norm(template)
    statements /= np.linalg.norm(statements, axis=1, keepdims=True)
    means = 0.55 * generator.normal(size=(classes, DIMENSIONS)) * spectrum
    shares = np.array([0.8, 0.2]) if classes == 2 else np.full(classes, 1 / classes)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(classes), np.round(count * shares).astype(np.int64))
        return means[labels] + generator.normal(size=(len(labels), DIMENSIONS)) * spectrum, labels

    return Problem(statements, *draw(images), *draw(FRESH))


def losses(problem: Problem, ridge: float, per_image: float) -> list[float]:
    """Return what each number of statements loses on fresh images."""
    classes = int(problem.labels.max()) + 1
    weights = 1 / (classes * np.bincount(problem.labels)[problem.labels])
    stated = class_variance(
        problem.statements,
        problem.images,
        problem.labels,
        classes,
        ridge=ridge + per_image * float((weights**2).sum()),
    )
    free = EachClass(np.ones((STATEMENTS, classes), dtype=bool), max(SIZES))
    order = rank_greedily(stated, max(SIZES), free).indices
    lost = []
    for size in SIZES:
        concepts = problem.statements[order[:size]].T
        own = problem.images @ concepts, problem.labels
        head = fit_discriminant(*own, *own, classes, shrinkages=(0.02,))
        answers = head.logits(torch.from_numpy(problem.fresh @ concepts)).softmax(1).numpy()
        wrong = ((answers - np.eye(classes)[problem.fresh_labels]) ** 2).sum(axis=1)
        lost.append(
            float(np.mean([wrong[problem.fresh_labels == k].mean() for k in range(classes)]))
        )
    return lost


def main() -> list[Row]:
    """Return a row for each family and ridge."""
    torch.set_num_threads(1)
    return [row for family in FAMILIES for row in measure(*family)]


def measure(classes: int, images: int) -> Iterator[Row]:
    """Let every ridge choose on the same problems."""
    problems = [
        draw_problem(classes, images, np.random.default_rng(seed)) for seed in range(PROBLEMS)
    ]
    lost = {
        name: np.array([np.mean(losses(problem, *ridge)) for problem in problems])
        for name, ridge in RIDGES.items()
    }
    for name, of_problem in lost.items():
        more = of_problem - lost["0.01"]
        error = more.std() / np.sqrt(PROBLEMS)
        yield Row(
            classes, images, name, float(of_problem.mean()), f"{more.mean():+.4f} ± {error:.4f}"
        )


if __name__ == "__main__":
    print_rows("ridge", main())
