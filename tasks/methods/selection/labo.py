"""Choosing each class's concepts from what passed the screen."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate
from curette.schemas.concepts import ClassSelection, Concept, ConceptSet, Pick
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
class Pool:
    """Candidates that are chosen from together, under a quota for each of some classes."""

    rows: Int64[np.ndarray, " member"]  # among all candidates
    class_keys: tuple[str, ...]
    problem: SelectionProblem  # without utilities, which need images
    neighbours: int | None  # that coverage counts; None: all

    def given(self, discriminability: Float[np.ndarray, " candidate"]) -> SelectionProblem:
        """Return the problem in which candidates are as useful as images say."""
        return self.problem.with_utility(discriminability[self.rows])


def gather_pools(
    candidates: tuple[Candidate, ...],
    candidate_vectors: Float[np.ndarray, "candidate dim"],
    class_keys: tuple[str, ...],
    spec: SelectSpec,
) -> Iterator[Pool]:
    """Yield what is chosen from: one pool a class, or one of all classes together.

    A pool knows how its candidates resemble each other and needs no image, so one gathering serves
    many draws of images. It may take gigabytes: use one after the other. A class with fewer
    candidates than wanted keeps them all.

    Raises:
        StudyError: a class has no candidate left.
    """
    links = [[key in c.classes for key in class_keys] for c in candidates]
    membership = np.array(links, dtype=bool).reshape(len(candidates), len(class_keys))
    for key, size in zip(class_keys, membership.sum(axis=0), strict=True):
        if size == 0:
            raise StudyError(
                f"no candidate of the class `{key}` passed the screen, so nothing can be "
                "selected for it: propose more, or loosen `screen`."
            )
    every = range(len(class_keys))
    together = [list(every)] if spec.scope == "jointly" else [[number] for number in every]
    for numbers in together:
        keys = tuple(class_keys[number] for number in numbers)
        yield _gather(candidate_vectors, membership[:, numbers], keys, spec)


def score_candidates(
    candidate_vectors: Float[np.ndarray, "candidate dim"],
    train_vectors: Float[np.ndarray, "image dim"],
    train_labels: Int[np.ndarray, " image"],
    class_count: int,
) -> Float64[np.ndarray, " candidate"]:
    """Return what each candidate tells about the class, in nats, by training images alone."""
    similarity = class_similarity(train_vectors, train_labels, candidate_vectors, class_count)
    return mutual_information(similarity)


def select_from(problem: SelectionProblem, spec: SelectSpec) -> Selection:
    """Select by the settings' method."""
    if spec.method == "random":
        return select_at_random(problem, spec.seed)
    if spec.method == "top_discriminability":
        return select_top_utility(problem)
    return select_greedily(problem)


def choose_concepts(
    candidates: tuple[Candidate, ...],
    candidate_vectors: Float[np.ndarray, "candidate dim"],
    train_vectors: Float[np.ndarray, "image dim"],
    train_labels: Int[np.ndarray, " image"],
    class_keys: tuple[str, ...],
    spec: SelectSpec,
) -> ConceptSet:
    """Choose `spec.per_class` concepts for every class among the candidates proposed for it.

    LaBo's objective (Yang et al., CVPR 2023, section 3.2) with both terms scaled to [0, 1]; see
    `facility_location`. Discriminability is computed once, over all candidates and
    classes, from training images alone; coverage is of the pool: the class's own candidates, or
    those of all classes. A concept that two classes pick stands once in the set and names both; one
    that was chosen jointly names all classes that it was proposed for.

    Raises:
        StudyError: a class has no candidate left.
    """
    discriminability = score_candidates(
        candidate_vectors, train_vectors, train_labels, len(class_keys)
    )
    selections = []
    picked_for: dict[int, tuple[str, ...]] = {}
    for pool in gather_pools(candidates, candidate_vectors, class_keys, spec):
        problem = pool.given(discriminability)
        chosen = tighten_upper_bound(problem, select_from(problem, spec))
        for i in chosen.indices.tolist():
            row = int(pool.rows[i])
            named = [k for k in pool.class_keys if k in candidates[row].classes]
            picked_for[row] = (*picked_for.get(row, ()), *named)
        selections += _class_selections(candidates, pool, chosen)
    concepts = tuple(
        Concept(
            concept_id=candidates[i].concept_id,
            text=candidates[i].text,
            classes=candidates[i].classes,
            selected_for=keys,
            discriminability=float(discriminability[i]),
            origins=candidates[i].origins,
        )
        for i, keys in picked_for.items()
    )
    return ConceptSet(
        method=spec.method, scope=spec.scope, concepts=concepts, selections=tuple(selections)
    )


def _gather(
    vectors: Float[np.ndarray, "candidate dim"],
    membership: Bool[np.ndarray, "candidate group"],
    class_keys: tuple[str, ...],
    spec: SelectSpec,
) -> Pool:
    rows = np.flatnonzero(membership.any(axis=1))
    quotas = np.minimum(spec.per_class, membership.sum(axis=0))
    neighbours = neighbours_counted(len(rows), int(quotas.sum()))
    weights = spec.discriminability_weight, spec.coverage_weight
    problem = SelectionProblem.with_quotas(
        cosines(vectors[rows])
        if neighbours is None
        else nearest_cosines(vectors[rows], neighbours),
        np.zeros(len(rows)),
        membership[rows],
        quotas,
        coverage_weight=weights[1] / sum(weights),
    )
    return Pool(rows, class_keys, problem, neighbours)


def _class_selections(
    candidates: tuple[Candidate, ...], pool: Pool, chosen: Selection
) -> list[ClassSelection]:
    """Return the picks that took up each class's quota, with the certificate of their pool."""
    return [
        ClassSelection(
            class_key=key,
            pool=int(pool.problem.membership[:, number].sum()),
            picks=tuple(
                Pick(concept_id=candidates[pool.rows[i]].concept_id, gain=float(gain))
                for i, gain, group in zip(chosen.indices, chosen.gains, chosen.groups, strict=True)
                if group == number
            ),
            value=chosen.value,
            upper_bound=chosen.upper_bound,
            neighbours=pool.neighbours,
        )
        for number, key in enumerate(pool.class_keys)
    ]
