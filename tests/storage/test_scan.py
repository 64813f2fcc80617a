"""A search finds a trace wherever it lies and however it is packed there, and nothing else."""

import base64
import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from curette.schemas.purge import Traces
from curette.storage.scan import Search, passages, scan

DIGEST = hashlib.sha256(b"an image").hexdigest()
REPORT = "Irregular pigmented lesion with a blue-white veil on the left shoulder."
TRACES = Traces(digests=(DIGEST,), ids=("patient-0817",), passages=tuple(passages(REPORT)))


def parquet(column: str, value: object) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(
        {column: ["another", value] if isinstance(value, str) else [b"x", value]}
    ).to_parquet(file, compression="zstd")
    return file.getvalue()


def arrow(value: str) -> bytes:
    table = pa.table({"nested": [[{"text": value}]]})
    sink = io.BytesIO()
    with pa.ipc.new_file(
        sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as f:
        f.write_table(table)
    return sink.getvalue()


def npz(ids: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, ids=ids)
    return file.getvalue()


def keys(digest: str) -> bytes:
    file = io.BytesIO()
    rows = np.array([b"\1" * 32, bytes.fromhex(digest)], dtype="S32")
    np.save(file, rows)
    return file.getvalue()


PLANTED = {
    "hex.images": DIGEST.encode(),
    "upper.txt": DIGEST.upper().encode(),
    "keys.npy": keys(DIGEST),
    "copy.bin": b"an image",
    "page.html": b'<img src="data:image/png;base64,' + base64.b64encode(b"an image") + b'">',
    "bytes.parquet": parquet("image", b"an image"),
    "id.parquet": parquet("subject", "patient-0817"),
    "id.arrow": arrow("seen in patient-0817"),
    "id.npz": npz(ids=np.array(["patient-0817", "b"])),
    "id.jsonl": b'{"a": "patient\\u002d0817"}\n{"a": 1}\n',
    "id.json.gz": gzip.compress(b'["patient-0817"]'),
    "escaped.json": json.dumps({"text": f"They said:\n{REPORT}"}).encode(),
    "report.html": b"<p>irregular <b>pigmented</b> lesion, with a blue&#45;white veil\n"
    b"on the left shoulder</p>",
    "report.parquet": parquet("text", REPORT.upper()),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_trace_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PLANTED[name])
    searched = scan(tmp_path, TRACES)
    assert [f.place for f in searched.found] == [name]
    assert (searched.files, searched.size_bytes) == (1, len(PLANTED[name]))
    assert not searched.unreadable


@pytest.mark.parametrize(
    "content",
    [
        b"patient-08171",
        b"impatient-0817",
        DIGEST[:-1].encode(),
        b"Irregular pigmented lesion with a veil on the left shoulder.",
        keys(hashlib.sha256(b"another image").hexdigest()),
    ],
)
def test_what_only_looks_like_a_trace_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert not scan(tmp_path, TRACES).found


def test_names_of_files_are_searched_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"patient-0817-{DIGEST}").write_bytes(b"x")
    found = scan(tmp_path, TRACES).found
    assert {(f.place, f.trace) for f in found} == {("images", "id"), ("images", "digest")}


def test_what_cannot_be_decoded_is_told_and_its_bytes_are_searched(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 patient-0817")
    searched = scan(tmp_path, TRACES)
    assert searched.unreadable == ("torn.parquet",)
    assert [f.trace for f in searched.found] == ["id"]


def test_a_key_is_found_wherever_among_bytes_it_stands() -> None:
    generator = np.random.default_rng(0)
    search = Search(TRACES)
    for at in range(9):
        noise = generator.bytes(5_000)
        assert "digest" not in set(search.in_bytes(noise))
        assert "digest" in set(search.in_bytes(noise[:at] + bytes.fromhex(DIGEST) + noise))
        assert "digest" in set(search.in_bytes(noise[: 4_000 + at] + bytes.fromhex(DIGEST)))


def test_sentences_too_short_to_be_anybodys_are_no_passages() -> None:
    assert passages("No change. A firm nodule of nine millimetres near the ear! Seen.") == [
        "A firm nodule of nine millimetres near the ear!"
    ]
