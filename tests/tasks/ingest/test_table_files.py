"""A table is read as people have it, and what had to be found out for that is said."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from curette.schemas.artifact import StudyError
from curette.tasks.ingest import table_files
from curette.tasks.ingest.table_files import MAX_COLUMNS, ReadTable, read_table

WANTED = ("file", "label")
ROWS = [("a.png", "naevus pigmenté", "007", "30,5"), ("b.png", "None", "012", "31,0")]
HEADER = ("file", "label", "patient", "age")


def written(separator: str, rows: list[tuple[str, ...]] | None = None) -> str:
    lines = [HEADER, *(rows or ROWS)]
    return "".join(separator.join(line) + "\r\n" for line in lines)


def read(path: Path, content: bytes, name: str = "t.csv") -> ReadTable:
    (path / name).write_bytes(content)
    return read_table(path / name, ("file", "label", "patient"), path)


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "the encoding UTF-16"),
        ("utf-16-le", "the encoding UTF-16-LE"),
        ("utf-16-be", "the encoding UTF-16-BE"),
        ("utf-32", "the encoding UTF-32"),
        ("cp1252", "the encoding Windows-1252"),
    ],
)
@pytest.mark.parametrize(
    ("separator", "called"), [(";", "semicolons"), ("\t", "tabs"), ("|", "upright bars")]
)
def test_every_encoding_and_separator_gives_the_same_table(
    tmp_path: Path, encoding: str, told: str, separator: str, called: str
) -> None:
    table, notes = read(tmp_path, written(separator).encode(encoding))
    assert table.to_pydict() == {
        "file": ["a.png", "b.png"],
        "label": ["naevus pigmenté", "None"],
        "patient": ["007", "012"],
        "age": [30.5, 31.0],
    }
    assert len(notes) == 1
    assert told in notes[0]
    assert f"{called} between its cells, decimal commas." in notes[0]


def test_a_plain_table_needs_no_word(tmp_path: Path) -> None:
    text = "file,label,patient,age\na,x,1,30.5\n"
    assert read(tmp_path, text.encode()).notes == ()
    assert read(tmp_path, text.replace(",", "\t").encode(), "t.tsv").notes == ()
    assert read(tmp_path, text.encode(), "T.CSV").table.num_rows == 1


def test_what_excel_says_of_its_separator_is_believed(tmp_path: Path) -> None:
    table, notes = read(tmp_path, ("sep=;\r\n" + written(";")).encode())
    assert table.column_names == list(HEADER)
    assert "semicolons" in notes[0]


def test_points_and_commas_together_are_no_decimal_commas(tmp_path: Path) -> None:
    table, _ = read(tmp_path, b"file;label;size;place\na;x;3.5;1,2\n")
    assert table["size"].to_pylist() == [3.5]
    assert table["place"].to_pylist() == ["1,2"]


def test_commas_in_quotes_and_lines_in_cells_part_nothing(tmp_path: Path) -> None:
    table, notes = read(tmp_path, b'file,label,note\r\na,"x, y","one\r\ntwo; three"\r\n')
    assert table.to_pydict() == {"file": ["a"], "label": ["x, y"], "note": ["one\r\ntwo; three"]}
    assert notes == ()


def test_blanks_around_names_of_columns_are_none_of_them(tmp_path: Path) -> None:
    assert read(tmp_path, b"file , label\n a,x\n").table.column_names == ["file", "label"]


@pytest.mark.parametrize("names", ["file,label,label", "file,label,label ", "file,label,file"])
def test_a_name_that_stands_twice_is_refused(tmp_path: Path, names: str) -> None:
    with pytest.raises(StudyError, match=r"has 2 columns `(label|file)`: nobody can tell"):
        read(tmp_path, f"{names}\na,x,y\n".encode())


def test_a_parquet_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    column = pa.array(["x"])
    table = pa.Table.from_arrays([column] * 3, ["file", "label", "label"])
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(StudyError, match="has 2 columns `label`"):
        read_table(tmp_path / "t.parquet", WANTED, tmp_path)


def test_columns_without_a_name_do_not_count_as_one(tmp_path: Path) -> None:
    table, _ = read(tmp_path, b"file,label,,\na,x,,\n")
    assert table.column_names == ["file", "label", "unnamed 2", "unnamed 3"]


def test_a_table_of_unknown_columns_is_parted_where_most_of_them_come_of_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file;label;size\na;x;1,5\nb;y;2,5\n")
    table = read_table(tmp_path / "t.csv", (), tmp_path).table
    assert table.to_pydict() == {"file": ["a", "b"], "label": ["x", "y"], "size": [1.5, 2.5]}


def test_cells_beyond_the_header_shift_nothing(tmp_path: Path) -> None:
    """Pandas would take the first column for an index, and every name for the next column's."""
    assert read(tmp_path, b"file,label\na,x,\nb,y,\n").table["file"].to_pylist() == ["a", "b"]
    with pytest.raises(StudyError, match="more cells in its rows than names in its header"):
        read(tmp_path, b"file,label\na,x,1\nb,y,2\n")


