"""Ready-made vectors from an .npz file: what was embedded elsewhere, by id and by text."""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Shaped

from curette.schemas.artifact import StudyError
from curette.schemas.embeddings import EncoderIdentity, ImageEmbeddings, TextEmbeddings
from curette.schemas.images import ImageDataset
from curette.schemas.settings.encoder import PrecomputedEncoder

KEYS = ("image_ids", "image_embeddings", "text_prompts", "text_embeddings")
SAME = 0.999
"""Cosine above which two vectors of one name are the same vector, rounded differently."""


def look_up_images(spec: PrecomputedEncoder, dataset: ImageDataset) -> ImageEmbeddings:
    """Return the file's vectors of a dataset's images, in row order, scaled to unit length.

    Raises:
        StudyError: the file is no such .npz, an image is not in it, or a vector of one is zero, not
            finite, or contradicts another one of the same name.
    """
    arrays = _read(spec.path)
    named = arrays["image_ids"], arrays["image_embeddings"]
    vectors = _pick(spec.path, "image", dataset.source_ids, *named)
    return ImageEmbeddings(tuple(dataset.images["image_id"]), vectors, _identity(spec, arrays))


def look_up_texts(spec: PrecomputedEncoder, texts: Sequence[str]) -> TextEmbeddings:
    """Return the file's vectors of texts, in their order, scaled to unit length.

    Texts must stand in the file to the letter.

    Raises:
        StudyError: as `look_up_images`.
    """
    arrays = _read(spec.path)
    vectors = _pick(
        spec.path, "text", tuple(texts), arrays["text_prompts"], arrays["text_embeddings"]
    )
    return TextEmbeddings(tuple(texts), vectors, _identity(spec, arrays))


def has_texts(spec: PrecomputedEncoder, texts: Sequence[str]) -> bool:
    """Return whether the file has a vector of every one of these texts."""
    return set(texts) <= texts_of(spec)


def texts_of(spec: PrecomputedEncoder) -> frozenset[str]:
    """Return the texts that the file has vectors of."""
    return frozenset(_read(spec.path)["text_prompts"].astype(str).tolist())


def _identity(
    spec: PrecomputedEncoder, arrays: dict[str, Shaped[np.ndarray, "..."]]
) -> EncoderIdentity:
    return EncoderIdentity(
        name=spec.name or spec.path.stem,
        digest=hashlib.sha256(spec.path.read_bytes()).hexdigest(),
        dim=arrays["image_embeddings"].shape[1],
        demo=False,
    )


def _read(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return the four arrays, their shapes checked."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file.files]
            if missing:
                raise StudyError(
                    f"{path} has no {', '.join(missing)}; it has {', '.join(file.files)}. Write "
                    f"it with numpy.savez and the keys {', '.join(KEYS)}."
                )
            arrays = {key: file[key] for key in KEYS}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise StudyError(
            f"{path} cannot be read as an .npz of plain arrays: {error}. Object arrays are "
            "pickles, which are never loaded; ids and texts must be arrays of text."
        ) from error
    for names, vectors in (KEYS[:2], KEYS[2:]):
        shapes = arrays[names].shape, arrays[vectors].shape
        if len(shapes[0]) != 1 or len(shapes[1]) != 2 or shapes[0][0] != shapes[1][0]:
            raise StudyError(
                f"{path}: {names} has shape {shapes[0]} and {vectors} {shapes[1]}; there must be "
                "one row of numbers for each name."
            )
        if arrays[vectors].dtype.kind not in "fiu":
            raise StudyError(f"{path}: {vectors} holds {arrays[vectors].dtype}, not real numbers.")
    dims = arrays["image_embeddings"].shape[1], arrays["text_embeddings"].shape[1]
    if dims[0] != dims[1]:
        raise StudyError(
            f"{path}: image vectors have {dims[0]} numbers and text vectors {dims[1]}. Both must "
            "come from the same encoder, after its projections."
        )
    return arrays


def _pick(
    path: Path,
    what: Literal["image", "text"],
    wanted: tuple[str, ...],
    names: Shaped[np.ndarray, " name"],
    vectors: Shaped[np.ndarray, "name dim"],
) -> Float32[np.ndarray, "wanted dim"]:
    """Return the unit vectors of the wanted names, in their order."""
    row_of: dict[str, int] = {}
    repeats = []
    for row, name in enumerate(names.astype(str).tolist()):
        first = row_of.setdefault(name, row)
        if first != row:
            repeats.append((name, first, row))
    lacking = [name for name in wanted if name not in row_of]
    if lacking:
        example = f", such as {next(iter(row_of))!r}" if row_of else ""
        raise StudyError(
            f"{path} has no vector for {_some(lacking, what)}. Names must agree to the letter; "
            f"the file holds {len(row_of)} {what}s{example}."
        )
    chosen = vectors[[row_of[name] for name in wanted]].astype(np.float32)
    lengths = np.linalg.norm(chosen, axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    broken = [name for name, is_usable in zip(wanted, usable, strict=True) if not is_usable]
    if broken:
        raise StudyError(f"{path}: zero or not finite is the vector of {_some(broken, what)}.")
    asked = set(wanted)
    torn = [n for n, a, b in repeats if n in asked and not _same(vectors[a], vectors[b])]
    if torn:
        raise StudyError(f"{path} has two different vectors for {_some(torn, what)}.")
    return chosen / lengths[:, None]


def _same(a: Shaped[np.ndarray, " dim"], b: Shaped[np.ndarray, " dim"]) -> bool:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return bool(a @ b >= SAME * np.linalg.norm(a) * np.linalg.norm(b))


def _some(names: list[str], what: str) -> str:
    """Return the first five names and how many there are."""
    listed = ", ".join(repr(name) for name in names[:5])
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''}: {listed}" + (
        ", ..." if len(names) > 5 else ""
    )
