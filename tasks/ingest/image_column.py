"""A table's column of images: paths, bytes, or the hub's pairs of both."""

from __future__ import annotations

import os
import posixpath
import re
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from curette.schemas.artifact import StudyError
from curette.tasks.ingest.listing import (
    Content,
    ImageBytes,
    ImageFile,
    Refusal,
    quoted,
    split_name,
    trimmed,
)
from curette.tasks.ingest.walking import FilesBelow

_LARGEST_MEMBER_BYTES = 1 << 30


class ImageColumn:
    """The images of a column: where a row's image is, and a default id for it.

    Paths start at `root`, and `suffix` is added to them. What they name must lie below `root`, or
    below `workshop`, where `datasets` unpacks things that are gone after this run.
    """

    def __init__(
        self,
        column: pa.ChunkedArray,
        name: str,
        *,
        root: Path,
        workshop: Path,
        suffix: str = "",
        links_to: Path | None = None,
        below: FilesBelow | None = None,
    ) -> None:
        """Look at what the column holds.

        Raises:
            StudyError: it holds no images, or a name alone that several files have.
        """
        kind = column.type
        if suffix and pa.types.is_integer(kind):  # numbered files
            column, kind = pc.cast(column, pa.string()), pa.string()
        self._files: list[str | None] = []
        self.notes: tuple[str, ...] = ()
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            named = [trimmed(path) or None for path in column.to_pylist()]
            self._files, self.notes = find_files(root.resolve(), named, suffix, below)
            ids = pa.array(self._files, pa.large_string())
            self._content, self._paths = self._at_path, ids
        elif pa.types.is_struct(kind) and {field.name for field in kind} >= {"bytes", "path"}:
            self._content, self._paths = self._at_pair, pc.struct_field(column, "path")
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            self._content, self._paths = self._at_bytes, pa.nulls(len(column), pa.string())
        else:
            raise StudyError(
                f"the column {quoted(name)} holds {kind}, not images: a column of image paths, of "
                "encoded bytes or of the hub's Image type is needed. Correct `image_column`."
            )
        self._column = column
        self._nothing = Refusal("missing-file", f"the column {quoted(name)} is empty")
        self._called, self._root = root, root.resolve()
        self._workshop = workshop.resolve()
        self._allowed = (self._root, links_to.resolve()) if links_to else ()
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self._lock = threading.Lock()

    def contents(self, rows: Int[np.ndarray, " row"]) -> Iterator[Content]:
        """Yield what is known of the images of some rows."""
        return (self._content(int(row)) for row in rows)

    @property
    def ids(self) -> list[str]:
        """Default ids: from the paths where there are any, else row numbers."""
        paths = (path and self._below(path) for path in self._paths.to_pylist())
        return default_ids(
            [
                f"{Path(_archive(path)).stem}/{_member(path)}" if _is_in_archive(path) else path
                for path in paths
            ]
        )

    def _below(self, path: str) -> str:
        """Return a path as it goes on from the root, however that is written."""
        return path.removeprefix(f"{self._called}/").removeprefix(f"{self._root}/")

    def _at_path(self, row: int) -> Content:
        path = self._files[row]
        if path and not _is_there(self._root, path) and (why := _elsewhere(self._root, path)):
            return Refusal("missing-file", why)
        return ImageFile(self._root / path, (), self._allowed) if path else self._nothing

    def _at_bytes(self, row: int) -> Content:
        value = self._column[row]
        return ImageBytes(value.as_py) if value.is_valid else self._nothing

    def _at_pair(self, row: int) -> Content:
        pair = self._column[row]
        if pair.is_valid and pair["bytes"].is_valid:
            return ImageBytes(pair["bytes"].as_py)
        path = pair["path"].as_py() if pair.is_valid else None
        if not path:
            return self._nothing
        if _is_in_archive(path):
            return ImageBytes(partial(self._read_member, _archive(path), _member(path)))
        place = self._root / path
        unpacked = self._is_below(place, self._workshop)
        return ImageBytes(place.read_bytes) if unpacked else ImageFile(place)

    def _read_member(self, archive: str, member: str) -> bytes:
        """Read a file out of an archive, which is opened once.

        Raises:
            OSError: it is outside the dataset, damaged, locked, or unpacks to far too much.
        """
        place = Path(archive)
        if not (self._is_below(place, self._root) or self._is_below(place, self._workshop)):
            raise OSError("its archive is outside the dataset's folder")
        try:
            with self._lock:
                opened = self._archives.get(place) or zipfile.ZipFile(place)
                self._archives[place] = opened
            if opened.getinfo(member).file_size > _LARGEST_MEMBER_BYTES:
                raise OSError("it unpacks to more than 1 GiB")
            return opened.read(member)
        except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError) as error:
            raise OSError(f"its archive is damaged or locked: {error}") from error

    @staticmethod
    def _is_below(path: Path, folder: Path) -> bool:
        try:
            return path.resolve().is_relative_to(folder)
        except (OSError, RuntimeError, ValueError):  # loops, names too long, null bytes
            return False


def common_folder(root: Path, links_to: Path | None) -> Path:
    """Return the folder that holds images, and what their links may lead to."""
    places = [root.resolve(), *([links_to.resolve()] if links_to else [])]
    return Path(os.path.commonpath(places)) if links_to else root


def find_files(
    root: Path, paths: Sequence[str | None], suffix: str = "", below: FilesBelow | None = None
) -> tuple[list[str | None], tuple[str, ...]]:
    """Return paths as the files below a folder are called, and what had to be changed for that.

    A path that no file has is tried with `/` for a backslash, without a `suffix` that it has
    already, in the other ways of writing the same letters (Unicode's NFC and NFD), with its
    ending in capitals or without, and in whatever case one file has. Where the files `below` are
    given, a first folder that all paths have and that is not there, such as the name of the
    dataset, is left out; and where the folder itself holds none of the paths that are names alone,
    each is the file of its name among those below. Where nothing helps a path stays as it is.

    Raises:
        StudyError: several files `below` have a name, and differ.
    """
    names_in = cache(_names_in)
    first = _absent_folder(root, paths) if below else ""
    outer = f"without their first folder, {quoted(first)}, which is not there" if first else ""
    found: list[str | None] = []
    told: Counter[str] = Counter()
    unfound: list[int] = []
    for row, path in enumerate(paths):
        if not path:
            found.append(None)
            continue
        inner = path[len(first) :].lstrip("/\\") if first else path
        place, why = inner + suffix, ""
        is_there = _is_there(root, place)
        if not is_there:
            tries = _spellings(inner, suffix)
            if not _has_folder(path):  # of 100,000 names elsewhere none is asked of the file system
                here = names_in(root)
                tries = [(other, said) for other, said in tries if other.casefold() in here]
            there = ((other, said) for other, said in tries if _is_there(root, other))
            other = next(there, None) or next(_in_any_case(root, tries, names_in), None)
            is_there = other is not None
            place, why = other or (path + suffix, "")
        if is_there:
            told[outer] += bool(outer)
        else:
            unfound.append(row)
        found.append(place)
        told[why] += bool(why)
    names = [row for row, path in enumerate(paths) if path and not _has_folder(path)]
    if below and {*names} <= {*unfound}:
        for row in names:
            spelled = _spellings(paths[row] or "", suffix)
            named = ((below.called(other), said) for other, said in spelled)
            match = next(((there, said) for there, said in named if there), None)
            if match:
                (found[row], how), said = match
                told[how] += 1
                told[said] += bool(said)
    notes = [f"{count:,} paths were read {why}." for why, count in told.items() if count]
    return found, tuple(notes)


