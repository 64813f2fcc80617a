"""Any CLIP that open_clip can load, by one path: the demo's, a hub's, or a local folder's."""

import difflib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import open_clip
import torch
from huggingface_hub import try_to_load_from_cache
from jaxtyping import Float, Float32, Int, Shaped
from PIL import Image
from torch.nn.functional import normalize

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import OpenClipEncoder
from curette.tasks.methods.encoder.pixels import READING, read_rgb
from curette.tasks.methods.encoder.precision import (
    Device,
    choose_device,
    image_device,
    resolve_precision,
)
from curette.tasks.methods.encoder.texts import encode_without_padding, text_lengths
from curette.tasks.methods.threads import share_cores

DEMO = Path(__file__).parent / "demo_clip"
DEFAULT_BATCH: dict[Device, int] = {"cpu": 32, "cuda": 256}


@dataclass(frozen=True)
class ClipEncoder:
    """A loaded CLIP; its vectors have unit length, in float32.

    The identity and an image's bytes decide the image's vector; the identity and a text's tokens
    decide the text's. The template is no part of the identity, so images need not be encoded
    again when it changes.
    """

    identity: EncoderIdentity
    model: torch.nn.Module
    preprocess: Callable[[Image.Image], torch.Tensor]
    tokenizer: Callable[[list[str]], torch.Tensor]
    device: Device
    rounding: str
    """How numbers are rounded on this device; the identity says how those of images are."""

    def prepare_image(self, content: bytes) -> Float[torch.Tensor, "channel height width"]:
        """Decode and preprocess one image; may run in any thread.

        Raises:
            Exception: the bytes are no image that Pillow can read.
        """
        return self.preprocess(read_rgb(content))

    def tokenize(self, texts: Sequence[str]) -> Int[torch.Tensor, "text context"]:
        """Return the tokens of texts, cut at the context's length."""
        return self.tokenizer(list(texts))

    def filling(self, texts: Sequence[str]) -> list[str]:
        """Return the texts that fill the whole context, so that their ends may be cut off."""
        padding = self.tokenize([""])[0, -1]
        full = (self.tokenize(texts)[:, -1] != padding).tolist()
        return [text for text, is_full in zip(texts, full, strict=True) if is_full]

    def stack(self, rows: list[torch.Tensor]) -> Shaped[torch.Tensor, "row ..."]:
        """Return one batch, in page-locked memory where a GPU will fetch it."""
        pinned = self.device == "cuda"
        batch = torch.empty((len(rows), *rows[0].shape), dtype=rows[0].dtype, pin_memory=pinned)
        return torch.stack(rows, out=batch)

    def encode_images(
        self, batch: Float[torch.Tensor, "image channel height width"]
    ) -> Float32[np.ndarray, "image dim"]:
        """Return one unit vector an image."""
        dtype = next(self.model.parameters()).dtype
        with torch.inference_mode():
            batch = batch.to(self.device, dtype, non_blocking=True)
            return _unit(self.model.encode_image(batch))  # type: ignore[operator]

    def encode_texts(
        self, tokens: Int[torch.Tensor, "text context"]
    ) -> Float32[np.ndarray, "text dim"]:
        """Return one unit vector a text; quick where texts of one length come together."""
        longest = int(self.text_lengths(tokens).max())
        with torch.inference_mode():
            tokens = tokens.to(self.device, non_blocking=True)
            return _unit(encode_without_padding(self.model, tokens, longest))

    def text_lengths(self, tokens: Int[torch.Tensor, "text context"]) -> Int[torch.Tensor, " text"]:
        """Return how many tokens of each text decide its vector; the others are padding."""
        return text_lengths(self.model, tokens)


def load_encoder(spec: OpenClipEncoder, machine: Machine) -> ClipEncoder:
    """Return the encoder that a study names.

    The last one is kept, so that a second study in the same process does not load it again. What
    a local folder holds is looked at every time.

    Weights are read from safetensors where there are any, and otherwise by `torch.load` with
    `weights_only=True`, which runs no code that a file brings along.

    Raises:
        StudyError: there is no such model, its weights cannot be had or are not safe to read, or
            there is no GPU.
    """
    share_cores(machine)
    return _load_on(choose_device(machine), spec, machine)


