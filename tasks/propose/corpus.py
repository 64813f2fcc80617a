"""A folder of documents: their texts, and passages that know where in a text they stand.

**The document's text** is what all places (`start`, `end`) and the digest refer to. It is the
file's characters after decoding (UTF-8, a byte order mark left out) with every line end (CRLF, CR)
turned into LF, and nothing else changed: of a `.jsonl` line its `text`, of a PDF what pypdf
extracts, its pages parted by a blank line. What a prompt shows of it is tidied elsewhere.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Final

from pydantic import BaseModel, StrictInt, StrictStr, ValidationError

from curette.schemas.artifact import StudyError
from curette.tasks.methods.llm.quoting import NAME_LENGTH, one_line, quotable

FILE_BYTES: Final = 64 * 2**20
"""A larger file is not read."""
DOCUMENT_LENGTH: Final = 4_000_000
"""Characters: a longer text is no document but a collection, which `.jsonl` is for."""
CORPUS_LENGTH: Final = 200_000_000
"""Characters of all documents together; all are held in memory."""
CHARACTERS_PER_WORD: Final = 10
"""A passage of n words has at most n times so many characters; more is no prose."""


@dataclass(frozen=True)
class Document:
    """One text, under the name by which it is cited."""

    name: str
    """Path below the folder; in a .jsonl file with `#` and the line's id, or its number."""
    text: str

    @cached_property
    def sha256(self) -> str:
        """Digest of the text in UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Unread:
    """A file, or a line of one, that is no document, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """What a folder holds."""

    documents: tuple[Document, ...]
    unread: tuple[Unread, ...]
    ignored: int
    """Files with other endings."""


@dataclass(frozen=True)
class Passage:
    """A part of a document: `document.text[start:end]`, without blanks at its ends."""

    document: Document
    start: int
    end: int

    @property
    def text(self) -> str:
        """The document's own characters."""
        return self.document.text[self.start : self.end]


# --- passages --------------------------------------------------------------------------------


def split_into_passages(document: Document, chunk_words: int) -> list[Passage]:
    """Return passages that together hold every word of a document once, in order.

    A passage takes as many words as it may, then gives back what follows its last paragraph end,
    or else its last sentence end, where that leaves half of them. It has at most `chunk_words`
    words and `CHARACTERS_PER_WORD` times as many characters; a word longer than that (no blanks at
    all, as in a hostile file or a script without them) is cut.
    """
    longest = chunk_words * CHARACTERS_PER_WORD
    words = _words(document.text, longest)
    passages = []
    first = 0
    while first < len(words):
        start = words[first].start
        after = first + 1
        while (
            after < len(words)
            and after - first < chunk_words
            and words[after].end - start <= longest
        ):
            after += 1
        last = _best_end(words, first, after - 1)
        passages.append(Passage(document, start, words[last].end))
        first = last + 1
    return passages


@dataclass(frozen=True)
class _Word:
    start: int
    end: int
    ends_sentence: bool
    ends_paragraph: bool


_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"'”’)\]]*$")


def _words(text: str, longest: int) -> list[_Word]:
    words = []
    for found in re.finditer(r"(\S+)(\s*)", text):
        start, end = found.span(1)
        while end - start > longest:
            words.append(_Word(start, start + longest, False, False))
            start += longest
        sentence = _SENTENCE_END.search(text, max(start, end - 4), end) is not None
        paragraph = found[2].count("\n") >= 2 or found.end() == len(text)
        words.append(_Word(start, end, sentence, paragraph))
    return words


