"""Training every head of every few-shot draw; all end as linear heads on image vectors.

What is scaled is scaled by all training images without their labels. Of a draw's labels, and of the
validation images, every head sees the same; see `head_batch` and `prior` in `methods.solvers`. The
heads that are trained on all images (`tasks.probe.heads`) have here the same objective, settings
and choice, so that with all images they are those heads; but for the prior, which is averaged over
the strengths of `methods.solvers.prior` here, and over the probe's own there.

The averaged linear probe is the pulled hybrid without concepts: the same strengths, the same biases
and the same averaging on image vectors. By what that hybrid is ahead of it, the concepts helped.

There is no grounded head: a concept's classifier needs images with and without it, which a few
images a class have of few concepts, and to teach it by the others would be to draw more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float64, Int, Shaped
from torch import Tensor
from torch.nn.functional import one_hot

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.few_shots import FewShotDraw, FewShotDraws, FewShotHeads
from curette.schemas.heads import HeadKind, card_of, trained
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.head_batch import (
    HeadBatch,
    linear_probes,
    nearest_means,
    shrinkage_discriminants,
)
from curette.tasks.methods.solvers.hybrid import train_residuals
from curette.tasks.methods.solvers.linear import (
    LinearHead,
    Standardisation,
    check_validation,
    global_standardisation,
)
from curette.tasks.methods.solvers.prior import (
    PULLS,
    concept_metric,
    fold_batch,
    prior_head,
    train_pulled_heads,
)
from curette.tasks.methods.solvers.zero_shot import class_prompt_head, concept_matrix_head
from curette.tasks.methods.threads import one_thread_of_torch
from curette.tasks.probe.concept_heads import shuffle_labels
from curette.tasks.probe.few_shot_concepts import Concepts, Draws, DrawScores

_MOST_SCORES = 50_000_000  # of the draws trained together


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
    published: ConceptDataset, draws: FewShotDraws, spec: FewShotSpec, probe: ProbeSpec
) -> FewShotHeads:
    """Train every head on every draw; what is chosen is chosen on validation images.

    Args:
        published: its training images are drawn from, its validation images choose.
        draws: images and concepts of each draw.
        spec: which heads.
        probe: how they are trained, as they are with all images.

    Raises:
        ValueError: there is no validation image, or a draw lacks a class.
    """
    images = _Images.of(published)
    skipped = _skipped(published, spec)
    kinds = tuple(kind for kind in trained("few shots", spec.heads) if kind not in skipped)
    made: dict[HeadKind, list[HeadBatch]] = {kind: [] for kind in kinds}
    parts = list(_parts(draws.draws, len(images.validation_labels), spec.seeds))
    for part in parts:
        size = _Size(images, Draws.of(published, part, probe.seed), probe)
        again = part[0].shots is None and part[0].seed > 0
        for kind, batches in made.items():
            if again and not card_of(kind).drawn:
                batches.append(_repeated(batches[-1].head(0), len(part)))
            else:
                batches.append(_TRAINERS[kind](size))
    heads = [_joined(batches) for batches in made.values()]
    return FewShotHeads(
        class_keys=published.class_keys,
        heads=kinds,
        shots=tuple(draw.shots for part in parts for draw in part),
        seeds=tuple(draw.seed for part in parts for draw in part),
        weights=torch.stack([h.weights.float() for h in heads], 1).numpy(),
        bias=torch.stack([h.bias.float() for h in heads], 1).numpy(),
        skipped=tuple(skipped.values()),
    )


def _parts(
    draws: Sequence[FewShotDraw], validation: int, seeds: int
) -> Iterator[tuple[FewShotDraw, ...]]:
    """Yield the draws of one size that are trained together, as many as memory has room for.

    All images are one draw; it comes once for each seed, first alone, for what is dealt at random.
    """
    for shots, same_size in groupby(draws, key=lambda draw: draw.shots):
        of_size = list(same_size)
        if shots is None:
            yield (of_size[0].model_copy(update={"seed": 0}),)
            of_size = [of_size[0].model_copy(update={"seed": s}) for s in range(1, seeds)]
        scores = max(
            ((len(d.image_ids) + validation) * len(d.concept_ids) for d in of_size), default=1
        )
        together = max(1, _MOST_SCORES // scores)
        for start in range(0, len(of_size), together):
            yield tuple(of_size[start : start + together])


def _skipped(published: ConceptDataset, spec: FewShotSpec) -> dict[HeadKind, str]:
    """Return why a head that was asked for cannot be trained."""
    if published.class_vectors is not None:
        return {}
    named: tuple[HeadKind, ...] = ("zero_shot", "concept_matrix")
    return {
        kind: f"{kind.replace('_', ' ')}: the encoder has no vectors of the classes' names"
        for kind in named
        if kind in spec.heads
    }


@dataclass(frozen=True)
class _Images:
    """What all draws share."""

    vectors: Float64[Tensor, "image dim"]
    labels: Int[Tensor, " image"]
    groups: Shaped[np.ndarray, " image"]
    validation_vectors: Float64[Tensor, "validation dim"]
    validation_labels: Int[Tensor, " validation"]
    validation_groups: Shaped[np.ndarray, " validation"]
    space: _Space  # the vectors' own axes
    class_vectors: Float64[Tensor, "class dim"] | None
    class_count: int

    @classmethod
    def of(cls, published: ConceptDataset) -> "_Images":
        train, validation = published.rows("train"), published.rows("validation")
        vectors, validation_vectors = (
            torch.from_numpy(published.vectors[rows]).double() for rows in (train, validation)
        )
        validation_labels = torch.from_numpy(published.labels("validation"))
        check_validation(validation_labels)
        groups = published.images["group"].to_numpy()
        own_axes = torch.eye(vectors.shape[1], dtype=torch.float64)
        named = published.class_vectors
        return cls(
            vectors=vectors,
            labels=torch.from_numpy(published.labels("train")),
            groups=groups[train],
            validation_vectors=validation_vectors,
            validation_labels=validation_labels,
            validation_groups=groups[validation],
            space=_Space.of(vectors, validation_vectors, own_axes),
            class_vectors=None if named is None else torch.from_numpy(named).double(),
            class_count=len(published.class_keys),
        )


@dataclass(frozen=True)
class _Size:
    """All draws of one size. Each method trains one head a draw and returns it on image vectors."""

    images: _Images
    draws: Draws
    probe: ProbeSpec

    def linear_probe(self) -> HeadBatch:
        """Tune a linear probe."""
        space = self.images.space
        heads = linear_probes(
            space.features,
            self.images.labels,
            self.draws.rows,
            self.images.class_count,
            sorted(set(self.probe.l2_values), reverse=True),
            space.validation_features,
            self.images.validation_labels,
            class_weight=self.probe.class_weight,
        )
        return space.on_vectors(heads)

    def averaged_linear_probe(self) -> HeadBatch:
        """Average linear probes over strengths and biases, as hybrids are."""
        return self._pulled(self.draws.rows, self.images.space, self._silence)

    def nearest_mean(self) -> HeadBatch:
        """Take each class's mean image."""
        space, labels = self.images.space, self.images.labels
        heads = nearest_means(space.features, labels, self.draws.rows, self.images.class_count)
        return space.on_vectors(heads)

    def shrinkage_discriminant(self) -> HeadBatch:
        """Tune the shrinkage of a discriminant analysis."""
        space = self.images.space
        heads = shrinkage_discriminants(
            space.features,
            self.images.labels,
            self.draws.rows,
            self.images.class_count,
            space.validation_features,
            self.images.validation_labels,
            class_weight=self.probe.class_weight,
        )
        return space.on_vectors(heads)

    def concept_bottleneck(self) -> HeadBatch:
        """Train LaBo's bottleneck on the draw's concepts."""
        return self._bottlenecks(self._scores)

    def random_concepts(self) -> HeadBatch:
        """Train it on as many concepts that the draw's seed alone chose."""
        return self._bottlenecks(self._scores_on(self.draws.random_concepts))

    def shuffled_labels(self) -> HeadBatch:
        """Train it on labels dealt at random, and by such, without the links."""
        dealt = [
            self._deal_labels(row, seed)
            for row, seed in zip(self.draws.rows, self.draws.seeds, strict=True)
        ]
        return self._scores.bottlenecks(
            torch.stack([labels for labels, _ in dealt]),
            torch.zeros_like(self._scores.links),
            torch.stack([validation_labels for _, validation_labels in dealt]),
            self.probe,
            self.probe.class_weight,
        )

    @cached_property
    def sparse(self) -> HeadBatch:
        """Tune an elastic net on the draw's concepts."""
        images = self.images
        return self._scores.sparse_heads(
            images.labels[self.draws.rows],
            images.validation_labels,
            self.probe,
            self.probe.class_weight,
        )

    def hybrid(self) -> HeadBatch:
        """Add a residual on image vectors to the elastic net."""
        images, rows, space = self.images, self.draws.rows, self.images.space
        concepts = self.sparse
        residuals = train_residuals(
            space.features[rows],
            images.labels[rows],
            images.vectors[rows] @ concepts.weights.mT + concepts.bias[:, None],
            space.validation_features,
            concepts.logits(images.validation_vectors),
            images.validation_labels,
            sorted(set(self.probe.residual_l2_values), reverse=True),
            class_weight=self.probe.class_weight,
        )
        added = space.on_vectors(residuals.chosen())
        return HeadBatch(concepts.weights + added.weights, concepts.bias + added.bias)

    def prior(self) -> HeadBatch:
        """Pull a head on concept scores to the signs of the draw's concepts."""
        return self._on_concepts(self.draws.concepts)

    def shuffled_prior(self) -> HeadBatch:
        """Pull it to signs that were dealt to the wrong concepts."""
        pairs = zip(self.draws.concepts, self.draws.seeds, strict=True)
        return self._on_concepts([c.with_shuffled_signs(seed) for c, seed in pairs])

    def pulled_hybrid(self) -> HeadBatch:
        """Pull a head on image vectors to the signs of the draw's concepts."""
        pairs = zip(self.draws.rows, self.draws.concepts, strict=True)
        space = self.images.space
        return _joined([self._pulled(row[None], space, self._answer(c)) for row, c in pairs])

    def zero_shot(self) -> HeadBatch:
        """Compare images with the classes' names, whatever was drawn."""
        return _repeated(class_prompt_head(self._class_vectors), len(self.draws.rows))

    def concept_matrix(self) -> HeadBatch:
        """Compare the draw's concepts in images and in the classes' names."""
        heads = [concept_matrix_head(c.vectors, self._class_vectors) for c in self.draws.concepts]
        pairs = list(zip(heads, self.draws.concepts, strict=True))
        return HeadBatch(
            torch.stack([head.weights @ concepts.vectors for head, concepts in pairs]),
            torch.stack([head.bias for head in heads]),
        )

    def majority(self) -> HeadBatch:
        """Say of every image what most drawn images are, the first class of equals."""
        shares = one_hot(self.images.labels[self.draws.rows], self.images.class_count)
        bias = shares.double().mean(1).log()
        return HeadBatch(bias.new_zeros(*bias.shape, self.images.vectors.shape[1]), bias)

    @property
    def _class_vectors(self) -> Float64[Tensor, "class dim"]:
        if self.images.class_vectors is None:
            raise LookupError("heads on the classes' names are skipped where these have no vectors")
        return self.images.class_vectors

    @cached_property
    def _scores(self) -> DrawScores:
        return self._scores_on(self.draws.concepts)

    def _scores_on(self, chosen: Sequence[Concepts]) -> DrawScores:
        images = self.images
        return DrawScores.of(images.vectors, self.draws.rows, images.validation_vectors, chosen)

    def _bottlenecks(self, scores: DrawScores) -> HeadBatch:
        return scores.bottlenecks(
            self.images.labels[self.draws.rows],
            scores.links,
            self.images.validation_labels[None],
            self.probe,
            self.probe.class_weight,
        )

    def _deal_labels(
        self, rows: Int[Tensor, " shot"], seed: int
    ) -> tuple[Int[Tensor, " shot"], Int[Tensor, " validation"]]:
        """Deal the labels out again, the drawn ones and the validation images' (as in `probe`)."""
        images, generator = self.images, np.random.default_rng(self.probe.seed + 1 + seed)
        order = rows.argsort()
        at = rows[order].numpy()
        dealt = shuffle_labels(images.labels[at].numpy(), images.groups[at], generator)
        held = shuffle_labels(images.validation_labels.numpy(), images.validation_groups, generator)
        return torch.from_numpy(dealt)[order.argsort()], torch.from_numpy(held)

    def _on_concepts(self, chosen: Sequence[Concepts]) -> HeadBatch:
        images, heads = self.images, []
        for row, concepts in zip(self.draws.rows, chosen, strict=True):
            axes = concepts.vectors.T @ concept_metric(concepts.vectors)
            space = _Space.of(images.vectors, images.validation_vectors, axes)
            heads.append(self._pulled(row[None], space, self._answer(concepts)))
        return _joined(heads)

    def _answer(self, concepts: Concepts) -> LinearHead:
        """Return the prior's own answer on image vectors: (X T^T) W^T = X (W T)^T.

        It is silent where the prior says the same of every class.
        """
        if not concepts.tell_classes_apart:
            return self._silence
        head = prior_head(self.images.vectors @ concepts.vectors.T, concepts.signs)
        return LinearHead(head.weights @ concepts.vectors, head.bias)

    @property
    def _silence(self) -> LinearHead:
        weights = torch.zeros(self.images.class_count, self.images.vectors.shape[1]).double()
        return LinearHead(weights, weights[:, 0])

    def _pulled(
        self, rows: Int[Tensor, "draw shot"], space: _Space, prior: LinearHead
    ) -> HeadBatch:
        """Train heads in a space, pulled to a prior on image vectors."""
        images = self.images
        pulled = train_pulled_heads(
            space.features,
            images.labels,
            rows,
            prior.logits(images.vectors),
            space.validation_features,
            prior.logits(images.validation_vectors),
            images.validation_labels,
            pulls=PULLS if prior.weights.any() else (0.0,),
            class_weight=self.probe.class_weight,
        )
        residual = space.on_vectors(pulled.residual)
        return HeadBatch(
            pulled.pull[:, None, None] * prior.weights + residual.weights,
            pulled.pull[:, None] * prior.bias + residual.bias,
        )


_TRAINERS: dict[HeadKind, Callable[[_Size], HeadBatch]] = {
    "linear_probe": _Size.linear_probe,
    "concept_bottleneck": _Size.concept_bottleneck,
    "sparse": lambda size: size.sparse,
    "hybrid": _Size.hybrid,
    "prior": _Size.prior,
    "pulled_hybrid": _Size.pulled_hybrid,
    "concept_matrix": _Size.concept_matrix,
    "zero_shot": _Size.zero_shot,
    "averaged_linear_probe": _Size.averaged_linear_probe,
    "nearest_mean": _Size.nearest_mean,
    "shrinkage_discriminant": _Size.shrinkage_discriminant,
    "random_concepts": _Size.random_concepts,
    "shuffled_prior": _Size.shuffled_prior,
    "shuffled_labels": _Size.shuffled_labels,
    "majority": _Size.majority,
}


def _joined(heads: Sequence[HeadBatch]) -> HeadBatch:
    return HeadBatch(torch.cat([h.weights for h in heads]), torch.cat([h.bias for h in heads]))


def _repeated(head: LinearHead, count: int) -> HeadBatch:
    return HeadBatch(head.weights.expand(count, -1, -1), head.bias.expand(count, -1))
