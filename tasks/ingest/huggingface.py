"""What Hugging Face `datasets` reads: image folders, tables, and datasets in the hub's layout."""

from __future__ import annotations

import os
import posixpath
from glob import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec, FolderSource, HubSource, TableSource
from curette.tasks.ingest.image_column import ImageColumn, default_ids
from curette.tasks.ingest.listing import (
    Columns,
    Content,
    ImageFile,
    Listing,
    Refusal,
    quoted,
    require,
    require_columns,
    split_name,
    text,
)

_IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".webp", ".jp2", ".j2k", ".ppm", ".pgm"),
)
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
_PAPERS = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".txt", ".md", ".pdf", ".html")
"""Endings of files that go with a dataset without being its data."""
_PAPER_NAMES = ("README", "LICENSE", "LICENCE", "NOTICE", "Thumbs.db", "desktop.ini")
_BUILDERS = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}
_METADATA = tuple(f"metadata{ending}" for ending in _BUILDERS)


# --- a table ----------------------------------------------------------------------------------


def list_table(source: TableSource, spec: DatasetSpec, workshop: Path) -> Listing:
    """List a CSV or Parquet table with one row an image."""
    if source.path.suffix not in (".csv", ".parquet"):
        raise StudyError(f"{source.path} is neither a .csv nor a .parquet file.")
    root = source.image_folder or source.path.parent
    require("file", source.path)
    require("folder", root)
    columns = Columns.named_by(spec)
    wanted = (source.image_column, *columns.names)
    about = f"the table {source.path.name}"
    table = _read_table(source.path, wanted, workshop)
    require_columns(table, wanted, about)
    images = ImageColumn(
        table[source.image_column],
        source.image_column,
        root=root,
        workshop=workshop,
        suffix=source.image_suffix,
    )
    return Listing(
        table=_without(table, source.image_column, columns),
        names=images.ids,
        columns=columns,
        contents=images.contents,
        root=root,
        source=about,
    )


def _read_table(path: Path, as_text: tuple[str, ...], workshop: Path) -> pa.Table:
    """Read a table; in CSV the columns `as_text` keep their leading zeros."""
    builder = _BUILDERS[path.suffix]
    options: dict[str, Any] = {}
    if builder == "csv":
        # One chunk, so that a column's type is found from all of it.
        options = {"converters": dict.fromkeys(as_text, str), "chunksize": 1 << 30}
    files = {"rows": [escape(str(path))]}
    return _load(builder, str(path), workshop, data_files=files, **options)["rows"]


def _without(table: pa.Table, image_column: str, columns: Columns) -> pa.Table:
    """Drop the image column, unless it is something else too, such as the id."""
    return table if image_column in columns.names else table.drop_columns([image_column])


# --- a dataset in the hub's layout --------------------------------------------------------------


def list_hub(source: HubSource, spec: DatasetSpec, workshop: Path) -> Listing:
    """List a dataset of the hub, or a local folder in the same layout."""
    from huggingface_hub.constants import HF_HUB_CACHE

    local = isinstance(source.path, Path)
    if isinstance(source.path, Path):
        require("folder", source.path)
    tables = _load(
        str(source.path),
        f"the dataset {source.path}",
        workshop,
        name=source.config,
        revision=None if local else source.revision,
    )
    columns = Columns.named_by(spec)
    table = pa.concat_tables(tables.values())
    about = f"the hub dataset {Path(source.path).name if local else source.path}"
    require_columns(table, (source.image_column, *columns.names), about)
    parts = [part for part, rows in tables.items() for _ in range(len(rows))]
    root = Path(source.path if local else HF_HUB_CACHE)
    images = ImageColumn(
        table[source.image_column], source.image_column, root=root, workshop=workshop
    )
    return Listing(
        table=_without(table, source.image_column, columns),
        names=images.ids,
        columns=columns,
        contents=images.contents,
        root=root,
        source=about + (f" at revision {source.revision}" if source.revision else ""),
        parts=parts,
    )


# --- a folder of images -------------------------------------------------------------------------


def list_folder(source: FolderSource, spec: DatasetSpec, workshop: Path) -> Listing:
    """List a folder in the imagefolder layout: one folder a class, or a metadata file.

    Folders at the top that are called train, validation, test or the like are splits.
    Every file that is no image, or that no row of the metadata names, is listed as refused:
    `datasets` itself leaves such files out without a word.
    """
    require("folder", source.path)
    folder = _Folder.walk(source.path.resolve())
    if folder.metadata:
        return _list_described(folder, spec, workshop)
    return _list_class_folders(folder, spec, workshop)


class _Folder:
    """The visible files of a folder, as paths relative to it, and what its layout means."""

    def __init__(self, root: Path, files: list[str]) -> None:
        self.root = root
        self.metadata = [f for f in files if posixpath.basename(f) in _METADATA]
        self.data = [f for f in files if not _is_paper(f)]
        tops = {f.split("/", 1)[0] for f in self.data if "/" in f and _is_image(f)}
        splits = {top for top in tops if split_name(top)}
        has_splits = splits == tops or any(split_name(top) == "train" for top in splits)
        self.splits = frozenset(splits) if has_splits else frozenset()

    @classmethod
    def walk(cls, root: Path) -> _Folder:
        """List the files below `root`, and links to folders, which nobody follows.

        Hidden ones and folders such as `__MACOSX` are passed over, as `datasets` does.
        """
        files = []
        for place, folders, names in os.walk(root):
            folders[:] = [f for f in folders if not f.startswith((".", "__"))]
            links = [f for f in folders if Path(place, f).is_symlink()]
            seen = [f for f in names if not f.startswith(".")] + links
            files += [Path(place, f).relative_to(root).as_posix() for f in seen]
        for file in files:
            if not _is_unicode(file):
                raise StudyError(
                    f"{quoted(file)} in {root} has a name that is not UTF-8. Rename it."
                )
            if file.lower().endswith(_ARCHIVE_SUFFIXES):
                raise StudyError(
                    f"{root / file} is an archive, and nobody knows what it holds. Unpack it, or "
                    "move it out of the folder."
                )
        return cls(root, sorted(files))

    def part(self, file: str) -> str | None:
        """Return the split's folder that a file lies in, if there are such folders."""
        top = file.split("/", 1)[0]
        return top if top in self.splits and "/" in file else None

    def parts(self, files: list[str]) -> list[str | None] | None:
        """Return every file's split, or `None` where the folder has no splits."""
        return [self.part(file) for file in files] if self.splits else None


def _list_class_folders(folder: _Folder, spec: DatasetSpec, workshop: Path) -> Listing:
    labels = _class_folder_labels(folder, workshop)
    depth = 2 if folder.splits else 1

    def content(file: str) -> Content:
        if (folder.root / file).is_dir():
            return Refusal("unlisted-file", "links to folders are not followed")
        if not _is_image(file):
            return Refusal("unlisted-file", "its ending is none of an image that can be read")
        if folder.splits and folder.part(file) is None:
            known = ", ".join(sorted(folder.splits))
            return Refusal("unlisted-file", f"it lies in none of the split folders {known}")
        if file.count("/") != depth:
            return Refusal("missing-label", "it does not lie directly in a class folder")
        if file not in labels:
            return Refusal("unlisted-file", "the imagefolder reader of `datasets` passes over it")
        return ImageFile(folder.root / file)

    found = {file: content(file) for file in folder.data}
    known = [labels.get(f) if isinstance(c, ImageFile) else None for f, c in found.items()]
    return Listing(
        table=pa.table({"label": pa.array(known, pa.string()).dictionary_encode()}),
        names=default_ids(folder.data),
        columns=Columns.named_by(spec),
        contents=lambda rows: (found[folder.data[row]] for row in rows),
        root=folder.root,
        source=f"the folder {folder.root.name}",
        parts=folder.parts(folder.data),
    )