def _best_end(words: list[_Word], first: int, last: int) -> int:
    """Return the last word of a passage that may reach from `first` to `last`."""
    places = range(last, first + (last - first) // 2 - 1, -1)  # half of the words at least
    paragraphs = (place for place in places if words[place].ends_paragraph)
    sentences = (place for place in places if words[place].ends_sentence)
    return next(paragraphs, next(sentences, last))


# --- reading ---------------------------------------------------------------------------------


def read_corpus(folder: Path) -> Corpus:
    """Return the documents of a folder and its subfolders, in the order of their paths.

    Read are `.txt`, `.md`, `.jsonl` (one object a line with `text`, and `id` if it has one) and
    `.pdf` (its text only). Hidden files and folders are passed over, and so are links to folders;
    a link to a file is read if that file stands in the folder too. What cannot be read, or repeats
    another document's text, is listed with its reason.

    Raises:
        StudyError: there is no such folder, nothing in it can be read, or it is too large.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise StudyError(
            f"there is no folder {folder} to read documents from: check `folder` of the source "
            "`documents`, or `documents` of `discovered`; a relative path starts at the study file."
        )
    shelf = _Shelf()
    for path in _files(root, shelf):
        name = path.relative_to(root).as_posix()
        read = _READERS.get(path.suffix.lower())
        if read is None:
            shelf.ignored += 1
            continue
        try:
            for found in read(_bytes(path), name):
                shelf.put(found)
        except _Unreadable as problem:
            shelf.refuse(name, str(problem))
        if shelf.length > CORPUS_LENGTH:
            raise StudyError(
                f"the documents in {folder} have more than {CORPUS_LENGTH:,} characters: keep "
                "those that speak of the study's classes."
            )
    if not shelf.documents:
        why = "; ".join(f"{u.name}: {u.reason}" for u in shelf.unread[:3])
        raise StudyError(
            f"no document can be read in {folder}: {why or 'it holds none'} ({shelf.ignored} files "
            f"with other endings). Documents are files ending in {', '.join(_READERS)}."
        )
    return Corpus(tuple(shelf.documents.values()), tuple(shelf.unread), shelf.ignored)


class _Unreadable(Exception):
    """A file is no document; the text says why."""


class _Shelf:
    """Documents as they come, each text once."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.unread: list[Unread] = []
        self.ignored = 0
        self.length = 0
        self._names: set[str] = set()

    def put(self, document: Document | Unread) -> None:
        if isinstance(document, Unread):
            self.unread.append(document)
            return
        if problem := self._problem(document):
            self.refuse(document.name, problem)
            return
        self.documents[document.sha256] = document
        self._names.add(document.name)
        self.length += len(document.text)

    def refuse(self, name: str, reason: str) -> None:
        self.unread.append(Unread(name, reason))

    def _problem(self, document: Document) -> str:
        if len(document.text) > DOCUMENT_LENGTH:
            return f"longer than {DOCUMENT_LENGTH:,} characters: split it"
        if not quotable(document.text, 1):
            return "no text in it; a scanned page has to be recognised (OCR) first"
        if same := self.documents.get(document.sha256):
            return f"the same text as {same.name}"
        return "another document has its name" if document.name in self._names else ""


def _files(root: Path, shelf: _Shelf) -> list[Path]:
    """Return all plain files that are not hidden, by path; refuse what is none or leads away."""

    def complain(error: OSError) -> None:
        shelf.refuse(_shown(Path(error.filename), root), f"cannot be opened: {error.strerror}")

    found = []
    for place, folders, files in os.walk(root, onerror=complain):
        folders[:] = [name for name in folders if not name.startswith(".")]
        entries = [Path(place, name) for name in (*folders, *files) if not name.startswith(".")]
        for path in entries:
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                shelf.refuse(_shown(path, root), "a link that leaves the folder")
            elif path.is_dir():
                continue
            elif not path.is_file():
                shelf.refuse(_shown(path, root), "not a plain file, or a link to nothing")
            elif _shown(path, root) != path.relative_to(root).as_posix():
                shelf.refuse(_shown(path, root), "its name is not UTF-8: rename it")
            else:
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def _shown(path: Path, root: Path) -> str:
    """Return a path below the root in characters that can be stored."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise _Unreadable(f"cannot be opened: {error.strerror}") from None
    if len(raw) > FILE_BYTES:
        raise _Unreadable(f"larger than {FILE_BYTES // 2**20} MiB: split it")
    return raw


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(f"not UTF-8 (byte {error.start}): save it as UTF-8") from None


def _with_plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_text(raw: bytes, name: str) -> Iterator[Document | Unread]:
    yield Document(name, _with_plain_line_ends(_decoded(raw)))


class _Line(BaseModel):
    text: StrictStr
    id: StrictStr | StrictInt | None = None


def _read_lines(raw: bytes, name: str) -> Iterator[Document | Unread]:
    for number, line in enumerate(_decoded(raw).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = _Line.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = " ".join(str(part) for part in first["loc"][:1])
            reason = f"{place}: {first['msg']}" if place else first["msg"]
            yield Unread(f"{name}#{number}", reason)
            continue
        own = number if found.id is None else found.id
        if one_line(str(own)) != str(own) or not 0 < len(str(own)) <= NAME_LENGTH:
            reason = f"its id is not one line of 1 to {NAME_LENGTH} characters"
            yield Unread(f"{name}#{number}", reason)
            continue
        yield Document(f"{name}#{own}", _with_plain_line_ends(found.text))


def _read_pdf(raw: bytes, name: str) -> Iterator[Document | Unread]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    pages: list[str] = []
    try:
        with _quiet(logging.getLogger("pypdf")):
            for page in PdfReader(BytesIO(raw)).pages:
                pages.append(page.extract_text())
                if sum(map(len, pages)) > DOCUMENT_LENGTH:
                    break
    except (FileNotDecryptedError, DependencyError):
        raise _Unreadable("an encrypted PDF: save it without a password") from None
    except Exception as error:  # pypdf meets broken files with errors of every kind
        said = one_line(str(error))[:NAME_LENGTH]
        raise _Unreadable(f"no readable PDF ({type(error).__name__}: {said})") from None
    text = "\n\n".join(pages).encode("utf-8", "replace").decode()  # fonts may name half characters
    yield Document(name, _with_plain_line_ends(text))


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a library from writing a line for every flaw of a file that it reads all the same."""
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


_READERS: Final[dict[str, Callable[[bytes, str], Iterator[Document | Unread]]]] = {
    ".txt": _read_text,
    ".md": _read_text,
    ".jsonl": _read_lines,
    ".pdf": _read_pdf,
}