def test_a_hundred_thousand_columns_are_refused_at_once(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(100_000))
    with pytest.raises(StudyError, match=f"100,000 columns; at most {MAX_COLUMNS:,} are read"):
        read(tmp_path, f"{names}\n{names}\n".encode())


def test_other_alphabets_are_not_guessed(tmp_path: Path) -> None:
    for text, encoding in (("меланома", "cp1251"), ("黒色腫", "shift-jis"), ("黑色素瘤", "gbk")):
        with pytest.raises(StudyError, match=r"not UTF-8, and not Western text.*CSV UTF-8"):
            read(tmp_path, f"file,label\na,{text}\n".encode(encoding))


def test_bytes_that_windows_1252_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read as CP1252 either"):
        read(tmp_path, b"file,label\na,x\x81y\n")


FRAME = pd.DataFrame(
    {
        "file": ["a", "b", "c"],
        "label": ["None", "02", 3],
        "patient": [7, 8.0, None],
        "age": [30.5, None, "NA"],
        "seen": [True, False, None],
    }
)


def test_a_workbook_is_read_as_it_is_shown(tmp_path: Path) -> None:
    FRAME.to_excel(tmp_path / "W.xlsx", index=False)
    (tmp_path / "W.xlsx").rename(tmp_path / "W.XLSX")
    table, notes = read_table(tmp_path / "W.XLSX", ("file", "label", "patient"), tmp_path)
    assert table.to_pydict() == {
        "file": ["a", "b", "c"],
        "label": ["None", "02", "3"],
        "patient": ["7", "8", None],
        "age": [30.5, None, None],
        "seen": [True, False, None],
    }
    assert notes == ()


def test_of_several_sheets_the_one_with_the_columns_is_read(tmp_path: Path) -> None:
    about = pd.DataFrame({"remark": ["made by hand"]})
    for second in (about, FRAME):
        with pd.ExcelWriter(tmp_path / "w.xlsx") as book:
            FRAME.to_excel(book, sheet_name="images", index=False)
            second.to_excel(book, sheet_name="other", index=False)
        if second is about:
            table, notes = read_table(tmp_path / "w.xlsx", WANTED, tmp_path)
            assert len(table) == 3
            assert notes == ("Of the sheets of w.xlsx `images` was read.",)
        else:
            with pytest.raises(StudyError, match="2 sheets with rows, and 2 of them have the col"):
                read_table(tmp_path / "w.xlsx", WANTED, tmp_path)


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read as an Excel workbook"):
        read(tmp_path, b"PK\x03\x04", "t.xlsx")


@pytest.mark.parametrize("above", ["\n\r\n", "# made by hand\n\n", "My data;;;\r\n"])
def test_a_table_begins_where_its_header_does(tmp_path: Path, above: str) -> None:
    table, notes = read(tmp_path, (above + written(";") + "\x1a").encode())
    assert table["patient"].to_pylist() == ["007", "012"]
    assert ("its header in line" in notes[0]) == bool(above.strip())


def test_a_dot_between_thousands_is_no_decimal_point(tmp_path: Path) -> None:
    rows: list[tuple[str, ...]]
    rows = [("a", "x", "1", "1.234,5"), ("b", "x", "2", "12,25"), ("c", "y", "3", "1.000")]
    table, notes = read(tmp_path, written(";", rows).encode())
    assert table["age"].to_pylist() == [1234.5, 12.25, 1000]
    assert "decimal commas" in notes[0]
    for doubtful in ("0.250", "1.25"):
        rows[2] = ("c", "y", "3", doubtful)
        assert read(tmp_path, written(";", rows).encode()).table["age"][0].as_py() == "1.234,5"


