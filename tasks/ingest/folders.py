"""A folder of images in the imagefolder layout: one folder a class, or a table that names files."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import pyarrow as pa

from curette.schemas.artifact import StudyError
from curette.schemas.images import RejectionReason
from curette.schemas.settings.ingest import DatasetSpec, FolderSource
from curette.tasks.ingest.formats import HEAD_BYTES, told_format
from curette.tasks.ingest.image_column import common_folder, default_ids, find_files
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
from curette.tasks.ingest.masks import made_of, mask_folders, masks_beside
from curette.tasks.ingest.table_files import TABLE_ENDINGS, read_table
from curette.tasks.ingest.walking import walk
from curette.tasks.methods.encoder.dicom import is_dicom

_IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".webp", ".jp2", ".j2k", ".ppm", ".pgm", ".dcm", ".dicom"),
)
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
_PAPERS = (
    *(".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".txt", ".md", ".pdf", ".html"),
    *(".xml", ".yaml", ".yml", ".dvc", "zone.identifier", ".ini", ".lnk", ".url", ":encryptable"),
    *(".rst", ".log", ".cff", ".bib", ".md5", ".sha1", ".sha256", ".py", ".ipynb", ".sh", ".db"),
    *(".xmp", ".pgw", ".jgw", ".tfw", ".wld", ".bak", ".orig", ".tmp", "~"),
)
"""Endings of files that go with a dataset without being its data."""
_PAPER_NAMES = (
    *("readme", "license", "licence", "notice", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db"),
    *(
        "icon\r",
        "dicomdir",
        "syno_index_media_info",
        "@synoresource",
        "md5sums",
        "sha1sums",
        "sha256sums",
    ),
    *("md5sum", "sha1sum", "sha256sum", "checksums", "authors", "citation", "changelog", "version"),
)
_TABLES = tuple(f"metadata{ending}" for ending in TABLE_ENDINGS)
_FILE_COLUMNS = ("file_name", "image_file_name", "filename", "image", "image_path", "file", "path")
_MASK_COLUMN = "mask_file_name"
_REMEDIES: dict[RejectionReason, str] = {
    "missing-label": "put each image into a folder named like its class, directly below `path`",
    "outside-folder": "name under `source.links_to` the folder that links may lead to",
    "missing-file": "fetch what the links lead to (`dvc pull`, `git annex get`), or correct the "
    "names in the table",
}


def list_folder(source: FolderSource, spec: DatasetSpec, workshop: Path) -> Listing:
    """List a folder in the imagefolder layout: one folder a class, or a metadata file.

    Folders at the top that are called train, validation, test or the like are splits. Files
    named like an image of their folder and `_mask` are masks of it. Every other file that is no
    image, or that no row of the metadata names, is listed as refused.
    """
    require("folder", source.path)
    folder = _Folder.walk(source.path.resolve(), source.links_to)
    tables = [_Table.read(folder, file, spec, workshop) for file in folder.tables]
    if tables and (not folder.has_class_folders or any(t.is_labelled(spec) for t in tables)):
        return _list_described(folder, tables, spec)
    return _list_class_folders(folder, tables, spec)


class _Folder:
    """The visible files of a folder, as paths relative to it, and what its layout means."""

    def __init__(self, root: Path, files: list[str], links_to: Path | None = None) -> None:
        self.root = root
        self.links_to = links_to and links_to.resolve()
        self.tables = [f for f in files if posixpath.basename(f).lower() in _TABLES]
        data = [f for f in files if not _is_paper(f)]
        self.masks = masks_beside([f for f in data if _is_image(root, f)])
        masks = {mask for found in self.masks.values() for mask in found}
        self.data = [f for f in data if f not in masks]
        self.images = [f for f in self.data if _is_image(root, f)]
        tops = {f.split("/", 1)[0] for f in self.images if "/" in f}
        splits = {top for top in tops if split_name(top)}
        has_splits = splits == tops or any(split_name(top) == "train" for top in splits)
        self.splits = frozenset(splits) if has_splits else frozenset()
        self.depth = 2 if self.splits else 1

    @classmethod
    def walk(cls, root: Path, links_to: Path | None) -> _Folder:
        """List the files below `root`, and links to folders that are not followed.

        Hidden ones, and what file systems leave there, are passed over.
        """
        files = [*walk(root, links_to)]
        for file in files:
            if not _is_unicode(file):
                raise StudyError(
                    f"{quoted(file)} in {root} has a name that is not UTF-8. Rename it."
                )
            if file.lower().endswith(_ARCHIVE_SUFFIXES):
                told = _told(root / file)
                if told is None or "archive" in told:
                    raise StudyError(
                        f"{root / file} is an archive, and nobody knows what it holds. Unpack it, "
                        "or move it out of the folder."
                    )
        return cls(root, sorted(files), links_to)

    @property
    def base(self) -> Path:
        """The folder that holds the images, and what their links lead to."""
        return common_folder(self.root, self.links_to)

    @property
    def has_class_folders(self) -> bool:
        """Whether every image lies in a folder that could be its class's."""
        return bool(self.images) and all(f.count("/") == self.depth for f in self.images)

    def part(self, file: str) -> str | None:
        """Return the split's folder that a file lies in, if there are such folders."""
        top = file.split("/", 1)[0]
        return top if top in self.splits and "/" in file else None

    def parts(self, files: list[str]) -> list[str | None] | None:
        """Return every file's split, or `None` where the folder has no splits."""
        return [self.part(file) for file in files] if self.splits else None

    def image(self, file: str, mask: str | None = None) -> ImageFile:
        """Return an image of the folder with its masks."""
        masks = [mask] if mask else self.masks.get(file, [])
        allowed = (self.root, self.links_to) if self.links_to else ()
        return ImageFile(self.root / file, tuple(self.root / m for m in masks), allowed)

    def told_of_masks(self, files: Iterable[str]) -> tuple[str, ...]:
        """Say how many of some images have masks beside them."""
        masked = [self.masks[file] for file in files if file in self.masks]
        if not masked:
            return ()
        return (
            f"{len(masked):,} images have masks beside them, in files named like "
            f"{quoted(posixpath.basename(masked[0][0]))}: {sum(map(len, masked)):,} files that are "
            "no images of their own.",
        )


