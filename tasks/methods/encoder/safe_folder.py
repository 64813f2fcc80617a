"""A model's folder with a config.json and safetensors: here, or fetched from the hub once."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from curette.schemas.artifact import StudyError

_FILES = ("model.safetensors", "model.safetensors.index.json")
_FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")


def weights_in(folder: Path) -> Path | None:
    """Return a folder's weights; None where it has none that are safe to read."""
    return next((folder / file for file in _FILES if (folder / file).is_file()), None)


def kept_weights(name: str) -> Path | None:
    """Return the weights of a model of the hub in the local cache; None where they are not."""
    kept = (try_to_load_from_cache(name, file) for file in _FILES)
    return next((Path(path) for path in kept if isinstance(path, str)), None)


def fetched(name: str) -> Path:
    """Return the local copy of a model of the hub, which is fetched where there is none.

    Raises:
        StudyError: it cannot be had.
    """
    try:
        kept = Path(snapshot_download(name, allow_patterns=list(_FETCHED), local_files_only=True))
        if weights_in(kept):
            return kept  # what was fetched once stays what it was
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FETCHED)))
    except Exception as error:  # of the hub, of the network, of the disk
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise StudyError(
            f"the model {name} cannot be had from the Hugging Face hub: {said} There may be no "
            "network and no copy in the local cache, no such model, or one that needs a login. "
            "Load it once where there is a network, or copy its folder here and name that: "
            "encoder.model: ./folder"
        ) from error


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Return a folder's config.json.

    Raises:
        StudyError: there is none, or it is none of a model.
    """
    if (folder / "open_clip_config.json").is_file() and not (folder / "config.json").is_file():
        raise StudyError(
            f"{name} is in open_clip's layout: write encoder: {{kind: open_clip, model: ...}}"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{name} is no folder of a model with a config.json: {error}. It needs config.json, "
            "preprocessor_config.json, the tokenizer's files and model.safetensors, as "
            "`save_pretrained` writes them."
        ) from error
    if not isinstance(config, dict):
        raise StudyError(f"{folder / 'config.json'} holds no settings of a model")
    return config


def check_safe(folder: Path, name: str) -> None:
    """Refuse weights that are no safetensors.

    Raises:
        StudyError: there are none, with the cure where there is a pickle.
    """
    if weights_in(folder):
        return
    pickles = sorted(p.name for p in folder.glob("*.bin")) + sorted(
        p.name for p in folder.glob("*.pth")
    )
    if pickles:
        raise StudyError(
            f"{name} has its weights in {pickles[0]}, a pickle, which could run code on this "
            "machine and is not read. Convert it where you trust it, and put model.safetensors in "
            "its place: docs/how-to/weights.md has the four lines."
        )
    raise StudyError(f"{name} has no weights: put model.safetensors beside its config.json.")
