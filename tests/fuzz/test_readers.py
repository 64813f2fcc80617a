"""Mutated files end in one clear error or are read: never in a traceback.

`make fuzz` runs each target on many more mutations than the tests do.
"""

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from curette.flows.study_file import load_study
from curette.schemas.artifact import CuretteError
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.listing import Refusal
from curette.tasks.ingest.ranges import scaled_png
from curette.tasks.ingest.readers import list_images
from curette.tasks.ingest.verify import Look, look_at
from curette.tasks.methods.encoder.pixels import Window, read_rgb
from tests.tasks.ingest.conftest import unwatched

MUTATIONS = int(os.environ.get("FUZZ_MUTATIONS", "40"))
Mutate = Callable[[bytes], bytes]


@st.composite
def mutations(draw: st.DrawFn, contents: list[bytes]) -> bytes:
    """Return one of the contents with bytes changed, cut out, doubled or put in."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(1, 16))
        match draw(st.sampled_from(["change", "cut", "double", "insert"])):
            case "change":
                content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
            case "cut":
                del content[place : place + draw(st.integers(1, 400))]
            case "double":
                content[place:place] = content[place : place + 50]
            case _:
                content[place:place] = draw(st.binary(max_size=16))
    return bytes(content)


def pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 4096, (9, 11)).astype(np.uint16))
    floats = Image.fromarray(rng.random((9, 11)).astype(np.float32))
    saved = []
    for image, form in (
        *((colour, form) for form in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")),
        *((deep, form) for form in ("PNG", "TIFF")),
        (floats, "TIFF"),
    ):
        file = io.BytesIO()
        image.save(file, form)
        saved.append(file.getvalue())
    return saved


def archives() -> list[bytes]:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (6, 4, 4), dtype=np.uint8),
        "train_labels": np.arange(6) % 2,
        "image_ids": np.array([f"i{i}" for i in range(6)]),
        "image_embeddings": rng.random((6, 3)),
        "labels": np.arange(6) % 2,
        "class_names": np.array(["x", "y"]),
    }
    saved = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)  # type: ignore[arg-type]
        saved.append(file.getvalue())
    return saved


STUDY = b"""
name: mine
dataset:
  source: {kind: table, path: a.csv, image_column: file}
  max_rejected: !!float 0.1
  splits: {train: 0.6, validation: 0.2, test: 0.2, seed: 0}
propose:
  sources: [{kind: recorded}]
few_shots: null
external: [{name: x, dataset: {source: {kind: folder, path: "b\\u00e9"}}}]
description: 2020-01-02
"""
TABLE = b'file,label,age\na.png,"x, y",30\nb.png,n\xc3\xa9vus,31.5\nc.png,None,\n'
TABLES = [TABLE, TABLE.replace(b",", b";"), TABLE.decode().encode("utf-16")]


def workbooks() -> list[bytes]:
    """Return workbooks with dates, formulas, errors, merged cells and a second sheet."""
    saved = []
    for plain in (True, False):
        book = openpyxl.Workbook()
        for row in (["file", "label", "seen"], ["a.png", "x", date(2020, 1, 2)], ["b.png", 2, 3.5]):
            book.active.append(row)
        if not plain:
            book.active["B3"] = '=IF(A3="b.png","y","x")'
            book.active["C3"] = "#N/A"
            book.active.merge_cells("C2:C3")
            book.create_sheet("other").append(["remark"])
        file = io.BytesIO()
        book.save(file)
        saved.append(file.getvalue())
    return saved


@st.composite
def workbook_mutations(draw: st.DrawFn, contents: list[bytes]) -> bytes:
    """Return a workbook with one of its parts changed, away, twice as large, or a bomb."""
    packed = draw(st.sampled_from(contents))
    if draw(st.integers(0, 4)) == 0:
        return draw(mutations([packed]))
    with zipfile.ZipFile(io.BytesIO(packed)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheets = [n for n in parts if "sheet" in n or n.endswith(("sharedStrings.xml", "styles.xml"))]
    name = draw(st.sampled_from(sheets) | st.sampled_from([*parts]))
    match draw(st.sampled_from(["change", "change", "change", "far", "remove", "bomb"])):
        case "change":
            parts[name] = draw(mutations([parts[name]]))
        case "far":
            corner = draw(st.sampled_from([b"XFD1048576", b"A9999999", b"ZZZ3", b"A0", b"-1"]))
            parts[name] = parts[name].replace(b'"A3"', b'"' + corner + b'"')
        case "remove":
            del parts[name]
        case _:
            entities = b"".join(
                b'<!ENTITY e%d "%s">' % (i, b"&e%d;" % (i - 1) * 10 if i else b"x" * 100)
                for i in range(draw(st.integers(1, 9)))
            )
            parts[name] = b"<!DOCTYPE x [" + entities + b"]>" + parts[name].replace(b"x", b"&e1;")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        for part, content in parts.items():
            book.writestr(part, content)
    return file.getvalue()


fuzzed = settings(
    max_examples=MUTATIONS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.filterwarnings("ignore")
@fuzzed
@given(mutations(pictures()))
def test_what_passes_as_an_image_can_be_read(content: bytes) -> None:
    seen = look_at(io.BytesIO(content), 10**6)
    assert isinstance(seen, Look | Refusal)
    if isinstance(seen, Look):
        assert read_rgb(scaled_png(content, Window(0, 1)) if seen.values else content).size


def listed(content: bytes, name: str, **source: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        spec = DatasetSpec.model_validate({"source": {"path": path, **source}})
        try:
            listing = list_images(spec, Path(folder), unwatched)
            list(listing.contents(np.arange(len(listing))))
        except CuretteError as error:
            assert str(error)


@fuzzed
@given(mutations(archives()), st.sampled_from(["npz", "vectors"]))
def test_an_archive_is_read_or_refused(content: bytes, kind: str) -> None:
    listed(content, "a.npz", kind=kind)


@fuzzed
@given(mutations(TABLES))
def test_a_table_is_read_or_refused(content: bytes) -> None:
    listed(content, "a.csv", kind="table", image_column="file")


@fuzzed
@given(workbook_mutations(workbooks()))
def test_a_workbook_is_read_or_refused(content: bytes) -> None:
    listed(content, "a.xlsx", kind="table", image_column="file")


@fuzzed
@given(mutations([STUDY]))
def test_a_study_is_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "study.yaml")
        file.write_bytes(content)
        try:
            load_study(file)
        except CuretteError as error:
            assert str(error)
