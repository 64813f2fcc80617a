"""What chosen concepts are worth on validation images, and which classes they confuse there.

They are judged by the small head of the selection (see `judging`): trained on training images,
asked about validation images. A round is worth keeping if it loses less than the round before by
more than one standard error of the difference, over groups of images.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int64, Shaped

from curette.schemas.appraisal import Appraisal, ConfusedPair, Round
from curette.schemas.artifact import StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.concepts import ConceptSet
from curette.schemas.screened import ScreenedSet
from curette.tasks.methods.selection.judging import Judge
from curette.tasks.methods.threads import one_thread_of_torch


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Training and validation images: their vectors, classes and groups."""

    vectors: Float[np.ndarray, "image dim"]
    labels: Int[np.ndarray, " image"]
    groups: Shaped[np.ndarray, " image"]
    training: int
    """So many come first, and are learned from; the others are asked about."""
    class_keys: tuple[str, ...]

    @property
    def judge(self) -> Judge:
        """One fold: all validation images."""
        fold = np.where(np.arange(len(self.labels)) < self.training, -1, 0)
        return Judge(self.vectors, self.labels, self.groups, len(self.class_keys), fold)


@dataclass(frozen=True)
class Proposed:
    """How a round came to its concepts."""

    candidates: CandidateSet
    screened: ScreenedSet
    concepts: ConceptSet
    concept_vectors: Float[np.ndarray, "concept dim"]


def appraise(images: KnownImages, made: Proposed, earlier: Appraisal | None) -> Appraisal:
    """Return what the round is worth, beside what the rounds before were.

    Raises:
        StudyError: there are no validation images, so nothing can be told.
    """
    judge, held = images.judge, images.labels[images.training :]
    if not len(held):
        raise StudyError(
            "propose.rounds asks again about classes that validation images are confused of, and "
            "the validation split is empty. Change dataset.splits, or set propose.rounds to 1."
        )
    losses = judge.losses(lambda _: made.concept_vectors)
    with one_thread_of_torch():
        answers = judge.answers_in(0, made.concept_vectors).argmax(axis=1)
    gain = None
    if earlier is not None:
        gain = judge.excess(np.array(earlier.losses), losses)
    number = len(earlier.rounds) + 1 if earlier else 1
    again = made.candidates.again
    new = {c.concept_id for c in made.candidates.candidates if c.round == number}
    last = Round(
        number=number,
        about=again.about if again else (),
        proposed=len(new),
        screened=sum(c.concept_id in new for c in made.screened.kept),
        chosen=sum(i in new for i in made.concepts.ids),
        concepts=made.concepts.ids,
        usage=again.usage if again else made.candidates.usage,
        accuracy=_balanced_accuracy(held, answers),
        loss=judge.mean(losses),
        gain=gain.loss if gain else None,
        standard_error=gain.standard_error if gain else None,
        kept=gain is None or gain.measurable,
    )
    groups = images.groups[images.training :]
    return Appraisal(
        rounds=(*(earlier.rounds if earlier else ()), last),
        pairs=tuple(confused_pairs(held, answers, groups, images.class_keys)),
        statements=made.concepts.texts,
        images=len(held),
        groups=len(np.unique(groups)),
        losses=tuple(losses.tolist()),
    )


def confused_pairs(
    truth: Int[np.ndarray, " image"],
    answers: Int64[np.ndarray, " image"],
    groups: Shaped[np.ndarray, " image"],
    class_keys: tuple[str, ...],
) -> list[ConfusedPair]:
    """Return the pairs of classes that were taken for each other, most often first.

    How often is the mean, over the two classes, of the share of its images that were taken for
    the other, so that a rare class counts as much as a frequent one; a class without images has
    no share. Ties go to the earlier classes.

    Args:
        truth: class numbers.
        answers: the class number that each image was taken for.
        groups: what each image belongs to.
        class_keys: the classes, by number.
    """
    count = len(class_keys)
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (truth, answers), 1)
    images = np.maximum(table.sum(axis=1), 1)
    found = []
    for a in range(count):
        for b in range(a + 1, count):
            if not table[a, b] + table[b, a]:
                continue
            wrong = (truth == a) & (answers == b) | (truth == b) & (answers == a)
            found.append(
                ConfusedPair(
                    first=class_keys[a],
                    second=class_keys[b],
                    first_as_second=int(table[a, b]),
                    second_as_first=int(table[b, a]),
                    groups=len(np.unique(groups[wrong])),
                    rate=float(table[a, b] / images[a] + table[b, a] / images[b]) / 2,
                )
            )
    return sorted(found, key=lambda pair: -pair.rate)


def _balanced_accuracy(truth: Int[np.ndarray, " image"], answers: Int64[np.ndarray, " _"]) -> float:
    return float(np.mean([(answers[truth == k] == k).mean() for k in np.unique(truth)]))
