"""An encoder as stages meet it, loaded from whatever layout its files have."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Shaped
from PIL import Image
from torch.nn.functional import normalize

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import LoadedEncoder
from curette.tasks.methods.encoder.parts import Layout, Source
from curette.tasks.methods.encoder.pixels import READING, read_rgb
from curette.tasks.methods.encoder.precision import (
    Device,
    choose_device,
    image_device,
    resolve_precision,
)
from curette.tasks.methods.encoder.texts import encode_without_padding, text_lengths
from curette.tasks.methods.threads import share_cores

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
        if not texts:
            return []
        longer = self.tokenize([f"{text} and more" for text in texts])
        full = (self.tokenize(texts) == longer).all(dim=1).tolist()
        return [text for text, is_full in zip(texts, full, strict=True) if is_full]

    def stack(self, rows: list[torch.Tensor]) -> Shaped[torch.Tensor, "row ..."]:
        """Return one batch, in page-locked memory where a GPU will fetch it."""
        pinned = self.device == "cuda"
        batch = torch.empty((len(rows), *rows[0].shape), dtype=rows[0].dtype, pin_memory=pinned)
        return torch.stack(rows, out=batch)

    def encode_images(
        self, batch: Float[torch.Tensor, "image channel height width"]
    ) -> Float32[np.ndarray, "image dim"]:
        """Return one unit vector an image.

        Raises:
            StudyError: they are of another width than the model's files say.
        """
        dtype = next(self.model.parameters()).dtype
        with torch.inference_mode():
            batch = batch.to(self.device, dtype, non_blocking=True)
            return self._unit("images", self.model.encode_image(batch))  # type: ignore[operator]

    def encode_texts(
        self, tokens: Int[torch.Tensor, "text context"]
    ) -> Float32[np.ndarray, "text dim"]:
        """Return one unit vector a text; quick where texts of one length come together.

        Raises:
            StudyError: as of `encode_images`.
        """
        longest = int(self.text_lengths(tokens).max())
        with torch.inference_mode():
            tokens = tokens.to(self.device, non_blocking=True)
            return self._unit("texts", encode_without_padding(self.model, tokens, longest))

    def text_lengths(self, tokens: Int[torch.Tensor, "text context"]) -> Int[torch.Tensor, " text"]:
        """Return how many tokens of each text decide its vector; the others are padding."""
        return text_lengths(self.model, tokens)

    def _unit(
        self, of: str, vectors: Float[torch.Tensor, "row dim"]
    ) -> Float32[np.ndarray, "row dim"]:
        if vectors.shape[1] != self.identity.dim:
            raise StudyError(
                f"{self.identity.name} gives {of} vectors of {vectors.shape[1]} numbers, and its "
                f"configuration names {self.identity.dim}. Images and texts must come out of it "
                "in one space: it is no CLIP, or its projections are missing."
            )
        return normalize(vectors.float(), dim=-1).cpu().numpy()


def load_encoder(spec: LoadedEncoder, machine: Machine) -> ClipEncoder:
    """Return the encoder that a study names.

    The last one is kept, so that a second study in the same process does not load it again. What
    a local folder holds is looked at every time. No file of a model runs code.

    Raises:
        StudyError: there is no such model, its weights cannot be had or are not safe to read, or
            there is no GPU.
    """
    share_cores(machine)
    return _load_on(choose_device(machine), spec, machine)


def load_to_send(spec: LoadedEncoder, machine: Machine) -> ClipEncoder:
    """Return `load_encoder`'s encoder in this machine's memory, for others to encode images with.

    Raises:
        StudyError: as of `load_encoder`.
    """
    return _load_on("cpu", spec, machine)


def receive(encoder: ClipEncoder, machine: Machine) -> ClipEncoder:
    """Return an encoder that another machine loaded and sent, ready to encode images here.

    Raises:
        StudyError: there is no GPU, or it does not fit into its memory.
    """
    share_cores(machine)
    _multiply_float32_whole()
    device = choose_device(machine)
    _move(encoder.model, encoder.identity.name, device)
    return replace(encoder, device=device)


def find_weights(spec: LoadedEncoder) -> Path | None:
    """Return where an encoder's weights lie here; None where they would have to be fetched.

    Nothing is loaded, and nobody is asked.

    Raises:
        StudyError: there is no such model, or a local folder holds no weights.
    """
    return _layout(spec.kind).find_weights(spec)


def _layout(kind: str) -> Layout:
    if kind == "transformers":
        from curette.tasks.methods.encoder import transformers_layout

        return transformers_layout
    if kind == "image_only":
        from curette.tasks.methods.encoder import image_only_layout

        return image_only_layout
    from curette.tasks.methods.encoder import open_clip_layout

    return open_clip_layout


def _load_on(device: Device, spec: LoadedEncoder, machine: Machine) -> ClipEncoder:
    source = _layout(spec.kind).find_source(spec)
    precision = resolve_precision(spec, machine).precision
    return _load(source, precision, device, image_device(machine), _state(source.folder))


def _state(folder: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Return what tells that the files of a local folder are other files than before."""
    files = sorted(p for p in folder.iterdir() if p.is_file()) if folder else []
    return tuple((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files)


@lru_cache(maxsize=1)
def _load(
    source: Source,
    precision: str,
    device: Device,
    images_on: Device,
    state: tuple[tuple[str, int, int], ...],  # noqa: ARG001 - part of the cache's key
) -> ClipEncoder:
    _multiply_float32_whole()
    layout = _layout(source.kind)
    rounded = _rounding(precision, images_on)
    try:
        parts = layout.load_parts(source)
        digest = encoder_digest(parts.model, parts.about, rounded)
        _move(parts.model.eval().to(getattr(torch, precision)), source.name, device)
    except StudyError:
        raise
    except Exception as error:  # whatever a library says of files that are not ours
        raise StudyError(layout.why_not_loaded(source, error)) from error
    identity = EncoderIdentity(
        name=source.name if rounded == "float32" else f"{source.name} ({rounded})",
        digest=digest,
        dim=parts.dim,
        demo=parts.demo,
        reads_text=source.kind != "image_only",
    )
    rounding = _rounding(precision, device)
    return ClipEncoder(identity, parts.model, parts.preprocess, parts.tokenizer, device, rounding)


def _multiply_float32_whole() -> None:
    """Let float32 mean float32: TensorFloat-32 rounds the mantissa to 10 bits on some devices."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _move(model: torch.nn.Module, name: str, device: Device) -> None:
    try:
        model.to(device)
    except torch.OutOfMemoryError as error:
        raise StudyError(
            f"{name} does not fit into the memory of the GPU. Choose a smaller encoder, its "
            "precision `bfloat16`, or the machine's device `cpu`."
        ) from error


def _rounding(precision: str, device: Device) -> str:
    """Return the precision, and of bfloat16 the device, whose kernels add up in another order.

    In float32 that changes the last digits only, and the vectors of all devices are kept as one.
    """
    return precision if precision == "float32" else f"{precision} on {device.upper()}"


def encoder_digest(model: torch.nn.Module, about: dict[str, object], rounding: str) -> str:
    """Return sha256 over what decides a vector besides the pixels' bytes or the tokens.

    That is every number of the state dict in the order of its names, the model's and the
    preprocessing's configuration and the version of the library whose code gives these their
    meaning (`about`), how bytes become pixels, and how numbers are rounded.
    """
    about = about | {"reading": READING, "precision": rounding}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
