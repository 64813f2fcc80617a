"""A published concept dataset by hand: three classes that their concepts tell apart, mostly."""

from dataclasses import replace

import numpy as np
import pandas as pd

from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.concept_dataset import ConceptDataset, ConceptDatasetFacts
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.heat_maps import HeatMaps, LeftOutImage
from curette.schemas.images import SPLITS, ClassLabel, TestLabels
from curette.schemas.screened import LabelledConcept
from tests.builders.screened import as_selected
from tests.builders.small_study import link_priors

KEYS = ("a", "b", "c")
DIM = 12


def published_study(
    noise: float = 0.6, shuffled: bool = False, seed: int = 0
) -> tuple[ConceptDataset, TestLabels]:
    """Return a dataset of 180 images of 90 subjects, and its test labels.

    Each class has a direction; images scatter around theirs, concepts too: two a class are
    selected, four more a class are in the pool, half of them pointing nowhere. The first concept of
    a class is labelled: true on nine in ten images of the class and one in ten others, unknown of
    some; that of the last class denies its attribute. With `shuffled` the labels are dealt at
    random, so that nothing can be learned.
    """
    generator = np.random.default_rng(seed)
    directions = _unit(generator.normal(size=(3, DIM)))
    truth = np.arange(180) // 2 % 3
    vectors = _unit(directions[truth] + noise * generator.normal(size=(180, DIM)) / DIM**0.5)
    labels = generator.permutation(truth) if shuffled else truth
    split = np.array([SPLITS[s] for s in np.repeat(generator.integers(3, size=90), 2)])
    keys = np.array(KEYS, dtype=object)[labels]
    ids = [f"img{i:03d}" for i in range(180)]
    images = pd.DataFrame(
        {
            "image_id": ids,
            "sha256": [f"{i:064x}" for i in range(180)],
            "split": split,
            "label": [None if s == "test" else k for k, s in zip(keys, split, strict=True)],
            "subject": [f"s{i // 2}" for i in range(180)],
            "lesion": None,
            "group": [f"s{i // 2}" for i in range(180)],
        }
    )
    for number, key in enumerate(KEYS):
        shown = (truth == number) ^ (np.random.default_rng((seed, number)).random(180) < 0.1)
        images[f"attribute.{key}"] = pd.array(
            [None if i % 30 == 7 else bool(s) for i, s in enumerate(shown)], dtype="boolean"
        )
    pool, pool_vectors = [], []
    for number, key in enumerate(KEYS):
        for j in range(6):
            direction = directions[number] if j < 4 else np.zeros(DIM)
            pool.append(
                Candidate(
                    text=f"sign {j} of {key}",
                    classes=(key,),
                    origins=(FileOrigin(file="signs.txt", line=j + 1),),
                )
            )
            pool_vectors.append(_unit(direction + 0.4 * generator.normal(size=DIM) / DIM**0.5))
    matrix = np.array(pool_vectors, dtype=np.float32)
    chosen = [i for i in range(len(pool)) if i % 6 < 2]
    dataset = ConceptDataset(
        facts=ConceptDatasetFacts(
            name="by-hand",
            classes=tuple(ClassLabel(key=k, name=f"class {k}") for k in KEYS),
            class_counts={k: dict.fromkeys(SPLITS, 20) for k in KEYS},
            encoder=EncoderIdentity(name="by hand", digest="e" * 64, dim=DIM, demo=False),
            images_from="drawn from a normal distribution",
            concepts_from="signs.txt",
            priors_from="signs.txt",
            synthetic_images=True,
            recorded_answers=False,
            labelled=tuple(
                LabelledConcept(
                    concept_id=pool[6 * number].concept_id, attribute=key, denied=key == "c"
                )
                for number, key in enumerate(KEYS)
            ),
            validated="0" * 20,
            test_labels="0" * 20,
        ),
        images=images,
        vectors=vectors.astype(np.float32),
        scores=vectors.astype(np.float32) @ matrix[chosen].T,
        concepts=tuple(as_selected(pool[i], 0.1) for i in chosen),
        pool=tuple(pool),
        pool_vectors=matrix,
        class_vectors=directions.astype(np.float32),
        priors=link_priors(pool, KEYS),
        dropped=(),
        card="",
    )
    test = {i: str(k) for i, k, s in zip(ids, keys, split, strict=True) if s == "test"}
    return dataset, TestLabels(labels=test)


def with_people(published: ConceptDataset) -> ConceptDataset:
    """Give each subject a sex and an age, and some images a ruler, whatever their class."""
    images = published.images.copy()
    number = images["subject"].str[1:].astype(int)
    images["meta.sex"] = np.where(number // 3 % 2 == 0, "female", "male")
    images["meta.age"] = 20 + number * 7 % 60
    images["meta.ruler"] = np.random.default_rng(0).random(len(images)) < 0.4
    return replace(published, images=images)


def heat_maps(published: ConceptDataset, hotter: float = 0.3, seed: int = 0) -> HeatMaps:
    """Return maps of 4 x 4 places for all test images but the first, which has no usable mask.

    Half of each image is lesion, left, right, above or below; the heat of the concepts of a class
    is there higher by `hotter`, noise apart, and that of the last class everywhere the same.
    """
    generator = np.random.default_rng(seed)
    first, *ids = published.images["image_id"].iloc[published.rows("test")]
    side = np.zeros((4, 4))
    side[:2] = 1
    lesion = np.stack([np.rot90(side, turns) for turns in generator.integers(4, size=len(ids))])
    heat = 0.2 * generator.random((len(ids), len(published.concepts), 4, 4))
    heat[:, :-2] += hotter * lesion[:, None]
    return HeatMaps(
        image_ids=tuple(ids),
        concept_ids=tuple(c.concept_id for c in published.concepts),
        heat=heat.astype(np.float16),
        lesion=lesion.astype(np.float16),
        left_out=(LeftOutImage(image_id=first, reason="its mask is empty"),),
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
