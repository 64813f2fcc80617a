"""What heads may learn from: training images, and validation images that choose. No others."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import HeadKind, Inputs
from curette.schemas.probe import Head, HeadFacts, TrainingStep, head_inputs
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.linear import LinearHead, balanced_accuracy, cross_entropy


@dataclass(frozen=True)
class HeadPlan:
    """Which head is to be trained, and on what."""

    name: str
    kind: HeadKind
    inputs: Inputs
    concepts: Int[np.ndarray, " concept"] = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )
    """Positions in the pool; none for heads that do not look at concepts."""
    family: str = ""
    """Empty: the name."""
    draw: int = 0
    directions: Float64[np.ndarray, "concept dim"] | None = None
    """What scores are products of image vectors with; None: the concepts' text vectors."""


@dataclass(frozen=True)
class Features:
    """What a head looks at."""

    train: Float64[Tensor, "train feature"]
    validation: Float64[Tensor, "validation feature"]


@dataclass(frozen=True)
class Training:
    """A published dataset as far as training may see it."""

    published: ConceptDataset
    spec: ProbeSpec
    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    train_labels: Int[Tensor, " train"]
    validation_labels: Int[Tensor, " validation"]

    @classmethod
    def of(cls, published: ConceptDataset, spec: ProbeSpec) -> "Training":
        """Look up the rows and labels.

        Raises:
            StudyError: a split is empty.
        """
        for split in ("train", "validation"):
            if not len(published.rows(split)):
                raise StudyError(
                    f"the {split} split of {published.facts.name} has no image; usually the split "
                    "shares are too small for so few groups. Change dataset.splits."
                )
        return cls(
            published,
            spec,
            train=published.rows("train"),
            validation=published.rows("validation"),
            train_labels=torch.from_numpy(published.labels("train")),
            validation_labels=torch.from_numpy(published.labels("validation")),
        )

    @property
    def class_count(self) -> int:
        """K."""
        return len(self.published.class_keys)

    @property
    def selected(self) -> Int[np.ndarray, " concept"]:
        """Where the selected concepts stand in the pool."""
        place = {c.concept_id: i for i, c in enumerate(self.published.pool)}
        return np.array([place[c.concept_id] for c in self.published.concepts], dtype=np.int64)

    def links(self, concepts: Int[np.ndarray, " concept"]) -> Bool[Tensor, "class concept"]:
        """Return which of these concepts was proposed for which class."""
        candidates = [self.published.pool[i] for i in concepts]
        keys = self.published.class_keys
        return torch.tensor([[key in c.classes for c in candidates] for key in keys])

    def features(self, plan: HeadPlan) -> Features:
        """Return what the head looks at, of training and of validation images."""
        concepts = plan.directions
        if concepts is None:
            concepts = self.published.pool_vectors[plan.concepts]
        train, validation = (
            torch.from_numpy(head_inputs(plan.inputs, self.published.vectors[rows], concepts))
            for rows in (self.train, self.validation)
        )
        return Features(train, validation)

    def finish(
        self,
        plan: HeadPlan,
        features: Features,
        head: LinearHead,
        chosen: dict[str, float],
        curve: Sequence[TrainingStep] = (),
    ) -> Head:
        """Return the trained head with all that is said about it."""
        head = LinearHead(head.weights.double(), head.bias.double())
        logits = head.logits(features.validation)
        loss = cross_entropy(logits, self.validation_labels, self.spec.class_weight)
        facts = HeadFacts(
            name=plan.name,
            kind=plan.kind,
            family=plan.family or plan.name,
            draw=plan.draw,
            inputs=plan.inputs,
            candidates=tuple(self.published.pool[i] for i in plan.concepts),
            nec=int((head.weights != 0).sum()) / self.class_count,
            chosen=chosen,
            validation_loss=float(loss),
            validation_balanced_accuracy=balanced_accuracy(logits, self.validation_labels),
            curve=tuple(curve),
        )
        center = features.train.mean(0)
        return Head(facts, head.weights.numpy(), head.bias.numpy(), center.numpy(), plan.directions)


def training_steps(
    x: Sequence[float],
    train_loss: Sequence[float],
    validation_loss: Sequence[float],
    validation_balanced_accuracy: Sequence[float],
) -> tuple[TrainingStep, ...]:
    """Return a training curve from its columns."""
    columns = zip(x, train_loss, validation_loss, validation_balanced_accuracy, strict=True)
    return tuple(
        TrainingStep(
            x=at, train_loss=train, validation_loss=loss, validation_balanced_accuracy=accuracy
        )
        for at, train, loss, accuracy in columns
    )
