"""Models of images alone give the vectors of timm and of transformers themselves."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from curette.schemas.artifact import StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import ImageOnlyEncoder
from curette.tasks.methods.encoder.encoder import ClipEncoder, find_weights, load_encoder
from tests.tasks.methods.encoder.hub_folders import (
    change_config,
    save_dino,
    save_hub_clip,
    save_timm,
)

transformers = pytest.importorskip("transformers")


def load(model: Path) -> ClipEncoder:
    return load_encoder(ImageOnlyEncoder(kind="image_only", model=model), Machine(device="cpu"))


def by_timm(folder: Path, images: list[Image.Image]) -> Any:
    """The features before the classifier, of pixels scaled as the configuration says."""
    model: Any = timm.create_model("test_efficientnet", num_classes=5).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    mean, std = (np.array(v, np.float32) for v in ((0.4, 0.5, 0.6), (0.2, 0.2, 0.3)))
    square = [image.resize((64, 64), Image.Resampling.BICUBIC) for image in images]
    pixels = [(np.asarray(image, np.float32) / 255 - mean) / std for image in square]
    batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    return model.forward_head(model.forward_features(batch), pre_logits=True)


def by_transformers(folder: Path, images: list[Image.Image]) -> Any:
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.Dinov2Model.from_pretrained(folder).eval()
    return model(**processor(images=images, return_tensors="pt")).pooler_output


@pytest.mark.parametrize(("save", "by"), [(save_timm, by_timm), (save_dino, by_transformers)])
def test_vectors_are_those_of_the_library_scaled_to_unit_length(
    save: Callable[[Path], Path], by: Callable[..., Any], tmp_path: Path, pngs: list[bytes]
) -> None:
    folder = save(tmp_path / "model")
    images = [Image.open(io.BytesIO(png)).convert("RGB").resize((80, 80)) for png in pngs[:4]]
    with torch.no_grad():
        expected = normalize(by(folder, images), dim=-1).numpy()
    encoder = load(folder)
    batch = encoder.stack([encoder.preprocess(image) for image in images])
    np.testing.assert_allclose(encoder.encode_images(batch), expected, atol=1e-5)
    assert (encoder.identity.dim, encoder.identity.reads_text) == (expected.shape[1], False)


def test_another_mean_is_another_encoder(tmp_path: Path) -> None:
    first = load(save_timm(tmp_path / "first"))
    assert load(save_timm(tmp_path / "again")).identity.digest == first.identity.digest
    other = load(save_timm(tmp_path / "other", mean=[0.5, 0.5, 0.5]))
    assert other.identity.digest != first.identity.digest


def test_how_many_classes_its_classifier_had_is_no_matter(tmp_path: Path) -> None:
    folder = save_timm(tmp_path / "model")
    before = load(folder).identity.dim
    change_config(folder, model_args={"num_classes": 5, "in_chans": 3})  # as `save_for_hf` writes
    assert load(folder).identity.dim == before


def test_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="reads no text"):
        load(save_timm(tmp_path / "model")).tokenize(["veil"])


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    folder = save_timm(tmp_path / "model")
    kept = load_file(folder / "model.safetensors")
    del kept["conv_stem.weight"]
    save_file(kept, folder / "model.safetensors")
    with pytest.raises(StudyError, match=r"1 tensors .* such as conv_stem.weight"):
        load(folder)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = save_timm(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(StudyError, match="a pickle"):
        find_weights(ImageOnlyEncoder(kind="image_only", model=folder))


def test_a_model_that_reads_text_is_told_its_kind(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="write kind: transformers"):
        load(save_hub_clip(tmp_path / "clip"))
    folder = save_timm(tmp_path / "model")
    change_config(folder, architecture="no_such_net")
    with pytest.raises(StudyError, match="knows no architecture `no_such_net`"):
        load(folder)
