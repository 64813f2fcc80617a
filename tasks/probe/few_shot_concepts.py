"""The concepts of few-shot draws, and the bottlenecks and sparse heads on their scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraw
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.bottleneck_batch import train_bottleneck_batch
from curette.tasks.methods.solvers.head_batch import HeadBatch, choose_heads
from curette.tasks.methods.solvers.linear import ClassWeight, column_standardisation
from curette.tasks.methods.solvers.sparse_batch import solve_sparse_batch
from curette.tasks.probe.concept_heads import draw_concepts
from curette.tasks.probe.sparse_heads import PATH


@dataclass(frozen=True)
class Concepts:
    """The concepts that one draw selected, or that were dealt to it."""

    vectors: Float64[Tensor, "concept dim"]
    signs: Float64[Tensor, "class concept"]
    links: Bool[Tensor, "class concept"]

    @classmethod
    def of(cls, published: ConceptDataset, rows: Int[np.ndarray, " concept"]) -> "Concepts":
        """Take these of the pool."""
        classes = [published.pool[row].classes for row in rows]
        return cls(
            vectors=torch.from_numpy(published.pool_vectors[rows]).double(),
            signs=torch.from_numpy(published.prior_signs[:, rows]).double(),
            links=torch.tensor([[key in c for c in classes] for key in published.class_keys]),
        )

    def with_shuffled_signs(self, seed: int) -> "Concepts":
        """Return the same concepts, each with the signs of another one."""
        order = np.random.default_rng(seed).permutation(len(self.vectors))
        return Concepts(self.vectors, self.signs[:, order], self.links)

    @property
    def tell_classes_apart(self) -> bool:
        """Whether the signs of some two classes differ."""
        return bool((self.signs != self.signs[0]).any())


@dataclass(frozen=True)
class Draws:
    """All draws of one size."""

    rows: Int[Tensor, "draw shot"]  # of the training images
    concepts: tuple[Concepts, ...]
    random_concepts: tuple[Concepts, ...]  # as many, by the draw's seed alone
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, published: ConceptDataset, draws: tuple[FewShotDraw, ...], seed: int) -> "Draws":
        """Look up images and concepts by their ids; the random ones are those of `probe`."""
        ids = published.images["image_id"].to_numpy()[published.rows("train")].tolist()
        row = {image_id: i for i, image_id in enumerate(ids)}
        selected = [published.pool_rows(draw.concept_ids) for draw in draws]
        random = [
            draw_concepts(published, len(concepts), seed + 1 + draw.seed)
            for concepts, draw in zip(selected, draws, strict=True)
        ]
        return cls(
            rows=torch.tensor([[row[i] for i in draw.image_ids] for draw in draws]),
            concepts=tuple(Concepts.of(published, rows) for rows in selected),
            random_concepts=tuple(Concepts.of(published, rows) for rows in random),
            seeds=tuple(draw.seed for draw in draws),
        )


@dataclass(frozen=True)
class DrawScores:
    """Scores of every draw on its own concepts; where a draw has fewer, all is zero."""

    vectors: Float64[Tensor, "draw concept dim"]
    present: Bool[Tensor, "draw concept"]
    links: Float64[Tensor, "draw class concept"]
    mean: Float64[Tensor, "draw concept"]  # over all training images
    scale: Float64[Tensor, "draw concept"]
    drawn: Float64[Tensor, "draw shot concept"]
    validation: Float64[Tensor, "draw validation concept"]

    @classmethod
    def of(
        cls,
        images: Float64[Tensor, "image dim"],
        rows: Int[Tensor, "draw shot"],
        validation_images: Float64[Tensor, "validation dim"],
        concepts: Sequence[Concepts],
    ) -> "DrawScores":
        """Multiply images and concepts."""
        vectors = pad_sequence([c.vectors for c in concepts], batch_first=True)
        scalings = [column_standardisation(images @ v.T) for v in vectors]
        return cls(
            vectors=vectors,
            present=pad_sequence([torch.ones(len(c.vectors)) for c in concepts], True).bool(),
            links=pad_sequence([c.links.T.double() for c in concepts], True).mT,
            mean=torch.stack([s.mean for s in scalings]),
            scale=torch.stack([s.scale for s in scalings]),
            drawn=images[rows] @ vectors.mT,
            validation=validation_images @ vectors.mT,
        )

    def bottlenecks(
        self,
        labels: Int[Tensor, "draw shot"],
        links: Float64[Tensor, "draw class concept"],
        validation_labels: Int[Tensor, "#draw validation"],
        training: ProbeSpec,
        class_weight: ClassWeight,
    ) -> HeadBatch:
        """Train LaBo's bottleneck from these links, as long as `training` says."""
        weights = train_bottleneck_batch(
            self.drawn,
            labels,
            links.masked_fill(~self.present[:, None], -torch.inf),
            self.validation,
            validation_labels,
            epochs=training.epochs,
            learning_rate=training.learning_rate,
            patience=training.patience,
            class_weight=class_weight,
        )
        return HeadBatch(weights @ self.vectors, weights.new_zeros(weights.shape[:2]))

    def sparse_heads(
        self,
        labels: Int[Tensor, "draw shot"],
        validation_labels: Int[Tensor, " validation"],
        training: ProbeSpec,
        class_weight: ClassWeight,
    ) -> HeadBatch:
        """Take each draw's head of least validation log loss on its elastic-net path."""
        path = solve_sparse_batch(
            (self.drawn - self.mean[:, None]) / self.scale[:, None],
            labels,
            self.links.shape[1],
            PATH,
            class_weight=class_weight,
            most_effective_concepts=max(training.nec, default=float("inf")),
        )
        weights = path.weights / self.scale[:, None, None]
        bias = path.bias - (weights @ self.mean[:, None, :, None])[..., 0]
        chosen = choose_heads(
            weights, bias, self.validation[:, None], validation_labels, class_weight
        )
        return HeadBatch(chosen.weights @ self.vectors, chosen.bias)
