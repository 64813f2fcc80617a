"""One decision of the concept bottleneck taken apart: what it is, and what speaks for it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped
from scipy.special import softmax

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import Head, head_inputs
from curette.tasks.methods.predictions import least_usual_cosine

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
    """What one concept does between the answer and the class that came second."""

    concept_id: str
    text: str
    score: float
    mean: float
    """Of the training images."""
    standing: float
    """Share of the training images with a lower score."""
    ahead: float
    """What it adds to the answer's logit more than to the other's; it may lift or lower both."""


@dataclass(frozen=True)
class Example:
    """A training image, shown for comparison."""

    image_id: str
    class_name: str
    score: float


@dataclass(frozen=True)
class Examples:
    """The training images that score highest on a concept."""

    of: str
    images: tuple[Example, ...]


@dataclass(frozen=True)
class ImageExplanation:
    """A decision and its parts: `start`, the parts' `ahead` and `rest` add up to `lead`."""

    answers: tuple[ClassAnswer, ...]
    """Of every class, most probable first; the first one is explained."""
    start: float
    """How far the answer is ahead on the average training image."""
    parts: tuple[ConceptPart, ...]
    """Of the concepts that count most between the first two classes, from the one most for the
    first to the one most for the second."""
    rest: float
    """What all other concepts add to the lead, together."""
    rest_count: int
    nearest: tuple[Example, ...]
    """The training images most like it, with their cosines."""
    examples: tuple[Examples, ...]
    """The training images with the highest scores of the strongest concepts."""

    @property
    def decision(self) -> ClassAnswer:
        """What the head decides."""
        return self.answers[0]

    @property
    def runner_up(self) -> ClassAnswer:
        """What it would decide next."""
        return self.answers[1]

    @property
    def lead(self) -> float:
        """How far the answer's logit is ahead of the other's."""
        return self.decision.logit - self.runner_up.logit


@dataclass(frozen=True)
class Explainer:
    """Takes decisions of one head on concept scores apart.

    With weights w, scores s and their mean m over the training images, the logit of a class is
    `baseline + sum_j w_j (s_j - m_j)`, where `baseline = sum_j w_j m_j + bias`; a lead is the
    difference of two logits, term by term.
    """

    published: ConceptDataset
    """What the head was trained on."""
    head: Head

    @cached_property
    def concept_vectors(self) -> Float32[np.ndarray, "concept dim"]:
        """Of the head's concepts, unit rows."""
        return self.published.pool_vectors[
            self.published.pool_rows(c.concept_id for c in self.head.facts.candidates)
        ]

    @cached_property
    def least_usual(self) -> float:
        """The cosine with the nearest training image below which an image is unlike them all."""
        return least_usual_cosine(self._vectors, self._groups)

    def scores(
        self, vectors: Float32[np.ndarray, "image dim"]
    ) -> Float64[np.ndarray, "image concept"]:
        """Return what the head looks at."""
        return head_inputs(self.head.facts.inputs, vectors, self.concept_vectors)

    def explain(
        self, vector: Float32[np.ndarray, " dim"], group: str | None = None
    ) -> ImageExplanation:
        """Return what the head decides about an image, and why.

        Args:
            vector: of the image, of unit length, by the dataset's encoder.
            group: of the image, where it is the dataset's own; images of its group are no examples.
        """
        head, scores = self.head, self.scores(vector[None])[0]
        logits = head.logits(scores[None])[0]
        decided, second = np.argsort(-logits, kind="stable")[:2].tolist()
        added = head.contributions(scores)
        ahead = added[decided] - added[second]
        strongest = np.argsort(-np.abs(ahead), kind="stable")[:SHOWN]
        shown = strongest[np.argsort(-ahead[strongest], kind="stable")]
        others = self._groups != group
        texts = [printable(c.text) for c in head.facts.candidates]
        cosines = self._vectors.astype(np.float64) @ vector.astype(np.float64)
        return ImageExplanation(
            answers=self._answers(logits),
            start=float(head.baseline[decided] - head.baseline[second]),
            parts=tuple(
                ConceptPart(
                    concept_id=head.facts.candidates[j].concept_id,
                    text=texts[j],
                    score=float(scores[j]),
                    mean=float(head.center[j]),
                    standing=float((self._known[:, j] < scores[j]).mean()),
                    ahead=float(ahead[j]),
                )
                for j in shown.tolist()
            ),
            rest=float(ahead.sum() - ahead[shown].sum()),
            rest_count=len(ahead) - len(shown),
            nearest=self._nearest(cosines, others),
            examples=tuple(
                Examples(texts[j], self._nearest(self._known[:, j], others))
                for j in _explored(shown, ahead)
            ),
        )

    @cached_property
    def _train(self) -> Int[np.ndarray, " train"]:
        return self.published.rows("train")

    @cached_property
    def _vectors(self) -> Float32[np.ndarray, "train dim"]:
        return self.published.vectors[self._train]

    @cached_property
    def _groups(self) -> Shaped[np.ndarray, " train"]:
        return self.published.images["group"].to_numpy()[self._train]

    @cached_property
    def _known(self) -> Float64[np.ndarray, "train concept"]:
        """The training images' scores."""
        return self.scores(self._vectors)

    def _answers(self, logits: Float64[np.ndarray, " class"]) -> tuple[ClassAnswer, ...]:
        probabilities = softmax(logits)
        return tuple(
            ClassAnswer(
                name=printable(self.published.facts.classes[k].name),
                logit=float(logits[k]),
                probability=float(probabilities[k]),
            )
            for k in np.argsort(-logits, kind="stable").tolist()
        )

    def _nearest(
        self, scores: Float64[np.ndarray, " train"], allowed: Bool[np.ndarray, " train"]
    ) -> tuple[Example, ...]:
        """Return the allowed training images of the highest scores."""
        order = np.argsort(-scores, kind="stable")
        ids = self.published.images["image_id"].to_numpy()[self._train]
        labels = self.published.labels("train")
        names = [printable(c.name) for c in self.published.facts.classes]
        return tuple(
            Example(str(ids[i]), names[labels[i]], float(scores[i]))
            for i in order[allowed[order]][:EXAMPLES].tolist()
        )


def printable(text: str) -> str:
    """Return a text on one line, without what would steer a terminal or turn its direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _explored(
    shown: Int[np.ndarray, " shown"], ahead: Float64[np.ndarray, " concept"]
) -> list[int]:
    """Return the concepts most for the class, then those most against it."""
    speaking_for = [j for j in shown.tolist() if ahead[j] > 0]
    against = [j for j in shown.tolist()[::-1] if ahead[j] < 0]
    return speaking_for[:_EXPLORED_FOR] + against[:_EXPLORED_AGAINST]


def centred_weights(published: ConceptDataset, head: Head) -> Float64[np.ndarray, "class concept"]:
    """Return what a head weighs each concept for each class, minus the mean over classes.

    Per standard deviation of the concept's score over the training images. Adding the same to the
    weights of all classes changes no decision, so only what is left without it speaks for a class
    or against it.
    """
    weights = head.weights * published.scores[published.rows("train")].std(axis=0)
    return np.asarray(weights - weights.mean(axis=0))
