"""What heads may learn from: draws of training images, and validation images that choose.

All training images of a dataset are one draw, a shift is one on fewer images, few shots are many.
What is scaled is scaled by all training images without their labels, for every draw and head alike;
of the others no draw knows more. What is chosen is chosen on validation images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.probe import GroundedConcept, TrainingStep
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.head_batch import HeadBatch
from curette.tasks.methods.solvers.linear import Standardisation, global_standardisation
from curette.tasks.probe.bank import Bank
from curette.tasks.probe.chance import draw_concepts

T = TypeVar("T")
_MOST_SCORES = 50_000_000  # of the draws trained together


class NotTrainable(Exception):
    """These images or concepts cannot give the head; the text says why, and what to change."""


class Remembering:
    """What one head has made of it, another is given."""

    def once(self, make: Callable[[Self], T]) -> T:
        """Return what a function makes of this; it is called once, whoever asks."""
        made: dict[Callable[[Self], Any], Any] = self.__dict__.setdefault("_made", {})
        if make not in made:
            made[make] = make(self)
        answer: T = made[make]
        return answer


@dataclass(frozen=True)
class Images(Remembering):
    """The training and validation images of a dataset, and how heads are trained on them."""

    published: ConceptDataset
    spec: ProbeSpec
    vectors: Float64[Tensor, "image dim"]
    labels: Int[Tensor, " image"]
    groups: Shaped[np.ndarray, " image"]
    validation_vectors: Float64[Tensor, "validation dim"]
    validation_labels: Int[Tensor, " validation"]
    validation_groups: Shaped[np.ndarray, " validation"]
    scaling: Standardisation
    """Of image vectors, by one number."""
    bank: Bank | None = None
    """Another study's images, which teach concepts; None: none is named."""

    @classmethod
    def of(cls, published: ConceptDataset, spec: ProbeSpec, bank: Bank | None = None) -> "Images":
        """Look up vectors, labels and groups.

        Raises:
            StudyError: a split is empty.
            ValueError: all training images have the same vector.
        """
        for split in ("train", "validation"):
            if not len(published.rows(split)):
                raise StudyError(
                    f"the {split} split of {published.facts.name} has no image; usually the split "
                    "shares are too small for so few groups. Change dataset.splits."
                )
        train, validation = published.rows("train"), published.rows("validation")
        groups = published.images["group"].to_numpy()
        vectors, validation_vectors = (
            torch.from_numpy(published.vectors[rows]).double() for rows in (train, validation)
        )
        return cls(
            published=published,
            spec=spec,
            vectors=vectors,
            labels=torch.from_numpy(published.labels("train")),
            groups=groups[train],
            validation_vectors=validation_vectors,
            validation_labels=torch.from_numpy(published.labels("validation")),
            validation_groups=groups[validation],
            scaling=global_standardisation(vectors),
            bank=bank,
        )

    @cached_property
    def features(self) -> Float64[Tensor, "image dim"]:
        """Standardised image vectors."""
        return self.scaling.apply(self.vectors)

    @cached_property
    def validation_features(self) -> Float64[Tensor, "validation dim"]:
        """Those of the validation images, standardised likewise."""
        return self.scaling.apply(self.validation_vectors)

    @property
    def class_count(self) -> int:
        """K."""
        return len(self.published.class_keys)

    @property
    def class_vectors(self) -> Float64[Tensor, "class dim"]:
        """The vectors of the classes' names.

        Raises:
            NotTrainable: the encoder reads no text.
        """
        if self.published.class_vectors is None:
            raise NotTrainable(
                "the names of the classes have no vectors; usually images came as vectors of an "
                "encoder that is not here. Name an encoder that reads text."
            )
        return torch.from_numpy(self.published.class_vectors).double()

    def whole(self, seeds: Sequence[int] = (0,)) -> "Draws":
        """Return all images with the selected concepts, a draw for each seed."""
        concepts = Concepts.of(
            self.published, self.published.pool_rows(c.concept_id for c in self.published.concepts)
        )
        rows = torch.arange(len(self.labels)).expand(len(seeds), -1)
        return Draws(self, rows, (concepts,) * len(seeds), tuple(seeds))


