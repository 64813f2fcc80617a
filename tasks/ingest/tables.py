"""Tables with one row an image: a file of them, or a dataset in the hub's layout."""

from __future__ import annotations

from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

import pyarrow as pa

from curette.schemas.artifact import StudyError
from curette.schemas.settings.ingest import DatasetSpec, HubSource, TableSource
from curette.tasks.ingest.image_column import ImageColumn, common_folder
from curette.tasks.ingest.listing import Columns, Listing, quoted, require, require_columns
from curette.tasks.ingest.table_files import (
    TABLE_ENDINGS,
    check_header,
    load,
    load_saved,
    read_table,
)
from curette.tasks.ingest.walking import FilesBelow


def list_table(source: TableSource, spec: DatasetSpec, workshop: Path) -> Listing:
    """List a table file with one row an image."""
    if source.path.suffix.lower() not in TABLE_ENDINGS:
        raise StudyError(
            f"{source.path} is no table that is read: its ending is none of "
            f"{', '.join(TABLE_ENDINGS)}. Save it as CSV (UTF-8) or Parquet."
        )
    root = source.image_folder or source.path.parent
    require("file", source.path)
    require("folder", root)
    columns = Columns.named_by(spec)
    wanted = (source.image_column, *columns.names)
    about = f"the table {source.path.name}"
    table, notes = read_table(source.path, wanted, workshop)
    require_columns(table, wanted, about)
    images = ImageColumn(
        table[source.image_column],
        source.image_column,
        root=root,
        workshop=workshop,
        suffix=source.image_suffix,
        links_to=source.links_to,
        below=FilesBelow(root, source.links_to),
    )
    return Listing(
        table=_without(table, source.image_column, columns),
        names=images.ids,
        columns=columns,
        contents=images.contents,
        root=common_folder(root, source.links_to),
        source=about,
        notes=(*notes, *images.notes),
        remedies={
            "outside-folder": "set `image_folder` to the folder that holds all images, or name "
            "under `links_to` the one that links may lead to"
        },
    )


def list_hub(
    source: HubSource, spec: DatasetSpec, workshop: Path, revision: str | None = None
) -> Listing:
    """List a dataset of the hub, at a commit if one is given, or a local folder in its layout."""
    from huggingface_hub.constants import HF_HUB_CACHE

    columns = Columns.named_by(spec)
    if isinstance(source.path, Path):
        require("folder", source.path)
        tables, place = _load_folder(source, source.path, workshop, columns.names)
        about, root = f"the hub dataset {source.path.name}", source.path
    else:
        place = root = Path(HF_HUB_CACHE)
        about = f"the hub dataset {source.path}"
        tables = load(
            source.path,
            f"the dataset {source.path}",
            workshop,
            "A dataset of the hub needs the network the first time, and a local folder must be "
            "there: no folder of that name lies beside the study.",
            columns.names,
            name=source.config,
            revision=revision or source.revision,
        )
    for rows in tables.values():
        check_header(root, rows.column_names)
    table = pa.concat_tables(tables.values(), promote_options="permissive")
    try:
        require_columns(table, (source.image_column, *columns.names), about)
    except StudyError as error:
        raise StudyError(f"{error}{_told_of_tables(root)}") from None
    parts = [part for part, rows in tables.items() for _ in range(len(rows))]
    images = ImageColumn(
        table[source.image_column], source.image_column, root=place, workshop=workshop
    )
    return Listing(
        table=_without(table, source.image_column, columns),
        names=images.ids,
        columns=columns,
        contents=images.contents,
        root=root,
        source=about + (f" at revision {source.revision}" if source.revision else ""),
        parts=parts,
        notes=images.notes,
    )


def _load_folder(
    source: HubSource, folder: Path, workshop: Path, texts: Sequence[str]
) -> tuple[dict[str, pa.Table], Path]:
    """Return split -> table of a local folder, and the folder as its rows call it."""
    about = f"the dataset {folder}"
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return load_saved(about, folder), folder
    place = folder
    if has_magic(str(folder)):  # `datasets` takes the brackets of a name for a pattern
        place = workshop / "hub"
        for file in folder.rglob("*"):
            if file.is_file():
                link = place / file.relative_to(folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file)
    said = f"Does {quoted(folder.name)} hold Parquet, CSV or images in the hub's layout?"
    if any(folder.rglob("*.zip")):
        said = "Images in zip archives have no classes there: unpack them into class folders."
    return load(str(place), about, workshop, said, texts, name=source.config), place


def _told_of_tables(folder: Path) -> str:
    """Say which tables lie beside images, which alone are read then."""
    tables = sorted(f for f in folder.glob("*") if f.suffix.lower() in TABLE_ENDINGS)
    if not tables:
        return ""
    return (
        f" Where there are more images than tables only images are read: for {tables[0].name}, use "
        "`kind: table` with its path, or name it under `configs` in the README.md there."
    )


def _without(table: pa.Table, image_column: str, columns: Columns) -> pa.Table:
    """Drop the image column, unless it is something else too, such as the id."""
    return table if image_column in columns.names else table.drop_columns([image_column])