# --- class folders --------------------------------------------------------------------------------


def _list_class_folders(folder: _Folder, tables: list[_Table], spec: DatasetSpec) -> Listing:
    _check_depth(folder)
    _check_mask_folders(folder)

    stems = {posixpath.splitext(file)[0].casefold() for file in folder.images}

    def content(file: str) -> Content:
        if (why := _no_image(folder.root, file, stems)) is not None:
            return Refusal("unlisted-file", why)
        part = folder.part(file)
        if folder.splits and part is None:
            known = ", ".join(sorted(folder.splits))
            return Refusal("unlisted-file", f"it lies in none of the split folders {known}")
        if part and file.count("/") == 1:
            return Refusal(
                "missing-label",
                f"it lies in the split folder {quoted(part)} without a class folder, so nothing "
                "can be measured on it; move such images out of the dataset's folder",
            )
        if file.count("/") != folder.depth:
            return Refusal("missing-label", "it does not lie directly in a class folder")
        return folder.image(file)

    found = {file: content(file) for file in folder.data}
    known = [
        posixpath.basename(posixpath.dirname(f)) if isinstance(c, ImageFile) else None
        for f, c in found.items()
    ]
    columns, notes = Columns.named_by(spec), folder.told_of_masks(folder.data)
    table = pa.table({columns.label: pa.array(known, pa.string()).dictionary_encode()})
    if tables:
        table, more = _joined(table, folder, tables, columns.label)
        notes += more
    return Listing(
        table=table,
        names=default_ids(folder.data),
        columns=columns,
        contents=lambda rows: (found[folder.data[row]] for row in rows),
        root=folder.base,
        source=f"the folder {folder.root.name}",
        parts=folder.parts(folder.data),
        notes=notes,
        remedies=_REMEDIES,
    )


