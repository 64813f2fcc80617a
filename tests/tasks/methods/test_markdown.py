import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from curette.tasks.methods.markdown import escape, inert

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def cells(markdown: str) -> list[str]:
    """Return the text of every cell of a table, as an independent reader sees it."""
    tokens = READER.parse(markdown)
    assert not [t for t in tokens if t.type.startswith("html")]
    inline = [t.children or [] for t in tokens if t.type == "inline"]
    assert {t.type for line in inline for t in line} <= {"text", "text_special", "softbreak"}
    return ["".join(t.content for t in line) for line in inline]


@given(st.text(alphabet=string.printable + "äß\u2028\u00a0"))
def test_any_text_is_one_cell_that_reads_as_it_was(text: str) -> None:
    row = f"| a | b |\n| --- | --- |\n| x {escape(text)} x | y |\n"
    one_line = " ".join(f"x {text} x".split())
    assert cells(row.replace("x  x", "x x")) == ["a", "b", one_line, "y"]


HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "<!-- hidden",
    "`code` | *bold* ~~gone~~",
    "&lt;b&gt;",
    "- item",
    "12. item",
    "3) item",
    "===",
    "-0.5",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_read_as_they_were_written(text: str) -> None:
    assert cells(escape(text)) == [text]


def test_addresses_do_not_become_links() -> None:
    assert "://" not in escape("see https://evil.example or ftp://x")
    assert "www." not in escape("see WWW.evil.example or www.evil.example").casefold()


@pytest.mark.parametrize(
    "text", [*HOSTILE, "<https://evil.example>", "[a]: https://evil.example\n\n[a]", "![a][b]"]
)
def test_of_an_inert_text_neither_link_nor_picture_nor_tag_is_made(text: str) -> None:
    assert acting(inert(text)) == set()
    assert acting("<b>![a](b)</b>") == {"html_inline", "image"}
    assert acting("![a](b) [a](b)") == {"image", "link_open", "link_close"}


@given(
    st.lists(st.sampled_from(["<", ">", "[", "]", "(", ")", "!", ":", "//", "a", " ", "\n", "&"]))
)
def test_none_is_made_of_any_marks(marks: list[str]) -> None:
    text = "".join(marks)
    assert acting(inert(text)) == set()
    assert inert(text).replace("\u2060", "") == text


def acting(markdown: str) -> set[str]:
    """Return what an independent reader makes of a text that would fetch, lead away or run."""
    tokens = READER.parse(markdown)
    every = [*tokens, *(t for line in tokens for t in line.children or [])]
    return {t.type for t in every if t.type.startswith(("html", "link", "image"))}
