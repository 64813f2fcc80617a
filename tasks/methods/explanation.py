"""One decision of the concept bottleneck taken apart: what it is, and what speaks for it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int
from scipy.special import softmax

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import Head, head_inputs

SHOWN = 32  # concepts told one by one: more than that nobody reads
EXAMPLES = 5
_EXPLORED_FOR, _EXPLORED_AGAINST = 3, 2  # concepts that training images are shown of


@dataclass(frozen=True)
class ClassAnswer:
    """What the head says of one class."""

    name: str
    logit: float
    probability: float
    """Softmax of the logits, as trained: not calibrated."""


@dataclass(frozen=True)
class ConceptPart:
    """What one concept adds to the logit: `weight * (score - mean)`."""

    concept_id: str
    text: str
    score: float
    mean: float
    """Of the training images."""
    standing: float
    """Share of the training images with a lower score."""
    weight: float
    added: float
    ahead: float
    """What it adds to the logit more than to the runner-up's: a concept may lift all classes."""


@dataclass(frozen=True)
class Example:
    """A training image, shown for comparison."""

    image_id: str
    class_name: str
    score: float


@dataclass(frozen=True)
class Examples:
    """The training images nearest to something, nearest first."""

    of: str
    images: tuple[Example, ...]


@dataclass(frozen=True)
class ImageExplanation:
    """A decision and its parts: `baseline`, `parts` and `rest` add up to the first logit.

    In the same way `baseline_ahead`, the parts' `ahead` and `rest_ahead` add up to how far the
    first logit is ahead of the second.
    """

    answers: tuple[ClassAnswer, ...]
    """Of every class, most probable first; the first one is explained."""
    baseline: float
    """The explained logit of the average training image: the bias, told as the parts are."""
    baseline_ahead: float
    parts: tuple[ConceptPart, ...]
    """Of the strongest concepts, from the one most for the class to the one most against it."""
    rest: float
    """What all other concepts add together."""
    rest_ahead: float
    rest_count: int
    examples: tuple[Examples, ...]
    """Of the strongest concepts, then of the image as a whole."""

    @property
    def decision(self) -> ClassAnswer:
        """What the head decides."""
        return self.answers[0]

    @property
    def runner_up(self) -> ClassAnswer:
        """What it would decide next."""
        return self.answers[1]


def explain_image(
    published: ConceptDataset,
    head: Head,
    vector: Float32[np.ndarray, " dim"],
    group: str | None,
) -> ImageExplanation:
    """Return what a head on concept scores decides about an image, and why.

    With weights w, scores s and their mean m over the training images, the logit of the decided
    class is `baseline + sum_j w_j (s_j - m_j)`, where `baseline = sum_j w_j m_j + bias`.

    Args:
        published: what the head was trained on.
        head: looks at concepts alone.
        vector: of the image, of unit length, by the dataset's encoder.
        group: of the image, where it is the dataset's own; images of its group are no examples.
    """
    rows = published.pool_rows(c.concept_id for c in head.facts.candidates)
    concepts = published.pool_vectors[rows]
    train = published.rows("train")
    known = head_inputs(head.facts.inputs, published.vectors[train], concepts)
    scores = head_inputs(head.facts.inputs, vector[None], concepts)[0]
    logits = head.logits(scores[None])[0]
    decided, second = np.argsort(-logits, kind="stable")[:2].tolist()
    contributions = head.contributions(scores)
    added, ahead = contributions[decided], contributions[decided] - contributions[second]
    strongest = np.argsort(-np.abs(added), kind="stable")[:SHOWN]
    shown = strongest[np.argsort(-added[strongest], kind="stable")]
    others = published.images["group"].to_numpy()[train] != group

    def part(j: int) -> ConceptPart:
        return ConceptPart(
            concept_id=head.facts.candidates[j].concept_id,
            text=printable(head.facts.candidates[j].text),
            score=float(scores[j]),
            mean=float(head.center[j]),
            standing=float((known[:, j] < scores[j]).mean()),
            weight=float(head.weights[decided, j]),
            added=float(added[j]),
            ahead=float(ahead[j]),
        )

    return ImageExplanation(
        answers=_answers(published, logits),
        baseline=float(head.baseline[decided]),
        baseline_ahead=float(head.baseline[decided] - head.baseline[second]),
        parts=tuple(part(j) for j in shown.tolist()),
        rest=float(added.sum() - added[shown].sum()),
        rest_ahead=float(ahead.sum() - ahead[shown].sum()),
        rest_count=len(added) - len(shown),
        examples=(
            *(
                Examples(
                    printable(head.facts.candidates[j].text),
                    _nearest(published, train, known[:, j], others),
                )
                for j in _explored(shown, added)
            ),
            Examples(
                "the image as a whole",
                _nearest(
                    published,
                    train,
                    published.vectors[train].astype(np.float64) @ vector.astype(np.float64),
                    others,
                ),
            ),
        ),
    )


def printable(text: str) -> str:
    """Return a text on one line, without what would steer a terminal or turn its direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _answers(
    published: ConceptDataset, logits: Float64[np.ndarray, " class"]
) -> tuple[ClassAnswer, ...]:
    probabilities = softmax(logits)
    return tuple(
        ClassAnswer(
            name=printable(published.facts.classes[k].name),
            logit=float(logits[k]),
            probability=float(probabilities[k]),
        )
        for k in np.argsort(-logits, kind="stable").tolist()
    )


def _explored(
    shown: Int[np.ndarray, " shown"], added: Float64[np.ndarray, " concept"]
) -> list[int]:
    """Return the concepts most for the class, then those most against it."""
    speaking_for = [j for j in shown.tolist() if added[j] > 0]
    against = [j for j in shown.tolist()[::-1] if added[j] < 0]
    return speaking_for[:_EXPLORED_FOR] + against[:_EXPLORED_AGAINST]


def _nearest(
    published: ConceptDataset,
    train: Int[np.ndarray, " train"],
    scores: Float64[np.ndarray, " train"],
    allowed: Bool[np.ndarray, " train"],
) -> tuple[Example, ...]:
    """Return the allowed training images of the highest scores."""
    ids = published.images["image_id"].to_numpy()[train]
    labels = published.labels("train")
    best = [i for i in np.argsort(-scores, kind="stable") if allowed[i]][:EXAMPLES]
    names = [printable(c.name) for c in published.facts.classes]
    return tuple(Example(str(ids[i]), names[labels[i]], float(scores[i])) for i in best)
