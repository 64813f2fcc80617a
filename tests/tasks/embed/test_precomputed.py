"""Ready-made vectors are found by name, scaled to unit length, and missed by name."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import Embeddings
from curette.schemas.settings.encoder import PrecomputedEncoder
from curette.tasks.methods.encoder.precomputed import look_up_images, look_up_texts
from tests.builders.embedding import dataset_of

TEXTS = ("pink", "blue-white veil", "dark brown")
IDS = ("i0", "i1", "i2", "i3")


def arrays(**changed: Any) -> dict[str, Any]:
    """A good file, in another order than anybody asks for."""
    generator = np.random.default_rng(0)
    good = {
        "image_ids": np.array(IDS[::-1]),
        "image_embeddings": 5 * generator.standard_normal((4, 6)),
        "text_prompts": np.array([*TEXTS[::-1], "not asked for"]),
        "text_embeddings": generator.standard_normal((4, 6)).astype(np.float16),
        "labels": np.arange(4),
    }
    return {k: v for k, v in (good | changed).items() if v is not None}


def look_up(
    folder: Path, contents: dict[str, Any], texts: tuple[str, ...] = TEXTS, name: str = ""
) -> tuple[Embeddings, Embeddings]:
    file = folder / "vectors.npz"
    np.savez(file, **contents)
    dataset = dataset_of({i: i.encode() for i in IDS}, folder / "images")
    spec = PrecomputedEncoder(kind="precomputed", path=file, name=name)
    return look_up_images(spec, dataset), look_up_texts(spec, texts)


def test_rows_follow_the_dataset_and_the_candidates_and_have_unit_length(tmp_path: Path) -> None:
    contents = arrays()
    images, texts = look_up(tmp_path, contents)
    for made, keys, raw in (
        (images, IDS, contents["image_embeddings"][::-1]),
        (texts, TEXTS, contents["text_embeddings"][2::-1].astype(float)),
    ):
        assert made.keys == keys
        assert made.vectors.dtype == np.float32
        unit = raw / np.sqrt((raw**2).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(made.vectors, unit, atol=1e-6)


def test_the_file_is_the_identity(tmp_path: Path) -> None:
    first, texts = look_up(tmp_path, arrays())
    same, _ = look_up(tmp_path, arrays())
    named, _ = look_up(tmp_path, arrays(), name="MONET")
    other, _ = look_up(tmp_path, arrays(image_embeddings=np.eye(4, 6)))
    assert first.encoder == same.encoder == texts.encoder
    assert (first.encoder.name, named.encoder.name) == ("vectors", "MONET")
    assert first.encoder.digest == named.encoder.digest != other.encoder.digest
    assert not first.encoder.demo


def test_equal_vectors_under_one_name_are_one_vector(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((4, 6))
    vectors[3] = vectors[0] * (1 + 1e-4)
    look_up(tmp_path, arrays(text_prompts=np.array([*TEXTS, "pink"]), text_embeddings=vectors))
    vectors[3] = vectors[1]
    with pytest.raises(StudyError, match=r"two different vectors for 1 text: 'pink'"):
        look_up(tmp_path, arrays(text_prompts=np.array([*TEXTS, "pink"]), text_embeddings=vectors))


def test_missing_texts_are_counted_and_the_first_five_named(tmp_path: Path) -> None:
    unknown = tuple(f"unknown {i}" for i in range(7))
    message = r"7 texts: 'unknown 0', .*'unknown 4', \.\.\.\. Names must agree to the letter"
    with pytest.raises(StudyError, match=message):
        look_up(tmp_path, arrays(), texts=(*TEXTS, *unknown))
    with pytest.raises(StudyError, match=r"1 text: 'Pink'"):
        look_up(tmp_path, arrays(), texts=("Pink",))


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no vector for 1 image: 'i3'.*holds 4 images, such as"):
        look_up(tmp_path, arrays(image_ids=np.array(["i0", "i1", "i2", "i4"])))


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_vector_without_a_direction_is_named(tmp_path: Path, value: float) -> None:
    vectors = np.ones((4, 6))
    vectors[1] = value
    with pytest.raises(StudyError, match=r"zero or not finite is the vector of 1 image: 'i2'"):
        look_up(tmp_path, arrays(image_embeddings=vectors))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text_prompts": None}, "has no text_prompts; it has image_ids, "),
        ({"image_embeddings": np.ones((3, 6))}, r"image_ids has shape \(4,\) and .* \(3, 6\)"),
        ({"text_embeddings": np.ones(4)}, r"text_prompts has shape \(4,\) and .* \(4,\)"),
        ({"text_embeddings": np.ones((4, 5))}, "image vectors have 6 numbers and text vectors 5"),
        ({"image_embeddings": np.full((4, 6), "1")}, "image_embeddings holds <U1, not real"),
        ({"image_ids": np.array(IDS, dtype=object)}, "Object arrays are pickles, which are never"),
    ],
)
def test_a_file_of_another_shape_says_what_is_wrong(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        look_up(tmp_path, arrays(**changed))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    look_up(tmp_path, arrays())
    file = tmp_path / "vectors.npz"
    spec = PrecomputedEncoder(kind="precomputed", path=file)
    dataset = dataset_of({"i0": b""}, tmp_path / "images")
    whole = file.stat().st_size
    for size in (whole - 30, 100, 0):
        os.truncate(file, size)
        with pytest.raises(StudyError, match=r"cannot be read as an .npz of plain arrays"):
            look_up_images(spec, dataset)
    with file.open("wb") as single:
        np.save(single, np.ones(3))
    with pytest.raises(StudyError, match=r"cannot be read as an .npz of plain arrays"):
        look_up_images(spec, dataset)
    file.unlink()
    with pytest.raises(StudyError, match=r"cannot be read.*No such file"):
        look_up_images(spec, dataset)


@pytest.mark.parametrize(
    ("file", "missing"), [("ph2_monet_ViT-L-14.npz", 0), ("ph2_clip_ViT-B-16.npz", 10)]
)
def test_real_vectors_of_ph2(shared_data: Path, tmp_path: Path, file: str, missing: int) -> None:
    import json

    path = shared_data / "ph2-clip" / file
    listed = json.loads((shared_data / "ph2-clip" / "class2concepts.json").read_text())
    texts = tuple(dict.fromkeys(text for of_class in listed.values() for text in of_class))
    with np.load(path, allow_pickle=False) as contents:
        ids = [str(i) for i in contents["image_ids"]]
        raw = contents["image_embeddings"]
        known = set(contents["text_prompts"].tolist())
    dataset = dataset_of({i: i.encode() for i in sorted(ids)}, tmp_path / "images")
    spec = PrecomputedEncoder(kind="precomputed", path=path)
    if missing:
        with pytest.raises(StudyError, match=f"no vector for {missing} texts"):
            look_up_texts(spec, texts)
        texts = tuple(text for text in texts if text in known)
    images, concepts = look_up_images(spec, dataset), look_up_texts(spec, texts)
    row = ids.index("IMD008")
    cosine = images.take(["IMD008"])[0] @ raw[row] / np.linalg.norm(raw[row])
    assert cosine == pytest.approx(1, abs=1e-6)
    assert concepts.keys == texts
