"""A first study file for new images, by looking at them: `curette init`."""

import hashlib
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from curette.flows.init_headers import Headers, look_at_headers
from curette.schemas.artifact import StudyError
from curette.schemas.images import hold_ids
from curette.schemas.settings.ingest import (
    ArchiveSource,
    DatasetSpec,
    FolderSource,
    HubSource,
    TableSource,
)
from curette.schemas.settings.validate import ValidationSpec
from curette.tasks.ingest.claims import read_claims
from curette.tasks.ingest.image_column import find_files
from curette.tasks.ingest.label_columns import read_labels
from curette.tasks.ingest.listing import (
    ImageBytes,
    ImageFile,
    Listing,
    quoted,
    require,
    split_name,
    text,
)
from curette.tasks.ingest.readers import list_images
from curette.tasks.ingest.subjects import is_called_subject, likely_subject
from curette.tasks.ingest.table_files import TABLE_ENDINGS, load, load_saved, read_table
from curette.tasks.ingest.walking import FilesBelow
from curette.tasks.methods.page.numbers import counted
from curette.tasks.validate.privacy import privacy_findings

_LABELS: Final = (
    *("label", "class", "dx", "diagnosis", "category", "target", "disease", "finding"),
    *("pathology", "y"),
)
_LESIONS: Final = frozenset({"lesion", "nodule", "tumor", "tumour", "polyp"})
_ENDINGS: Final = ("", ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
_LOOKED_AT: Final = 50
"""Values of a column that are tried as names of files."""
_FOUND: Final = 0.9
_NEARLY: Final = 0.99
_ONE: Final = frozenset({"1", "1.0"})
_MARKS: Final = _ONE | {"0", "0.0", "-1", "-1.0"}
_MOST_CLASSES: Final = 100
_LONGEST_NAME: Final = 200
_IMAGES_PER_CLASS: Final = 3
_FOLDERS: Final = 200
_SHOWN: Final = 5


@dataclass(frozen=True)
class Draft:
    """A study file, and what is to be said of it."""

    text: str
    found: tuple[str, ...]
    doubts: tuple[str, ...]


def draft_study(
    source: Path,
    beside: Path,
    name: str | None = None,
    label: str | None = None,
    image_folder: Path | None = None,
) -> Draft:
    """Return a study of a folder, a table or a hub dataset of images, as far as looking tells.

    Args:
        source: the folder, the table, or the name of a dataset of the hub, such as user/dataset,
            where there is no such folder.
        beside: the folder of the study file, at which its paths start.
        name: the study's; None: after the source.
        label: the column with the class; None: found by its name and values.
        image_folder: where a table's images lie; None: at the table, or below its folder.

    Raises:
        StudyError: there is no such folder, table or dataset, or no label or image column is
            found.
    """
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
        raise StudyError(f"--name {name}: use lower-case letters, digits and dashes")
    with TemporaryDirectory() as folder:
        workshop = Path(folder)
        hub = _as_hub(source)
        if hub:
            spec, typed = _hub_spec(hub, label, workshop)
        elif source.is_dir():
            spec, typed = _folder_spec(source.absolute(), label, workshop)
        elif source.suffix.lower() == ".npz":
            archive = ArchiveSource(kind="npz", path=source.absolute())
            spec, typed = DatasetSpec(source=archive), None
        elif source.suffix.lower() in TABLE_ENDINGS:
            require("file", source)
            spec, typed = _table_spec(source.absolute(), label, image_folder, workshop)
        else:
            raise StudyError(
                f"{source} is neither a folder nor a table that is read "
                f"({', '.join(TABLE_ENDINGS)}), nor MedMNIST's .npz, nor the name of a dataset of "
                "the hub."
            )
        listing = list_images(spec, workshop, _unwatched)
        headers = look_at_headers(listing, spec, _unwatched)
        if headers is not None:
            spec, listing = headers.spec, headers.listing
        looked = _Looked(source.absolute(), listing, spec, typed, headers)
        return looked.draft(name or _slug(source), beside)


def _unwatched(_: str, __: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _: None)


def _slug(source: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", source.resolve().stem.lower()).strip("-")[:63] or "study"


# --- which column means what ----------------------------------------------------------------------


def _folder_spec(
    folder: Path, label: str | None, workshop: Path
) -> tuple[DatasetSpec, pa.Table | None]:
    source = FolderSource(kind="folder", path=folder)
    spec = DatasetSpec(source=source, label_column=label or "label")  # of tables deeper down
    files = [folder / f"metadata{ending}" for ending in TABLE_ENDINGS]
    if not (tables := [file for file in files if file.is_file()]):
        return spec, None
    table = read_table(tables[0], (), workshop).table
    texts = read_table(tables[0], table.column_names, workshop).table
    in_folders = any(f.is_dir() and not f.name.startswith((".", "_")) for f in folder.iterdir())
    found = _labels(texts, (), label, optional=in_folders)
    return spec.model_copy(update=found | _columns(texts, _named(found))), table


def _table_spec(
    path: Path, label: str | None, image_folder: Path | None, workshop: Path
) -> tuple[DatasetSpec, pa.Table]:
    table = read_table(path, (), workshop).table
    texts = read_table(path, table.column_names, workshop).table
    root = image_folder.absolute() if image_folder else path.parent
    require("folder", root)
    places = [root, *(() if image_folder else _folders_below(root))]
    column, place, suffix = _image_column(texts, places, FilesBelow(root))
    found = _labels(texts, (column,), label, optional=False)
    source = TableSource(
        kind="table", path=path, image_column=column, image_folder=place, image_suffix=suffix
    )
    columns = _columns(texts, (column, *_named(found)))
    return DatasetSpec(source=source).model_copy(update=found | columns), table


def _as_hub(source: Path) -> HubSource | None:
    """Return what is in the hub's layout, there or in a folder here; None of anything else."""
    if source.is_dir():
        saved = any((source / name).is_file() for name in ("dataset_dict.json", "state.json"))
        tables = (f for pattern in ("*.parquet", "*/*.parquet") for f in source.glob(pattern))
        if saved or any(file.stem != "metadata" for file in tables):
            return HubSource(kind="hub", path=source.absolute())
    named = not source.exists() and source.suffix.lower() not in TABLE_ENDINGS
    if named and _HUB_NAME.fullmatch(source.as_posix()):
        return HubSource(kind="hub", path=source.as_posix())
    return None


def _hub_spec(
    source: HubSource, label: str | None, workshop: Path
) -> tuple[DatasetSpec, pa.Table | None]:
    if isinstance(source.path, Path):
        root, about = source.path, f"the dataset {source.path}"
    else:
        root, about = Path(), f"the dataset {source.path} of the hub"
    if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
        tables = load_saved(about, root)
    else:
        tables = load(
            str(source.path),
            about,
            workshop,
            ""
            if root.name
            else "There is no folder of that name here, so it was asked for at the "
            "hub, which needs the network the first time, and HF_TOKEN where it is private.",
        )
    table = pa.concat_tables(tables.values(), promote_options="permissive")
    column, _, _ = _image_column(table, [root], None)
    found = _labels(table, (column,), label, optional=False)
    source = source.model_copy(update={"image_column": column})
    columns = _columns(table, (column, *_named(found)))
    return DatasetSpec(source=source).model_copy(update=found | columns), table


def _image_column(
    table: pa.Table, places: Sequence[Path], below: FilesBelow | None
) -> tuple[str, Path, str]:
    """Return the column of images, the folder that its paths start at, and their ending.

    Args:
        table: the rows.
        places: folders that the paths may start at; the first holds the others.
        below: the files of the first one, which may be named without their folders.

    Raises:
        StudyError: no column names images, or names that several files have.
    """
    root = places[0]
    for field in table.schema:
        is_pair = pa.types.is_struct(field.type) and {f.name for f in field.type} >= {
            "bytes",
            "path",
        }
        if is_pair or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return field.name, root, ""
    columns = _readable(table)
    first, *others = [(place, None) for place in places]
    best, doubt = _likeliest(columns, [first, *([(root, below)] if below else []), *others])
    if best[0] >= _FOUND:
        _, name, place, suffix = best
        paths, _ = find_files(place, columns[name], suffix, below if place == root else None)
        folders = {posixpath.dirname(path) for path in paths if path}
        alone = len(folders) == 1 and not any(re.search(r"[/\\]", v or "") for v in columns[name])
        return name, place / folders.pop() if alone else place, suffix
    raise doubt or StudyError(
        f"no column names images below {root}: looked for were files of some values of every "
        "column, with usual endings. Name the folder of the images with --image-folder."
    )


def _likeliest(
    columns: Mapping[str, Sequence[str | None]],
    tries: Sequence[tuple[Path, FilesBelow | None]],
) -> tuple[tuple[float, str, Path, str], StudyError | None]:
    """Return the column, folder and ending that most files are there by, and which share of them.

    And why names could not be looked up, where they could not. The first by which all are there is
    taken at once.
    """
    best = (0.0, "", tries[0][0], "")
    doubt: StudyError | None = None
    samples = {name: _spread(values) for name, values in columns.items()}
    for place, names in tries:
        for name, sample in samples.items():
            for suffix in _ENDINGS:
                try:
                    paths, _ = find_files(place, sample, suffix, names)
                except StudyError as error:
                    doubt = doubt or error
                    continue
                there = sum((place / path).is_file() for path in paths if path)
                if sample and there / len(sample) > best[0]:
                    best = (there / len(sample), name, place, suffix)
            if best[0] == 1:
                return best, doubt
    return best, doubt


def _spread(values: Sequence[str | None]) -> list[str]:
    """Return some values of the whole column: files of one folder often follow each other."""
    known = [value for value in values if value]
    return [known[i * len(known) // _LOOKED_AT] for i in range(_LOOKED_AT)] if known else []


def _folders_below(root: Path) -> list[Path]:
    below = (p for pattern in ("*", "*/*") for p in sorted(root.glob(pattern)))
    return [p for p in below if p.is_dir() and not p.name.startswith(".")][:_FOLDERS]


def _labels(
    table: pa.Table, taken: Sequence[str], given: str | None, *, optional: bool
) -> dict[str, Any]:
    """Return the setting that says which column holds the class, or which has one each.

    It is the column given, one that is called so, or the only likely one; or columns of ones and
    zeros of which a row has a single one, as in the ground truth of ISIC's challenges.

    Raises:
        StudyError: nobody can tell which it is.
    """
    if given is not None:
        if given not in table.column_names:
            there = ", ".join(map(quoted, table.column_names[:50]))
            raise StudyError(f"--label {given}: there is no such column; there are {there}")
        return {"label_column": given}
    readable = {n: v for n, v in _readable(table).items() if n not in taken and not _is_split(v)}
    marks = {name: values for name, values in readable.items() if _are_marks(values)}
    marks = marks if len(marks) > 1 else {}
    shaped = [name for name, values in readable.items() if _could_be_classes(values)]
    # Of several columns of marks one called `No Finding` holds no classes; one called `target` may.
    single = [name for name in shaped if name not in marks or _words(name) <= {*_LABELS}]
    if called := sorted((min(r), n) for n in single if (r := [*_ranks(n)])):
        return {"label_column": called[0][1]}
    if marks and _shows_one(marks.values()):
        return {"label_columns": tuple(marks)}
    likely = [n for n in single if not is_called_subject(n) and not _words(n) & _LESIONS]
    if len(likely) == 1 and not marks and not optional:
        return {"label_column": likely[0]}
    if optional:
        return {}
    shown = ", ".join(map(quoted, likely[:_SHOWN])) or "none"
    raise StudyError(
        "nobody can tell which column holds the class: none is called label, diagnosis or the "
        f"like, and those whose values could be classes are: {shown}. Name it with --label."
        + _told_of_marks([*marks])
    )


def _told_of_marks(names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(map(quoted, names[:_SHOWN])) + ", ..." * (len(names) > _SHOWN)
    return (
        f" {len(names)} columns hold marks such as 1 and 0 alone ({shown}). Where an image may "
        "show several of these, write a study file and name them under `dataset.findings`; where "
        "it shows exactly one, under `dataset.label_columns`: docs/how-to/images.md."
    )


def _named(labels: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that a setting of labels names."""
    return tuple(labels.get("label_columns") or labels.values())


def _are_marks(values: Sequence[str | None]) -> bool:
    """Return whether a column says yes or no of each row, as those of findings do."""
    known = {value for value in values if value}
    return known <= _MARKS and bool(known & _ONE)


def _shows_one(columns: Iterable[Sequence[str | None]]) -> bool:
    """Return whether nearly every row has a single one; of others ingest says what they are."""
    rows = [sum(mark in _ONE for mark in row) == 1 for row in zip(*columns, strict=True)]
    return sum(rows) >= _NEARLY * len(rows)


def _ranks(name: str) -> Iterator[int]:
    return (_LABELS.index(word) for word in _words(name) if word in _LABELS)


def _could_be_classes(values: Sequence[str | None]) -> bool:
    known = [value for value in values if value]
    different = len({*known})
    return 1 < different <= _MOST_CLASSES and len(known) >= _IMAGES_PER_CLASS * different


def _columns(table: pa.Table, taken: Sequence[str]) -> dict[str, str]:
    """Return the settings of a dataset for subject, lesion and split, where there are such."""
    found: dict[str, str] = {}
    for name, values in _readable(table).items():
        known = {value for value in values if value}
        if name in taken or len(known) < 2:
            continue
        if _is_split(values):
            found.setdefault("split_column", name)
        elif is_called_subject(name):
            found.setdefault("subject_column", name)
        elif _words(name) & _LESIONS and _looks_like_ids(name, known):
            found.setdefault("lesion_column", name)
    return found


def _looks_like_ids(name: str, values: set[str]) -> bool:
    return bool(_words(name) & {"id", "no", "number"}) or all(
        re.search(r"\d", value) for value in values
    )


def _is_split(values: Sequence[str | None]) -> bool:
    known = {split_name(value) if value else None for value in values}
    return None not in known and "train" in known and len(known) > 1


def _readable(table: pa.Table) -> dict[str, list[str | None]]:
    """Return the columns that can be read as text."""
    kinds = (pa.types.is_nested, pa.types.is_binary, pa.types.is_large_binary)
    fields = [f for f in table.schema if not any(is_kind(f.type) for is_kind in kinds)]
    return {f.name: text(table, f.name) for f in fields}


def _words(name: str) -> set[str]:
    return {*re.findall(r"[a-z]+", name.lower())}


# --- what is said of it ---------------------------------------------------------------------------


class _Looked:
    """The images as listed, and what is found in them and doubted."""

    def __init__(
        self,
        path: Path,
        listing: Listing,
        spec: DatasetSpec,
        typed: pa.Table | None,
        headers: Headers | None,
    ) -> None:
        self.path, self.listing, self.spec, self.typed = path, listing, spec, typed
        self.headers = headers
        self.doubts: list[str] = [*headers.doubts] if headers else []
        try:
            labels = read_claims(listing, spec)["label"].tolist()
            self.names_classes = True
        except StudyError as error:  # ingest will refuse it, and says the same
            self.doubts.append(str(error))
            labels = read_labels(listing)
            self.names_classes = False
        self.labels: list[str | None] = labels
        counts = pd.Series(labels, dtype=object).dropna().value_counts()
        self.counts = {str(key): int(counts[key]) for key in sorted(counts.index)}
        if len(self.counts) < 2:
            raise StudyError(
                f"{listing.source} shows {counted(len(self.counts), 'class', 'classes')}, and at "
                "least two are needed: put the images of each into a folder of its own, or name "
                "the column with --label."
            )

    def draft(self, name: str, beside: Path) -> Draft:
        """Return the study file."""
        self._doubt_classes()
        self._doubt_patients()
        self._doubt_equal_images()
        metadata = [] if self.typed is None else self._metadata(self.typed)
        described = self._metadata(self.headers.described) if self.headers else []
        roles = ("label", "subject", "lesion", "split")
        columns = {role: getattr(self.spec, f"{role}_column") for role in roles}
        classes = ", ".join(map(_quoted, self.spec.label_columns))
        if classes:
            columns["label"] = None
        found = [
            f"{counted(len(self.listing), 'image')} of "
            f"{counted(len(self.counts), 'class', 'classes')} in {self.listing.source}",
            *(
                f"{role}: {'the headers give' if c in self.spec.dicom_columns else 'the column'} "
                + quoted(c)
                for role, c in columns.items()
                if c
            ),
        ]
        if classes:
            found.append(f"label: of the columns {classes} the one that is 1")
        if isinstance(self.spec.source, TableSource | HubSource):
            found.append(f"images: the column {quoted(self.spec.source.image_column)}")
        lines = [
            "# Written by `curette init`, from what looking at the images tells. Look through it,",
            "# then run `curette check` on it. Every setting: docs/settings.md.",
            *(f"# Doubtful: {line}" for doubt in self.doubts for line in _lines(doubt)),
            f"name: {_quoted(name)}",
            "",
            "dataset:",
            f"  source: {self._source(beside)}",
            *([f"  label_columns: [{classes}]"] if classes else []),
            *(f"  {role}_column: {_quoted(c)}" for role, c in columns.items() if c),
            *(f"  dicom_columns: [{_quoted(c)}]" for c in self.spec.dicom_columns),
            *(
                [
                    "  # Kept and published of the headers too, once `dicom_columns` names it:",
                    f"  # {', '.join(described)}",
                ]
                if described
                else []
            ),
            *(
                ["  # subject_column: ...   # whoever must not stand in two splits"]
                if self.spec.subject_column is None
                else []
            ),
            *(
                [
                    "  # Kept and published, once you take the `#` away:",
                    f"  # metadata: [{', '.join(map(_quoted, metadata))}]",
                ]
                if metadata
                else []
            ),
        ]
        if (
            self.names_classes
            and len(self.counts) <= _MOST_CLASSES
            and max(map(len, self.counts)) <= _LONGEST_NAME
        ):
            lines.append("  classes:   # label in the data: what a clinician calls it")
            lines += [
                f"    {_quoted(key)}: {_quoted(key)}   # {counted(count, 'image')}"
                for key, count in self.counts.items()
            ]
        lines += [
            "",
            "propose:",
            "  modality: medical image   # say what the images are, such as dermoscopy",
            "  sources: [{kind: class_prompts}]   # asks the model below about each class",
            "",
            "# Any server of chat completions (base_url: http://...); the key is read from the",
            "# environment variable OPENAI_API_KEY. No image is ever sent.",
            "llm: {model: gpt-5-mini}",
            "",
            "# Weights are fetched once; a local folder or hf-hub:user/model can stand here too.",
            "encoder: {kind: open_clip, model: ViT-B-16-quickgelu, pretrained: openai}",
            "",
        ]
        return Draft("\n".join(lines), tuple(found), tuple(self.doubts))

    def _source(self, beside: Path) -> str:
        source = self.spec.source
        settings: dict[str, str] = {"kind": source.kind, "path": _relative(self.path, beside)}
        if isinstance(source, HubSource):
            there = settings["path"]
            here = there if there.startswith("../") else f"./{there}"
            settings["path"] = here if isinstance(source.path, Path) else source.path
            settings["image_column"] = source.image_column
        if isinstance(source, TableSource):
            settings["image_column"] = source.image_column
            if source.image_folder and source.image_folder != source.path.parent:
                settings["image_folder"] = _relative(source.image_folder, beside)
            if source.image_suffix:
                settings["image_suffix"] = source.image_suffix
        return "{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items()) + "}"

    def _doubt_classes(self) -> None:
        least = ValidationSpec().min_images_per_class / self.spec.splits.train
        small = [f"{quoted(k)} ({n:,})" for k, n in self.counts.items() if n < least]
        if small:
            self.doubts.append(
                f"{counted(len(small), 'class has', 'classes have')} few images: "
                f"{', '.join(small[:_SHOWN])}. Fewer than {ValidationSpec().min_images_per_class} "
                "to train on are rejected: merge such classes under dataset.labels, or leave them "
                "out."
            )
        if absent := sum(label is None for label in self.labels):
            self.doubts.append(
                f"{counted(absent, 'image has', 'images have')} no label, and "
                f"{'is' if absent == 1 else 'are'} rejected."
            )

    def _doubt_patients(self) -> None:
        if self.spec.subject_column:
            return
        rows = np.arange(len(self.listing))
        dealt = np.where(rows % 2, "train", "test")  # ids of several images stand in both
        images = pd.DataFrame({"row": rows, "label": self.labels, "split": dealt})
        doubt = "no column says whose each image is, so that one patient may stand in two splits"
        if found := likely_subject(self.listing, images):
            where, example, _ = found
            doubt += f"; {where} look like ids of patients"
            doubt += "" if self.headers else f", such as {quoted(example)}"
        self.doubts.append(f"{doubt}.")

    def _doubt_equal_images(self) -> None:
        equal = _equal_images(self.listing)
        if not equal:
            return
        several = [rows for rows in equal if len({self.labels[row] for row in rows}) > 1]
        said = f"{sum(map(len, equal)):,} images are equal byte for byte to another"
        if not self._names_tell_patients():
            said += (
                f", such as {', '.join(quoted(self.listing.names[r]) for r in equal[0][:_SHOWN])}"
            )
        said += "; they stay in one split"
        if several:
            said += f", but {sum(map(len, several)):,} stand under two labels, and are rejected"
        self.doubts.append(f"{said}.")

    def _names_tell_patients(self) -> bool:
        subject = self.spec.subject_column
        if subject is None or subject not in self.listing.table.column_names:
            return self.headers is not None
        return any(hold_ids(self.listing.names, text(self.listing.table, subject)))

    def _metadata(self, typed: pa.Table) -> list[str]:
        """Return the columns that could be published; of others, say why not."""
        image = getattr(self.spec.source, "image_column", None)
        of_headers = self.headers is not None and typed is self.headers.described
        used = {*self.listing.columns.names, image}
        there = {*(typed if of_headers else self.listing.table).column_names} - used
        readable = [name for name in _readable(typed) if name in there]
        groups = pd.Series([f"row {row}" for row in range(len(typed))], dtype=object)
        whose = self.listing.table if of_headers else typed
        if (subject := self.spec.subject_column) in whose.column_names and subject:
            groups = pd.Series(text(whose, subject), dtype=object).fillna(groups)
        proposed: list[str] = []
        telling: list[str] = []
        for name in readable:
            values: pd.Series[Any] = typed.select([name]).to_pandas()[name]
            if not values.notna().any():
                continue
            why = [said for said in privacy_findings(name, values, groups).values() if said]
            (telling if why else proposed).append(why[0] if why else name)
        if telling:
            shown = "; ".join(telling[:_SHOWN]) + "; ..." * (len(telling) > _SHOWN)
            self.doubts.append(
                f"{counted(len(telling), 'column')} may identify patients, and "
                f"{'is' if len(telling) == 1 else 'are'} used for nothing: {shown}."
            )
        return proposed


def _equal_images(listing: Listing) -> list[list[int]]:
    """Return rows whose images have equal bytes; files of a size of their own are not read."""
    sizes: Mapping[int, list[tuple[int, Callable[[], bytes]]]] = defaultdict(list)
    for row, content in enumerate(listing.contents(np.arange(len(listing)))):
        try:
            if isinstance(content, ImageFile):
                sizes[content.path.stat().st_size].append((row, content.path.read_bytes))
            elif isinstance(content, ImageBytes):
                sizes[-1].append((row, content.load))
        except OSError:
            continue  # ingest says what is wrong with it
    same: Mapping[bytes, list[int]] = defaultdict(list)
    for found in sizes.values():
        for row, read in found if len(found) > 1 else ():
            try:
                same[hashlib.sha256(read()).digest()].append(row)
            except (OSError, ValueError):
                continue
    return [rows for rows in same.values() if len(rows) > 1]


def _relative(path: Path, beside: Path) -> str:
    return os.path.relpath(path.resolve(), beside.resolve())


def _lines(doubt: str) -> list[str]:
    """Return a text as lines of a comment, which no character in it can end."""
    return ["".join(c if c.isprintable() else " " for c in line) for line in doubt.split("\n")]


def _quoted(value: str) -> str:
    """Return a text as YAML in one line, whatever is in it."""
    dumped = yaml.safe_dump(value, default_style='"', width=10**9, allow_unicode=True)
    return dumped.removesuffix("\n")
