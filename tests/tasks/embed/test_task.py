"""The stage saves what the next ones expect, and its key knows what can change a vector."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.embeddings import ImageEmbeddings, StudyEmbeddings, TextEmbeddings
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import EncoderSpec, OpenClipEncoder, PrecomputedEncoder
from curette.storage.store import ArtifactStore
from curette.tasks.embed.task import embed_images
from curette.tasks.embed_texts import STAGE as TEXTS_STAGE
from curette.tasks.embed_texts.task import embed_texts
from curette.tasks.stage import Workplace
from tests.builders.embedding import candidates_of, dataset_of

TEXTS = ("pink background", "blue-white veil")
REWORDED = ("a veil of blue and white", "pink background")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def kept(store: ArtifactStore, artifact: Artifact) -> Ref[Any]:
    return store.save(artifact, Recipe(stage="test", code=""))


def embed(store: ArtifactStore, folder: Path, pngs: list[bytes], spec: EncoderSpec) -> Any:
    dataset = dataset_of({"b": pngs[0], "a": pngs[1], "c": pngs[2]}, folder)
    machine = Machine(device="cpu", batch_size=2, threads=1)
    about = kept(store, dataset)
    images = embed_images.fn(Workplace(store, machine), about, spec)
    candidates = kept(store, candidates_of(*TEXTS))
    return embed_texts.fn(Workplace(store, machine), about, images, candidates, REWORDED, spec)


def test_the_artifacts_hold_one_vector_a_row_and_a_text(
    store: ArtifactStore, save_clip: Any, pngs: list[bytes], tmp_path: Path
) -> None:
    spec = OpenClipEncoder(model=save_clip(), text_template="a photo of {concept}")
    ref = embed(store, tmp_path / "images", pngs, spec)
    study = store.load(StudyEmbeddings, ref)
    images = store.load(ImageEmbeddings, study.images_ref)
    texts = store.load(TextEmbeddings, study.texts_ref)
    assert images.keys == ("b", "a", "c")
    assert texts.keys == (*TEXTS, REWORDED[0], *study.class_prompts)
    assert study.class_prompts == ("a", "b")
    assert images.encoder == texts.encoder == study.encoder
    assert study.encoder.name == "small-clip"
    recipe = store.manifest(ref).recipe
    assert recipe.stage == "embed_texts"
    assert recipe.spec["text_template"] == "a photo of {concept}"
    assert embed(store, tmp_path / "images", pngs, spec) == ref


def test_ready_made_vectors_give_the_same_artifacts(
    store: ArtifactStore, pngs: list[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "vectors.npz"
    np.savez(
        file,
        image_ids=np.array(["a", "b", "c"]),
        image_embeddings=np.eye(3, 4),
        text_prompts=np.array([*TEXTS, REWORDED[0]]),
        text_embeddings=np.eye(3, 4),
    )
    spec = PrecomputedEncoder(kind="precomputed", path=file)
    study = store.load(StudyEmbeddings, embed(store, tmp_path / "images", pngs, spec))
    images = store.load(ImageEmbeddings, study.images_ref)
    assert np.array_equal(images.vectors, np.eye(3, 4)[[1, 0, 2]])
    assert not (store.root / "vectors").exists(), "they are in a file already"
    assert study.class_prompts == (), "the file has no vectors of them"


def test_what_was_found_among_images_keeps_its_vector_under_any_words(
    store: ArtifactStore, pngs: list[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "vectors.npz"
    np.savez(
        file,
        image_ids=np.array(["a", "b", "c"]),
        image_embeddings=np.eye(3, 4),
        text_prompts=np.array(TEXTS),
        text_embeddings=np.eye(2, 4),
    )
    spec = PrecomputedEncoder(kind="precomputed", path=file)
    about = kept(store, dataset_of({"b": pngs[0], "a": pngs[1], "c": pngs[2]}, tmp_path / "images"))
    at = Workplace(store, Machine(device="cpu", threads=1))
    images = embed_images.fn(at, about, spec)
    encoder = store.load(ImageEmbeddings, images).encoder
    direction = np.array([[0, 0, 0, 1]], dtype=np.float32)
    directions = kept(store, TextEmbeddings(("unnamed 1",), direction, encoder))
    found = candidates_of(*TEXTS, "unnamed 1").model_copy(update={"directions": directions.digest})
    named = (("stripes", "unnamed 1"),)
    ref = embed_texts.fn(at, about, images, kept(store, found), ("stripes",), spec, named)
    texts = store.load(TextEmbeddings, store.load(StudyEmbeddings, ref).texts_ref)
    assert texts.keys == (*TEXTS, "unnamed 1", "stripes")
    assert np.array_equal(texts.vectors[2:], np.repeat(direction, 2, axis=0))


def test_the_key_changes_with_what_changes_a_vector_and_not_with_the_machine(
    store: ArtifactStore, save_clip: Any
) -> None:
    folder = save_clip()

    def key(machine: Machine | None = None, **spec: Any) -> str:
        return TEXTS_STAGE.key(
            {
                "images": Ref("image-embeddings", "1"),
                "candidates": Ref("candidates", "2"),
                "spec": OpenClipEncoder(**({"model": folder} | spec)),
                "at": Workplace(store, machine or Machine()),
            }
        )

    first = key()
    assert key(Machine(device="cpu", batch_size=3, workers=1, threads=1)) == first
    others = [
        key(model="demo"),
        key(precision="bfloat16"),
        key(text_template="a photo of {concept}"),
        key(model="ViT-B-32", pretrained="laion2b_s34b_b79k"),
    ]
    (folder / "open_clip_model.safetensors").write_bytes(b"other weights")
    others.append(key())
    assert len({first, *others}) == 6
