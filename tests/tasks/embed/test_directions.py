"""A column becomes the direction in which the training images that show it differ."""

import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings
from curette.schemas.images import ImageDataset
from curette.tasks.embed_texts.directions import learn_directions
from tests.builders.images import image_dataset

ENCODER = EncoderIdentity(name="images", digest="d", dim=12, demo=False, reads_text=False)
PHRASES = {"veil": AttributePhrases(claimed_by=("a veil", "Blue veil."), denied_by=("no veil",))}


def drawn(images: int = 240, shown: float = 0.4) -> tuple[ImageDataset, ImageEmbeddings]:
    """Images of 12 numbers, the third of which is greater where there is a veil."""
    generator = np.random.default_rng(3)
    veil = generator.random(images) < shown
    vectors = generator.normal(size=(images, 12)) + 2
    vectors[:, 2] += 2 * veil
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{i:04}" for i in range(images)]
    table = pd.DataFrame(
        {
            "image_id": ids,
            "sha256": [f"{i:064x}" for i in range(images)],
            "location": "x.png",
            "split": ["train", "train", "validation", "test"] * (images // 4),
            "label": ["a", "b", "b", "a"] * (images // 4),
            "group": [ids[i - i % 8] for i in range(images)],
            "attribute.veil": pd.Series(veil, dtype="boolean").where(np.arange(images) % 20 > 0),
        }
    )
    table.loc[table["split"] == "test", "label"] = None
    groups = table["group"] + table["split"]
    dataset = image_dataset(table.assign(group=groups), phrases=PHRASES)
    return dataset, ImageEmbeddings(tuple(ids), vectors.astype(np.float32), ENCODER)


def trained_on(
    dataset: ImageDataset, images: ImageEmbeddings
) -> tuple[Float[np.ndarray, "..."], ...]:
    rows = dataset.rows("train")
    truth = dataset.attribute("veil")
    rows = rows[truth.known[rows]]
    return images.vectors[rows].astype(float), truth.present[rows]


def test_a_direction_is_a_logistic_regressions_of_scikit_learn() -> None:
    dataset, images = drawn()
    [direction] = learn_directions(["a veil"], dataset, images).vectors
    vectors, veil = trained_on(dataset, images)
    path = [
        LogisticRegression(C=c, class_weight="balanced", tol=1e-8, max_iter=5000)
        .fit(vectors, veil)
        .coef_[0]
        for c in np.geomspace(1e-4, 1e6, 101)
    ]
    cosines = [w @ direction / np.linalg.norm(w) for w in path]
    assert max(cosines) > 0.999, "of one of its strengths"
    assert np.argmax(direction) == 2


def test_what_denies_a_column_points_the_other_way_and_spelling_does_not_matter() -> None:
    dataset, images = drawn()
    made = learn_directions(["blue veil", "a veil", "no veil"], dataset, images)
    assert made.keys == ("blue veil", "a veil", "no veil")
    np.testing.assert_allclose(made.vectors[0], made.vectors[1], atol=1e-6)
    np.testing.assert_allclose(made.vectors[2], -made.vectors[1], atol=1e-4)


def test_only_training_images_are_looked_at() -> None:
    dataset, images = drawn()
    changed = dataset.images.copy()
    others = changed["split"] != "train"
    changed.loc[others, "attribute.veil"] = ~changed.loc[others, "attribute.veil"]
    turned = image_dataset(changed, phrases=PHRASES)
    before = learn_directions(["a veil"], dataset, images)
    assert np.array_equal(learn_directions(["a veil"], turned, images).vectors, before.vectors)


def test_a_text_that_no_column_decides_is_refused() -> None:
    with pytest.raises(StudyError, match=r"reads no text, and no column decides 'pink'"):
        learn_directions(["a veil", "pink"], *drawn())


def test_a_column_of_few_images_is_refused_by_name() -> None:
    with pytest.raises(StudyError, match=r"too few training images .*: veil \(\d yes\)"):
        learn_directions(["a veil"], *drawn(shown=0.05))
