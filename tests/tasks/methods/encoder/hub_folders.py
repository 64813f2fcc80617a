"""Folders in the layouts of the hub, with random weights of a few thousand numbers."""

import json
from pathlib import Path
from typing import Any

import torch

WORDS = ("blue", "white", "veil", "brown", "dots", "pink", "network", "a")
_VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def save_hub_clip(folder: Path, *, end: int | None = None, **projections: Any) -> Path:
    """Write a CLIP; `end` is the `eos_token_id` that its configuration names."""
    import transformers

    tokenizer = _clip_tokenizer(folder)
    text = _TEXT | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 12,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id if end is None else end,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = transformers.CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=20)
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def _clip_tokenizer(folder: Path) -> Any:
    """Write a tokenizer of CLIP's kind: bytes, whole words of ours, the end as padding."""
    import transformers

    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz-"
    pieces = [*letters, *(f"{c}</w>" for c in letters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        grown = word[0]
        for i, letter in enumerate(word[1:], start=2):
            merges.append((grown, letter + "</w>" * (i == len(word))))
            grown = "".join(merges[-1])
            pieces.append(grown)
    names = [*dict.fromkeys(pieces), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=list(dict.fromkeys(merges)))
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_hub_siglip(folder: Path, *, text_width: int = 24) -> Path:
    """Write a SigLIP, whose text vectors have `text_width` numbers and image vectors 24."""
    import sentencepiece
    import transformers

    folder.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=60,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    tokenizer = transformers.SiglipTokenizer(str(folder / "spiece.model"))
    tokenizer.save_pretrained(folder)
    text = _TEXT | {"vocab_size": 64, "max_position_embeddings": 32, "projection_size": text_width}
    config = transformers.SiglipConfig(text_config=text, vision_config=_VISION)
    torch.manual_seed(0)
    transformers.SiglipModel(config).save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def change_config(folder: Path, name: str = "config.json", **changes: Any) -> None:
    """Change settings in a folder's JSON."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def save_biomed_clip(folder: Path) -> Path:
    """Write a CLIP as BiomedCLIP is published: timm's transformer for images, a BERT for texts.

    Its configuration names the BERT as the hub does, and its weights and tokenizer lie here.
    """
    import open_clip
    import transformers
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    marks = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    letters = "abcdefghijklmnopqrstuvwxyz-"
    words = (*marks, *WORDS, *letters, *(f"##{c}" for c in letters))
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    bert = transformers.BertConfig(
        **_TEXT, vocab_size=len(set(words)), max_position_embeddings=32, pad_token_id=0
    )
    bert.save_pretrained(folder)
    change_config(folder, architectures=["BertModel"])
    name = "nobody/a-bert-of-the-hub"
    model = {
        "embed_dim": 20,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 160,
        },
        "text_cfg": {
            "hf_model_name": name,
            "hf_tokenizer_name": name,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 24,
        },
    }
    here = model["text_cfg"] | {"hf_model_name": str(folder), "hf_model_pretrained": False}  # type: ignore[operator]
    torch.manual_seed(0)
    made = open_clip.CustomTextCLIP(**model | {"text_cfg": here})
    save_file(made.state_dict(), folder / "open_clip_model.safetensors")
    preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": model, "preprocess_cfg": preprocessing})
    )
    return folder


def save_timm(folder: Path, architecture: str = "test_efficientnet", **changed: Any) -> Path:
    """Write a model as timm publishes it, classifier and all."""
    import timm
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = timm.create_model(architecture, num_classes=5)
    save_file(model.state_dict(), folder / "model.safetensors")
    pretrained = {
        "input_size": [3, 64, 64],
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.3],
        "num_classes": 5,
        "classifier": "classifier",
    }
    config = {"architecture": architecture, "pretrained_cfg": pretrained | changed}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_dino(folder: Path) -> Path:
    """Write a DINOv2 in the layout of transformers."""
    import transformers

    sizes = {k: v for k, v in _VISION.items() if k != "intermediate_size"}
    torch.manual_seed(0)
    transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).save_pretrained(folder)
    transformers.BitImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder
