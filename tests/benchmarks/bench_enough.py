"""Which rule should say how many concepts are enough? A study on drawn problems.

Run `python -m tests.benchmarks.bench_enough`. Classes differ along 2, 6 or 16 of 60 directions that
statements name, by little or by much, and images come in groups that share half of their noise. All
rules read the same cross-validated curve: the smallest number that loses no more than so many
standard errors over the best, the error being that of the difference (paired) or of the best
number's own loss (Breiman's), and no less than what nobody would notice. What a number truly loses
is seen on 4,000 fresh images. Taken is the rule of the fewest concepts among those that in no
family lose .005 more than `paired, .001` does.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.selection.choosing import Known, choose_in_order
from curette.tasks.methods.selection.judging import Excess, Judge, fit_discriminant
from tests.benchmarks.measuring import print_rows

PROBLEMS, CLASSES, DIMENSIONS, STATEMENTS, FRESH = 16, 4, 48, 60, 4000
FAMILIES = ((2, 2.2), (2, 5.0), (6, 2.2), (6, 5.0), (16, 2.2))
"""Directions that tell the classes apart, and how far apart they are."""
SIZES = (*range(1, 13), 14, 16, 20, 24)
RULES = {
    "paired, .001": (True, 1.0, 0.001),
    "paired, .005": (True, 1.0, 0.005),
    "paired, .01": (True, 1.0, 0.01),
    "unpaired": (False, 1.0, 0.0),
    "unpaired, half an error": (False, 0.5, 0.0),
}
"""Whether paired, how many errors, and what nobody notices."""


class Row(NamedTuple):
    """One rule on the problems of one family."""

    directions: int
    apart: float
    images: int
    rule: str
    concepts: str  # the mean number, and its deviation between problems
    loses: float  # more than the best number, on fresh images: the mean
    loses_at_worst: float  # 9 in 10 problems lose no more


class Problem(NamedTuple):
    """A drawn problem and fresh images of it."""

    statements: np.ndarray
    links: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    fresh: np.ndarray
    fresh_labels: np.ndarray


def draw_problem(
    directions: int, apart: float, images: int, generator: np.random.Generator
) -> Problem:
    """Draw class means along the first statements, the later ones mattering less."""
    statements = generator.normal(size=(STATEMENTS, DIMENSIONS))
    statements /= np.linalg.norm(statements, axis=1, keepdims=True)
    weights = 0.85 ** np.arange(directions)
    weights *= apart / np.linalg.norm(weights)
    means = generator.normal(size=(CLASSES, directions)) * weights @ statements[:directions]

    def draw(count: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups = np.repeat(np.arange(count // each), each)
        labels = (np.arange(count // each) % CLASSES)[groups]
        shared = generator.normal(size=(count // each, DIMENSIONS))[groups]
        own = generator.normal(size=(count, DIMENSIONS))
        return means[labels] + np.sqrt(0.5) * (shared + own), labels, groups

    made, fresh = draw(images, 3), draw(FRESH, 1)
    links = generator.random((STATEMENTS, CLASSES)) < 0.4
    return Problem(statements, links, *made, fresh[0], fresh[1])


def true_losses(problem: Problem) -> np.ndarray:
    """Return what the chosen concepts of each number lose on fresh images."""
    choose = choose_in_order(
        problem.statements,
        problem.links,
        Known(problem.images, problem.labels),
        SelectSpec(),
        max(SIZES),
    )
    held = problem.groups % 5 == 0
    losses = []
    for size in SIZES:
        concepts = problem.statements[choose(size)].T
        scores = problem.images @ concepts
        head = fit_discriminant(
            scores[~held], problem.labels[~held], scores[held], problem.labels[held], CLASSES
        )
        answers = head.logits(torch.from_numpy(problem.fresh @ concepts)).softmax(1).numpy()
        losses.append(((answers - np.eye(CLASSES)[problem.fresh_labels]) ** 2).sum(1).mean())
    return np.array(losses)


def excesses(problem: Problem) -> tuple[list[Excess], Excess]:
    """Return each number's excess over the best on held-out images, and the best's own loss."""
    judge = Judge.of(problem.images, problem.labels, problem.groups, CLASSES)
    folds = range(judge.fold.max() + 1)
    ways = [
        choose_in_order(
            problem.statements,
            problem.links,
            Known(problem.images, problem.labels).take(judge.parts(fold)[0]),
            SelectSpec(),
            max(SIZES),
        )
        for fold in folds
    ]
    losses = [
        judge.losses(lambda fold, size=size: problem.statements[ways[fold](size)])  # type: ignore[misc]
        for size in SIZES
    ]
    best = losses[int(np.argmin([judge.mean(of_size) for of_size in losses]))]
    return [judge.excess(of_size, best) for of_size in losses], judge.excess(best, 0 * best)


def main() -> list[Row]:
    """Return a row for each family and rule."""
    torch.set_num_threads(1)
    return [row for images in (240, 960) for family in FAMILIES for row in measure(*family, images)]


def measure(directions: int, apart: float, images: int) -> Iterator[Row]:
    """Let every rule decide on the same problems."""
    taken: dict[str, list[tuple[int, float]]] = {rule: [] for rule in RULES}
    for seed in range(PROBLEMS):
        problem = draw_problem(
            directions, apart, images, np.random.default_rng((directions, 1000 + seed))
        )
        true, (found, best) = true_losses(problem), excesses(problem)
        for rule, (paired, errors, unnoticed) in RULES.items():
            place = next(
                i
                for i, excess in enumerate(found)
                if excess.loss
                <= max(errors * (excess if paired else best).standard_error, unnoticed)
            )
            taken[rule].append((SIZES[place], float(true[place] - true.min())))
    for rule, made in taken.items():
        sizes, lost = np.array(made).T
        yield Row(
            directions=directions,
            apart=apart,
            images=images,
            rule=rule,
            concepts=f"{sizes.mean():.1f} ± {sizes.std():.1f}",
            loses=float(lost.mean()),
            loses_at_worst=float(np.quantile(lost, 0.9)),
        )


if __name__ == "__main__":
    print_rows("enough", main())