@dataclass(frozen=True)
class Concepts:
    """The concepts that one draw selected, or that were dealt to it."""

    rows: Int[np.ndarray, " concept"]  # of the pool
    vectors: Float64[Tensor, "concept dim"]
    signs: Float64[Tensor, "class concept"]
    links: Bool[Tensor, "class concept"]

    @classmethod
    def of(cls, published: ConceptDataset, rows: Int[np.ndarray, " concept"]) -> "Concepts":
        """Take these of the pool."""
        classes = [published.pool[row].classes for row in rows]
        return cls(
            rows=rows,
            vectors=torch.from_numpy(published.pool_vectors[rows]).double(),
            signs=torch.from_numpy(published.prior_signs[:, rows]).double(),
            links=torch.tensor(
                [[key in c for c in classes] for key in published.class_keys], dtype=torch.bool
            ),
        )

    @property
    def tell_classes_apart(self) -> bool:
        """Whether the signs of some two classes differ."""
        return bool((self.signs != self.signs[0]).any())


@dataclass(frozen=True)
class Scores:
    """Scores of every draw on its own concepts; where a draw has fewer, all is zero."""

    vectors: Float64[Tensor, "draw concept dim"]
    present: Bool[Tensor, "draw concept"]
    links: Float64[Tensor, "draw class concept"]
    drawn: Float64[Tensor, "draw shot concept"]
    validation: Float64[Tensor, "draw validation concept"]


@dataclass(frozen=True)
class Draws(Remembering):
    """Draws of one size, whose heads are trained together."""

    images: Images
    rows: Int[Tensor, "draw shot"]  # of the training images
    concepts: tuple[Concepts, ...]
    seeds: tuple[int, ...]
    """Of whatever chance deals to each."""

    @property
    def labels(self) -> Int[Tensor, "draw shot"]:
        """Of the drawn images."""
        return self.images.labels[self.rows]

    @cached_property
    def scores(self) -> Scores:
        """Products of images and concepts."""
        vectors = pad_sequence([c.vectors for c in self.concepts], batch_first=True)
        drawn = [
            self.images.vectors[rows] @ v.T for rows, v in zip(self.rows, vectors, strict=True)
        ]
        return Scores(
            vectors=vectors,
            present=pad_sequence([torch.ones(len(c.vectors)) for c in self.concepts], True).bool(),
            links=pad_sequence([c.links.T.double() for c in self.concepts], True).mT,
            drawn=torch.stack(drawn),
            validation=self.images.validation_vectors @ vectors.mT,
        )

    @cached_property
    def random(self) -> "Draws":
        """The same images with as many concepts that each draw's seed alone chose."""
        published, seed = self.images.published, self.images.spec.seed + 1
        dealt = (
            Concepts.of(published, draw_concepts(published, len(c.rows), seed + of_draw))
            for c, of_draw in zip(self.concepts, self.seeds, strict=True)
        )
        return replace(self, concepts=tuple(dealt))

    def some(self, which: slice) -> "Draws":
        """Return a few of them."""
        return Draws(self.images, self.rows[which], self.concepts[which], self.seeds[which])

    def parts(self) -> "Iterator[Draws]":
        """Yield as many at a time as memory has room for."""
        images = self.rows.shape[1] + len(self.images.validation_labels)
        scores = images * max((len(c.rows) for c in self.concepts), default=1)
        together = max(1, _MOST_SCORES // max(scores, 1))
        for start in range(0, len(self.seeds), together):
            yield self.some(slice(start, start + together))


@dataclass(frozen=True)
class Fitted:
    """One head a draw, on the inputs that its card names.

    A head on scores has a column for each concept of `Draws.scores`, and one on scores and vectors
    those first.
    """

    draws: Draws
    """With the concepts that it looks at."""
    heads: HeadBatch
    chosen: tuple[dict[str, float], ...] = ()
    """What validation chose for each draw, such as l2 or epoch; empty: nothing."""
    curve: tuple[TrainingStep, ...] = ()
    """Of the only draw; empty where there are several."""
    directions: Float64[Tensor, "draw concept dim"] | None = None
    """What scores are products of image vectors with; None: the concepts' text vectors."""
    train_features: Float64[Tensor, "draw shot concept"] | None = None
    """See `schemas.probe.Head`."""
    grounding: tuple[GroundedConcept, ...] = ()


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