def _absent_folder(root: Path, paths: Sequence[str | None]) -> str:
    """Return the first folder that all paths have, if it is not there; nothing otherwise."""
    firsts = {re.split(r"[/\\]", path, maxsplit=1)[0] for path in paths if path}
    first = firsts.pop() if len(firsts) == 1 else ""
    foreign = not first or first.endswith(":") or first.startswith("~")
    if split_name(first) and first != root.name:  # rows of one split, in the folder of another
        return ""
    if foreign or not all(map(_has_folder, filter(None, paths))):
        return ""
    is_there = _is_there(root, first) or first.casefold() in _names_in(root)
    return "" if is_there else first


def _has_folder(path: str) -> bool:
    return "/" in path or "\\" in path


def _spellings(path: str, suffix: str) -> list[tuple[str, str]]:
    """Return other ways in which a path may be meant, likeliest first, and how each is called."""
    ways: dict[str, str] = {}
    slashes = path.replace("\\", "/")
    for plain, said in ((path, ""), (slashes, "with `/` for their backslashes")):
        for ending in dict.fromkeys((suffix, "")):
            already = plain.lower().endswith(suffix.lower()) if not ending and suffix else True
            if already:
                kept = "" if ending or not suffix else f"without another `{suffix}`"
                ways.setdefault(plain + ending, said or kept)
                for form in ("NFC", "NFD"):
                    how = f"with their letters in Unicode's form {form}"
                    ways.setdefault(normalize(form, plain + ending), said or how)
                stem, end = posixpath.splitext(plain + ending)
                for other in (end.lower(), end.upper()):
                    ways.setdefault(stem + other, said or f"with the ending `{other}`")
    return [*ways.items()]


def _in_any_case(
    root: Path,
    tries: Sequence[tuple[str, str]],
    names_in: Callable[[Path], Mapping[str, Sequence[str]]],
) -> Iterator[tuple[str, str]]:
    """Yield what one file alone is called, but for capitals, as on Windows they do not count."""
    for other, _ in tries:
        place = ""
        for part in posixpath.normpath(other).split("/"):
            names = names_in(root / place).get(part.casefold(), [])
            names = [part] if part in names else names
            if len(names) != 1 or part == "..":
                break
            place = posixpath.join(place, names[0])
        else:
            yield place, "without regard to capitals"


def _names_in(folder: Path) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    try:
        for file in folder.iterdir():
            names.setdefault(file.name.casefold(), []).append(file.name)
    except (OSError, ValueError):
        pass
    return names


def _elsewhere(root: Path, path: str) -> str | None:
    """Return why a path that is not there leads out of this folder, and what would be right."""
    parts = path.replace("\\", "/").split("/")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:/", path) and not path.lower().startswith("file:"):
        return "it is an address, and nothing is fetched: download it, and write its path"
    if not re.match(r"[a-zA-Z]:|file:|[/~\\]", path):
        return None
    inside = ("/".join(parts[i:]) for i in range(1, len(parts)))
    found = next((rest for rest in inside if rest and _is_there(root, rest)), None)
    said = f": {quoted(found)} is there" if found else ""
    return f"it is a path of another folder or machine; write paths from here on{said}"


def _is_there(root: Path, path: str) -> bool:
    try:
        return os.path.lexists(root / path)
    except (OSError, ValueError):  # null bytes, and what is no UTF-8
        return False


def default_ids(paths: Sequence[str | None]) -> list[str]:
    """Return each path without its ending; with it where two files differ in nothing else."""
    normal = [posixpath.normpath(path) if path else f"row-{i}" for i, path in enumerate(paths)]
    stems = [posixpath.splitext(path)[0] for path in normal]
    files = Counter(posixpath.splitext(path)[0] for path in set(normal))
    return [s if files[s] == 1 else path for path, s in zip(normal, stems, strict=True)]


def _is_in_archive(path: str | None) -> bool:
    """Return whether a path is `datasets`' `zip://<member>::<archive>`."""
    return path is not None and path.startswith("zip://") and "::" in path


def _member(path: str) -> str:
    return path.removeprefix("zip://").partition("::")[0]


def _archive(path: str) -> str:
    return path.partition("::")[2]
