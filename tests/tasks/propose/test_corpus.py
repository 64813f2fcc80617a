import hashlib
import json
import os
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter

from curette.schemas.artifact import StudyError
from curette.tasks.propose import corpus as corpus_module
from curette.tasks.propose.corpus import (
    CHARACTERS_PER_WORD,
    Document,
    read_corpus,
    split_into_passages,
)


def write(folder: Path, **files: str | bytes) -> Path:
    """Write files whose names have `_` for the dot."""
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def pdf_of(*pages: str) -> bytes:
    """A minimal PDF, one line of text a page, written by hand."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources "
            f"<< /Font << /F1 3 0 R >> >> /Contents {5 + 2 * i} 0 R >>",
            f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        ]
    out = BytesIO(b"%PDF-1.4\n")
    out.seek(0, 2)
    starts = []
    for number, body in enumerate(objects, start=1):
        starts.append(out.tell())
        out.write(f"{number} 0 obj\n{body}\nendobj\n".encode())
    table = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.write("".join(f"{start:010d} 00000 n \n" for start in starts).encode())
    out.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n".encode())
    out.write(f"startxref\n{table}\n%%EOF\n".encode())
    return out.getvalue()


def encrypted(pdf: bytes) -> bytes:
    writer = PdfWriter()
    writer.append(PdfReader(BytesIO(pdf)))
    writer.encrypt("secret", algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_documents_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    write(tmp_path, b_txt="second", a_md="first", c_TXT="third")
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", z_txt="deep")
    found = read_corpus(tmp_path)
    names = [document.name for document in found.documents]
    assert names == sorted(names) == ["a.md", "a/z.txt", "b.txt", "c.TXT"]


def test_hidden_files_are_passed_over_and_other_endings_counted(tmp_path: Path) -> None:
    write(tmp_path, a_txt="text", b_docx="no", c_py="no", noending="no")
    (tmp_path / ".secret.txt").write_text("hidden")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.txt").write_text("hidden too")
    found = read_corpus(tmp_path)
    assert [document.text for document in found.documents] == ["text"]
    assert found.ignored == 3
    assert found.unread == ()


def test_the_text_is_the_files_characters_with_plain_line_ends(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"\xef\xbb\xbfone\r\ntwo\rthree\x00\tfour \xc2\xa0\n")
    [document] = read_corpus(tmp_path).documents
    assert document.text == "one\ntwo\nthree\x00\tfour \xa0\n"
    assert document.sha256 == hashlib.sha256(document.text.encode()).hexdigest()


def test_each_line_of_jsonl_is_a_document(tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": "by id\r\nhere", "id": "PMC7", "title": "left out"}),
        "",
        json.dumps({"text": "by line \u2028 number"}, ensure_ascii=False),
        json.dumps({"text": "by number", "id": 12}),
    ]
    write(tmp_path, a_jsonl="\r\n".join(lines))
    assert {d.name: d.text for d in read_corpus(tmp_path).documents} == {
        "a.jsonl#PMC7": "by id\nhere",
        "a.jsonl#3": "by line \u2028 number",
        "a.jsonl#12": "by number",
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "Invalid JSON"),
        ('["text"]', "should be an object"),
        ('{"id": "x"}', "text: Field required"),
        ('{"text": 5}', "text: Input should be a valid string"),
        ('{"text": "\\ud800"}', "Invalid JSON"),
        ('{"text": "  \\u0007"}', "no text in it"),
        ('{"text": "<> <"}', "no text in it"),
        ('{"text": "t", "id": true}', "id: "),
        ('{"text": "t", "id": ""}', "its id is not one line"),
        ('{"text": "t", "id": "a\\nb"}', "its id is not one line"),
        ('{"text": "again", "id": "1"}', "another document has its name"),
        ('{"text": "good"}', "the same text as a.jsonl#1"),
        ("[" * 100_000, "Invalid JSON"),
    ],
)
def test_a_line_that_is_no_document_is_listed_with_its_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    write(tmp_path, a_jsonl='{"text": "good"}\n' + line)
    found = read_corpus(tmp_path)
    assert [document.name for document in found.documents] == ["a.jsonl#1"]
    [unread] = found.unread
    assert unread.name in ("a.jsonl#2", "a.jsonl#1")
    assert reason in unread.reason


def test_the_text_of_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    write(tmp_path, a_pdf=pdf_of("Red lacunae are visible.", "So are pale septa."))
    [document] = read_corpus(tmp_path).documents
    assert document.text == "Red lacunae are visible.\n\nSo are pale septa."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encrypted(pdf_of("A secret.")), "an encrypted PDF"),
        (b"%PDF-1.4\nnothing that follows is a PDF", "no readable PDF"),
        (b"", "no readable PDF"),
        (pdf_of("Cut off.")[:-150], None),
        (pdf_of(""), "a scanned page has to be recognised"),
    ],
)
def test_a_pdf_that_cannot_be_read_is_listed_and_no_crash(
    tmp_path: Path, content: bytes, reason: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, a_txt="text", b_pdf=content)
    found = read_corpus(tmp_path)
    if reason is None:  # pypdf mends what it can
        assert len(found.documents) + len(found.unread) == 2
        return
    [unread] = found.unread
    assert unread.name == "b.pdf"
    assert reason in unread.reason
    assert not caplog.records


@given(st.binary(max_size=200), st.integers(0, 600))
def test_no_bytes_crash_the_reading_of_a_pdf(noise: bytes, place: int) -> None:
    whole = pdf_of("Some text.", "More text.")
    broken = whole[:place] + noise + whole[place + len(noise) :]
    try:
        list(corpus_module._read_pdf(broken, "a.pdf"))
    except corpus_module._Unreadable as problem:
        assert "PDF" in str(problem)


def test_what_is_not_utf_8_is_listed(tmp_path: Path) -> None:
    write(tmp_path, a_txt="text", b_txt="naïve".encode("latin-1"))
    [unread] = read_corpus(tmp_path).unread
    assert (unread.name, unread.reason) == ("b.txt", "not UTF-8 (byte 2): save it as UTF-8")


def test_a_text_that_stands_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a_txt="same\n", b_md="same\r\n", c_txt="other")
    found = read_corpus(tmp_path)
    assert [document.name for document in found.documents] == ["a.txt", "c.txt"]
    assert [(u.name, u.reason) for u in found.unread] == [("b.md", "the same text as a.txt")]


def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "documents"
    outside.mkdir()
    folder.mkdir()
    write(outside, private_txt="private")
    write(folder, a_txt="text")
    (folder / "b.txt").symlink_to(outside / "private.txt")
    (folder / "c").symlink_to(outside)
    (folder / "d.txt").symlink_to("../outside/private.txt")
    (folder / "e.txt").symlink_to("nowhere.txt")
    (folder / "loop").symlink_to(folder)
    found = read_corpus(folder)
    assert [document.name for document in found.documents] == ["a.txt"]
    assert [(u.name, u.reason) for u in sorted(found.unread, key=lambda u: u.name)] == [
        ("b.txt", "a link that leaves the folder"),
        ("c", "a link that leaves the folder"),
        ("d.txt", "a link that leaves the folder"),
        ("e.txt", "not a plain file, or a link to nothing"),
    ]


def test_a_link_within_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", real_bin="text")
    (tmp_path / "a.txt").symlink_to("deep/real.bin")
    assert [document.name for document in read_corpus(tmp_path).documents] == ["a.txt"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, a_txt="text")
    os.mkfifo(tmp_path / "b.txt")
    [unread] = read_corpus(tmp_path).unread
    assert unread.reason == "not a plain file, or a link to nothing"


def test_a_name_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_txt="text")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.txt")).write_text("other")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    [unread] = read_corpus(tmp_path).unread
    assert unread.name == "b\ufffd.txt"
    assert "not UTF-8" in unread.reason


def test_large_files_and_texts_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "FILE_BYTES", 2**20)
    monkeypatch.setattr(corpus_module, "DOCUMENT_LENGTH", 1000)
    write(tmp_path, a_txt="text", b_txt="b " * 2**19 + "b", c_txt="c" * 1001, d_txt="d" * 1000)
    found = read_corpus(tmp_path)
    assert [document.name for document in found.documents] == ["a.txt", "d.txt"]
    assert [(u.name, u.reason) for u in found.unread] == [
        ("b.txt", "larger than 1 MiB: split it"),
        ("c.txt", "longer than 1,000 characters: split it"),
    ]


def test_a_corpus_that_is_too_large_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "CORPUS_LENGTH", 10)
    write(tmp_path, a_txt="text", b_txt="more text")
    with pytest.raises(StudyError, match="more than 10 characters: keep those that speak"):
        read_corpus(tmp_path)


def test_no_folder_and_no_document_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"there is no folder .*nowhere to read documents from"):
        read_corpus(tmp_path / "nowhere")
    write(tmp_path, a_docx="no", b_txt=b"\xff")
    with pytest.raises(StudyError, match=r"b\.txt: not UTF-8.*\(1 files with other endings\)"):
        read_corpus(tmp_path)


# --- passages --------------------------------------------------------------------------------

TEXTS = st.text(alphabet="abc .\n\t\u3002!\xa0", max_size=300) | st.text(max_size=200)


@given(TEXTS, st.integers(1, 12))
def test_passages_hold_every_word_once_and_in_order(text: str, chunk_words: int) -> None:
    passages = split_into_passages(Document("a", text), chunk_words)
    covered = 0
    for passage in passages:
        assert text[covered : passage.start].strip() == ""
        assert passage.start < passage.end
        assert passage.text == text[passage.start : passage.end] == passage.text.strip()
        assert len(passage.text.split()) <= chunk_words
        assert len(passage.text) <= chunk_words * CHARACTERS_PER_WORD
        covered = passage.end
    assert text[covered:].strip() == ""


def passages_of(text: str, chunk_words: int) -> list[str]:
    return [passage.text for passage in split_into_passages(Document("a", text), chunk_words)]


def test_passages_end_at_paragraphs_first_and_sentences_next() -> None:
    assert passages_of("a b c. d\n\ne f g h", 6) == ["a b c. d", "e f g h"]
    assert passages_of("a b c. d e f g h", 5) == ["a b c.", "d e f g h"]
    assert passages_of('a b "c." d e f g h', 5) == ['a b "c."', "d e f g h"]
    assert passages_of("a b c d e f g h", 5) == ["a b c d e", "f g h"]


def test_a_short_heading_stays_with_what_follows() -> None:
    assert passages_of("# A\n\nb c d e. f g h", 6) == ["# A\n\nb c d e.", "f g h"]


def test_a_line_without_blanks_is_cut() -> None:
    assert list(map(len, passages_of("x" * 1050, 20))) == [200, 200, 200, 200, 200, 50]


def test_half_of_a_passage_at_least_is_kept_so_that_passages_are_few() -> None:
    text = "a. " * 10_000 + "b\n\n" * 10_000
    assert len(split_into_passages(Document("a", text), 200)) <= 2 * 20_000 / 200
