"""Findings by hand: images of the published study, each asked for one of its classes."""

from dataclasses import replace

import numpy as np

from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.heads import EXPLAINED, REFERENCE, HeadKind, card_of
from curette.schemas.images import SPLITS, ClassLabel, ImageDataset, TestLabels
from curette.schemas.probe import Head, HeadFacts, Heads
from curette.tasks.findings.measuring import StudiedFinding
from tests.builders.images import image_dataset
from tests.builders.published_study import DIM, published_study
from tests.builders.small_study import link_priors


def studied_finding(key: str, unclear: int = 0) -> tuple[StudiedFinding, TestLabels]:
    """Return a class of the published study as a finding, with heads along its mean vector.

    Args:
        key: a, b or c; the others are its absence.
        unclear: of so many images, the first ones, it is not known.
    """
    published, test = published_study(noise=1.5)
    keys = {k: k if k == key else f"no {key}" for k in "abc"}
    classes = tuple(ClassLabel(key=k, name=f"finding {k}") for k in (key, f"no {key}"))
    images = published.images.assign(label=published.images["label"].map(keys))
    kept = np.arange(unclear, len(images))
    own = images.iloc[kept].reset_index(drop=True)
    labels = {i: keys[k] for i, k in test.labels.items() if i in set(own["image_id"])}
    whole = own["label"].fillna(own["image_id"].map(labels))
    counts = {c.key: dict.fromkeys(SPLITS, 0) for c in classes}
    for label, split in zip(whole, own["split"], strict=True):
        counts[label][split] += 1
    one = replace(
        published,
        facts=published.facts.model_copy(update={"classes": classes, "class_counts": counts}),
        images=own,
        vectors=published.vectors[kept],
        scores=published.scores[kept],
        class_vectors=None,
        priors=link_priors(published.pool, tuple(c.key for c in classes)),
    )
    return (
        StudiedFinding(
            key=key,
            dataset=_dataset(one, classes),
            published=one,
            heads=Heads(
                class_keys=one.class_keys,
                heads=(
                    _head(one, EXPLAINED, 0),
                    _head(one, REFERENCE, 1),
                    *(_head(one, "random_concepts", seed) for seed in (2, 3)),
                ),
            ),
            evaluation=f"evaluation/{key * 20}",
            report=f"report/{key * 20}",
            readings="",
        ),
        TestLabels(labels=labels),
    )


def _dataset(published: ConceptDataset, classes: tuple[ClassLabel, ...]) -> ImageDataset:
    images = published.images.assign(location="")
    return image_dataset(images, classes=classes, class_counts=published.facts.class_counts)


def _head(published: ConceptDataset, kind: HeadKind, noise: int) -> Head:
    """Return a head that answers by the mean image with the finding, and by some noise."""
    train = published.rows("train")
    mean = published.vectors[train][published.labels("train") == 0].mean(axis=0)
    weights = mean + 0.3 * noise * np.random.default_rng(noise).normal(size=DIM) / DIM**0.5
    facts = HeadFacts(
        name=f"{card_of(kind).title} {noise}",
        kind=kind,
        family=card_of(kind).title,
        inputs="vectors",
        candidates=(),
        nec=1,
        chosen={},
        validation_loss=0,
        validation_balanced_accuracy=0,
    )
    return Head(
        facts,
        weights=np.stack([weights, -weights]).astype(np.float64),
        bias=np.zeros(2),
        center=np.zeros(DIM),
    )
