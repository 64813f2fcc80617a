"""Image datasets of a few rows."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from curette.schemas.artifact import Ref
from curette.schemas.images import REQUIRED_COLUMNS, ClassLabel, ImageDataset, TestLabels

SECRET_CLASSES = (
    ClassLabel(key="secret-key-nv", name="melanocytic nevus", synonyms=("secret synonym",)),
    ClassLabel(key="secret-key-mel", name="melanoma"),
    ClassLabel(key="secret-key-bcc", name="basal cell carcinoma"),
)
TWO_CLASSES = (ClassLabel(key="a", name="a"), ClassLabel(key="b", name="b"))


def image_dataset(images: pd.DataFrame | None = None, **fields: Any) -> ImageDataset:
    """Return a dataset of these images, or of none; what is not given is of no interest."""
    usual: dict[str, Any] = {
        "classes": TWO_CLASSES,
        "rejected": (),
        "root": "",
        "source": "by hand",
        "synthetic": True,
        "class_counts": {},
        "test_labels": Ref(TestLabels.kind, "0" * 20),
    }
    empty = pd.DataFrame({c: pd.Series(dtype="object") for c in REQUIRED_COLUMNS})
    return ImageDataset(images=empty if images is None else images, **(usual | fields))


def secret_dataset(classes: Sequence[ClassLabel] = SECRET_CLASSES) -> ImageDataset:
    """Return a dataset of an image a class, of which only the names of classes may be told.

    All the rest says `secret` or 77777.
    """
    count = len(classes)
    images = pd.DataFrame(
        {
            "image_id": [f"secret-image-{number}" for number in range(count)],
            "sha256": [f"{number:064x}" for number in range(count)],
            "location": "secret-folder/secret.png",
            "split": "train",
            "label": [label.key for label in classes],
            "group": "secret-patient",
            "meta.age": 77777,
        }
    )
    return image_dataset(
        images,
        classes=tuple(classes),
        root="/secret-root",
        source="secret source",
        synthetic=False,
    )


def png_that_says(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes with a header and no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks
