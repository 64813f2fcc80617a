"""LaBo's objective: each class chooses for itself, by discriminability and coverage.

LaBo: Yang et al., CVPR 2023, section 3.2, with both terms scaled to [0, 1]; see
`facility_location`. Discriminability is computed once, over all candidates and classes, from
training images alone; coverage is of the pool: the class's own candidates, or those of all
classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from curette.schemas.settings.select import SelectSpec
from curette.tasks.methods.selection.discriminability import class_similarity, mutual_information
from curette.tasks.methods.selection.facility_location import (
    Selection,
    SelectionProblem,
    select_at_random,
    select_greedily,
    select_top_utility,
    tighten_upper_bound,
)
from curette.tasks.methods.selection.neighbours import cosines, nearest_cosines, neighbours_counted


@dataclass(frozen=True, eq=False)
class ClassPool:
    """Candidates that are chosen from together, under a quota for each of some classes."""

    rows: Int64[np.ndarray, " member"]  # among all candidates
    classes: tuple[int, ...]
    problem: SelectionProblem  # without utilities, which need images
    neighbours: int | None  # that coverage counts; None: all


@dataclass(frozen=True, eq=False)
class PoolSelection:
    """What was chosen from one pool."""

    pool: ClassPool
    selection: Selection

    @property
    def rows(self) -> Int64[np.ndarray, " pick"]:
        """The picks among all candidates, best first."""
        return self.pool.rows[self.selection.indices]


def score_candidates(
    candidate_vectors: Float[np.ndarray, "candidate dim"],
    train_vectors: Float[np.ndarray, "image dim"],
    train_labels: Int[np.ndarray, " image"],
    class_count: int,
) -> Float64[np.ndarray, " candidate"]:
    """Return what each candidate tells about the class, in nats, by training images alone."""
    similarity = class_similarity(train_vectors, train_labels, candidate_vectors, class_count)
    return mutual_information(similarity)


def choose_by_class(
    vectors: Float[np.ndarray, "candidate dim"],
    links: Bool[np.ndarray, "candidate class"],
    discriminability: Float[np.ndarray, " candidate"],
    quotas: Sequence[int],
    spec: SelectSpec,
) -> list[PoolSelection]:
    """Choose under a quota of each class; one selection a class, or one of all classes together.

    Pools may take gigabytes, so they are gathered and left one after the other. A class with fewer
    candidates than its quota keeps them all; one without a quota has no selection.
    """
    chosen = []
    for pool in _gather_pools(vectors, links, quotas, spec):
        problem = pool.problem.with_utility(discriminability[pool.rows])
        selection = tighten_upper_bound(problem, _select(problem, spec))
        chosen.append(PoolSelection(pool, selection))
    return chosen


def deal_quotas(
    vectors: Float[np.ndarray, "candidate dim"],
    links: Bool[np.ndarray, "candidate class"],
    discriminability: Float[np.ndarray, " candidate"],
    total: int,
    spec: SelectSpec,
) -> list[PoolSelection]:
    """Choose so many candidates in all, the classes in turn: more where two pick the same."""
    sizes = links.sum(axis=0)
    dealt, most = total, int(links.any(axis=1).sum())
    while True:
        quotas = [dealt // len(sizes) + (k < dealt % len(sizes)) for k in range(len(sizes))]
        chosen = choose_by_class(vectors, links, discriminability, quotas, spec)
        found = len({row for part in chosen for row in part.rows.tolist()})
        if found >= min(total, most) or all(q >= s for q, s in zip(quotas, sizes, strict=True)):
            return chosen
        dealt += min(total, most) - found


def _select(problem: SelectionProblem, spec: SelectSpec) -> Selection:
    if spec.method == "random":
        return select_at_random(problem, spec.seed)
    return select_top_utility(problem) if spec.method == "top" else select_greedily(problem)


def _gather_pools(
    vectors: Float[np.ndarray, "candidate dim"],
    links: Bool[np.ndarray, "candidate class"],
    quotas: Sequence[int],
    spec: SelectSpec,
) -> Iterator[ClassPool]:
    wanted = [k for k, quota in enumerate(quotas) if quota > 0]
    weights = spec.discriminability_weight, spec.coverage_weight
    for classes in [wanted] if spec.scope == "jointly" else [[k] for k in wanted]:
        membership = links[:, classes]
        rows = np.flatnonzero(membership.any(axis=1))
        of_classes = np.minimum([quotas[k] for k in classes], membership.sum(axis=0))
        neighbours = neighbours_counted(len(rows), int(of_classes.sum()))
        problem = SelectionProblem.with_quotas(
            cosines(vectors[rows])
            if neighbours is None
            else nearest_cosines(vectors[rows], neighbours),
            np.zeros(len(rows)),
            membership[rows],
            of_classes,
            coverage_weight=weights[1] / sum(weights),
        )
        yield ClassPool(rows, tuple(classes), problem, neighbours)
