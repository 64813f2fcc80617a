"""CLIPs and SigLIPs of the hub give the vectors of transformers itself, or are refused."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from curette.schemas.artifact import StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder, TransformersEncoder
from curette.tasks.methods.encoder.dense import encode_places
from curette.tasks.methods.encoder.encoder import ClipEncoder, find_weights, load_encoder
from curette.tasks.methods.encoder.heat import why_no_heat
from tests.tasks.methods.encoder.hub_folders import change_config, save_hub_clip, save_hub_siglip

transformers = pytest.importorskip("transformers")

TEXTS = ["blue white veil", "a", "pink network " * 12, "brown dots"]
Save = Callable[..., Path]


def load(model: Path | str) -> ClipEncoder:
    spec = TransformersEncoder(kind="transformers", model=model)
    return load_encoder(spec, Machine(device="cpu"))


def by_transformers(folder: Path, pngs: list[bytes]) -> tuple[Any, Any]:
    """The vectors of images and texts as a model's card says they are made."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    context = model.config.text_config.max_position_embeddings
    words = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=context, return_tensors="pt"
    )
    with torch.no_grad():
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        seen = model.get_image_features(pixel_values=pixels).pooler_output
        read = model.get_text_features(input_ids=words["input_ids"]).pooler_output
    seen, read = (torch.nn.functional.normalize(v, dim=-1).numpy() for v in (seen, read))
    return seen, read


@pytest.mark.parametrize("save", [save_hub_clip, save_hub_siglip])
def test_vectors_are_those_of_transformers_scaled_to_unit_length(
    save: Save, tmp_path: Path, pngs: list[bytes]
) -> None:
    folder = save(tmp_path / "model")
    seen, read = by_transformers(folder, pngs[:6])
    encoder = load(folder)
    batch = encoder.stack([encoder.prepare_image(png) for png in pngs[:6]])
    np.testing.assert_allclose(encoder.encode_images(batch), seen, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_texts(encoder.tokenize(TEXTS)), read, atol=1e-6)
    assert (encoder.identity.name, encoder.identity.dim) == ("model", seen.shape[1])


@pytest.mark.parametrize("end", [None, 2])
def test_a_clips_text_counts_up_to_its_end_and_its_padding_changes_nothing(
    tmp_path: Path, end: int | None
) -> None:
    """Early configurations name 2 as the end, which it is not; transformers reads those too."""
    encoder = load(save_hub_clip(tmp_path / "model", end=end))
    tokens = encoder.tokenize(["a", "blue white veil"])
    assert encoder.text_lengths(tokens).tolist() == [3, 5], "with the tokens of start and end"
    with torch.inference_mode():
        whole: Any = encoder.model.encode_text(tokens)  # type: ignore[operator]
    unit = torch.nn.functional.normalize(whole, dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_texts(tokens), unit, atol=1e-6)


def test_a_siglips_padding_counts(tmp_path: Path) -> None:
    encoder = load(save_hub_siglip(tmp_path / "model"))
    assert encoder.text_lengths(encoder.tokenize(["a"])).tolist() == [32]


@pytest.mark.parametrize("save", [save_hub_clip, save_hub_siglip])
def test_texts_that_fill_the_context_are_named(save: Save, tmp_path: Path) -> None:
    assert load(save(tmp_path / "model")).filling(TEXTS) == [TEXTS[2]]


@pytest.mark.parametrize(
    "change",
    [
        {"image_mean": [0.1, 0.2, 0.3]},
        {"crop_size": {"height": 24, "width": 24}, "size": {"shortest_edge": 24}},
    ],
)
def test_preprocessing_is_the_folders_and_part_of_the_identity(
    tmp_path: Path, change: dict[str, Any], pngs: list[bytes]
) -> None:
    folder = save_hub_clip(tmp_path / "model")
    before = load(folder)
    change_config(folder, "preprocessor_config.json", **change)
    after = load(folder)
    assert after.identity.digest != before.identity.digest
    assert not torch.equal(after.prepare_image(pngs[0]), before.prepare_image(pngs[0])[:, :24, :24])


