"""The encoder is open_clip's own model, known by all that decides its vectors; errors help."""

import io
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.tasks.methods.encoder.encoder import (
    ClipEncoder,
    load_encoder,
    load_to_send,
)
from curette.tasks.methods.encoder.open_clip_layout import DEMO, find_source, why_not_loaded
from curette.tasks.methods.encoder.precision import choose_device

CPU = Machine(device="cpu")
CLUSTER: dict[str, Any] = {"engine": "ray", "ray_address": "head:6379"}


def load(model: Path | str, **settings: Any) -> ClipEncoder:
    return load_encoder(OpenClipEncoder(model=model, **settings), CPU)


# --- vectors ------------------------------------------------------------------------------------


def test_vectors_are_open_clips_own_scaled_to_unit_length(
    save_clip: Any, pngs: list[bytes]
) -> None:
    folder = save_clip()
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    images = torch.stack([preprocess(Image.open(io.BytesIO(p)).convert("RGB")) for p in pngs[:5]])
    texts = ["blue-white veil", "a", "brown globules"]
    with torch.no_grad():
        expected_images = model.eval().encode_image(images).double().numpy()
        expected_texts = model.encode_text(tokenizer(texts)).double().numpy()

    encoder = load(folder)
    prepared = encoder.stack([encoder.prepare_image(p) for p in pngs[:5]])
    for vectors, expected in (
        (encoder.encode_images(prepared), expected_images),
        (encoder.encode_texts(encoder.tokenize(texts)), expected_texts),
    ):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(vectors, unit, atol=1e-6)


def test_what_is_random_in_training_is_switched_off(save_clip: Any, pngs: list[bytes]) -> None:
    def drop_patches(config: dict[str, Any]) -> None:
        config["model_cfg"]["vision_cfg"]["patch_dropout"] = 0.5

    encoder = load(save_clip(changed_config=drop_patches))
    image = encoder.prepare_image(pngs[0])[None]
    assert np.array_equal(encoder.encode_images(image), encoder.encode_images(image))


def test_bfloat16_gives_unit_vectors_close_to_those_of_float32(
    save_clip: Any, pngs: list[bytes]
) -> None:
    folder = save_clip()
    vectors = {}
    for precision in ("float32", "bfloat16"):
        encoder = load(folder, precision=precision)
        batch = encoder.stack([encoder.prepare_image(p) for p in pngs[:9]])
        vectors[precision] = np.concatenate(
            [encoder.encode_images(batch), encoder.encode_texts(encoder.tokenize(["pink"]))]
        )
    exact, rounded = vectors["float32"], vectors["bfloat16"]
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rounded, axis=1), 1, atol=1e-6)
    assert not np.array_equal(exact, rounded)
    assert (exact * rounded).sum(axis=1).min() > 0.999


def test_a_text_that_fills_the_context_is_named(save_clip: Any) -> None:
    encoder = load(save_clip())
    long = "asymmetric irregular network " * 9
    assert encoder.filling(["pink", long, "blue veil"]) == [long]


# --- identity -----------------------------------------------------------------------------------


def other_head(config: dict[str, Any]) -> None:
    config["model_cfg"]["vision_cfg"]["head_width"] = 8


def other_activation(config: dict[str, Any]) -> None:
    config["model_cfg"]["quick_gelu"] = True


def other_mean(config: dict[str, Any]) -> None:
    config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.4]


def other_resize(config: dict[str, Any]) -> None:
    config["preprocess_cfg"]["interpolation"] = "bilinear"


@pytest.mark.parametrize("change", [other_head, other_activation, other_mean, other_resize])
def test_another_configuration_is_another_encoder(save_clip: Any, change: Any) -> None:
    same = load(save_clip("same")).identity.digest
    assert load(save_clip("changed", changed_config=change)).identity.digest != same


def test_one_other_number_among_the_weights_is_another_encoder(
    save_clip: Any, weights: dict[str, torch.Tensor]
) -> None:
    same = load(save_clip("same")).identity.digest
    projection = weights["text_projection"].clone()
    projection[3, 5] = torch.nextafter(projection[3, 5], torch.tensor(9.0))
    changed = save_clip("changed", changed_weights={"text_projection": projection})
    assert load(changed).identity.digest != same


def test_another_precision_is_another_encoder(save_clip: Any) -> None:
    folder = save_clip()
    exact, rounded = load(folder), load(folder, precision="bfloat16")
    assert exact.identity.digest != rounded.identity.digest
    assert exact.identity.name == "small-clip"
    assert rounded.identity.name == "small-clip (bfloat16 on CPU)", "reports name it so"


def test_bfloat16_of_cpus_and_of_gpus_are_two_encoders_and_float32_is_one(save_clip: Any) -> None:
    """A head without a GPU knows what its Ray cluster's GPUs will say of themselves."""
    folder = save_clip()

    def identities(precision: Any) -> list[EncoderIdentity]:
        spec = OpenClipEncoder(model=folder, precision=precision)
        machines = [CPU, *(Machine(device=d, **CLUSTER) for d in ("cpu", "cuda"))]
        found = [load_encoder(spec, machine) for machine in machines]
        assert [e.identity for e in found] == [load_to_send(spec, m).identity for m in machines]
        if not torch.cuda.is_available():
            assert [e.device for e in found] == ["cpu"] * 3, "texts are encoded here all the same"
        return [e.identity for e in found]

    here, on_cpus, on_gpus = identities("float32")
    assert here == on_cpus == on_gpus
    here, on_cpus, on_gpus = identities("bfloat16")
    assert here == on_cpus
    assert here.digest != on_gpus.digest
    assert on_gpus.name == "small-clip (bfloat16 on CUDA)"


