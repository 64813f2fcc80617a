"""Any CLIP that open_clip can load, by one path: the demo's, a hub's, or a local folder's.

Weights are read from safetensors where there are any, and otherwise by `torch.load` with
`weights_only=True`, which runs no code that a file brings along.
"""

import difflib
import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import open_clip
from huggingface_hub import try_to_load_from_cache

from curette.schemas.artifact import StudyError
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.tasks.methods.encoder.parts import Parts, Source, check_tokenizer

DEMO = Path(__file__).parent / "demo_clip"
_DEMO_NAME = "demo CLIP"
_LOCAL = "local-dir:"
_HUB = "hf-hub:"
_CURE = "open_clip_model.safetensors; docs/how-to/weights.md writes both in a few lines"
_WEIGHTS = (".safetensors", ".bin", ".pth")


def find_source(spec: OpenClipEncoder) -> Source:
    """Return the model as open_clip calls it, and the tag of its weights, after checking both."""
    if isinstance(spec.model, Path) or spec.model == "demo":
        folder = DEMO if spec.model == "demo" else Path(spec.model)
        if not (folder / "open_clip_config.json").is_file():
            raise StudyError(
                f"{folder} is no folder with an open_clip_config.json. A local encoder of the kind "
                f"`open_clip` needs that file and its weights, {_CURE}. A folder with a "
                "config.json of transformers is of the kind `transformers`."
            )
        name = _DEMO_NAME if folder == DEMO else folder.name
        return Source(spec.kind, name, f"{_LOCAL}{folder}", None, folder)
    if spec.model.startswith(_HUB):
        return Source(spec.kind, spec.model.removeprefix(_HUB), spec.model)
    name = spec.model.replace("/", "-")
    if name not in open_clip.list_models():
        raise StudyError(
            f"open_clip knows no model `{spec.model}`, and there is no folder of that name"
            f"{_like(name, open_clip.list_models())}. A model of the hub is written "
            "hf-hub:user/model."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    tag = spec.pretrained or ""
    if tag not in tags:
        wrong = f"has no weights called `{tag}`" if tag else "needs `pretrained`, its weights' tag"
        raise StudyError(f"{name} {wrong}{_like(tag, tags)}. There are: {', '.join(tags)}.")
    _check_activation(name, tag)
    return Source(spec.kind, f"{name} {tag}", name, tag)


def _check_activation(name: str, tag: str) -> None:
    """Refuse weights in a model with another activation; open_clip would only warn."""
    trained_with = open_clip.get_pretrained_cfg(name, tag).get("quick_gelu")
    if trained_with and not open_clip.get_model_config(name).get("quick_gelu"):
        raise StudyError(
            f"the weights `{tag}` were trained with the activation QuickGELU, which {name} does "
            f"not use: its vectors would be subtly wrong. Use the model {name}-quickgelu."
        )


def _like(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {', '.join(close)}?" if close else ""


def find_weights(spec: OpenClipEncoder) -> Path | None:
    """Return where an encoder's weights lie here; None where they would have to be fetched."""
    source = find_source(spec)
    if folder := source.folder:
        files = sorted(p for p in folder.iterdir() if p.suffix in _WEIGHTS)
        if not files:
            raise StudyError(
                f"{folder} has an open_clip_config.json and no weights: put "
                "open_clip_model.safetensors beside it."
            )
        return files[0]
    if source.tag is None:
        return _in_cache(source.name, "")
    about = open_clip.get_pretrained_cfg(source.at, source.tag)
    if hub := about.get("hf_hub"):
        repository, _, file = hub.rpartition("/")
        return _in_cache(repository, file)
    file = Path.home() / ".cache" / "clip" / Path(about["url"]).name  # as open_clip calls it
    return file if file.is_file() else None


def _in_cache(repository: str, file: str) -> Path | None:
    """Return a repository's weights in the local cache of the hub, under any of their names."""
    stems = [Path(file).stem] if file else ["open_clip_model", "open_clip_pytorch_model"]
    for name in (file, *(stem + ending for stem in stems for ending in _WEIGHTS)):
        found = try_to_load_from_cache(repository, name) if name else None
        if isinstance(found, str):
            return Path(found)
    return None


def load_parts(source: Source) -> Parts:
    """Load a model by open_clip.

    Raises:
        Exception: whatever open_clip says of files that are not ours.
    """
    tower = _text_tower(source.folder) if source.folder else None
    changed = {"text_cfg": tower.settings} if tower else {}
    model, preprocess = open_clip.create_model_from_pretrained(
        source.at, source.tag, weights_only=True, **changed
    )
    config = open_clip.get_model_config(source.at)
    about = {
        "model": config,
        "preprocessing": model.visual.preprocess_cfg,
        "open_clip": open_clip.__version__,
    }
    if tower:
        about |= tower.about
    tokenizer = open_clip.get_tokenizer(source.at)
    demo = source.folder == DEMO
    return Parts(model, preprocess, tokenizer, config["embed_dim"], about, demo)


class _TextTower(NamedTuple):
    """A BERT that reads texts, as BiomedCLIP has one, whose configuration lies beside the model."""

    settings: dict[str, Any]
    about: dict[str, Any]


def _text_tower(folder: Path) -> _TextTower | None:
    """Return the text tower that a folder describes by itself; None where open_clip finds it.

    Published folders name it as the hub does; its weights are among the model's, its tokenizer lies
    in the folder, and `config.json` there says what it is. A name may also be a folder's below.
    """
    config = json.loads((folder / "open_clip_config.json").read_text())
    settings = config["model_cfg"].get("text_cfg", {})
    name = settings.get("hf_model_name")
    if name is None or Path(name).is_dir():
        return None
    found = next((p for p in (folder / name, folder) if (p / "config.json").is_file()), None)
    if found is None:
        return None
    check_tokenizer(folder)  # open_clip looks for it nowhere else
    import transformers

    about = json.loads((found / "config.json").read_text())
    about = {"text_tower": about, "transformers": transformers.__version__}
    settings = settings | {"hf_model_name": str(found), "hf_model_pretrained": False}
    return _TextTower(settings, about)


def why_not_loaded(source: Source, error: Exception) -> str:
    """Return what an exception of open_clip means, and what to do."""
    model = source.at.removeprefix(_LOCAL)
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, UnpicklingError) or "weights_only" in said:
        return (
            f"the weights of {model} are a pickle or a TorchScript program that does more than "
            "hold tensors and could run code on this machine, so they are not read. Ask for "
            "safetensors, or convert them where you trust them."
        )
    if _lacks_transformers(error):
        return (
            f"{model} reads text with a model of the package `transformers`, which is not "
            "installed. Install curette with its extra, curette[transformers], or choose another "
            "encoder."
        )
    if tower := _fetched_text_tower(source):
        return (
            f"open_clip could not load {model}: {said} It reads text with {tower}, whose "
            "configuration and tokenizer are fetched from the hub: load it once where there is a "
            "network, or put that model's config.json and its tokenizer's files (tokenizer.json or "
            "vocab.txt, tokenizer_config.json) into the folder."
        )
    if source.folder:
        hint = (
            "The folder needs weights (open_clip_model.safetensors) that fit its "
            "open_clip_config.json."
        )
    elif source.at.startswith(_HUB):
        hint = (
            "There may be no network and no copy in the local cache, no such model, or one that "
            "was not made for open_clip (it has no open_clip_config.json) or needs a login."
        )
    else:
        hint = "There may be no network, and no copy of the weights in the local cache."
    return f"open_clip could not load {model}: {said} {hint}"


def _lacks_transformers(error: BaseException | None) -> bool:
    """Return whether a package that is not there is the cause, and no address that names it."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("transformers"):
            return True
        if isinstance(error, ImportError | RuntimeError) and "pip install transformers" in str(
            error
        ).replace("`", ""):
            return True  # open_clip's own words
        error = error.__cause__ or error.__context__
    return False


def _fetched_text_tower(source: Source) -> str | None:
    """Return the text tower of a local folder that is no folder itself."""
    if source.folder is None:
        return None
    try:
        config = json.loads((source.folder / "open_clip_config.json").read_text())
        tower = config["model_cfg"]["text_cfg"]["hf_model_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    described = (Path(tower), source.folder / tower, source.folder / "config.json")
    return None if any(place.exists() for place in described) else str(tower)
