"""Choosing each class's concepts from what passed the screen."""

import numpy as np
from jaxtyping import Float, Int

from schemas.artifact import StudyError
from schemas.candidates import Candidate
from schemas.concepts import ClassSelection, Concept, ConceptSet, Pick, SelectSpec
from tasks.select.discriminability import class_similarity, mutual_information
from tasks.select.facility_location import (
    Selection,
    SelectionProblem,
    select_at_random,
    select_greedily,
    select_top_utility,
    tighten_upper_bound,
)


def choose_concepts(
    candidates: tuple[Candidate, ...],
    candidate_vectors: Float[np.ndarray, "candidate dim"],
    train_vectors: Float[np.ndarray, "image dim"],
    train_labels: Int[np.ndarray, " image"],
    class_keys: tuple[str, ...],
    spec: SelectSpec,
) -> ConceptSet:
    """Choose `spec.per_class` concepts for every class among the candidates proposed for it.

    LaBo's objective (Yang et al., CVPR 2023, section 3.2) with both terms scaled to [0, 1]: see
    `tasks.select.facility_location`. Discriminability is computed once, over all candidates and
    classes, from training images alone; coverage is of the class's own candidates. A class with
    fewer candidates than wanted keeps them all. A concept that two classes pick stands once in the
    set and names both.

    Raises:
        StudyError: a class has no candidate left.
    """
    similarity = class_similarity(
        train_vectors, train_labels, candidate_vectors, class_count=len(class_keys)
    )
    discriminability = mutual_information(similarity)
    selections = []
    picked_for: dict[int, list[str]] = {}
    for class_key in class_keys:
        pool = np.array([i for i, c in enumerate(candidates) if class_key in c.classes], dtype=int)
        if len(pool) == 0:
            raise StudyError(
                f"no candidate of the class `{class_key}` passed the screen, so nothing can be "
                "selected for it: propose more, or loosen `screen`."
            )
        chosen = _select(candidate_vectors[pool], discriminability[pool], spec)
        picks = [int(pool[i]) for i in chosen.indices]
        for i in picks:
            picked_for.setdefault(i, []).append(class_key)
        selections.append(
            ClassSelection(
                class_key=class_key,
                pool=len(pool),
                picks=tuple(
                    Pick(concept_id=candidates[i].concept_id, gain=float(gain))
                    for i, gain in zip(picks, chosen.gains, strict=True)
                ),
                value=chosen.value,
                upper_bound=chosen.upper_bound,
            )
        )
    concepts = tuple(
        Concept(
            concept_id=candidates[i].concept_id,
            text=candidates[i].text,
            classes=candidates[i].classes,
            selected_for=tuple(class_keys),
            discriminability=float(discriminability[i]),
            origins=candidates[i].origins,
        )
        for i, class_keys in picked_for.items()
    )
    return ConceptSet(method=spec.method, concepts=concepts, selections=tuple(selections))


def _select(
    vectors: Float[np.ndarray, "candidate dim"],
    discriminability: Float[np.ndarray, " candidate"],
    spec: SelectSpec,
) -> Selection:
    weights = spec.discriminability_weight, spec.coverage_weight
    problem = SelectionProblem.of_size(
        np.maximum(0, vectors @ vectors.T),
        discriminability,
        min(spec.per_class, len(vectors)),
        coverage_weight=weights[1] / sum(weights),
    )
    if spec.method == "random":
        return select_at_random(problem, spec.seed)
    if spec.method == "top_discriminability":
        return select_top_utility(problem)
    return tighten_upper_bound(problem, select_greedily(problem))
