"""A statement's score against a reference is the difference of two cosines, as MONET ranks it."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import softmax

from curette.schemas.artifact import Recipe, StudyError
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.settings.encoder import (
    ImageOnlyEncoder,
    OpenClipEncoder,
    PrecomputedEncoder,
    TransformersEncoder,
)
from curette.storage.store import ArtifactStore
from curette.tasks.embed.task import embed_images
from curette.tasks.embed_texts.task import embed_texts
from curette.tasks.methods.encoder.reference import less_reference
from curette.tasks.stage import Workplace
from tests.builders.embedding import candidates_of, dataset_of

TEXTS = ("pink background", "blue-white veil")
RNG = np.random.default_rng(3)


def _unit(rows: int, dim: int = 7) -> np.ndarray:
    drawn = RNG.normal(size=(rows, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


IMAGES, STATEMENTS, REFERENCE = _unit(30), _unit(4), _unit(1)[0]
NAMES = ("a", "b", "c", "d")


def test_a_score_is_the_difference_of_two_cosines_over_the_length_of_what_is_left() -> None:
    left = less_reference(NAMES, STATEMENTS, REFERENCE)
    length = np.linalg.norm(STATEMENTS - REFERENCE, axis=1)
    expected = (IMAGES @ STATEMENTS.T - (IMAGES @ REFERENCE)[:, None]) / length
    np.testing.assert_allclose(IMAGES @ left.T, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(left, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_it_ranks_images_as_monets_softmax_of_concept_and_reference_does(
    temperature: float,
) -> None:
    score = IMAGES @ less_reference(NAMES, STATEMENTS, REFERENCE).T
    for j, statement in enumerate(STATEMENTS.astype(np.float64)):
        both = np.stack([IMAGES @ statement, IMAGES @ REFERENCE], axis=1) / temperature
        assert (softmax(both, axis=1)[:, 0].argsort() == score[:, j].argsort()).all()


def test_taken_off_every_class_a_reference_changes_no_zero_shot_answer() -> None:
    plain = softmax(100 * IMAGES.astype(float) @ STATEMENTS.T, axis=1)
    less = softmax(100 * IMAGES.astype(float) @ (STATEMENTS - REFERENCE).T, axis=1)
    np.testing.assert_allclose(less, plain, atol=1e-4)


def test_what_is_the_reference_itself_is_refused_unless_it_is_to_stay() -> None:
    vectors = np.concatenate([STATEMENTS[:3], REFERENCE[None]])
    with pytest.raises(StudyError, match="to the encoder 'd' is the reference itself"):
        less_reference(NAMES, vectors, REFERENCE)
    left = less_reference(NAMES, vectors, REFERENCE, untouched=("d", "a"))
    np.testing.assert_array_equal(left[[0, 3]], vectors[[0, 3]])
    assert not np.allclose(left[1:3], vectors[1:3])


def _embedded(folder: Path, reference: str) -> tuple[StudyEmbeddings, TextEmbeddings]:
    np.savez(
        folder / "vectors.npz",
        image_ids=np.array(["a", "b", "c"]),
        image_embeddings=np.eye(3, 7),
        text_prompts=np.array([*TEXTS, "a", "b", "an image"]),
        text_embeddings=np.eye(5, 7),
    )
    store = ArtifactStore(folder / "store")
    spec = PrecomputedEncoder(kind="precomputed", path=folder / "vectors.npz", reference=reference)
    kept = Recipe(stage="test", code="")
    about = store.save(dataset_of(dict.fromkeys("abc", b""), folder / "images"), kept)
    at = Workplace(store)
    images = embed_images.fn(at, about, spec)
    encoder = store.load(ImageEmbeddings, images).encoder
    found = TextEmbeddings(("unnamed 1",), np.eye(7, dtype=np.float32)[6:], encoder)
    proposed = candidates_of(*TEXTS, "unnamed 1").model_copy(
        update={"directions": store.save(found, kept).digest}
    )
    ref = embed_texts.fn(at, about, images, store.save(proposed, kept), (), spec)
    study = store.load(StudyEmbeddings, ref)
    return study, store.load(TextEmbeddings, study.texts_ref)


def test_statements_lead_away_from_the_reference_and_neither_names_nor_what_was_found(
    tmp_path: Path,
) -> None:
    study, texts = _embedded(tmp_path, "an image")
    assert study.reference == "an image"
    unit = np.eye(7)
    expected = (unit[:2] - unit[4]) / np.sqrt(2)
    np.testing.assert_allclose(texts.take(TEXTS), expected, atol=1e-6)
    np.testing.assert_array_equal(texts.take(study.class_prompts), unit[2:4])
    np.testing.assert_array_equal(texts.take(["unnamed 1"]), unit[6:])


def test_without_a_reference_nothing_tells_of_one(tmp_path: Path) -> None:
    study, texts = _embedded(tmp_path, "")
    assert "reference" not in study.model_dump()
    np.testing.assert_array_equal(texts.take(TEXTS), np.eye(7)[:2])
    for spec in (OpenClipEncoder(), TransformersEncoder(kind="transformers", model="a/b")):
        assert "reference" not in spec.model_dump(mode="json")


def test_a_reference_that_the_file_has_no_vector_of_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has no vector for 1 text: 'This is dermatoscopy'"):
        _embedded(tmp_path, "This is dermatoscopy")


def test_a_reference_has_no_place_for_a_concept_and_needs_an_encoder_that_reads() -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        OpenClipEncoder(reference="This is dermatoscopy of {concept}")
    with pytest.raises(ValidationError, match="reference"):
        ImageOnlyEncoder.model_validate({"kind": "image_only", "model": "x/y", "reference": "z"})
