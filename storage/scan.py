"""Whether anything in a folder still holds what was removed, however it is packed there.

Every file is searched as it lies there and, where it is Parquet, Arrow, NumPy, a zip (and so .npz),
compressed, JSON or HTML, as what it holds.
"""

import base64
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curette.schemas.passages import PASSAGE, letters
from curette.schemas.purge import Found, Traces
from curette.storage import files

SHORTEST_ID = 6
"""Characters; a shorter id is found in what has nothing to do with it."""
_DEEPEST = 5
_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_DATA = re.compile(rb"data:[\w/+.-]+;base64,([A-Za-z0-9+/=]+)")
_OPENERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"\x28\xb5\x2f\xfd": lambda content: pa.input_stream(
        pa.BufferReader(content), compression="zstd"
    ).read(),
}


@dataclass(frozen=True)
class Scan:
    """What was searched, and what was found there."""

    files: int
    size_bytes: int
    unreadable: tuple[str, ...]
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Search:
    """A search for traces in bytes and in text."""

    traces: Traces

    def in_bytes(self, content: bytes) -> Iterator[str]:
        """Yield what kinds of trace stand in bytes as they are."""
        if self._digests and (
            hashlib.sha256(content).digest() in self._digests
            or any(bytes.fromhex(h.decode()) in self._digests for h in _HEX.findall(content))
            or self._holds_key(content)
        ):
            yield "digest"
        if self._ids and self._ids.search(content):
            yield "id"

    def in_text(self, text: str) -> Iterator[str]:
        """Yield what kinds of trace stand in a text, whatever its case, blanks and marks."""
        yield from self.in_bytes(text.encode("utf-8", "surrogatepass"))
        if self.traces.passages:
            said = letters(text)
            if any(passage in said for passage in self._passages):
                yield "passage"

    def _holds_key(self, content: bytes) -> bool:
        """Return whether one of the digests stands among bytes as 32 bytes.

        All places are compared at once by a hash of their first eight bytes, so that a thousand
        digests take as long as one.
        """
        starts = np.frombuffer(b"".join(d[:8] for d in self._digests), dtype="<u8")
        seen = np.zeros(1 << 16, dtype=bool)
        seen[starts & 0xFFFF] = True
        for offset in range(min(8, len(content))):
            words = np.frombuffer(content, "<u8", (len(content) - offset) // 8, offset)
            for at in np.flatnonzero(seen[words & 0xFFFF]):
                start = offset + 8 * int(at)
                if content[start : start + 32] in self._digests:
                    return True
        return False

    @cached_property
    def _digests(self) -> frozenset[bytes]:
        return frozenset(bytes.fromhex(d) for d in self.traces.digests)

    @cached_property
    def _ids(self) -> re.Pattern[bytes] | None:
        ids = sorted(re.escape(i.encode("utf-8", "surrogatepass")) for i in self.traces.ids)
        return (
            re.compile(rb"(?<![0-9A-Za-z])(?:%s)(?![0-9A-Za-z])" % b"|".join(ids)) if ids else None
        )

    @cached_property
    def _passages(self) -> tuple[str, ...]:
        return tuple(map(letters, self.traces.passages))


def passages(text: str) -> list[str]:
    """Return the sentences of a text that are long enough to be nobody else's by chance."""
    said = (part.strip() for part in re.split(r"(?<=[.!?])\s+|[\r\n]+", text))
    return [part for part in said if len(letters(part)) >= PASSAGE]


def scan(root: Path, traces: Traces, passed_over: Collection[str] = ()) -> Scan:
    """Search every file of a store, in its folder and in the bucket that it mirrors.

    Args:
        root: the folder.
        traces: what to look for.
        passed_over: names of files that are not searched.
    """
    search = Search(traces)
    count = size = 0
    unreadable: list[str] = []
    found: dict[tuple[str, str], Found] = {}
    for place, content in files.everything(root, passed_over):
        count, size = count + 1, size + len(content)
        kinds = {*search.in_bytes(place.encode("utf-8", "surrogateescape"))}
        whole = _look(content, search, kinds, 0)
        unreadable += [] if whole else [_harmless(place, search)]
        for kind in kinds:
            found[place, kind] = Found(place=_harmless(place, search), trace=kind)
    return Scan(count, size, tuple(unreadable), tuple(found.values()))


def holds(content: bytes, search: Search) -> bool:
    """Return whether any trace stands in bytes, however they are packed."""
    kinds: set[str] = set()
    _look(content, search, kinds, 0)
    return bool(kinds)


def _harmless(place: str, search: Search) -> str:
    """Return a file's name, or the folder alone where the name would say what was removed."""
    named = next(search.in_bytes(place.encode("utf-8", "surrogateescape")), None)
    return place if named is None else place.partition("/")[0]


def _look(content: bytes, search: Search, kinds: set[str], depth: int) -> bool:
    """Add what is found in bytes and in what they pack; return whether all could be unpacked."""
    kinds.update(search.in_bytes(content))
    if depth > _DEEPEST:
        return False
    whole = True
    try:
        for part in _unpacked(content):
            if isinstance(part, str):
                kinds.update(search.in_text(part))
            else:
                whole &= _look(part, search, kinds, depth + 1)
    except Exception:  # whatever readers say of damaged files: the raw bytes were searched
        return False
    return whole


def _unpacked(content: bytes) -> Iterator[bytes | str]:
    """Yield what bytes hold: members, cells, texts; nothing where they are not packed."""
    for start, decompress in _OPENERS.items():
        if content.startswith(start):
            yield decompress(content)
            return
    if content.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        for batch in _batches(content):
            for column in batch.columns:
                yield from _values(column)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for member in packed.infolist():
                yield member.filename
                yield packed.read(member)
    elif content.startswith(b"\x93NUMPY"):
        array = np.load(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind == "U":
            yield "\n".join(map(str, array.ravel()))
    elif content[:1] in b"{[" or content[:64].lstrip()[:1] in (b"{", b"[", b"<"):
        yield from _texts(content)
    elif b"\0" not in content[:1024]:
        yield content.decode("utf-8", "replace")


def _texts(content: bytes) -> Iterator[bytes | str]:
    """Yield what JSON, lines of JSON or HTML say."""
    for encoded in _DATA.findall(content):
        yield base64.b64decode(encoded)
    text = content.decode("utf-8", "replace")
    if content.lstrip().startswith(b"<"):
        yield html.unescape(text)
        return
    try:
        said = [json.loads(text)]
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            said = [json.loads(line) for line in lines]
        except ValueError:
            yield text
            return
    yield "\n".join(_strings(said))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _batches(content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet or Arrow file, or of a stream of Arrow."""
    file = io.BytesIO(content)
    if content.startswith(b"PAR1"):
        yield from pq.ParquetFile(file).iter_batches()
    elif content.startswith(b"ARROW1"):
        reader = pa.ipc.open_file(file)
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(file)


def _values(column: pa.Array) -> Iterator[bytes | str]:
    """Yield a column's texts as one, and its bytes one by one."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _values(column.dictionary)
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _values(part)
    elif pa.types.is_map(kind):
        yield from _values(column.keys)
        yield from _values(column.items)
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        yield from _values(column.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield "\n".join(value for value in column.to_pylist() if value is not None)
    elif (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        yield from (value for value in column.to_pylist() if value is not None)
