"""Every source as a listing: what `datasets` reads, archives, vectors, and what we draw."""

from __future__ import annotations

import hashlib
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Shaped
from PIL import Image

from curette.schemas.artifact import CuretteError, StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.settings.ingest import (
    ArchiveSource,
    DatasetSpec,
    FolderSource,
    HubSource,
    SyntheticSource,
    TableSource,
    VectorSource,
)
from curette.tasks.ingest import synthetic
from curette.tasks.ingest.dicom_columns import with_headers, without_headers
from curette.tasks.ingest.folders import list_folder
from curette.tasks.ingest.listing import (
    Columns,
    Content,
    ImageBytes,
    ImageFile,
    Listing,
    Refusal,
    VectorOnly,
    quoted,
    require,
    trimmed,
)
from curette.tasks.ingest.table_files import check_disk
from curette.tasks.ingest.tables import list_hub, list_table
from curette.tasks.ingest.verify import too_many_pixels
from curette.tasks.methods.encoder.pixels import bare_png

Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Given a description and a total, a context that yields `advance(count)`."""


def list_images(
    spec: DatasetSpec, workshop: Path, watch: Watch, revision: str | None = None
) -> Listing:
    """List the rows of a study's source.

    Args:
        spec: which source, and which of its columns mean what.
        workshop: an empty folder for what is needed until the images were read.
        watch: told how far the drawing of synthetic images is.
        revision: the commit at which a dataset of the hub is read; None: as the source says.

    Raises:
        StudyError: the source is not there, cannot be read, or lacks a column.
        OSError: the disk is full or read-only.
    """
    try:
        if spec.dicom_columns:
            bare = without_headers(spec)
            return with_headers(_listed(bare, workshop, watch, revision), spec, watch)
        return _listed(spec, workshop, watch, revision)
    except CuretteError:
        raise
    except Exception as error:  # whatever libraries say of files that are not ours
        check_disk(error)
        where = getattr(spec.source, "path", spec.source.kind)
        said = " ".join(str(error).split()).removesuffix(".")
        raise StudyError(
            f"{where} cannot be read: {type(error).__name__}: {said}. Check that the file is whole "
            f"and of the kind `{spec.source.kind}`."
        ) from error


def _listed(spec: DatasetSpec, workshop: Path, watch: Watch, revision: str | None) -> Listing:
    match spec.source:
        case SyntheticSource():
            return list_synthetic(spec.source, spec, workshop, watch)
        case FolderSource():
            return list_folder(spec.source, spec, workshop)
        case TableSource():
            return list_table(spec.source, spec, workshop)
        case HubSource():
            return list_hub(spec.source, spec, workshop, revision)
        case ArchiveSource():
            return list_archive(spec.source, spec)
        case VectorSource():
            return list_vectors(spec.source, spec)


# --- drawn here -----------------------------------------------------------------------------------


def list_synthetic(
    source: SyntheticSource, spec: DatasetSpec, workshop: Path, watch: Watch
) -> Listing:
    """Draw the synthetic dataset into the workshop and list it."""
    rows: list[dict[str, object]] = []
    names: list[str] = []
    light = synthetic.LAMP if source.light == "lamp" else synthetic.FLASH
    with watch("drawing synthetic images", source.images) as advance:
        for image in synthetic.generate_images(source.images, source.seed, light=light):
            (workshop / f"{len(names)}.png").write_bytes(image.png)
            (workshop / f"{len(names)}-mask.png").write_bytes(image.mask_png)
            names.append(image.image_id)
            rows.append(
                {
                    "label": image.label,
                    "subject": image.subject,
                    "lesion": image.lesion,
                    "skin_tone": image.skin_tone,
                    "site": image.site,
                    "age": image.age,
                    "sex": image.sex,
                    "hair": image.hair,
                    "ruler": image.ruler,
                    "ink": image.ink,
                    **image.attributes,
                }
            )
            advance(1)

    lit = ", under a lamp" if source.light == "lamp" else ""

    def content(row: int) -> Content:
        image, mask = workshop / f"{row}.png", workshop / f"{row}-mask.png"
        return ImageBytes(image.read_bytes, mask.read_bytes)

    return Listing(
        table=pa.Table.from_pylist(rows),
        names=names,
        columns=Columns(
            label=spec.label_column,
            image_id=spec.id_column,
            subject=spec.subject_column or "subject",
            lesion=spec.lesion_column or "lesion",
            split=spec.split_column,
            report=spec.report_column,
            attributes={
                name: said
                for name, said in (spec.attributes or synthetic.ATTRIBUTE_STATEMENTS).items()
                if name not in spec.finding_columns
            },
            metadata=spec.metadata or synthetic.METADATA,
            findings=spec.finding_columns,
            one_of=spec.label_columns,
        ),
        contents=lambda rows: (content(int(row)) for row in rows),
        root=workshop,
        source=f"synthetic dermoscopy drawn by curette (seed {source.seed}{lit})",
        class_names=dict(synthetic.CLASSES),
        synthetic=True,
    )


# --- an archive in the MedMNIST layout ----------------------------------------------------------


def list_archive(source: ArchiveSource, spec: DatasetSpec) -> Listing:
    """List an .npz archive with `{train,val,test}_images` and `..._labels`.

    Images are read one after the other, since an archive may be larger than memory. Source of
    the layout: Yang et al. 2023, MedMNIST v2.
    """
    require("file", source.path)
    class_names = tuple(trimmed(name) for name in source.class_names)
    labels: list[str | None] = []
    names: list[str] = []
    parts: list[str] = []
    stacks: list[_ImageStack] = []
    for part in ("train", "val", "test"):
        arrays = _read_arrays(source.path, {f"{part}_labels"})
        if not arrays:
            continue
        stack = _ImageStack.open(source.path, f"{part}_images", spec.max_pixels)
        found = _class_labels(arrays[f"{part}_labels"], class_names, source.path)
        if len(found) != stack.count:
            raise StudyError(
                f"{source.path} has {stack.count} {part}_images but {len(found)} {part}_labels."
            )
        labels += found
        names += [f"{part}-{row:06d}" for row in range(stack.count)]
        parts += [part] * stack.count
        stacks.append(stack)
    if not stacks:
        raise StudyError(
            f"{source.path} is no archive in the MedMNIST layout: it has none of the arrays "
            "train_labels, val_labels and test_labels."
        )
    return Listing(
        table=pa.table({"label": pa.array(labels, pa.string()).dictionary_encode()}),
        names=names,
        columns=Columns.named_by(spec),
        contents=partial(_stacked_images, stacks),
        root=source.path.parent,
        source=f"the archive {source.path.name}",
        class_names={name: name for name in class_names},
        parts=parts,
    )


@dataclass(frozen=True)
class _ImageStack:
    """A member of an .npz archive that holds images: (image, height, width[, channel]), uint8."""

    path: Path
    member: str
    shape: tuple[int, ...]
    max_pixels: int
    kind: np.dtype[Any]

    @classmethod
    def open(cls, path: Path, name: str, max_pixels: int) -> _ImageStack:
        """Read the member's header."""
        try:
            with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
                shape, fortran, kind = _read_header(stream)
        except KeyError:
            raise StudyError(f"{path} has labels but no array {name}.") from None
        except Exception as error:
            raise _unreadable(path, error) from error
        pictures = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
        if fortran or not pictures or not (kind == np.uint8 or kind.kind == "f"):
            raise StudyError(
                f"{name} in {path} is {kind} of shape {shape}; images must be uint8 of shape "
                "(image, height, width) or (image, height, width, 1 or 3), or floating-point "
                "numbers from 0 to 1."
            )
        stack = cls(path, f"{name}.npy", shape, max_pixels, kind)
        if kind.kind == "f":
            stack.check_range()
        return stack

    def check_range(self) -> None:
        """Refuse floating-point numbers of which nothing says which is white.

        Raises:
            StudyError: they do not lie between 0 and 1.
        """
        images = self._pixels(np.arange(self.count))
        ends = [(float(image.min()), float(image.max())) for image in images if image.size]
        lowest = min((low for low, _ in ends), default=0.0)
        highest = max((high for _, high in ends), default=0.0)
        if not (lowest >= 0 and 0.5 < highest <= 1):
            raise StudyError(
                f"{self.member} in {self.path} holds floating-point numbers from {lowest:g} to "
                f"{highest:g}, and nothing says which is white. Scale them to 0 to 1, or write "
                "them as uint8."
            )

    def _pixels(self, rows: Int[np.ndarray, " row"]) -> Iterator[Shaped[np.ndarray, ...]]:
        """Yield the arrays of ascending rows.

        Raises:
            Exception: whatever zip and zlib say of bytes that are not ours.
        """
        size = math.prod(self.shape[1:]) * self.kind.itemsize
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
            _read_header(stream)
            start = stream.tell()
            for row in rows:
                stream.seek(start + int(row) * size)
                yield np.frombuffer(stream.read(size), self.kind).reshape(self.shape[1:])

    @property
    def count(self) -> int:
        return self.shape[0]

    def images(self, rows: Int[np.ndarray, " row"]) -> Iterator[Content]:
        """Yield the images of ascending rows; once the archive breaks off, refusals."""
        height, width = self.shape[1:3]
        if height * width > self.max_pixels:
            yield from [too_many_pixels(width, height, self.max_pixels)] * len(rows)
            return
        done = 0
        try:
            for pixels in self._pixels(rows):
                yield ImageBytes(partial(_png, pixels))
                done += 1
        except Exception as error:  # whatever zip and zlib say of bytes that are not ours
            broken = Refusal("broken-image", f"the archive breaks off or is damaged: {error}")
            yield from [broken] * (len(rows) - done)


