"""Sentences to vectors by a BERT in a local folder, as sentence encoders are published.

Read are `config.json`, `vocab.txt`, `model.safetensors` and, where it is there, the kind of pooling
in `1_Pooling/config.json`. The network is that of Devlin et al., BERT (NAACL 2019), the vector the
mean over a sentence's word pieces (Reimers and Gurevych, Sentence-BERT, EMNLP 2019) or its first
piece. No package beyond torch is needed.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as nn

from curette.schemas.artifact import StudyError

_BATCH = 256
_LONGEST_WORD = 100  # a longer one is unknown, as BERT's own tokenizer has it


def encode_sentences(folder: Path, texts: Sequence[str]) -> Float32[np.ndarray, "text dim"]:
    """Return one unit vector a text.

    Raises:
        StudyError: the folder holds no BERT in this layout.
    """
    config, vocabulary, weights, first_piece = _read(folder)
    longest = int(config["max_position_embeddings"])
    vectors = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            pieces = [word_pieces(t, vocabulary, longest) for t in texts[start : start + _BATCH]]
            width = max(map(len, pieces))
            ids = torch.tensor([p + [0] * (width - len(p)) for p in pieces])
            real = torch.tensor([[1.0] * len(p) + [0.0] * (width - len(p)) for p in pieces])
            out = _bert(ids, real, weights, config)
            weight = real[:, :, None]
            pooled = out[:, 0] if first_piece else (out * weight).sum(1) / weight.sum(1)
            vectors.append(nn.normalize(pooled, dim=1).numpy())
    return np.concatenate(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)


def word_pieces(text: str, vocabulary: Mapping[str, int], longest: int) -> list[int]:
    """Return BERT's pieces of a text between `[CLS]` and `[SEP]`, at most `longest` in all.

    Lower case without accents; every mark stands alone; of a word the longest known beginning is
    taken, then of what is left, and a word with an unknown rest is `[UNK]`.
    """
    folded = unicodedata.normalize("NFD", text.lower())
    folded = "".join(c for c in folded if unicodedata.category(c) != "Mn")
    found: list[int] = []
    for word in re.findall(r"[^\W_]+|[^\w\s]|_", folded):
        found += _pieces_of(word, vocabulary)
    return [vocabulary["[CLS]"], *found[: longest - 2], vocabulary["[SEP]"]]


def _pieces_of(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    found: list[int] = []
    start = 0
    while start < len(word) <= _LONGEST_WORD:
        ends = range(len(word), start, -1)
        pieces = (("##" if start else "") + word[start:end] for end in ends)
        parted = zip(pieces, ends, strict=True)
        known = next(((p, end) for p, end in parted if p in vocabulary), None)
        if known is None:
            break
        found.append(vocabulary[known[0]])
        start = known[1]
    return found if start == len(word) else [vocabulary["[UNK]"]]


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, int], dict[str, Tensor], bool]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        weights = load_file(folder / "model.safetensors")
        pooling = folder / "1_Pooling" / "config.json"
        kinds = json.loads(pooling.read_text(encoding="utf-8")) if pooling.is_file() else {}
    except (OSError, ValueError) as error:
        raise StudyError(
            f"screen: `sentences` is the folder {folder}, and it cannot be read as a sentence "
            f"encoder: {error}. It must hold config.json, vocab.txt and model.safetensors of a "
            "BERT."
        ) from None
    weights = {name.removeprefix("bert."): w.float() for name, w in weights.items()}
    vocabulary = {piece: number for number, piece in enumerate(lines)}
    missing = {"[CLS]", "[SEP]", "[UNK]"} - vocabulary.keys()
    kind = config.get("model_type", "unknown")
    if kind != "bert" or missing or "embeddings.LayerNorm.weight" not in weights:
        raise StudyError(
            f"screen: `sentences` is the folder {folder}, whose model is {kind} and no BERT; take "
            "one such as all-MiniLM-L6-v2, or name a model of embeddings at the study's `llm`"
        )
    return config, vocabulary, weights, bool(kinds.get("pooling_mode_cls_token"))


def _bert(
    ids: Int[Tensor, "text piece"],
    real: Float[Tensor, "text piece"],
    weights: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> Float[Tensor, "text piece dim"]:
    """Return the last layer's states; `real` is 0 where a text has no piece."""
    heads, eps = int(config["num_attention_heads"]), float(config["layer_norm_eps"])

    def linear(x: Tensor, name: str) -> Tensor:
        return nn.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def normed(x: Tensor, name: str) -> Tensor:
        return nn.layer_norm(
            x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps
        )

    def parted(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)

    words, places, kinds = (
        weights[f"embeddings.{name}_embeddings.weight"]
        for name in ("word", "position", "token_type")
    )
    state = normed(words[ids] + places[: ids.shape[1]] + kinds[0], "embeddings.LayerNorm")
    hidden = (real[:, None, None, :] - 1) * 1e9
    for layer in range(int(config["num_hidden_layers"])):
        at = f"encoder.layer.{layer}"
        asked, key, value = (
            parted(linear(state, f"{at}.attention.self.{name}"))
            for name in ("query", "key", "value")
        )
        scores = asked @ key.transpose(-1, -2) / math.sqrt(asked.shape[-1]) + hidden
        seen = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
        state = normed(
            state + linear(seen, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
        )
        wide = nn.gelu(linear(state, f"{at}.intermediate.dense"))
        state = normed(state + linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return state
