"""Table files as people have them: in whatever encoding, with whatever separator and ending."""

from __future__ import annotations

import codecs
import csv
import posixpath
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from glob import escape
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from curette.schemas.artifact import StudyError
from curette.storage.store import DISK_REMEDIES
from curette.tasks.ingest.formats import HEAD_BYTES, told_format
from curette.tasks.ingest.listing import MISSING, quoted, trimmed
from curette.tasks.ingest.workbooks import ERRORS, Sheet, count_unknown, read_sheets

TEXT_ENDINGS = (".csv", ".tsv", ".tab")
TABLE_ENDINGS = (*TEXT_ENDINGS, ".jsonl", ".parquet", ".xlsx")
MAX_COLUMNS = 10_000
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "upright bars"}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NOTHING = [*MISSING, *ERRORS, "", "n/a", "-nan", "-NaN"]
_WITHIN_WORDS = re.compile("(?<=[a-z])[^\\x00-\\x7f\\u2019\\ufffd](?=[a-z])")
"""Where Windows-1252 has small letters, and encodings of DOS and of old Macs have others."""
_TITLES = 20
"""Lines before its header that a table may have."""
_START = 1 << 24
"""Characters in which the first two rows end."""
_SAVE_AS = "In Excel: Save as, CSV UTF-8."


class ReadTable(NamedTuple):
    """A table, and what had to be found out to read it."""

    table: pa.Table
    notes: tuple[str, ...]


def read_table(path: Path, wanted: Sequence[str], workshop: Path) -> ReadTable:
    """Read a table; columns whose names are `wanted` keep their leading zeros.

    Args:
        path: a file with one of `TABLE_ENDINGS`, in whatever case.
        wanted: columns that are text, whatever they look like.
        workshop: a folder for what is needed meanwhile.

    Raises:
        StudyError: the table cannot be read, two of its columns have one name, or there are more
            than `MAX_COLUMNS`.
    """
    ending = path.suffix.lower()
    if ending in TEXT_ENDINGS:
        return _read_text(path, wanted)
    if ending == ".xlsx":
        return _read_excel(path, wanted)
    builder = "json"
    if ending == ".parquet":
        builder = "parquet"
        check_header(path, _parquet_names(path))
    rows = load(builder, str(path), workshop, data_files={"rows": [escape(str(path))]})["rows"]
    return ReadTable(rows, ())


def check_header(path: Path, names: Sequence[str]) -> None:
    """Refuse names of columns that stand twice, or far too many of them.

    Raises:
        StudyError: saying which.
    """
    if len(names) > MAX_COLUMNS:
        raise StudyError(
            f"{path} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read. Usually rows "
            "and columns are swapped, or a matrix stands where one row an image should."
        )
    counts = Counter(name for name in names if name)
    if twice := [name for name, count in counts.items() if count > 1]:
        shown = ", ".join(f"{counts[name]} columns {quoted(name)}" for name in twice[:5])
        raise StudyError(
            f"{path} has {shown}: nobody can tell which is meant. Rename or remove them."
        )


# --- text -----------------------------------------------------------------------------------------


def _read_text(path: Path, wanted: Sequence[str]) -> ReadTable:
    text, encoding = _decoded(path)
    form = _form_of(path, text, wanted)
    check_header(path, form.names)
    table = _parsed(path, form, wanted)
    said = [] if encoding is None else [encoding]
    if form.separator != ("," if path.suffix.lower() == ".csv" else "\t"):
        said.append(f"{_SEPARATORS[form.separator]} between its cells")
    if form.decimal != ".":
        said.append("decimal commas")
    if form.passed:
        said.append(f"its header in line {form.passed + 1}")
    notes = [f"The table {path.name} was read with {', '.join(said)}."] if said else []
    holes = any(table[n].null_count for n in {*map(trimmed, wanted)} & {*table.column_names})
    if holes and (count := sum(form.rows.count(error) for error in ERRORS)):
        notes.append(_told_of_errors(path, count))
    return ReadTable(table, tuple(notes))


def _decoded(path: Path) -> tuple[str, str | None]:
    """Return a file's text, and the encoding where it is not the usual one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}.") from error
    if told := _other_format(content[:HEAD_BYTES]):
        raise StudyError(f"{path} is no table: {told}.")
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            shown = None if encoding == "utf-8-sig" else f"the encoding {encoding.upper()}"
            return _strictly(path, content, encoding), shown
    try:
        text = content.decode()
    except UnicodeDecodeError:
        pass
    else:
        if text.count("\0") < len(text) / 4:
            return text, None
    if (found := _utf_16(content)) is not None:
        return _strictly(path, content, found), f"the encoding {found.upper()}"
    # Western letters beyond ASCII stand alone between others; those of other alphabets do not.
    high = [byte > 127 for byte in content]
    lonely = sum(
        one and not (before or after)
        for before, one, after in zip([False, *high], high, [*high[1:], False], strict=False)
    )
    within = _WITHIN_WORDS.findall(content.decode("cp1252", "replace"))
    signs = sum(not one.isalpha() or one.isupper() for one in within)
    if lonely * 2 < sum(high) or signs * 2 > len(within):
        raise StudyError(
            f"the table {path.name} is not UTF-8, and not Western text (Windows-1252) either. Save "
            f"it as UTF-8. {_SAVE_AS}"
        )
    return _strictly(path, content, "cp1252"), (
        "the encoding Windows-1252, since it is not UTF-8 (look whether its names are right)"
    )


def _other_format(head: bytes) -> str | None:
    """Return what a file that is called a table is in truth, and the remedy."""
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return f"it is a workbook of an old Excel. {_SAVE_AS.removesuffix('.')}"
    if head.startswith(b"PK\x03\x04") and (b"xl/" in head or b"[Content_Types]" in head):
        return "it is an Excel workbook: give it the ending .xlsx"
    return told_format(head)


def _utf_16(content: bytes) -> str | None:
    """Return which UTF-16 a file without a mark is in, as its zero bytes tell."""
    start = content[:4000]
    zeros = [start[side::2].count(0) / max(len(start[side::2]), 1) for side in (0, 1)]
    if zeros[1] > 0.4 and zeros[0] < 0.1:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.4 and zeros[1] < 0.1 else None


def _strictly(path: Path, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        raise StudyError(
            f"the table {path.name} is not UTF-8, and cannot be read as {encoding.upper()} either: "
            f"{error}. Save it as UTF-8. {_SAVE_AS}"
        ) from error


@dataclass(frozen=True)
class _Form:
    """How a text is a table."""

    separator: str
    names: list[str]
    decimal: str
    thousands: str | None
    rows: str
    passed: int
    """Lines above the header."""


def _form_of(path: Path, text: str, wanted: Sequence[str]) -> _Form:
    """Find the separator: what Excel says in a first line, or what gives the wanted columns.

    Where the first line has not the wanted columns, and one of the next has, the table begins
    there: the lines before are titles or remarks.
    """
    said = re.match(r'\A"?sep=(.)"?[^\S\t]*\r?\n', text)
    if said:
        text = text[said.end() :]
    if not text.strip("\ufeff\r\n\t ;,|\0"):
        raise StudyError(f"{path} cannot be read: No columns to parse from file.")
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    choices = [said[1]] if said else sorted(_SEPARATORS, key=lambda s: s != usual)
    text = text.lstrip("\ufeff\r\n").rstrip("\x1a")  # with which DOS ended its files
    texts = {trimmed(name) for name in wanted}
    starts = [0, *(m.end() for m in islice(re.finditer(r"\r\n|\r|\n", text), _TITLES))]
    passed, headers = 0, dict[str, list[str]]()
    for line, start in enumerate(starts):
        found = {choice: _header(text[start : start + _START], choice) for choice in choices}
        headers = headers or found
        if fitting := [choice for choice in choices if texts <= {*found[choice]}]:
            text, passed, headers = text[start:], line, found
            break
    known = fitting if texts else []  # where no column is wanted every separator would do
    separator = known[0] if known else max(choices, key=lambda c: len(headers[c]))
    if separator not in _SEPARATORS:
        raise StudyError(f"{path} says `sep={separator}`, which is no separator that is read.")
    return _Form(separator, headers[separator], *_marks(text, separator), text, passed)


def _header(text: str, separator: str) -> list[str]:
    """Return the names of columns; empty ones where the first row ends in more, empty cells."""
    start = StringIO(text[:_START], newline="")
    try:
        rows = [next(csv.reader(start, delimiter=separator), []) for _ in range(2)]
    except csv.Error:
        return []
    names, cells = ([trimmed(cell) for cell in row] for row in rows)
    more = cells[len(names) :]
    return names if any(more) else names + more


def _marks(text: str, separator: str) -> tuple[str, str | None]:
    """Return the marks before decimals and between thousands: a comma and a dot, where it is clear.

    That is where numbers have a comma, and none has a point that is not between thousands, as
    `1.234,5` shows that there are some.
    """
    if separator == ",":
        return ".", None
    edge = re.escape(separator)

    def has(number: str) -> bool:
        cell = rf'(?:^|{edge})"?[-+]?{number}"?(?={edge}|\r?$)'
        return re.search(cell, text, re.MULTILINE) is not None

    thousands = r"[1-9]\d{0,2}(?:\.\d{3})+"
    if has(rf"{thousands},\d+"):
        only = rf'(?!{thousands}"?(?:{edge}|\r?$))\d+\.\d+'
        return (".", None) if has(only) else (",", ".")
    return ("," if has(r"\d+,\d+") and not has(r"\d+\.\d+") else "."), None


def _parsed(path: Path, form: _Form, wanted: Sequence[str]) -> pa.Table:
    import pandas as pd

    texts = {*map(trimmed, wanted)}
    options: dict[str, Any] = {
        "sep": form.separator,
        "decimal": form.decimal,
        "thousands": form.thousands,
        "header": 0,
        "names": _named(form.names),
        "dtype": {name: str for name in form.names if name in texts},
        "na_values": {n: ERRORS if n in texts else _NOTHING for n in _named(form.names)},
        "keep_default_na": False,  # a class may be called None or NA
        "index_col": False,  # else a cell too many in each row would shift all columns
        "low_memory": False,  # so that a column's type is found from all of it
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(StringIO(form.rows, newline=""), **options)
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except pd.errors.ParserWarning as error:
        raise StudyError(
            f"{path} has more cells in its rows than names in its header, so it is not clear which "
            "cell belongs to which name. Correct the header."
        ) from error
    except (ValueError, OverflowError, pa.ArrowException, csv.Error) as error:
        said = " ".join(str(error).split()).removesuffix(".")
        raise StudyError(f"{path} cannot be read: {said}. Check that the file is whole.") from error
    if not len(table):
        raise StudyError(f"{path} cannot be read: it has a header and no rows.")
    return table


def _named(names: Sequence[str]) -> list[str]:
    """Return the names of columns, with numbers where a header has none."""
    return [name or f"unnamed {i}" for i, name in enumerate(names)]


# --- other files ----------------------------------------------------------------------------------


def _read_excel(path: Path, wanted: Sequence[str]) -> ReadTable:
    """Read the only sheet with rows, or the only one with the wanted columns."""
    texts = {*map(trimmed, wanted)}
    sheets = [_without_titles(sheet, texts) for sheet in read_sheets(path)]
    filled = [sheet for sheet in sheets if len(sheet.rows) > 1]
    meant = [sheet for sheet in filled if texts <= {*_excel_names(sheet)}]
    notes: list[str] = []
    if len(filled) > 1 and len(meant) == 1:
        notes.append(f"Of the sheets of {path.name} {quoted(meant[0].name)} was read.")
    elif len(filled) == 1:
        meant = filled
    else:
        raise StudyError(
            f"{path} has {len(filled)} sheets with rows, and {len(meant)} of them have the columns "
            f"that the study names. Save the one that is meant as a table of its own. {_SAVE_AS}"
        )
    [sheet] = meant
    names = _excel_names(sheet)
    check_header(path, names)
    read = [i for i, name in enumerate(names) if name in texts]
    _check_cells(path, sheet, names, read)
    if sheet.first > 1:
        notes.append(f"The header of {path.name} is its row {sheet.first}.")
    if sheet.failed:
        notes.append(_told_of_errors(path, sheet.failed))
    columns = {
        name: [None if row[i] is None else _cell(row[i]) for row in sheet.rows[1:]]
        if i in read
        else [None if row[i] in _NOTHING else row[i] for row in sheet.rows[1:]]
        for i, name in enumerate(_named(names))
    }
    try:
        arrays = {name: _array(values) for name, values in columns.items()}
        return ReadTable(pa.table(arrays), tuple(notes))
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise StudyError(f"{path} cannot be read: {error}.") from error


def _without_titles(sheet: Sheet, texts: Set[str]) -> Sheet:
    """Return a sheet from the row on that names the wanted columns, where there is one."""
    for passed, row in enumerate(sheet.rows[: _TITLES + 1]):
        if texts <= {*_names_of(row)}:
            return replace(sheet, rows=sheet.rows[passed:], first=passed + 1)
    return sheet


def _excel_names(sheet: Sheet) -> list[str]:
    return _names_of(sheet.rows[0])


def _names_of(row: Sequence[object]) -> list[str]:
    return ["" if name is None else trimmed(_cell(name)) for name in row]


def _check_cells(path: Path, sheet: Sheet, names: Sequence[str], read: Sequence[int]) -> None:
    """Refuse cells that look filled in Excel and are empty in the file.

    Raises:
        StudyError: cells of the columns that are read are merged, or formulas without results.
    """
    for first, top, last, bottom in sheet.merged:
        inside = [i for i in read if first <= i + 1 <= last]
        if inside and bottom > max(top, sheet.first):
            raise StudyError(
                f"in {path} cells of the column {quoted(names[inside[0]])} are merged, in rows "
                f"{top} to {bottom}: all but the first are empty. Unmerge them and write the value "
                "into each row."
            )
    empty = [i for i in read if any(row[i] is None for row in sheet.rows[1:])]
    if empty and (count := count_unknown(path, sheet.name, empty)):
        raise StudyError(
            f"{count:,} cells of {path} are formulas whose results the file does not hold, in "
            f"{', '.join(quoted(names[i]) for i in empty)}. Open it in Excel and save it again."
        )


def _told_of_errors(path: Path, count: int) -> str:
    return (
        f"{count:,} cells of {path.name} hold errors of a spreadsheet, such as `#N/A` where a "
        "formula found nothing: they are taken for empty."
    )


def _cell(value: object) -> str:
    """Return a cell as it is shown: Excel keeps whole numbers as floating ones."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # numbers and text in one column
        return pa.array([None if v is None else _cell(v) for v in values], pa.string())


def _parquet_names(path: Path) -> list[str]:
    from pyarrow import parquet

    try:
        return list(parquet.read_schema(path).names)
    except Exception as error:  # whatever Arrow says of bytes that are not ours
        said = " ".join(str(error).split()).removesuffix(".")
        raise StudyError(f"{path} cannot be read: {said}. Check that the file is whole.") from error


# --- datasets -------------------------------------------------------------------------------------


def load(
    builder: str,
    about: str,
    workshop: Path,
    remedy: str = "",
    texts: Sequence[str] = (),
    **options: Any,
) -> dict[str, pa.Table]:
    """Return split -> table as `datasets` reads it, class numbers replaced by their names.

    Its cache goes into the workshop, which is thrown away: nothing stale is ever reused. Columns
    of CSV files named in `texts` stay the text that they are, `None` and leading zeros with them.

    Raises:
        StudyError: whatever `datasets` says about data that it cannot read.
        OSError: the disk is full or read-only.
    """
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it says is in the error
    try:
        options["cache_dir"] = str(workshop / "datasets")
        reader = datasets.load_dataset_builder(builder, **options)
        _keep_texts(reader, texts, workshop)
        reader.download_and_prepare()
        loaded = reader.as_dataset()
    except Exception as error:
        raise _unreadable(about, error, remedy) from error
    return {str(split): _with_names(rows) for split, rows in loaded.items()}