def _stacked_images(stacks: list[_ImageStack], rows: Int[np.ndarray, " row"]) -> Iterator[Content]:
    start = 0
    for stack in stacks:
        yield from stack.images(rows[(rows >= start) & (rows < start + stack.count)] - start)
        start += stack.count


def _read_header(
    stream: IO[bytes] | zipfile.ZipExtFile,
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _png(pixels: Shaped[np.ndarray, "height width ..."]) -> bytes:
    if pixels.dtype.kind == "f":
        pixels = np.rint(pixels.astype(np.float64) * 255).astype(np.uint8)
    return bare_png(Image.fromarray(pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels))


# --- ready-made vectors ---------------------------------------------------------------------------


def list_vectors(source: VectorSource, spec: DatasetSpec) -> Listing:
    """List an .npz of ready-made vectors; an image without a file is kept without pixels.

    Other arrays with one entry an image are columns that the study may name.
    """
    require("file", source.path)
    arrays = _read_arrays(source.path)
    vectors = _required(arrays, "image_embeddings", source.path)
    names = _texts(_required(arrays, "image_ids", source.path), "image_ids", source.path)
    class_names = tuple(
        _texts(arrays.get("class_names", np.array([], str)), "class_names", source.path)
    )
    labels = _class_labels(_required(arrays, "labels", source.path), class_names, source.path)
    if not len(vectors) == len(names) == len(labels):
        raise StudyError(
            f"{source.path} has {len(vectors)} image_embeddings, {len(names)} image_ids and "
            f"{len(labels)} labels; there must be one of each for every image."
        )
    columns: dict[str, Any] = {
        name: array
        for name, array in arrays.items()
        if array.ndim == 1 and len(array) == len(names) and name not in _VECTOR_KEYS
    }
    attributes = _concept_columns(arrays, len(names), source.path)
    truths = {name: pa.array(values, from_pandas=True) for name, values in attributes.items()}
    table = {**columns, **truths, "label": pa.array(labels, pa.string()).dictionary_encode()}
    visible = {
        name: AttributePhrases(claimed_by=(name,))
        for name, values in attributes.items()
        if np.isin(values[~np.isnan(values)], (0, 1)).all()
    }
    files, note = _image_files(source, names)

    def content(row: int) -> Content:
        if (path := files[row]) is not None:
            return ImageFile(path)
        return VectorOnly(hashlib.sha256(vectors[row].tobytes()).hexdigest())

    named = Columns.named_by(spec)
    return Listing(
        table=pa.table(table),
        names=names,
        columns=replace(named, attributes=named.attributes or visible),
        contents=lambda rows: (content(int(row)) for row in rows),
        root=source.image_folder or source.path.parent,
        source=f"the vectors {source.path.name}",
        class_names={name: name for name in class_names},
        notes=note,
    )


_VECTOR_KEYS = {"image_ids", "labels", "class_names", "concept_names", "text_keys", "text_prompts"}


def _concept_columns(
    arrays: Mapping[str, np.ndarray], count: int, path: Path
) -> dict[str, Float[np.ndarray, " image"]]:
    """Return the ground truth about concepts, one column each."""
    if "concept_labels" not in arrays:
        return {}
    names = _texts(_required(arrays, "concept_names", path), "concept_names", path)
    truth = arrays["concept_labels"]
    if truth.shape != (count, len(names)):
        raise StudyError(
            f"concept_labels in {path} has shape {truth.shape}; {count} images and {len(names)} "
            f"concept_names need {(count, len(names))}."
        )
    return {name: truth[:, i].astype(np.float64) for i, name in enumerate(names)}


def _image_files(
    source: VectorSource, names: list[str]
) -> tuple[list[Path | None], tuple[str, ...]]:
    """Return each image's file, `None` where there is none, and a note on how many have none."""
    folder = source.image_folder
    if folder is None:
        return [None] * len(names), ("Only vectors are known, no pixels.",)
    require("folder", folder)
    paths = [folder / f"{name}{source.image_suffix}" for name in names]
    files = [path if os.path.lexists(path) else None for path in paths]
    absent = files.count(None)
    if absent == len(files):
        raise StudyError(
            f"{folder} holds no image of {source.path}: {paths[0]} and all others are missing. "
            "Correct `image_folder` or `image_suffix`."
        )
    note = f"{absent} of {len(names)} images have no file: their vectors are used as they are."
    return files, (note,) if absent else ()


# --- .npz files -----------------------------------------------------------------------------------


def _read_arrays(path: Path, names: set[str] | None = None) -> dict[str, np.ndarray]:
    """Read some or all arrays of an .npz file, never one that holds Python objects."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if not names or name in names}
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StudyError:
    """Return what is told of a file of which numpy, zip or zlib said almost anything."""
    said = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    return StudyError(f"{path} cannot be read as an .npz archive: {said}.")


def _required(arrays: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if name not in arrays:
        there = ", ".join(quoted(key) for key in arrays)
        raise StudyError(f"{path} has no array {name}; it has {there}.")
    return arrays[name]


def _texts(array: np.ndarray, name: str, path: Path) -> list[str]:
    """Return an array of names as text, without blanks at their ends; bytes are UTF-8.

    Raises:
        StudyError: it is not one row of text or whole numbers.
    """
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise StudyError(
            f"{name} in {path} is {array.dtype} of shape {array.shape}: one text for each is "
            "needed, in an array of one dimension."
        )
    try:
        decoded = np.strings.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise StudyError(f"{name} in {path} holds bytes that are not UTF-8: {error}.") from error
    return [trimmed(str(text)) for text in decoded]


def _class_labels(
    numbers: np.ndarray, class_names: tuple[str, ...], path: Path
) -> list[str | None]:
    """Return the class of every image by name, or by number where there are no names.

    Labels are whole numbers that count the names from 0, one-hot rows, or the names themselves.

    Raises:
        StudyError: they are none of these, or do not fit the names.
    """
    if numbers.ndim and numbers.dtype.kind in "US" and numbers.size == len(numbers):
        return list(_texts(numbers.reshape(-1), "labels", path))
    flat = _numbers(numbers, path)
    if not class_names:
        return [str(number) for number in flat]
    if strange := _not_their_places(class_names):
        raise StudyError(
            f"class_names of {path} are numbers that are not their places, such as "
            f"{quoted(strange)}, so nobody can tell whether a label counts the names or is one. "
            "Give the classes names in words, or leave `class_names` out."
        )
    lowest, highest = int(flat.min(initial=0)), int(flat.max(initial=0))
    if lowest < 0 or highest >= len(class_names):
        lowest = int(flat.min())
        shift = f"Subtract {lowest} from the labels, or correct" if lowest else "Correct"
        raise StudyError(
            f"the labels in {path} run from {lowest} to {highest}, but {len(class_names)} "
            f"class_names stand for 0 to {len(class_names) - 1}: labels count from 0. "
            f"{shift} the names."
        )
    return [class_names[int(number)] for number in flat]


def _numbers(numbers: np.ndarray, path: Path) -> Int[np.ndarray, " image"]:
    """Return one whole number an image, out of a column, one-hot rows, or floats without a rest."""
    flat = numbers.reshape(len(numbers), -1) if numbers.ndim and len(numbers) else numbers
    if flat.dtype.kind in "bfiu" and flat.ndim == 2:
        whole = bool((flat == np.rint(flat)).all()) if flat.dtype.kind == "f" else True
        if whole and flat.shape[1] == 1:
            return flat[:, 0].astype(np.int64)
        if whole and np.isin(flat, (0, 1)).all() and (flat.sum(axis=1) == 1).all():
            return flat.argmax(axis=1).astype(np.int64)
    raise StudyError(
        f"the labels in {path} are {numbers.dtype} of shape {numbers.shape}: one whole number an "
        "image is needed, or one-hot rows. Images of several classes at once are read from a table "
        "alone (`dataset.findings`)."
    )


def _not_their_places(class_names: tuple[str, ...]) -> str | None:
    """Return a class name that is a number, but of another place than its own."""
    pairs = enumerate(class_names)
    return next((n for i, n in pairs if n.isdecimal() and int(n) != i), None)
