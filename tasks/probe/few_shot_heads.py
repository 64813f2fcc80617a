"""Training every head of every few-shot draw; all end as linear heads on image vectors.

What is scaled is scaled by all training images without their labels. Of a draw's labels, and of the
validation images, every head sees the same; see `tasks.probe.fewshot` and `tasks.probe.prior`. The
averaged linear probe is the hybrid without concepts: the same strengths, the same biases and the
same averaging on image vectors. By what a hybrid is ahead of it, the concepts helped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from schemas.concept_dataset import ConceptDataset
from schemas.few_shots import (
    FewShotDraw,
    FewShotDraws,
    FewShotHeadKind,
    FewShotHeads,
    FewShotSpec,
)
from tasks.probe.fewshot import HeadBatch, linear_probes, nearest_means, shrinkage_discriminants
from tasks.probe.linear import LinearHead, Standardisation, check_validation, global_standardisation
from tasks.probe.prior import (
    PULLS,
    concept_metric,
    fold_batch,
    prior_head,
    train_pulled_heads,
)
from tasks.probe.zero_shot import class_prompt_head
from tasks.threads import one_thread_of_torch


@dataclass(frozen=True)
class _Concepts:
    """The concepts that one draw selected."""

    vectors: Float64[Tensor, "concept dim"]
    signs: Float64[Tensor, "class concept"]

    def with_shuffled_signs(self, seed: int) -> "_Concepts":
        """Return the same concepts, each with the signs of another one."""
        order = np.random.default_rng(seed).permutation(len(self.vectors))
        return _Concepts(self.vectors, self.signs[:, order])

    @property
    def tell_classes_apart(self) -> bool:
        """Whether the signs of some two classes differ."""
        return bool((self.signs != self.signs[0]).any())


@dataclass(frozen=True)
class _Draws:
    """All draws of one size."""

    rows: Int[Tensor, "draw shot"]  # of the training images
    concepts: tuple[_Concepts, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, published: ConceptDataset, draws: tuple[FewShotDraw, ...]) -> "_Draws":
        """Look up images and concepts by their ids."""
        ids = published.images["image_id"].to_numpy()[published.rows("train")].tolist()
        row = {image_id: i for i, image_id in enumerate(ids)}
        vectors = torch.from_numpy(published.pool_vectors).double()
        signs = torch.from_numpy(published.prior_signs).double()
        selected = [published.pool_rows(draw.concept_ids) for draw in draws]
        return cls(
            rows=torch.tensor([[row[i] for i in draw.image_ids] for draw in draws]),
            concepts=tuple(_Concepts(vectors[s], signs[:, s]) for s in selected),
            seeds=tuple(draw.seed for draw in draws),
        )


@dataclass(frozen=True)
class _Space:
    """Where weights are penalised: images on some axes, standardised over all training images."""

    axes: Float64[Tensor, "dim axis"]
    scaling: Standardisation
    features: Float64[Tensor, "image axis"]
    validation_features: Float64[Tensor, "validation axis"]

    @classmethod
    def of(
        cls,
        vectors: Float64[Tensor, "image dim"],
        validation_vectors: Float64[Tensor, "validation dim"],
        axes: Float64[Tensor, "dim axis"],
    ) -> "_Space":
        features = vectors @ axes
        scaling = global_standardisation(features)
        validation_features = scaling.apply(validation_vectors @ axes)
        return cls(axes, scaling, scaling.apply(features), validation_features)

    def on_vectors(self, heads: HeadBatch) -> HeadBatch:
        """Return the heads on image vectors that heads on these features are."""
        raw = fold_batch(self.scaling, heads)
        return HeadBatch(raw.weights @ self.axes.T, raw.bias)


@one_thread_of_torch()
def train_few_shot_heads(
    published: ConceptDataset, draws: FewShotDraws, spec: FewShotSpec
) -> FewShotHeads:
    """Train every head on every draw; what is chosen is chosen on validation images.

    Raises:
        ValueError: there is no validation image, or a draw lacks a class.
    """
    training = _Training.of(published, spec)
    heads = training.heads()
    weights, bias = [], []
    for _, same_size in groupby(draws.draws, key=lambda draw: draw.shots):
        batch = _Draws.of(published, tuple(same_size))
        trained = [train(batch) for train in heads.values()]
        weights.append(torch.stack([h.weights for h in trained], 1).float().numpy())
        bias.append(torch.stack([h.bias for h in trained], 1).float().numpy())
    return FewShotHeads(
        class_keys=published.class_keys,
        heads=tuple(heads),
        shots=tuple(draw.shots for draw in draws.draws),
        seeds=tuple(draw.seed for draw in draws.draws),
        weights=np.concatenate(weights),
        bias=np.concatenate(bias),
        skipped=training.skipped,
    )


@dataclass(frozen=True)
class _Training:
    """What all draws share. Each method trains one head a draw and returns it on image vectors."""

    vectors: Float64[Tensor, "image dim"]
    labels: Int[Tensor, " image"]
    validation_vectors: Float64[Tensor, "validation dim"]
    validation_labels: Int[Tensor, " validation"]
    images: _Space  # the vectors' own axes
    class_prompts: LinearHead | None
    class_count: int
    spec: FewShotSpec

    @classmethod
    def of(cls, published: ConceptDataset, spec: FewShotSpec) -> "_Training":
        vectors, validation_vectors = (
            torch.from_numpy(published.vectors[published.rows(split)]).double()
            for split in ("train", "validation")
        )
        validation_labels = torch.from_numpy(published.labels("validation"))
        check_validation(validation_labels)
        own_axes = torch.eye(vectors.shape[1], dtype=torch.float64)
        prompts = published.class_vectors
        return cls(
            vectors=vectors,
            labels=torch.from_numpy(published.labels("train")),
            validation_vectors=validation_vectors,
            validation_labels=validation_labels,
            images=_Space.of(vectors, validation_vectors, own_axes),
            class_prompts=(
                None if prompts is None else class_prompt_head(torch.from_numpy(prompts))
            ),
            class_count=len(published.class_keys),
            spec=spec,
        )

    def heads(self) -> dict[FewShotHeadKind, Callable[[_Draws], HeadBatch]]:
        """Return how each head that is wanted and possible is trained."""
        every: dict[FewShotHeadKind, Callable[[_Draws], HeadBatch]] = {
            "linear_probe": self.linear_probe,
            "averaged_linear_probe": self.averaged_linear_probe,
            "nearest_mean": self.nearest_mean,
            "shrinkage_discriminant": self.shrinkage_discriminant,
            "prior": self.prior,
            "pulled_hybrid": self.pulled_hybrid,
            "shuffled_prior": self.shuffled_prior,
        }
        if self.class_prompts is not None:
            every["zero_shot"] = partial(_whatever_was_drawn, self.class_prompts)
        wanted = {"linear_probe", *self.spec.heads}
        return {kind: train for kind, train in every.items() if kind in wanted}

    @property
    def skipped(self) -> tuple[str, ...]:
        """Why a head that was asked for cannot be trained."""
        if self.class_prompts is None and "zero_shot" in self.spec.heads:
            return ("zero shot: the encoder has no vectors of the classes' names",)
        return ()

    def linear_probe(self, draws: _Draws) -> HeadBatch:
        """Tune a linear probe."""
        heads = linear_probes(
            self.images.features,
            self.labels,
            draws.rows,
            self.class_count,
            self.spec.l2_values,
            self.images.validation_features,
            self.validation_labels,
            class_weight=self.spec.class_weight,
        )
        return self.images.on_vectors(heads)

    def averaged_linear_probe(self, draws: _Draws) -> HeadBatch:
        """Average linear probes over strengths and biases, as hybrids are."""
        return self._pulled(draws.rows, self.images, self._silence)

    def nearest_mean(self, draws: _Draws) -> HeadBatch:
        """Take each class's mean image."""
        features = self.images.features
        heads = nearest_means(features, self.labels, draws.rows, self.class_count)
        return self.images.on_vectors(heads)

    def shrinkage_discriminant(self, draws: _Draws) -> HeadBatch:
        """Tune the shrinkage of a discriminant analysis."""
        heads = shrinkage_discriminants(
            self.images.features,
            self.labels,
            draws.rows,
            self.class_count,
            self.images.validation_features,
            self.validation_labels,
            class_weight=self.spec.class_weight,
        )
        return self.images.on_vectors(heads)

    def prior(self, draws: _Draws) -> HeadBatch:
        """Pull a head on concept scores to the signs of the draw's concepts."""
        return self._on_concepts(draws, draws.concepts)

    def shuffled_prior(self, draws: _Draws) -> HeadBatch:
        """Pull it to signs that were dealt to the wrong concepts."""
        pairs = zip(draws.concepts, draws.seeds, strict=True)
        return self._on_concepts(draws, [c.with_shuffled_signs(seed) for c, seed in pairs])

    def pulled_hybrid(self, draws: _Draws) -> HeadBatch:
        """Pull a head on image vectors to the signs of the draw's concepts."""
        pairs = zip(draws.rows, draws.concepts, strict=True)
        return _joined([self._pulled(row[None], self.images, self._answer(c)) for row, c in pairs])

    def _on_concepts(self, draws: _Draws, chosen: Sequence[_Concepts]) -> HeadBatch:
        heads = []
        for row, concepts in zip(draws.rows, chosen, strict=True):
            axes = concepts.vectors.T @ concept_metric(concepts.vectors)
            space = _Space.of(self.vectors, self.validation_vectors, axes)
            heads.append(self._pulled(row[None], space, self._answer(concepts)))
        return _joined(heads)

    def _answer(self, concepts: _Concepts) -> LinearHead:
        """Return the prior's own answer on image vectors: (X T^T) W^T = X (W T)^T.

        It is silent where the prior says the same of every class.
        """
        if not concepts.tell_classes_apart:
            return self._silence
        head = prior_head(self.vectors @ concepts.vectors.T, concepts.signs)
        return LinearHead(head.weights @ concepts.vectors, head.bias)

    @property
    def _silence(self) -> LinearHead:
        weights = self.vectors.new_zeros(self.class_count, self.vectors.shape[1])
        return LinearHead(weights, weights[:, 0])

    def _pulled(
        self, rows: Int[Tensor, "draw shot"], space: _Space, prior: LinearHead
    ) -> HeadBatch:
        """Train heads in a space, pulled to a prior on image vectors."""
        pulled = train_pulled_heads(
            space.features,
            self.labels,
            rows,
            prior.logits(self.vectors),
            space.validation_features,
            prior.logits(self.validation_vectors),
            self.validation_labels,
            pulls=PULLS if prior.weights.any() else (0.0,),
            class_weight=self.spec.class_weight,
        )
        residual = space.on_vectors(pulled.residual)
        return HeadBatch(
            pulled.pull[:, None, None] * prior.weights + residual.weights,
            pulled.pull[:, None] * prior.bias + residual.bias,
        )


def _joined(heads: Sequence[HeadBatch]) -> HeadBatch:
    return HeadBatch(torch.cat([h.weights for h in heads]), torch.cat([h.bias for h in heads]))


def _whatever_was_drawn(head: LinearHead, draws: _Draws) -> HeadBatch:
    count = len(draws.rows)
    return HeadBatch(head.weights.expand(count, -1, -1), head.bias.expand(count, -1))
