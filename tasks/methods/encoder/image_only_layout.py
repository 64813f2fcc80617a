"""Encoders of images alone: timm's models and DINOs, from a folder or the hub.

The vector of a timm model is what it hands to its classifier, which is left out; that of a vision
transformer of the package transformers is its class token after the last normalisation. Weights are
read from safetensors alone.
"""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from curette.schemas.artifact import StudyError
from curette.schemas.settings.encoder import ImageOnlyEncoder
from curette.tasks.methods.encoder.parts import Parts, Source
from curette.tasks.methods.encoder.safe_folder import (
    check_safe,
    fetched,
    kept_weights,
    read_config,
    weights_in,
)

_TRANSFORMERS = ("dinov2", "dinov2_with_registers", "dinov3_vit", "vit")


class ImageOnly(torch.nn.Module):
    """A model that turns images into vectors, and reads no text."""

    def __init__(self, visual: torch.nn.Module, preprocess_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.visual = visual
        self.visual.preprocess_cfg = preprocess_cfg  # type: ignore[assignment]  # as open_clip's

    def encode_image(
        self, batch: Float[torch.Tensor, "image channel height width"]
    ) -> Float[torch.Tensor, "image dim"]:
        """Return the vectors of images, not scaled."""
        return self.visual(batch)


class _ClassToken(torch.nn.Module):
    """A vision transformer of the package transformers, of which the class token is taken."""

    def __init__(self, tower: torch.nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, batch: torch.Tensor) -> Float[torch.Tensor, "image dim"]:
        """Return the class tokens of images."""
        states: torch.Tensor = self.tower(batch).last_hidden_state
        return states[:, 0]


def find_source(spec: ImageOnlyEncoder) -> Source:
    """Return the folder of the model, which is fetched where it is the hub's and not here yet."""
    local = isinstance(spec.model, Path)
    folder = Path(spec.model) if local else fetched(str(spec.model))
    _check(folder, str(spec.model))
    name = folder.name if local else str(spec.model)
    return Source(spec.kind, name, str(folder), None, folder)


def find_weights(spec: ImageOnlyEncoder) -> Path | None:
    """Return where an encoder's weights lie here; None where they would have to be fetched."""
    found = weights_in(spec.model) if isinstance(spec.model, Path) else kept_weights(spec.model)
    if found is not None or isinstance(spec.model, Path):
        _check(found.parent if found else Path(spec.model), str(spec.model))
    return found


def _check(folder: Path, name: str) -> None:
    config = read_config(folder, name)
    kind = config.get("model_type")
    if "architecture" not in config and kind not in _TRANSFORMERS:
        text = " It reads text too: write kind: transformers." * (kind in ("clip", "siglip"))
        raise StudyError(
            f"{name} is a model of the type `{kind or 'unknown'}`, and of the kind `image_only` "
            "are read timm's folders, whose config.json names an `architecture`, and "
            f"{', '.join(_TRANSFORMERS)}.{text}"
        )
    check_safe(folder, name)


def load_parts(source: Source) -> Parts:
    """Load a model, and look once at how many numbers its vectors have.

    Raises:
        StudyError: its weights are another model's.
        Exception: whatever a library says of files that are not ours.
    """
    folder = Path(source.at)
    config = read_config(folder, source.name)
    made = _of_timm if "architecture" in config else _of_transformers
    model, preprocess, about = made(folder, config, source.name)
    height, width = model.visual.preprocess_cfg["size"]  # type: ignore[index]
    with torch.inference_mode():
        dim = model.eval().encode_image(torch.zeros(1, 3, height, width)).shape[1]
    return Parts(model, preprocess, _no_text, dim, {"model": config} | about)


def _no_text(texts: list[str]) -> torch.Tensor:
    raise StudyError(f"the encoder reads no text, and is given {texts[:1]}")


def _of_timm(
    folder: Path, config: dict[str, Any], name: str
) -> tuple[ImageOnly, Any, dict[str, Any]]:
    architecture = config["architecture"]
    if architecture not in timm.list_models():
        raise StudyError(f"{name}: this version of timm knows no architecture `{architecture}`.")
    pretrained = config.get("pretrained_cfg", config)
    built = config.get("model_args", {}) | {"num_classes": 0}
    model = timm.create_model(architecture, pretrained=False, **built)
    weights = load_file(folder / "model.safetensors")
    found = model.load_state_dict(weights, strict=False)
    classifier = pretrained.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    spare = [n for n in found.unexpected_keys if not n.startswith((*heads, "head", "fc."))]
    if odd := [*found.missing_keys, *spare]:
        raise StudyError(
            f"the weights of {name} do not fit its architecture {architecture}: {len(odd)} tensors "
            f"are missing or too many, such as {odd[0]}."
        )
    data = resolve_data_config({}, pretrained_cfg=pretrained)  # type: ignore[no-untyped-call]
    cut = data["crop_pct"] < 1 and data.get("crop_mode") != "squash"
    preprocess_cfg = {
        "size": tuple(data["input_size"][1:]),
        "resize_mode": "other" if cut or data.get("crop_mode") != "center" else "shortest",
    }
    about = {"preprocessing": json.loads(json.dumps(data, default=str)), "timm": timm.__version__}
    transform = create_transform(**data, is_training=False)
    return ImageOnly(model, preprocess_cfg), transform, about


def _of_transformers(
    folder: Path, config: dict[str, Any], name: str
) -> tuple[ImageOnly, Any, dict[str, Any]]:
    from curette.tasks.methods.encoder.transformers_layout import (
        load_model,
        load_processor,
        preprocess_by,
        preprocessing,
        require_package,
    )

    require_package()
    import transformers

    spare = {"add_pooling_layer": False} if config["model_type"] == "vit" else {}
    model = load_model(transformers.AutoModel, folder, name, **spare)
    processor = load_processor(folder)
    about = {"preprocessing": processor.to_dict(), "transformers": transformers.__version__}
    encoder = ImageOnly(_ClassToken(model), preprocessing(processor))
    return encoder, preprocess_by(processor), about


def why_not_loaded(source: Source, error: Exception) -> str:
    """Return what an exception of timm or transformers means, and what to do."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return (
        f"{source.name} could not be loaded: {said} Its folder needs config.json and "
        "model.safetensors of one model, and preprocessor_config.json where it is no timm's."
    )
