"""How often images of a class show a concept, and those that show another one: seen and expected.

Shares have half an image more with either answer (Krichevsky and Trofimov, 1981), so that of a
table p(there) and p(not there) add up to 1 and neither is certain from a few images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float64

from curette.schemas.images import Truth
from curette.schemas.questions.interventions import ConceptShare
from curette.tasks.evaluate.exam import Exam
from curette.tasks.methods.correcting import Readings
from curette.tasks.methods.statistics.joint_concepts import PairwiseConcepts

_LEAST_GROUPS = 10
_MOST_PAIRS = 20


@dataclass(frozen=True, eq=False)
class _Cell:
    class_index: int
    concept: int
    given: int | None
    among: Bool[np.ndarray, " image"]
    """Images of the class (that show the other concept) of which the concept is known."""
    groups: int

    def share(self, present: Bool[np.ndarray, "image labelled"]) -> float:
        """Return how often the concept is there."""
        return float((present[self.among, self.concept].sum() + 0.5) / (self.among.sum() + 1))


def concept_shares(
    exam: Exam,
    texts: Sequence[str],
    readings: Readings,
    scores: Float64[np.ndarray, "image labelled"],
    truth: Truth,
) -> tuple[ConceptShare, ...]:
    """Return the share of each class and concept, then those of the pairs that depend most.

    A pair is told where at least 10 groups of the class show the other concept; those stand first
    whose share is farthest from that of the class.

    Args:
        exam: the test images.
        texts: of the labelled concepts.
        readings: how they are read, and what each tells of the others.
        scores: of the test images.
        truth: about the same.
    """
    classes, concepts = range(len(exam.published.class_keys)), range(len(texts))
    single = {(k, j): _cell(exam, truth, k, j) for k in classes for j in concepts}
    pairs = [
        _cell(exam, truth, k, j, given) for k in classes for given, j in permutations(concepts, 2)
    ]
    told = [pair for pair in pairs if pair.groups >= _LEAST_GROUPS]
    told.sort(
        key=lambda pair: (
            -abs(
                pair.share(truth.present)
                - single[pair.class_index, pair.concept].share(truth.present)
            )
        )
    )
    cells = [*single.values(), *told[:_MOST_PAIRS]]
    together = None
    if isinstance(readings.joint, PairwiseConcepts):
        evidence = readings.each.evidence(scores)
        together = readings.joint.together(evidence, exam.images.labels)
    expected = [
        None
        if together is None
        else _expected(cell, exam.images.labels == cell.class_index, together)
        for cell in cells
    ]
    among = np.stack([cell.among for cell in cells], axis=1).astype(np.float64)
    shown = among * truth.present[:, [cell.concept for cell in cells]]

    def shares(
        weights: Float64[np.ndarray, "resample image"],
    ) -> Float64[np.ndarray, "resample cell"]:
        return np.asarray((weights @ shown + 0.5) / (weights @ among + 1))

    return tuple(
        ConceptShare(
            class_key=exam.published.class_keys[cell.class_index],
            concept=texts[cell.concept],
            given="" if cell.given is None else texts[cell.given],
            images=int(cell.among.sum()),
            groups=cell.groups,
            observed=share if cell.groups >= _LEAST_GROUPS else None,
            predicted=predicted,
        )
        for cell, share, predicted in zip(cells, exam.estimates(shares), expected, strict=True)
    )


def _cell(exam: Exam, truth: Truth, k: int, concept: int, given: int | None = None) -> _Cell:
    among = (exam.images.labels == k) & truth.known[:, concept]
    if given is not None:
        among = among & truth.known[:, given] & truth.present[:, given]
    return _Cell(k, concept, given, among, len(np.unique(exam.images.groups[among])))


def _expected(
    cell: _Cell,
    of_class: Bool[np.ndarray, " image"],
    together: Float64[np.ndarray, "image labelled labelled"],
) -> float | None:
    """Return what the model expects of the images of the class by their scores."""
    own, j, given = together[of_class], cell.concept, cell.given
    if not len(own):
        return None
    if given is None:
        return float(own[:, j, j].mean())
    return float(own[:, given, j].sum() / own[:, given, given].sum())