def test_the_same_folder_elsewhere_is_the_same_encoder(tmp_path: Path) -> None:
    first = load(save_hub_clip(tmp_path / "here" / "model"))
    again = load(save_hub_clip(tmp_path / "there" / "model"))
    assert again.identity == first.identity


def test_a_place_of_a_clip_takes_in_its_own_value_alone(tmp_path: Path, pngs: list[bytes]) -> None:
    """Held against the last layer of transformers, worked out without queries and keys."""
    folder = save_hub_clip(tmp_path / "model")
    encoder = load(folder)
    batch = encoder.stack([encoder.prepare_image(png) for png in pngs[:3]])
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    last = model.vision_model.encoder.layers[-1]
    with torch.no_grad():
        states = model.vision_model(batch, output_hidden_states=True).hidden_states[-2]
        states = states + last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(states)))
        states = states + last.mlp(last.layer_norm2(states))
        alone = model.visual_projection(model.vision_model.post_layernorm(states[:, 1:]))
    with torch.inference_mode():
        places = encode_places(encoder.model.visual, batch)  # type: ignore[arg-type]
    assert (places.shape, why_no_heat(encoder)) == ((3, 4, 4, 20), "")
    unit = torch.nn.functional.normalize(alone, dim=-1)
    torch.testing.assert_close(places.flatten(1, 2), unit, rtol=1e-4, atol=1e-5)


def test_no_heat_map_is_promised_where_none_can_be_laid_over_the_image(tmp_path: Path) -> None:
    siglip = load(save_hub_siglip(tmp_path / "siglip"))
    assert "pools by a layer of its own" in why_no_heat(siglip)
    folder = save_hub_clip(tmp_path / "clip")
    change_config(folder, "preprocessor_config.json", size={"shortest_edge": 40})
    assert "cuts off more of an image" in why_no_heat(load(folder))


# --- what is refused ------------------------------------------------------------------------------


def test_weights_in_a_pickle_are_refused_with_the_cure(tmp_path: Path) -> None:
    folder = save_hub_clip(tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(StudyError, match=r"pytorch_model.bin, a pickle.*weights.md"):
        load(folder)
    with pytest.raises(StudyError, match="a pickle"):
        find_weights(TransformersEncoder(kind="transformers", model=folder))


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    folder = save_hub_clip(tmp_path / "model")
    kept = load_file(folder / "model.safetensors")
    del kept["visual_projection.weight"]
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StudyError, match=r"lack 1 of the model's tensors, such as visual_proj"):
        load(folder)


def test_widths_of_images_and_texts_that_differ_are_refused(tmp_path: Path) -> None:
    folder = save_hub_siglip(tmp_path / "model", text_width=16)
    with pytest.raises(StudyError, match=r"image vectors of 24 numbers and text vectors of 16"):
        find_weights(TransformersEncoder(kind="transformers", model=folder))


def test_another_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    folder = save_hub_clip(tmp_path / "model")
    change_config(folder, model_type="bert")
    with pytest.raises(StudyError, match=r"of the type `bert`.*clip and siglip"):
        load(folder)


def test_a_folder_without_a_tokenizer_says_what_belongs_there(tmp_path: Path) -> None:
    folder = save_hub_clip(tmp_path / "model")
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(StudyError, match=r"has no tokenizer: put tokenizer\.json"):
        load(folder)


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_a_folder_of_the_other_layout_is_told_its_kind(
    kind: str, tmp_path: Path, save_clip: Any
) -> None:
    if kind == "open_clip":
        with pytest.raises(StudyError, match="of the kind `transformers`"):
            load_encoder(OpenClipEncoder(model=save_hub_clip(tmp_path / "m")), Machine())
    else:
        with pytest.raises(StudyError, match=r"is in open_clip's layout: write encoder: \{kind"):
            load(save_clip())


def test_a_hub_name_without_a_network_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StudyError, match=r"user/clip cannot be had.*no network.*\./folder"):
        load("user/clip")
    spec = TransformersEncoder(kind="transformers", model="user/clip")
    assert find_weights(spec) is None
