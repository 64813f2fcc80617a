"""BiomedCLIP's layout is loaded from its folder alone, and texts are read by its own BERT."""

import io
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import normalize

from curette.schemas.artifact import StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.tasks.methods.encoder.encoder import ClipEncoder, load_encoder
from tests.tasks.methods.encoder.hub_folders import save_biomed_clip

transformers = pytest.importorskip("transformers")

TEXTS = ["a", "blue-white veil", "brown dots " * 20]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def load(folder: Path) -> ClipEncoder:
    return load_encoder(OpenClipEncoder(model=folder), Machine(device="cpu"))


def part_of(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}


def test_texts_are_read_by_the_bert_of_the_folder(tmp_path: Path) -> None:
    """Held against transformers' BERT, its first piece, and the two layers above it."""
    folder = save_biomed_clip(tmp_path / "biomed")
    weights = load_file(folder / "open_clip_model.safetensors")
    bert = transformers.BertModel(transformers.BertConfig.from_pretrained(folder), False).eval()
    bert.load_state_dict(part_of(weights, "text.transformer."))
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    words = tokenizer(TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt")
    with torch.no_grad():
        first = bert(**words).last_hidden_state[:, 0]
        wide = torch.nn.functional.gelu(first @ weights["text.proj.0.weight"].T)
        expected = normalize(wide @ weights["text.proj.2.weight"].T, dim=-1).numpy()
    encoder = load(folder)
    np.testing.assert_allclose(encoder.encode_texts(encoder.tokenize(TEXTS)), expected, atol=1e-6)
    alone = np.concatenate([encoder.encode_texts(encoder.tokenize([t])) for t in TEXTS])
    np.testing.assert_allclose(alone, expected, atol=1e-6)


def test_padding_is_not_computed(tmp_path: Path) -> None:
    encoder = load(save_biomed_clip(tmp_path / "biomed"))
    lengths = encoder.text_lengths(encoder.tokenize(["a", "brown dots", "brown dots " * 20]))
    assert lengths.tolist() == [3, 4, 24], "with the pieces of start and end"


def test_images_are_seen_by_timms_transformer(tmp_path: Path, pngs: list[bytes]) -> None:
    folder = save_biomed_clip(tmp_path / "biomed")
    weights = load_file(folder / "open_clip_model.safetensors")
    trunk = timm.create_model("test_vit", num_classes=0).eval()
    trunk.load_state_dict(part_of(weights, "visual.trunk."))
    encoder = load(folder)
    pixels = encoder.stack([encoder.prepare_image(png) for png in pngs[:3]])
    with torch.no_grad():
        expected = normalize(trunk(pixels) @ weights["visual.head.proj.weight"].T, dim=-1)
    np.testing.assert_allclose(encoder.encode_images(pixels), expected.numpy(), atol=1e-5)


def test_a_folder_that_was_moved_is_the_same_encoder(tmp_path: Path) -> None:
    here = load(save_biomed_clip(tmp_path / "here")).identity
    (tmp_path / "here").rename(tmp_path / "there")
    there = load(tmp_path / "there").identity
    assert (here.digest, there.name) == (there.digest, "there")


@pytest.mark.parametrize(
    ("file", "said"),
    [("config.json", r"put that model's config.json"), ("vocab.txt", "has no tokenizer")],
)
def test_what_lacks_in_the_folder_is_named(tmp_path: Path, file: str, said: str) -> None:
    folder = save_biomed_clip(tmp_path / "biomed")
    (folder / file).unlink()
    with pytest.raises(StudyError, match=said):
        load(folder)


def test_widths_of_images_and_texts_that_differ_are_refused(
    tmp_path: Path, pngs: list[bytes]
) -> None:

    folder = save_biomed_clip(tmp_path / "biomed")
    encoder = load(folder)
    image = Image.open(io.BytesIO(pngs[0]))
    assert encoder.preprocess(image.convert("RGB")).shape == (3, 160, 160)
    encoder.model.visual.head = torch.nn.Identity()  # type: ignore[union-attr]
    with pytest.raises(StudyError, match=r"images vectors of 64 numbers, and its .* names 20"):
        encoder.encode_images(encoder.prepare_image(pngs[0])[None])
