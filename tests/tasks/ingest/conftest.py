"""Small images and the shortest way to read a source."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from curette.schemas.artifact import Ref
from curette.schemas.images import ImageDataset, TestLabels
from curette.schemas.settings.ingest import DatasetSpec
from curette.storage.images import ImageShelf
from curette.tasks.ingest.dataset import LabelledImages, read_dataset

Read = Callable[..., LabelledImages]
Draw = Callable[[int], bytes]
ReadTable = Callable[..., LabelledImages]


@contextmanager
def unwatched(description: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


@pytest.fixture
def draw() -> Draw:
    """Another number, another image."""

    def draw_png(number: int) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG")
        return buffer.getvalue()

    return draw_png


@pytest.fixture
def store_root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def read(tmp_path: Path, store_root: Path) -> Read:
    """Read a source, given the fields of a `DatasetSpec`."""

    def read_fields(**fields: Any) -> LabelledImages:
        workshop = tmp_path / "workshop"
        workshop.mkdir()
        try:
            spec = DatasetSpec(**fields)
            return read_dataset(spec, workshop, ImageShelf(store_root).put, 2, unwatched)
        finally:
            workshop.rename(tmp_path / f"used-{len(list(tmp_path.iterdir()))}")

    return read_fields


@pytest.fixture
def read_table(tmp_path: Path, read: Read, draw: Draw) -> ReadTable:
    """Read a table, given its columns and the fields of a `DatasetSpec`.

    Images are different ones, or those whose numbers the column `image` says.
    """

    def read_columns(columns: dict[str, Any], **fields: Any) -> LabelledImages:
        table = pd.DataFrame(columns)
        numbers = table.get("image", table.index)
        table["image"] = [draw(int(number)) for number in numbers]
        table.to_parquet(tmp_path / "table.parquet")
        path = tmp_path / "table.parquet"
        return read(source={"kind": "table", "path": path, "image_column": "image"}, **fields)

    return read_columns


def write_images(root: Path, names: list[str], draw: Draw) -> Path:
    """Write a different image under each name."""
    for name in names:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(draw(hash_of(str(place))))
    return root


def hash_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


def labels(found: LabelledImages) -> dict[str, str]:
    return dict(zip(found.images["image_id"], found.images["label"], strict=True))


def reasons(found: LabelledImages) -> dict[str, str]:
    return {r.row: r.reason for r in found.rejected}


def set_apart(found: LabelledImages) -> ImageDataset:
    return found.set_apart(Ref(TestLabels.kind, "0" * 20))