def _class_folder_labels(folder: _Folder, workshop: Path) -> dict[str, str]:
    """Return image file -> name of its class folder, as the imagefolder builder reads it."""
    if not any(_is_image(file) for file in folder.data):
        return {}
    tables = _load(
        "imagefolder",
        str(folder.root),
        workshop,
        data_dir=escape(str(folder.root)),
        data_files={"rows": ["**"]},
        drop_labels=False,
        drop_metadata=True,
    )
    table = tables["rows"]
    paths = pc.struct_field(table["image"], "path").to_pylist()
    files = (Path(path).relative_to(folder.root).as_posix() for path in paths)
    return dict(zip(files, table["label"].to_pylist(), strict=True))


def _list_described(folder: _Folder, spec: DatasetSpec, workshop: Path) -> Listing:
    columns = Columns.named_by(spec)
    tables, files = [], []
    for metadata in folder.metadata:
        wanted = ("file_name", *columns.names)
        table = _read_table(folder.root / metadata, wanted, workshop)
        require_columns(table, wanted, f"{folder.root.name}/{metadata}")
        base = posixpath.dirname(metadata)
        files += [posixpath.join(base, f or "") for f in text(table, "file_name")]
        tables.append(_without(table, "file_name", columns))
    described = {posixpath.normpath(file) for file in files}
    spare = [file for file in folder.data if file not in described]
    table = _concatenated(tables, folder)
    nothing = [pa.nulls(len(spare), kind) for kind in table.schema.types]
    refusal = Refusal("unlisted-file", f"no row of {', '.join(folder.metadata)} names it")

    def content(row: int) -> Content:
        if row >= len(files):
            return refusal
        if posixpath.basename(files[row]) == "":
            return Refusal("missing-file", "the column `file_name` is empty")
        return ImageFile(folder.root / files[row])

    return Listing(
        table=pa.concat_tables([table, pa.table(nothing, schema=table.schema)]),
        names=default_ids([*files, *spare]),
        columns=columns,
        contents=lambda rows: (content(int(row)) for row in rows),
        root=folder.root,
        source=f"the folder {folder.root.name}",
        parts=folder.parts([*files, *spare]),
    )


def _concatenated(tables: list[pa.Table], folder: _Folder) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StudyError(
            f"the columns of {', '.join(folder.metadata)} in {folder.root} do not fit together: "
            f"{error}."
        ) from error


def _is_image(file: str) -> bool:
    return file.lower().endswith(_IMAGE_SUFFIXES)


def _is_paper(file: str) -> bool:
    return file.lower().endswith(_PAPERS) or posixpath.basename(file) in _PAPER_NAMES


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- datasets -------------------------------------------------------------------------------------


def _load(builder: str, about: str, workshop: Path, **options: Any) -> dict[str, pa.Table]:
    """Return split -> table as `datasets` reads it, class numbers replaced by their names.

    Its cache goes into the workshop, which is thrown away: nothing stale is ever reused.

    Raises:
        StudyError: whatever `datasets` says about data that it cannot read.
    """
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it says is in the error
    try:
        loaded = datasets.load_dataset(builder, cache_dir=str(workshop / "datasets"), **options)
    except Exception as error:
        raise StudyError(
            f"{about} cannot be read: {_innermost(error)}. Check the path, and that the files "
            "are whole; a dataset of the hub needs the network the first time."
        ) from error
    return {str(split): _named(rows) for split, rows in loaded.items()}


def _named(rows: Any) -> pa.Table:
    """Return a dataset's Arrow table with the names of its class labels."""
    import datasets

    table = rows.data.table
    for name, feature in rows.features.items():
        if isinstance(feature, datasets.ClassLabel):
            numbers = table[name].to_pylist()
            known = dict(enumerate(feature.names))
            # The hub writes -1 where it keeps a label back.
            labels = pa.array([known.get(number) for number in numbers], pa.string())
            named = labels.dictionary_encode()  # which lists its values: none of them is missing
            table = table.set_column(table.column_names.index(name), name, named)
    return table


def _innermost(error: BaseException) -> str:
    """Return what the first of a chain of errors said: the others only wrap it."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split())
    return (said or type(error).__name__).removesuffix(".")
