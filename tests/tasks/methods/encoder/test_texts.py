"""Leaving out the padding of texts changes no vector, and is done only where it cannot."""

from typing import Any

import numpy as np
import pytest
import torch

from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.storage.vectors import VectorShelf
from curette.tasks.methods.encoder.encoder import ClipEncoder, load_encoder
from curette.tasks.methods.encoder.text_vectors import embed_texts
from curette.tasks.methods.encoder.texts import encode_without_padding

TEXTS = ("a", "blue-white veil", "an atypical pigment network at the border", "network " * 20, "b")
CONTEXT = 16


def load(folder: Any, **settings: Any) -> ClipEncoder:
    return load_encoder(OpenClipEncoder(model=folder, **settings), Machine(device="cpu"))


def whole(encoder: ClipEncoder, texts: tuple[str, ...]) -> Any:
    """Each text's vector as open_clip itself makes it, padding and all."""
    with torch.inference_mode():
        vectors = encoder.model.encode_text(encoder.tokenize(texts)).float()  # type: ignore[operator]
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


def test_a_text_counts_up_to_its_end(save_clip: Any) -> None:
    encoder = load(save_clip())
    lengths = encoder.text_lengths(encoder.tokenize(["a", "a b", "network " * 20, ""]))
    assert lengths.tolist() == [3, 4, CONTEXT, 2], "with the tokens of start and end"


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], TEXTS[3:4]])
def test_vectors_without_padding_are_open_clips_own(save_clip: Any, texts: tuple[str, ...]) -> None:
    encoder = load(save_clip())
    made = encoder.encode_texts(encoder.tokenize(texts))
    np.testing.assert_allclose(made, whole(encoder, texts), atol=1e-6)


def test_the_model_is_whole_again_afterwards(save_clip: Any) -> None:
    encoder = load(save_clip())
    encoder.encode_texts(encoder.tokenize(["a"]))
    model: Any = encoder.model
    assert model.positional_embedding.shape[0] == CONTEXT
    assert model.attn_mask.shape == (CONTEXT, CONTEXT)


def no_causal_mask(config: dict[str, Any]) -> None:
    config["model_cfg"]["text_cfg"]["no_causal_mask"] = True


def last_position(config: dict[str, Any]) -> None:
    config["model_cfg"]["text_cfg"]["pool_type"] = "last"


def other_class(config: dict[str, Any]) -> None:
    config["model_cfg"]["custom_text"] = True


@pytest.mark.parametrize("change", [no_causal_mask, last_position, other_class])
def test_padding_that_may_count_is_kept(save_clip: Any, weights: Any, change: Any) -> None:
    folder = save_clip("changed", changed_config=change)
    encoder = load(folder)
    lengths = encoder.text_lengths(encoder.tokenize(TEXTS))
    assert lengths.tolist() == [CONTEXT] * len(TEXTS)
    made = encoder.encode_texts(encoder.tokenize(TEXTS))
    np.testing.assert_allclose(made, whole(encoder, TEXTS), atol=1e-6)


def test_padding_does_count_where_attention_looks_ahead(save_clip: Any) -> None:
    """The check of the check: shortening such a model's texts would be seen."""
    encoder = load(save_clip("ahead", changed_config=no_causal_mask))
    encoder.model.attn_mask = torch.zeros(CONTEXT, CONTEXT)
    with torch.inference_mode():
        short = encode_without_padding(encoder.model, encoder.tokenize(["a"]), 3).numpy()
    short /= np.linalg.norm(short)
    assert np.abs(short - whole(encoder, ("a",))).max() > 1e-3


def test_texts_of_all_lengths_keep_their_rows_whatever_the_batch(
    save_clip: Any, tmp_path: Any
) -> None:
    encoder = load(save_clip())
    texts = tuple(f"{'a b c d e f g h'[: 2 * (i * 5 % 8) + 1]} {i}" for i in range(30))
    expected = whole(encoder, texts)
    for batch_size in (1, 7, 64):
        shelf = VectorShelf(tmp_path / str(batch_size))
        machine = Machine(batch_size=batch_size)
        made = embed_texts(texts, "{concept}", encoder, shelf, machine, lambda count: None)
        assert made.keys == texts
        np.testing.assert_allclose(made.vectors, expected, atol=1e-6)