def test_the_same_weights_are_the_same_encoder_wherever_they_lie_and_whatever_the_template(
    save_clip: Any, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    first = load(save_clip("first"))
    second = save_clip("second")
    (second / "open_clip_model.safetensors").unlink()
    torch.save(weights, second / "open_clip_pytorch_model.bin")
    again = load(second, text_template="a photo of {concept}")
    assert again.identity.digest == first.identity.digest
    assert (first.identity.name, first.identity.dim, first.identity.demo) == ("first", 16, False)


def test_the_demos_encoder_comes_by_the_same_path_and_says_what_it_is() -> None:
    identity = load("demo").identity
    assert (identity.name, identity.demo) == ("demo CLIP", True)
    assert load(DEMO).identity.digest == identity.digest


def test_an_encoder_is_loaded_once_until_its_files_change(save_clip: Any) -> None:
    folder = save_clip()
    first = load(folder)
    assert load(folder, text_template="dermoscopy of {concept}") is first
    config = json.loads((folder / "open_clip_config.json").read_text())
    other_mean(config)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    assert load(folder).identity.digest != first.identity.digest


# --- what cannot be loaded ----------------------------------------------------------------------


def test_an_unknown_model_is_told_its_neighbours() -> None:
    with pytest.raises(StudyError, match=r"no model `ViT-B-33`.*did you mean ViT-B-32"):
        load("ViT-B-33", pretrained="openai")


def test_a_model_without_a_tag_is_told_the_tags_there_are() -> None:
    with pytest.raises(StudyError, match=r"needs `pretrained`.*There are: openai, laion400m_e31"):
        load("ViT-B-32")


def test_an_unknown_tag_is_told_its_neighbours() -> None:
    with pytest.raises(
        StudyError, match=r"no weights called `laion2b_s34b`; did you mean laion2b_"
    ):
        load("ViT-B-32", pretrained="laion2b_s34b")


def test_weights_of_another_activation_are_refused() -> None:
    with pytest.raises(StudyError, match=r"QuickGELU.*Use the model ViT-B-32-quickgelu"):
        load("ViT-B-32", pretrained="openai")


def test_a_tag_beside_a_whole_model_is_refused(tmp_path: Path) -> None:
    for model in ("demo", "hf-hub:a/b", tmp_path):
        with pytest.raises(ValidationError, match=r"brings its own weights"):
            OpenClipEncoder(model=model, pretrained="openai")


def test_a_text_that_is_a_path_becomes_one() -> None:
    assert OpenClipEncoder(model="./clip").model == Path("clip")
    assert OpenClipEncoder(model="hf-hub:user/clip").model == "hf-hub:user/clip"


def test_a_folder_without_a_configuration_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"is no folder with an open_clip_config.json"):
        load(tmp_path)


def test_a_folder_without_weights_says_what_belongs_there(save_clip: Any) -> None:
    folder = save_clip()
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(StudyError, match=r"The folder needs weights .open_clip_model.safetensors"):
        load(folder)


def test_weights_that_do_not_fit_are_refused(save_clip: Any) -> None:
    folder = save_clip(changed_weights={"text_projection": torch.zeros(32, 3)})
    with pytest.raises(StudyError, match=r"size mismatch for text_projection.*that fit its"):
        load(folder)


def test_truncated_weights_are_refused(save_clip: Any) -> None:
    folder = save_clip()
    os.truncate(folder / "open_clip_model.safetensors", 100_000)
    with pytest.raises(StudyError, match=r"could not load"):
        load(folder)


class Trap:
    """A pickle that would write a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.file),))


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    save_clip: Any, tmp_path: Path, form: str
) -> None:
    folder = save_clip()
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(
        {"state_dict": Trap(tmp_path / "trapped")},
        folder / "open_clip_pytorch_model.bin",
        _use_new_zipfile_serialization=form == "zip",
    )
    with pytest.raises(StudyError, match=r"a pickle or .* more than hold tensors"):
        load(folder)
    assert not (tmp_path / "trapped").exists()


def test_a_hub_model_without_a_network_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StudyError, match=r"could not load hf-hub:user/clip.*There may be no netwo"):
        load("hf-hub:user/clip")


def test_a_tag_without_a_network_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StudyError, match=r"no network, and no copy of the weights"):
        load("RN50-quickgelu", pretrained="openai")


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
def test_a_text_tower_of_transformers_says_what_to_install(save_clip: Any) -> None:
    def hugging_face_text(config: dict[str, Any]) -> None:
        config["model_cfg"]["text_cfg"] = {"hf_model_name": "bert-base-uncased"}

    with pytest.raises(StudyError, match=r"package `transformers`, which is not installed"):
        load(save_clip(changed_config=hugging_face_text))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'transformers'", name="transformers"), "not install"),
        (RuntimeError("Please `pip install transformers` to use this"), "which is not installed"),
        (OSError("cannot reach https://hub.example/transformers/x"), "are fetched from the hub"),
    ],
)
def test_a_package_is_missing_only_where_the_error_is_of_that_kind(
    save_clip: Any, error: Exception, said: str
) -> None:
    def hugging_face_text(config: dict[str, Any]) -> None:
        config["model_cfg"]["text_cfg"] = {"hf_model_name": "bert-base-uncased"}

    folder = save_clip(changed_config=hugging_face_text)
    assert said in why_not_loaded(find_source(OpenClipEncoder(model=folder)), error)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_says_so() -> None:
    with pytest.raises(StudyError, match=r"device is `cuda`, but torch finds no GPU"):
        choose_device(Machine(device="cuda"))
