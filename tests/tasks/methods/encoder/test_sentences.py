"""A BERT read from its published layout, on a tiny one whose answer is worked out in torch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from curette.schemas.artifact import StudyError
from curette.tasks.methods.encoder.sentences import encode_sentences, word_pieces

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "dot", "##s", "cafe", "-", "re", "##d"]
DIM, HEADS, WIDE = 8, 2, 16


def write_bert(folder: Path, seed: int = 0, layers: int = 2) -> torch.nn.TransformerEncoder:
    """Write a random BERT; return torch's own encoder with the same weights."""
    torch.manual_seed(seed)
    layer = torch.nn.TransformerEncoderLayer(
        DIM, HEADS, WIDE, dropout=0, activation="gelu", batch_first=True, layer_norm_eps=1e-12
    )
    encoder = torch.nn.TransformerEncoder(layer, layers).eval()
    weights = {
        "embeddings.word_embeddings.weight": torch.randn(len(VOCABULARY), DIM),
        "embeddings.position_embeddings.weight": torch.randn(12, DIM),
        "embeddings.token_type_embeddings.weight": torch.randn(2, DIM),
        "embeddings.LayerNorm.weight": torch.rand(DIM) + 0.5,
        "embeddings.LayerNorm.bias": torch.randn(DIM),
    }
    for number, each in enumerate(encoder.layers):
        for parameter in each.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        at, own = f"encoder.layer.{number}", each.state_dict()
        for place, name in enumerate(("query", "key", "value")):
            rows = slice(place * DIM, (place + 1) * DIM)
            for kind in ("weight", "bias"):
                weights[f"{at}.attention.self.{name}.{kind}"] = own[f"self_attn.in_proj_{kind}"][
                    rows
                ].clone()
        for theirs, ours in (
            ("attention.output.dense", "self_attn.out_proj"),
            ("attention.output.LayerNorm", "norm1"),
            ("intermediate.dense", "linear1"),
            ("output.dense", "linear2"),
            ("output.LayerNorm", "norm2"),
        ):
            for kind in ("weight", "bias"):
                weights[f"{at}.{theirs}.{kind}"] = own[f"{ours}.{kind}"].clone()
    folder.mkdir(exist_ok=True)
    save_file({f"bert.{name}": w for name, w in weights.items()}, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    config = {
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": layers,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 12,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return encoder


def test_vectors_are_those_of_torchs_own_encoder(tmp_path: Path) -> None:
    encoder = write_bert(tmp_path)
    texts = ["Red dots", "a red dot - red dot", "café"]
    found = encode_sentences(tmp_path, texts)
    from safetensors.torch import load_file

    weights = load_file(tmp_path / "model.safetensors")
    vocabulary = {piece: n for n, piece in enumerate(VOCABULARY)}
    for text, vector in zip(texts, found, strict=True):
        ids = torch.tensor(word_pieces(text, vocabulary, 12))
        state = weights["bert.embeddings.word_embeddings.weight"][ids]
        state = state + weights["bert.embeddings.position_embeddings.weight"][: len(ids)]
        state = state + weights["bert.embeddings.token_type_embeddings.weight"][0]
        state = torch.nn.functional.layer_norm(
            state,
            (DIM,),
            weights["bert.embeddings.LayerNorm.weight"],
            weights["bert.embeddings.LayerNorm.bias"],
            1e-12,
        )
        with torch.no_grad():
            mean = encoder(state[None])[0].mean(0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)


def test_words_are_parted_into_the_longest_known_pieces() -> None:
    vocabulary = {piece: n for n, piece in enumerate(VOCABULARY)}

    def read(text: str, longest: int = 99) -> list[str]:
        return [VOCABULARY[i] for i in word_pieces(text, vocabulary, longest)]

    assert read("RED dots, Café-") == ["[CLS]", "red", "dot", "##s", "[UNK]", "cafe", "-", "[SEP]"]
    assert read("redd redx") == ["[CLS]", "red", "##d", "[UNK]", "[SEP]"]
    assert read("red red red red", 4) == ["[CLS]", "red", "red", "[SEP]"]


def test_a_folder_that_is_no_bert_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read as a sentence encoder"):
        encode_sentences(tmp_path / "nowhere", ["red"])
    write_bert(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    with pytest.raises(StudyError, match="whose model is t5 and no BERT"):
        encode_sentences(tmp_path, ["red"])
