"""The demo's CLIP: loads like any open_clip model, offline, and sees what it is said to see."""

import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from curette.tasks.ingest.synthetic import (
    ATTRIBUTE_PHRASES,
    ATTRIBUTES,
    SyntheticImage,
    generate_images,
)
from curette.tasks.methods.encoder.open_clip_layout import DEMO as FOLDER
from demo.train_demo_clip import (
    CONFIG,
    PREDICATES,
    UNSEEN_WORDING,
    Caption,
    area_within_classes,
    balanced_sigmoid_loss,
    captions_hold,
    image_truth,
    write_caption,
)

INDEX = {predicate.name: index for index, predicate in enumerate(PREDICATES)}


@pytest.fixture(scope="module")
def images() -> list[SyntheticImage]:
    return list(generate_images(120, seed=77))


@pytest.fixture(scope="module")
def encoder() -> Any:
    """The model, its transform and tokenizer, loaded while no connection can be opened."""
    import open_clip

    def refuse(*address: object) -> None:
        raise AssertionError(f"loading the demo model tried to reach {address}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(socket.socket, "connect", refuse)
        model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{FOLDER}")
        tokenizer = open_clip.get_tokenizer(f"local-dir:{FOLDER}")
    return model.eval(), transform, tokenizer


@pytest.fixture(scope="module")
def embed_texts(encoder: Any) -> Callable[[list[str]], np.ndarray]:
    model, _, tokenizer = encoder

    def embed(texts: list[str]) -> np.ndarray:
        with torch.no_grad():
            vectors: np.ndarray = model.encode_text(tokenizer(texts), normalize=True).numpy()
        return vectors

    return embed


@pytest.fixture(scope="module")
def image_vectors(encoder: Any, images: list[SyntheticImage]) -> np.ndarray:
    model, transform, _ = encoder
    batch = torch.stack([transform(Image.open(BytesIO(image.png))) for image in images])
    with torch.no_grad():
        vectors: np.ndarray = model.encode_image(batch, normalize=True).numpy()
    return vectors


def test_the_folder_is_small_and_holds_what_open_clip_expects() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert {"open_clip_config.json", "open_clip_model.safetensors", "README.md"} <= names
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000


def test_the_written_config_is_the_one_in_the_script() -> None:
    import json

    assert json.loads((FOLDER / "open_clip_config.json").read_text()) == CONFIG


def test_words_never_trained_are_silent(encoder: Any) -> None:
    model, _, tokenizer = encoder
    helicopter = int(tokenizer(["helicopter"])[0, 1])
    lesion = int(tokenizer(["lesion"])[0, 1])
    assert not model.token_embedding.weight[helicopter].any()
    assert model.token_embedding.weight[lesion].any()


@pytest.mark.parametrize("wording", [ATTRIBUTE_PHRASES, UNSEEN_WORDING])
def test_attributes_are_told_apart_without_training(
    wording: dict[str, str],
    images: list[SyntheticImage],
    image_vectors: np.ndarray,
    embed_texts: Callable[[list[str]], np.ndarray],
) -> None:
    scores = image_vectors @ embed_texts([wording[name] for name in ATTRIBUTES]).T
    areas = [
        roc_auc_score([image.attributes[name] for image in images], scores[:, column])
        for column, name in enumerate(ATTRIBUTES)
    ]
    assert np.mean(areas) >= 0.85
    assert scores.std(axis=0).min() > 0.01, "a hundred times what the gate calls constant"


@pytest.mark.parametrize(
    ("phrase", "opposite"),
    [
        ("asymmetric shape", "symmetric shape"),
        ("irregular border", "smooth border"),
        ("radial streaks", "no streaks"),
        ("red lacunae", "absence of lacunae"),
    ],
)
def test_an_opposite_ranks_images_the_other_way_round(
    phrase: str,
    opposite: str,
    image_vectors: np.ndarray,
    embed_texts: Callable[[list[str]], np.ndarray],
) -> None:
    scores = image_vectors @ embed_texts([phrase, opposite]).T
    assert np.corrcoef(scores.T)[0, 1] < -0.5


def test_attributes_are_told_apart_among_images_of_one_class(
    images: list[SyntheticImage],
    image_vectors: np.ndarray,
    embed_texts: Callable[[list[str]], np.ndarray],
) -> None:
    """A score that only recognises the class would reach 0.5 here."""
    scores = image_vectors @ embed_texts(list(ATTRIBUTE_PHRASES.values())).T
    label = np.array([image.label for image in images])
    truth = np.array([[image.attributes[name] for name in ATTRIBUTES] for image in images])
    areas = [area_within_classes(truth[:, a], scores[:, a], label) for a in range(len(ATTRIBUTES))]
    assert np.mean(areas) >= 0.8


def test_area_within_classes_ignores_pairs_across_classes() -> None:
    """Class a: pairs (1 > 0), (1 < 2), half right. Class b: one pair, right. Class c: no pair."""
    truth = np.array([True, False, False, True, False, True])
    scores = np.array([1.0, 0.0, 2.0, -5.0, -6.0, 0.0])
    label = np.array(["a", "a", "a", "b", "b", "c"])
    assert area_within_classes(truth, scores, label) == pytest.approx(2 / 3)


def test_no_caption_uses_the_wordings_kept_for_measuring() -> None:
    phrases = {
        phrase for predicate in PREDICATES for phrase in (*predicate.phrases, *predicate.opposites)
    }
    assert set(UNSEEN_WORDING) == set(ATTRIBUTES)
    assert phrases.isdisjoint(UNSEEN_WORDING.values())


def test_a_phrase_means_one_thing() -> None:
    phrases = [
        phrase for predicate in PREDICATES for phrase in (*predicate.phrases, *predicate.opposites)
    ]
    assert len(phrases) == len(set(phrases))


def test_a_caption_holds_where_all_it_claims_is_present_and_nothing_it_denies() -> None:
    truth = np.array([[True, True], [True, False], [False, False]])
    captions = [Caption("a", (0,), ()), Caption("a, no b", (0,), (1,)), Caption("a, b", (0, 1), ())]
    expected = [[True, False, True], [True, True, False], [False, False, False]]
    assert captions_hold(captions, truth).tolist() == expected


def test_captions_of_an_image_are_true_of_it(images: list[SyntheticImage]) -> None:
    rng = np.random.default_rng(0)
    for image in images[:50]:
        truth = image_truth(image)
        caption = write_caption(truth, rng)
        assert captions_hold([caption], truth[None]).all()
        assert all(truth[INDEX[name]] == image.attributes[name] for name in ATTRIBUTES)


def test_the_loss_weighs_both_sides_alike_however_rare_one_is() -> None:
    """One caption, true of one image in four, logits 0: every term is log 2."""
    holds = torch.tensor([[True], [False], [False], [False]])
    even = balanced_sigmoid_loss(torch.zeros(4, 1), holds)
    assert even.item() == pytest.approx(np.log(2))
    missed = balanced_sigmoid_loss(torch.tensor([[-20.0], [-20.0], [-20.0], [-20.0]]), holds)
    assert missed.item() == pytest.approx(20 / 2, abs=1e-3)


def test_the_model_card_names_every_attribute() -> None:
    card = Path(FOLDER, "README.md").read_text(encoding="utf-8")
    assert all(name in card for name in ATTRIBUTES)