@pytest.mark.parametrize("encoding", ["mac-roman", "cp850", "cp437"])
def test_letters_of_dos_and_old_macs_are_not_guessed(tmp_path: Path, encoding: str) -> None:
    text = "file,label\na,m\u00e9lanome\nb,n\u00e6vus\n"
    with pytest.raises(StudyError, match="not Western text"):
        read(tmp_path, text.encode(encoding))
    words = "file,label\na,naevus pigment\u00e9\nb,l\u2019h\u00e4matome\n"
    assert "h\u00e4matome" in read(tmp_path, words.encode("cp1252")).table["label"][1].as_py()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a workbook of an old Excel"),
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "give it the ending .xlsx"),
        (b"\x1f\x8b\x08" + bytes(99), "an archive: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"<!DOCTYPE html><html>Log in</html>", "a web page"),
    ],
)
def test_what_is_only_called_a_table_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(StudyError, match=f"is no table: .*{re.escape(told)}"):
        read(tmp_path, content)


def workbook(path: Path, rows: list[list[object]], change: Callable[[Any], None]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    change(book.active)
    book.save(path)
    return path


ROWS_OF_BOOK: list[list[object]] = [
    ["file", "label", "patient"],
    ["a", "x", "a"],
    ["b", "x", "b"],
    ["c", "x", "c"],
]


def test_cells_that_only_look_filled_in_excel_are_refused(tmp_path: Path) -> None:
    merged = workbook(tmp_path / "m.xlsx", ROWS_OF_BOOK, lambda s: s.merge_cells("B2:B4"))
    with pytest.raises(StudyError, match=r"column `label` are merged, in rows 2 to 4.*Unmerge"):
        read_table(merged, WANTED, tmp_path)
    heading = workbook(tmp_path / "h.xlsx", ROWS_OF_BOOK, lambda s: s.merge_cells("D1:F1"))
    assert len(read_table(heading, WANTED, tmp_path).table) == 3
    formulas = [[*row[:1], f'=IF(A{i}="a","x","y")', row[2]] for i, row in enumerate(ROWS_OF_BOOK)]
    unknown = workbook(tmp_path / "f.xlsx", [ROWS_OF_BOOK[0], *formulas[1:]], lambda sheet: None)
    with pytest.raises(StudyError, match=r"3 cells .* are formulas whose results .* in `label`"):
        read_table(unknown, WANTED, tmp_path)


def test_a_workbook_begins_where_its_header_does(tmp_path: Path) -> None:
    titled = workbook(
        tmp_path / "t.xlsx", [["My data"], [], *ROWS_OF_BOOK], lambda s: s.merge_cells("A1:C2")
    )
    table, notes = read_table(titled, WANTED, tmp_path)
    assert table["label"].to_pylist() == ["x", "x", "x"]
    assert notes == ("The header of t.xlsx is its row 3.",)


def test_an_error_of_a_spreadsheet_is_no_class(tmp_path: Path) -> None:
    rows = [[*row[:1], "#N/A" if row[0] == "b" else row[1], row[2]] for row in ROWS_OF_BOOK]
    read_alike = [
        read_table(workbook(tmp_path / "e.xlsx", rows, lambda sheet: None), WANTED, tmp_path),
        read(tmp_path, "".join(f"{','.join(map(str, row))}\n" for row in rows).encode()),
    ]
    for table, notes in read_alike:
        assert table["label"].to_pylist() == ["x", None, "x"]
        assert "1 cells" in notes[0]
        assert "errors of a spreadsheet" in notes[0]


def test_a_workbook_is_read_no_further_than_a_table_goes(tmp_path: Path) -> None:
    def far(sheet: Any) -> None:
        sheet["XFD1048576"] = "x"

    with pytest.raises(StudyError, match=r"far more cells.*far corner"):
        read_table(workbook(tmp_path / "far.xlsx", ROWS_OF_BOOK, far), WANTED, tmp_path)
    bomb = workbook(tmp_path / "bomb.xlsx", ROWS_OF_BOOK, lambda sheet: None)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet2.xml", b" " * (129 << 20))
    with pytest.raises(StudyError, match="unpacks to 129 MiB, and at most 128"):
        read_table(bomb, WANTED, tmp_path)


def test_endings_count_in_any_case() -> None:
    assert all(ending == ending.lower() for ending in table_files.TABLE_ENDINGS)
