"""Heads beside the study's own: of another encoder's vectors, or of resampled training images.

Two encoders that were trained on other images may err on other ones, so that where their heads
disagree is a sign of doubt. But any second head disagrees with the first on something, so heads of
the study's own encoder are trained on resamples of the training groups too (bagging: Breiman,
Machine Learning 1996), for that to be held against.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, Shaped

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.draws import Drawn
from curette.schemas.embeddings import ImageEmbeddings, TextEmbeddings
from curette.schemas.heads import EXPLAINED, REFERENCE, card_of
from curette.schemas.probe import Head, Heads, SkippedHead
from curette.schemas.settings.probe import ProbeSpec
from curette.tasks.methods.solvers.linear import NotConverged
from curette.tasks.probe.draws import Draws, Images, NotTrainable
from curette.tasks.probe.heads import TRAINERS
from curette.tasks.probe.training import finished, train_heads

KINDS = (REFERENCE, EXPLAINED)
_TRIES = 100  # at a resample that has every class


def train_on_encoder(
    published: ConceptDataset, images: ImageEmbeddings, texts: TextEmbeddings, spec: ProbeSpec
) -> Heads:
    """Return a linear probe of another encoder's vectors, and a bottleneck where it reads text.

    The bottleneck weighs the selected concepts of which there is a vector; it carries these along,
    since the published dataset has the study's own encoder's.

    Args:
        published: images and concepts, as the study's own encoder sees them.
        images: a vector of every image.
        texts: vectors of some of the selected concepts, by their texts.
        spec: how heads are trained.

    Raises:
        StudyError: a split is empty.
    """
    seen = as_seen_by(published, images, texts)
    kinds = KINDS if seen.concepts else (REFERENCE,)
    made = train_heads(seen, spec, kinds=kinds)
    directions = seen.pool_vectors.astype(np.float64)

    def carrying(head: Head) -> Head:
        return replace(head, directions=directions) if head.facts.candidates else head

    return replace(made, heads=tuple(map(carrying, made.heads)))


def as_seen_by(
    published: ConceptDataset, images: ImageEmbeddings, texts: TextEmbeddings
) -> ConceptDataset:
    """Return the dataset in another encoder's vectors, with the concepts that it has one of."""
    concepts = tuple(c for c in published.concepts if c.text in set(texts.keys))
    rows = published.pool_rows(c.concept_id for c in concepts)
    of_images = images.take(published.images["image_id"].tolist())
    of_concepts = texts.take([c.text for c in concepts])
    classes = len(published.class_keys)
    return replace(
        published,
        facts=published.facts.model_copy(update={"encoder": images.encoder}),
        vectors=of_images,
        scores=of_images @ of_concepts.T,
        concepts=concepts,
        pool=tuple(published.pool[row] for row in rows),
        pool_vectors=of_concepts,
        class_vectors=None,
        priors=tuple(
            prior for row in rows for prior in published.priors[row * classes : (row + 1) * classes]
        ),
    )


def train_on_resamples(published: ConceptDataset, spec: ProbeSpec, count: int) -> Heads:
    """Return the same kinds of heads, on resamples of the training groups, each by its number.

    Raises:
        StudyError: a split is empty.
    """
    images = Images.of(published, spec)
    heads: list[Head] = []
    skipped: list[SkippedHead] = []
    concepts = images.whole().concepts
    for number in range(count):
        generator = np.random.default_rng((spec.seed, number))
        drawn = _resample(images.groups, images.labels.numpy(), generator)
        if drawn is None:
            why = "no resample of the training groups has every class"
            skipped.append(SkippedHead(name="all", kind=REFERENCE, reason=why, trained_on=number))
            continue
        draws = Draws(images, torch.from_numpy(drawn)[None], concepts, (number,))
        for kind in KINDS:
            card = card_of(kind)
            try:
                heads += [head.on(number) for head in finished(card, TRAINERS[kind](draws))]
            except (NotTrainable, NotConverged) as error:
                missing = SkippedHead(name=card.title, kind=kind, reason=str(error))
                skipped.append(missing.on(number))
    return Heads(
        class_keys=published.class_keys,
        heads=tuple(heads),
        skipped=tuple(skipped),
        draws=tuple(Drawn(title=f"resample {i + 1}", seed=spec.seed) for i in range(count)),
    )


def _resample(
    groups: Shaped[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
    generator: np.random.Generator,
) -> Int[np.ndarray, " drawn"] | None:
    """Return the images of as many groups, drawn with replacement, that have every class."""
    _, of_image = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(of_image == group) for group in range(of_image.max() + 1)]
    for _ in range(_TRIES):
        drawn = generator.integers(len(members), size=len(members))
        rows = np.concatenate([members[group] for group in drawn])
        if len(np.unique(labels[rows])) == len(np.unique(labels)):
            return rows
    return None
