"""CLIPs and SigLIPs in the layout of the package transformers, from a folder or the hub.

Weights are read from safetensors alone, code that a folder brings along is never run, and what is
fetched from the hub is a folder like any other from then on.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image

from curette.schemas.artifact import StudyError
from curette.schemas.settings.encoder import TransformersEncoder
from curette.tasks.methods.encoder.hub_clip import HubClip, Kind
from curette.tasks.methods.encoder.parts import Parts, Source, check_tokenizer
from curette.tasks.methods.encoder.safe_folder import (
    check_safe,
    fetched,
    kept_weights,
    read_config,
    weights_in,
)

_KINDS: tuple[Kind, ...] = ("clip", "siglip")


def find_source(spec: TransformersEncoder) -> Source:
    """Return the folder of the model, which is fetched where it is the hub's and not here yet."""
    require_package()
    name = str(spec.model)
    folder = spec.model if isinstance(spec.model, Path) else fetched(name)
    _check(folder, name)
    local = isinstance(spec.model, Path)
    return Source(spec.kind, folder.name if local else name, str(folder), None, folder)


def find_weights(spec: TransformersEncoder) -> Path | None:
    """Return where an encoder's weights lie here; None where they would have to be fetched."""
    require_package()
    found = weights_in(spec.model) if isinstance(spec.model, Path) else kept_weights(spec.model)
    if found is not None or isinstance(spec.model, Path):
        _check(found.parent if found else Path(spec.model), str(spec.model))
    return found


def require_package() -> None:
    """Refuse to go on without transformers.

    Raises:
        StudyError: it is not installed.
    """
    if find_spec("transformers") is None:
        raise StudyError(
            "the encoder is in the layout of the package transformers, which is not installed. "
            "Install curette with its extra: curette[transformers]."
        )


def _check(folder: Path, name: str) -> None:
    """Refuse a folder that holds no such model, with the reason.

    Raises:
        StudyError: there is none, it is of another kind, or its weights are a pickle.
    """
    config = read_config(folder, name)
    kind = config.get("model_type", "unknown")
    if kind not in _KINDS:
        raise StudyError(
            f"{name} is a model of the type `{kind}`, and of the kind `transformers` are read "
            f"{' and '.join(_KINDS)}, which embed images and texts in one space."
        )
    check_safe(folder, name)
    check_tokenizer(folder)
    if kind == "siglip":
        text, vision = config.get("text_config", {}), config.get("vision_config", {})
        widths = _width(text, "projection_size", "hidden_size"), _width(vision, "hidden_size")
        if widths[0] != widths[1]:
            raise StudyError(
                f"{name} has image vectors of {widths[1]} numbers and text vectors of {widths[0]}: "
                "they cannot be compared. `text_config.projection_size` in its config.json must be "
                "`vision_config.hidden_size`, with weights that fit."
            )


def _width(config: dict[str, Any], *names: str) -> int:
    usual = 768
    """Of SigLIPs, whose configurations leave out what is usual."""
    return next((int(config[name]) for name in names if config.get(name) is not None), usual)


def load_parts(source: Source) -> Parts:
    """Load a model by transformers, from its folder alone.

    Raises:
        StudyError: numbers are missing among its weights, or its texts have no greatest length.
        Exception: whatever transformers says of files that are not ours.
    """
    import transformers

    folder = Path(source.at)
    config = read_config(folder, source.name)
    kind: Kind = config["model_type"]
    loaded = transformers.CLIPModel if kind == "clip" else transformers.SiglipModel
    model = load_model(loaded, folder, source.name)
    processor = load_processor(folder)
    clip = HubClip(model, kind, preprocessing(processor))
    text = model.config.text_config
    dim = model.config.projection_dim if kind == "clip" else model.config.vision_config.hidden_size
    about = {
        "model": config,
        "preprocessing": processor.to_dict(),
        "transformers": transformers.__version__,
    }
    tokenizer = _tokenizer(folder, text.max_position_embeddings)
    return Parts(clip, preprocess_by(processor), tokenizer, dim, about)


def load_model(kind: Any, folder: Path, name: str, **settings: Any) -> Any:
    """Return a model of a class of transformers, in float32, all of whose weights are there.

    Raises:
        StudyError: some are missing; transformers would draw them and only warn.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model, found = kind.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        **settings,
    )
    missing = sorted(found["missing_keys"])
    if missing:
        raise StudyError(
            f"the weights of {name} lack {len(missing)} of the model's tensors, such as "
            f"{missing[0]}: they are of another model than its config.json says."
        )
    return model


def load_processor(folder: Path) -> Any:
    """Return what a folder says of how images become its model's input.

    That of Pillow, which resizes as the models were trained, wherever torchvision is.
    """
    import transformers

    return transformers.AutoImageProcessor.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, backend="pil"
    )


def preprocess_by(processor: Any) -> Callable[[Image.Image], torch.Tensor]:
    """Return a function from an image to the model's input."""

    def preprocess(image: Image.Image) -> torch.Tensor:
        pixels = processor(images=image, return_tensors="pt", input_data_format=None)
        return cast(torch.Tensor, pixels["pixel_values"][0])

    return preprocess


def preprocessing(processor: Any) -> dict[str, Any]:
    """Return the size of the model's input, and how images become square, as open_clip names it.

    "other" where a heat map could not be laid over the image: what is cut off is not its longer
    side alone.
    """
    size = dict(processor.size or {})
    crop = dict(processor.crop_size or {}) if getattr(processor, "do_center_crop", False) else {}
    if not processor.do_resize:
        return {"size": _sides(crop or size), "resize_mode": "other"}
    if "shortest_edge" in size:
        short = size["shortest_edge"]
        fits = not crop or _sides(crop) == (short, short)
        return {
            "size": _sides(crop) if crop else (short, short),
            "resize_mode": "shortest" if crop and fits else "other",
        }
    squash = not crop or _sides(crop) == _sides(size)
    return {"size": _sides(crop or size), "resize_mode": "squash" if squash else "other"}


def _sides(size: dict[str, int]) -> tuple[int, int]:
    return size["height"], size["width"]


def _tokenizer(folder: Path, context: int) -> Callable[[list[str]], torch.Tensor]:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )

    def tokenize(texts: list[str]) -> torch.Tensor:
        padded = tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=context,
            return_tensors="pt",
        )
        return cast(torch.Tensor, padded["input_ids"])

    return tokenize


def why_not_loaded(source: Source, error: Exception) -> str:
    """Return what an exception of transformers means, and what to do."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return (
        f"transformers could not load {source.name}: {said} Its folder needs config.json, "
        "preprocessor_config.json, the tokenizer's files and model.safetensors, all of one model."
    )