def _keep_texts(reader: Any, texts: Sequence[str], workshop: Path) -> None:
    """Have a reader of `datasets` take the cells of some columns of CSV files as they stand.

    Left alone it takes `None`, `NA` and the like for nothing, and `007` for 7.
    """
    import pandas as pd

    config = reader.config
    if hasattr(config, "keep_default_na"):
        firsts = [files[0] for files in config.data_files.values()]
        names = {n for file in firsts for n in pd.read_csv(file, sep=config.sep, nrows=0).columns}
        config.converters = dict.fromkeys(texts, _or_none)
        config.keep_default_na = False
        config.na_values = dict.fromkeys(names - {*texts}, _NOTHING)
    if hasattr(config, "metadata_filenames"):
        plainly = reader._read_metadata

        def read_metadata(file: str, metadata_ext: str = "") -> Iterator[pa.Table]:
            if metadata_ext == ".csv":
                yield read_table(_on_disk(file, workshop), texts, workshop).table
            else:
                yield from plainly(file, metadata_ext=metadata_ext)

        reader._read_metadata = read_metadata


def _or_none(cell: str) -> str | None:
    return cell or None


def _on_disk(file: str, workshop: Path) -> Path:
    """Return a file, taken out of its archive where it lies in one."""
    from datasets.utils.file_utils import xopen

    if Path(file).is_file():
        return Path(file)
    place = workshop / posixpath.basename(file.partition("::")[0])
    with xopen(file, "rb") as opened:
        place.write_bytes(opened.read())
    return place


def load_saved(about: str, folder: Path) -> dict[str, pa.Table]:
    """Return split -> table of what `datasets` wrote with `save_to_disk`.

    Raises:
        StudyError: it cannot be read.
    """
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise _unreadable(about, error) from error
    found = loaded if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    return {str(split): _with_names(rows) for split, rows in found.items()}


def check_disk(error: BaseException | None) -> None:
    """Raise what a disk that is full or read-only said, where that is behind an error.

    Raises:
        OSError: it is; nothing is wrong with the data then.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_REMEDIES:
            raise error
        error = error.__cause__ or error.__context__


def _unreadable(about: str, error: Exception, remedy: str = "") -> StudyError:
    check_disk(error)
    while error.__cause__ is not None:  # the others only wrap the first one
        error = error.__cause__  # type: ignore[assignment]
    said = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    return StudyError(f"{about} cannot be read: {said}. Check that its files are whole. {remedy}")


def _with_names(rows: Any) -> pa.Table:
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