def identify_encoder(spec: OpenClipEncoder, machine: Machine) -> EncoderIdentity:
    """Return the identity of `load_encoder`'s encoder without taking a GPU's memory for it.

    Raises:
        StudyError: as of `load_encoder`.
    """
    return _load_on("cpu", spec, machine).identity


def find_weights(spec: OpenClipEncoder) -> Path | None:
    """Return where an encoder's weights lie here; None where they would have to be fetched.

    Nothing is loaded, and nobody is asked.

    Raises:
        StudyError: there is no such model, or a local folder holds no weights.
    """
    name, tag = _name_and_tag(spec)
    if name.startswith(_LOCAL):
        folder = Path(name.removeprefix(_LOCAL))
        files = sorted(p for p in folder.iterdir() if p.suffix in _WEIGHTS)
        if not files:
            raise StudyError(
                f"{folder} has an open_clip_config.json and no weights: put "
                "open_clip_model.safetensors beside it."
            )
        return files[0]
    if tag is None:
        return _in_cache(name.removeprefix(_HUB), "")
    about = open_clip.get_pretrained_cfg(name, tag)
    if hub := about.get("hf_hub"):
        repository, _, file = hub.rpartition("/")
        return _in_cache(repository, file)
    file = Path.home() / ".cache" / "clip" / Path(about["url"]).name  # as open_clip calls it
    return file if file.is_file() else None


_WEIGHTS = (".safetensors", ".bin", ".pth")


def _in_cache(repository: str, file: str) -> Path | None:
    """Return a repository's weights in the local cache of the hub, under any of their names."""
    stems = [Path(file).stem] if file else ["open_clip_model", "open_clip_pytorch_model"]
    for name in (file, *(stem + ending for stem in stems for ending in _WEIGHTS)):
        found = try_to_load_from_cache(repository, name) if name else None
        if isinstance(found, str):
            return Path(found)
    return None


def _load_on(device: Device, spec: OpenClipEncoder, machine: Machine) -> ClipEncoder:
    name, tag = _name_and_tag(spec)
    precision = resolve_precision(spec, machine).precision
    return _load(name, tag, precision, device, image_device(machine), _state(name))


_LOCAL = "local-dir:"
_HUB = "hf-hub:"


def _name_and_tag(spec: OpenClipEncoder) -> tuple[str, str | None]:
    """Return the model as open_clip calls it, and the tag of its weights, after checking both."""
    if isinstance(spec.model, Path) or spec.model == "demo":
        folder = DEMO if spec.model == "demo" else Path(spec.model)
        if not (folder / "open_clip_config.json").is_file():
            raise StudyError(
                f"{folder} is no folder with an open_clip_config.json. A local encoder needs that "
                "file and its weights, open_clip_model.safetensors, as open_clip's "
                "push_to_hf_hub.save_for_hf writes them."
            )
        return f"{_LOCAL}{folder}", None
    if spec.model.startswith(_HUB):
        return spec.model, None
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
    return name, tag


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


