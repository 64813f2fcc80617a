"""Images that are no part of a study, read and encoded as the study's own were."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image

from curette.flows.stages import RunOptions
from curette.schemas.artifact import StudyError
from curette.schemas.concept_dataset import ConceptDataset
from curette.schemas.embeddings import EncoderIdentity
from curette.schemas.images import ImageDataset
from curette.schemas.machine import Machine
from curette.schemas.settings.encoder import EncoderSpec, PrecomputedEncoder
from curette.schemas.study import Study
from curette.schemas.validation import ValidatedConceptDataset
from curette.storage.store import ArtifactStore
from curette.tasks.explain.subjects import Nearest, Subject, subject_of_file
from curette.tasks.ingest.listing import ImageFile, Refusal
from curette.tasks.ingest.ranges import scaled_png
from curette.tasks.ingest.verify import Verified, verify_image, verify_images
from curette.tasks.methods.encoder.batching import encode_in_batches
from curette.tasks.methods.encoder.dicom import dicom_png, is_dicom
from curette.tasks.methods.encoder.encoder import DEFAULT_BATCH, ClipEncoder, load_encoder
from curette.tasks.methods.encoder.pixels import Window, read_rgb
from curette.tasks.methods.explanation import printable
from curette.tasks.methods.threads import decoding_threads

_ADMITTED = 1 << 62
"""Pixels of an image whose size was looked at before."""
Windows = Mapping[str, tuple[float, float]]
"""Depth -> what is black and white in the study's images of more than 8 bits."""


def admitted(found: Verified | Refusal, windows: Windows) -> Verified | Refusal:
    """Refuse an image whose values mean nothing in the study; the others stay as they are."""
    if isinstance(found, Refusal) or not found.deep:
        return found
    depth = found.deep.values.depth
    if depth in ("16 bits", "colours", *windows):
        return found
    return Refusal(
        "unclear-range",
        f"it holds {depth}, and nothing says which is white: no image of the dataset is of that "
        "kind. Convert it to 8 bits",
    )


def content_of(
    path: Path, found: Verified, windows: Windows, window: Window | None = None
) -> bytes:
    """Return an admitted image's bytes, with 8 bits a channel where the study scales such ones.

    Of a DICOM file these are the picture's, in the study's `window` or its own.
    """
    return in_eight_bits(path.read_bytes(), found, windows, window)


def in_eight_bits(
    content: bytes, found: Verified, windows: Windows, window: Window | None = None
) -> bytes:
    """Return the same of bytes that have no file."""
    if is_dicom(content):
        return dicom_png(content, _ADMITTED, window)
    if found.deep and (of_depth := windows.get(found.deep.values.depth)):
        return scaled_png(content, Window(*of_depth))
    return content


def same_encoder(
    spec: EncoderSpec, machine: Machine, identity: EncoderIdentity, asked: str
) -> ClipEncoder:
    """Return the encoder that made a dataset's vectors.

    Args:
        spec: the study's.
        machine: what it runs on.
        identity: of the encoder that made the vectors.
        asked: what needs it, for the error.

    Raises:
        StudyError: there is none, it changed since, or it cannot be loaded.
    """
    if isinstance(spec, PrecomputedEncoder):
        raise StudyError(
            f"{asked} cannot be encoded: the study's vectors are precomputed, so there is no "
            "encoder to make one of a new image with. Name the encoder they were made with."
        )
    encoder = load_encoder(spec, machine)
    if encoder.identity != identity:
        raise StudyError(
            f"the encoder {encoder.identity.name} changed after the study's images were embedded "
            "with it. Run the study again."
        )
    return encoder


def new_subject(
    study: Study,
    machine: Machine,
    published: ConceptDataset,
    dataset: ImageDataset,
    path: Path,
    nearest: Nearest,
) -> Subject:
    """Return the image in a file, encoded as the study's images were.

    Raises:
        StudyError: it is none that the study would take, or there is no encoder for it.
    """
    encoder = same_encoder(study.encoder, machine, published.facts.encoder, printable(str(path)))
    place = path.resolve()
    window = study.dataset.grey_range and Window(*study.dataset.grey_range)
    most = study.dataset.max_pixels
    found = verify_image(ImageFile(place), place.parent, lambda _: "", most, window)
    found = admitted(found, dataset.windows)
    if isinstance(found, Refusal):
        raise StudyError(
            f"{printable(str(path))} is refused as an image of the study would be "
            f"({found.reason}): {printable(found.detail)}"
        )
    content = content_of(place, found, dataset.windows, window)
    pixels = read_rgb(content)
    [vector] = published.seen(encoder.encode_images(encoder.preprocess(pixels)[None]))
    sha256 = hashlib.sha256(content).hexdigest()
    alike = study.index.near_duplicate_cosine
    return subject_of_file(published, path.name, sha256, vector, pixels, nearest, alike)


def files_below(folder: Path) -> list[Path]:
    """Return every file below a folder that is not hidden.

    Raises:
        StudyError: there is no such folder, or it has none.
    """
    if not folder.is_dir():
        raise StudyError(f"{folder} is no folder; give one that holds images")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not files:
        raise StudyError(f"{folder} holds no file; give a folder of images")
    return files


def encode_files(
    study: Study,
    options: RunOptions,
    published: ConceptDataset,
    folder: Path,
    files: Sequence[Path],
    look: Callable[[str, Image.Image], object] = lambda _name, _pixels: None,
) -> tuple[dict[str, Verified | Refusal], dict[str, Verified], Float32[np.ndarray, "image dim"]]:
    """Read files as images of the study, and encode those that it would take.

    Args:
        study: whose encoder it is.
        options: where things are kept, and on what machine images are encoded.
        published: the dataset whose images they are held against.
        folder: that the files lie below; their names start there.
        files: the files.
        look: is given each image as the encoder reads it, in any thread.

    Returns:
        What is known of each file, those that are images, and the vectors of these as heads of
        the dataset know them.

    Raises:
        StudyError: the study has no encoder for them.
    """
    machine = options.machine
    asked = f"what {folder} holds"
    encoder = same_encoder(study.encoder, machine, published.facts.encoder, asked)
    store = ArtifactStore(options.store.resolve())
    validated = store.load(ValidatedConceptDataset, published.validated_ref)
    windows = store.load(ImageDataset, validated.dataset_ref).windows
    window = study.dataset.grey_range and Window(*study.dataset.grey_range)
    verified = verify_images(
        map(ImageFile, files),
        root=folder,
        keep=lambda _: "",
        max_pixels=study.dataset.max_pixels,
        workers=decoding_threads(machine),
        advance=lambda _: None,
        window=window,
    )
    found = {
        path.relative_to(folder).as_posix(): admitted(one, windows)
        for path, one in zip(files, verified, strict=True)
    }
    kept = {name: one for name, one in found.items() if isinstance(one, Verified)}

    def prepare(name: str) -> Float[torch.Tensor, "channel height width"]:
        pixels = read_rgb(content_of(folder / name, kept[name], windows, window))
        look(name, pixels)
        return encoder.preprocess(pixels)

    if not kept:
        return found, kept, np.zeros((0, encoder.identity.dim), np.float32)
    batches = encode_in_batches(
        kept,
        prepare,
        encoder.stack,
        encoder.encode_images,
        machine.batch_size or DEFAULT_BATCH[encoder.device],
        decoding_threads(machine),
    )
    return found, kept, published.seen(np.concatenate(list(batches)))