def _no_image(root: Path, file: str, stems: Set[str]) -> str | None:
    """Return why a file is no image of the dataset, as its name and first bytes tell."""
    if (root / file).is_dir():
        return "it links to a folder outside, which is not followed"
    if not _is_image(root, file):
        return _told(root / file) or "its ending is none of an image that can be read"
    image = made_of(file, stems)
    return image and f"it seems to be made of {quoted(image)} beside it"


def _check_depth(folder: _Folder) -> None:
    """Refuse a folder all of whose images lie too deep, and name the right one.

    Raises:
        StudyError: the classes are folders further down, or it is not clear which folders are.
    """
    if not folder.images or min(f.count("/") for f in folder.images) <= folder.depth:
        return
    example = folder.images[0]
    tops = {posixpath.dirname(posixpath.dirname(f)) for f in folder.images}
    if len(tops) > 1 and all(split_name(posixpath.basename(top)) for top in tops):
        tops = {posixpath.dirname(top) for top in tops}
    if len(tops) == 1:
        place = folder.root / tops.pop()
        raise StudyError(
            f"the images of {folder.root} lie too deep: those of {quoted(example)} and all others "
            f"are in class folders of {place}. Write `path: {place}` under `dataset.source`."
        )
    raise StudyError(
        f"the images of {folder.root} lie in folders of folders, such as {quoted(example)}, and "
        "nothing says which of them is the class. Put each image directly into its class's folder, "
        "or list the images with their labels in a metadata.csv there (columns file_name, label)."
    )


def _check_mask_folders(folder: _Folder) -> None:
    """Refuse folders of masks that would be classes.

    Raises:
        StudyError: a folder that is called `masks` or the like holds files of images elsewhere.
    """
    for place in mask_folders(folder.images):
        raise StudyError(
            f"{folder.root / place} holds files named like images of other folders, so they seem "
            "to be masks of them or made of them, and would be a class called "
            f"{quoted(posixpath.basename(place))}. Move the folder away; or put each mask beside "
            "its image, named like it and `_mask`."
        )


# --- a table beside the images --------------------------------------------------------------------


class _Table:
    """A metadata file in a folder of images: which file each row is about."""

    def __init__(self, file: str, table: pa.Table, column: str, notes: tuple[str, ...]) -> None:
        self.file = file
        self.base = posixpath.dirname(file)
        self.table = table
        self.column = column
        self.notes = notes

    @classmethod
    def read(cls, folder: _Folder, file: str, spec: DatasetSpec, workshop: Path) -> _Table:
        columns = Columns.named_by(spec)
        table, notes = read_table(folder.root / file, (*_FILE_COLUMNS, *columns.names), workshop)
        about = f"{folder.root.name}/{file}"
        named = [name for name in _FILE_COLUMNS if name in table.column_names]
        require_columns(table, (named[0] if named else "file_name",), about)
        return cls(file, table, named[0], notes)

    def is_labelled(self, spec: DatasetSpec) -> bool:
        return {*Columns.named_by(spec).labels} <= {*self.table.column_names}

    def files(self, root: Path) -> tuple[list[str | None], tuple[str, ...]]:
        """Return the file of each row, relative to the folder, as it is found there."""
        names = text(self.table, self.column)
        joined = [name and posixpath.join(self.base, name) for name in names]
        return find_files(root, joined)

    def masks(self) -> list[str | None]:
        """Return the file of each row's mask, where there is a column of them."""
        if _MASK_COLUMN not in self.table.column_names:
            return [None] * len(self.table)
        names = text(self.table, _MASK_COLUMN)
        return [name and posixpath.join(self.base, name) for name in names]