def _state(name: str) -> tuple[tuple[str, int, int], ...]:
    """Return what tells that the files of a local folder are other files than before."""
    if not name.startswith(_LOCAL):
        return ()
    files = sorted(p for p in Path(name.removeprefix(_LOCAL)).iterdir() if p.is_file())
    return tuple((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files)


@lru_cache(maxsize=1)
def _load(
    name: str,
    tag: str | None,
    precision: str,
    device: Device,
    images_on: Device,
    state: tuple[tuple[str, int, int], ...],  # noqa: ARG001 - part of the cache's key
) -> ClipEncoder:
    # float32 means float32: TensorFloat-32 would round the mantissa to 10 bits on some devices.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        model, preprocess = open_clip.create_model_from_pretrained(name, tag, weights_only=True)
        tokenizer = open_clip.get_tokenizer(name)
        config = open_clip.get_model_config(name)
        digest = encoder_digest(model, config, _rounding(precision, images_on))
        model.eval().to(device, getattr(torch, precision))
    except Exception as error:  # whatever open_clip says of files that are not ours
        raise StudyError(_why_not_loaded(name, error)) from error
    identity = EncoderIdentity(
        name=_title(name, tag, _rounding(precision, images_on)),
        digest=digest,
        dim=config["embed_dim"],
        demo=name == f"{_LOCAL}{DEMO}",
    )
    rounding = _rounding(precision, device)
    return ClipEncoder(identity, model, preprocess, tokenizer, device, rounding)


def _rounding(precision: str, device: Device) -> str:
    """Return the precision, and of bfloat16 the device, whose kernels add up in another order.

    In float32 that changes the last digits only, and the vectors of all devices are kept as one.
    """
    return precision if precision == "float32" else f"{precision} on {device.upper()}"


def encoder_digest(model: torch.nn.Module, config: dict[str, object], rounding: str) -> str:
    """Return sha256 over what decides a vector besides the pixels' bytes or the tokens.

    That is every number of the state dict in the order of its names, the model's and the
    preprocessing's configuration, how bytes become pixels, how numbers are rounded, and the
    version of open_clip, whose code gives the configuration its meaning.
    """
    about = {
        "model": config,
        "preprocessing": model.visual.preprocess_cfg,  # type: ignore[union-attr]
        "reading": READING,
        "precision": rounding,
        "open_clip": open_clip.__version__,
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _title(name: str, tag: str | None, rounding: str) -> str:
    if name == f"{_LOCAL}{DEMO}":
        title = "demo CLIP"
    elif name.startswith(_LOCAL):
        title = Path(name).name
    else:
        title = f"{name.removeprefix(_HUB)} {tag or ''}".rstrip()
    return title if rounding == "float32" else f"{title} ({rounding})"


def _why_not_loaded(name: str, error: Exception) -> str:
    model = name.removeprefix(_LOCAL)
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, UnpicklingError) or "weights_only" in said:
        return (
            f"the weights of {model} are a pickle or a TorchScript program that does more than "
            "hold tensors and could run code on this machine, so they are not read. Ask for "
            "safetensors, or convert them where you trust them."
        )
    if isinstance(error, torch.OutOfMemoryError):
        return (
            f"{model} does not fit into the memory of the GPU. Choose a smaller encoder, its "
            "precision `bfloat16`, or the machine's device `cpu`."
        )
    if _lacks_transformers(error):
        return (
            f"{model} reads text with a model of the package `transformers`, which is not "
            "installed. Install it next to curette, or choose another encoder."
        )
    if tower := _fetched_text_tower(name):
        return (
            f"open_clip could not load {model}: {said} It reads text with {tower}, whose "
            "configuration and tokenizer are fetched from the hub: load it once where there is a "
            "network, or let `hf_model_name` and `hf_tokenizer_name` in its open_clip_config.json "
            "name a local folder that holds them."
        )
    usual = {
        _LOCAL: "The folder needs weights (open_clip_model.safetensors) that fit its "
        "open_clip_config.json.",
        _HUB: "There may be no network and no copy in the local cache, no such model, or one that "
        "was not made for open_clip (it has no open_clip_config.json) or needs a login.",
    }
    hint = next((text for prefix, text in usual.items() if name.startswith(prefix)), "")
    hint = hint or "There may be no network, and no copy of the weights in the local cache."
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


def _fetched_text_tower(name: str) -> str | None:
    """Return the text tower of a local folder that is no folder itself."""
    if not name.startswith(_LOCAL):
        return None
    try:
        config = json.loads((Path(name.removeprefix(_LOCAL)) / "open_clip_config.json").read_text())
        tower = config["model_cfg"]["text_cfg"]["hf_model_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tower if isinstance(tower, str) and not Path(tower).is_dir() else None


def _unit(vectors: Float[torch.Tensor, "row dim"]) -> Float32[np.ndarray, "row dim"]:
    return normalize(vectors.float(), dim=-1).cpu().numpy()
