import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from curette.tasks.publish.markdown import Markdown, escape, indented, render, without_head

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


@pytest.mark.parametrize(
    "text",
    [
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
    ],
)
def test_hostile_texts_read_as_they_were_written(text: str) -> None:
    assert cells(escape(text)) == [text]


def test_addresses_do_not_become_links() -> None:
    assert "://" not in escape("see https://evil.example or ftp://x")
    assert "www." not in escape("see WWW.evil.example or www.evil.example").casefold()


def test_a_block_of_code_cannot_be_ended_from_inside() -> None:
    (token,) = READER.parse(indented("@misc{x,\n```\n</code><script>\n}"))
    assert token.type == "code_block"
    assert token.content == "@misc{x,\n```\n</code><script>\n}\n"


def test_only_markdown_is_rendered_as_it_stands() -> None:
    assert str(Markdown("*a*")) == "*a*"
    with pytest.raises(Exception, match="'facts' is undefined"):
        render("dataset_card.md", title="x")


def test_a_card_loses_its_head_and_no_more() -> None:
    assert without_head("---\na: 1\n---\n\n# T\n\n---\n\nend\n") == "# T\n\n---\n\nend\n"