def _list_described(folder: _Folder, read: list[_Table], spec: DatasetSpec) -> Listing:
    columns = Columns.named_by(spec)
    tables, files, masks = [], [], []
    notes: list[str] = []
    for found in read:
        require_columns(found.table, columns.names, f"{folder.root.name}/{found.file}")
        paths, mended = found.files(folder.root)
        files += [path or posixpath.join(found.base, "") for path in paths]
        masks += found.masks()
        notes += [*found.notes, *mended]
        spare_columns = {found.column, _MASK_COLUMN} - {*columns.names}
        tables.append(found.table.drop_columns([*spare_columns & {*found.table.column_names}]))
    described = {posixpath.normpath(file) for file in files}
    described |= {posixpath.normpath(mask) for mask in masks if mask}
    spare = [file for file in folder.data if file not in described]
    table = _concatenated(tables, folder)
    nothing = [pa.nulls(len(spare), kind) for kind in table.schema.types]
    refusal = Refusal("unlisted-file", f"no row of {', '.join(folder.tables)} names it")

    def content(row: int) -> Content:
        if row >= len(files):
            return refusal
        if posixpath.basename(files[row]) == "":
            return Refusal("missing-file", "the column `file_name` is empty")
        return folder.image(files[row], masks[row])

    return Listing(
        table=pa.concat_tables([table, pa.table(nothing, schema=table.schema)]),
        names=default_ids([*files, *spare]),
        columns=columns,
        contents=lambda rows: (content(int(row)) for row in rows),
        root=folder.base,
        source=f"the folder {folder.root.name}",
        parts=folder.parts([*files, *spare]),
        notes=(*dict.fromkeys(notes), *folder.told_of_masks(files)),
        remedies=_REMEDIES,
    )


def _joined(
    labels: pa.Table, folder: _Folder, read: list[_Table], label: str
) -> tuple[pa.Table, tuple[str, ...]]:
    """Return class folders' labels with the columns of tables beside them, row by row of files."""
    tables, notes = [], []
    where: dict[str, int] = {}
    rows = 0
    for found in read:
        paths, mended = found.files(folder.root)
        notes += [*found.notes, *mended]
        names = _by_name(folder, paths)
        for row, path in enumerate(names):
            if path is not None and where.setdefault(path, rows + row) != rows + row:
                raise StudyError(
                    f"{folder.root.name}/{found.file} names {quoted(path)} in more than one row. "
                    "Leave one of them."
                )
        rows += len(paths)
        tables.append(found.table.drop_columns([found.column]))
    table = _concatenated(tables, folder)
    order = [where.get(posixpath.normpath(file)) for file in folder.data]
    beside = table.take(pa.array(order, pa.int64()))
    nowhere = sum(row is None for row in order)
    notes.append(
        f"Labels are the folders' names; other columns are those of {', '.join(folder.tables)}"
        + (f", which does not name {nowhere:,} of the files." if nowhere else ".")
    )
    return beside.append_column(label, labels[label]), tuple(dict.fromkeys(notes))


def _by_name(folder: _Folder, paths: Sequence[str | None]) -> list[str | None]:
    """Return paths as files of the folder: by their names alone where they do not say a folder."""
    known = {*folder.data}
    names = defaultdict(list)
    for file in folder.data:
        names[posixpath.basename(file)].append(file)
    found = []
    for path in paths:
        place = path and posixpath.normpath(path)
        if place and place not in known:
            alone = names[posixpath.basename(place)]
            place = alone[0] if len(alone) == 1 else place
        found.append(place)
    return found


def _concatenated(tables: list[pa.Table], folder: _Folder) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StudyError(
            f"the columns of {', '.join(folder.tables)} in {folder.root} do not fit together: "
            f"{error}."
        ) from error


# --- names ----------------------------------------------------------------------------------------


def _told(path: Path) -> str | None:
    """Return what a file is that is no picture, as its first bytes tell."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return told_format(file.read(HEAD_BYTES), path.name)
    except OSError:
        return None


def _is_image(root: Path, file: str) -> bool:
    """Return whether a file is an image by its ending, or a DICOM file, which may have any."""
    if file.lower().endswith(_IMAGE_SUFFIXES):
        return True
    try:
        if not (root / file).is_file():  # a pipe would be waited for without end
            return False
        with (root / file).open("rb") as opened:
            return is_dicom(opened.read(HEAD_BYTES))
    except OSError:
        return False


def _is_paper(file: str) -> bool:
    name = posixpath.basename(file).lower()
    return name.endswith(_PAPERS) or name in _PAPER_NAMES


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
