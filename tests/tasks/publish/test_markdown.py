import pytest
from markdown_it import MarkdownIt

from curette.tasks.publish.markdown import Markdown, indented, render, without_head


def test_a_block_of_code_cannot_be_ended_from_inside() -> None:
    (token,) = MarkdownIt("commonmark").parse(indented("@misc{x,\n```\n</code><script>\n}"))
    assert token.type == "code_block"
    assert token.content == "@misc{x,\n```\n</code><script>\n}\n"


def test_only_markdown_is_rendered_as_it_stands() -> None:
    assert str(Markdown("*a*")) == "*a*"
    with pytest.raises(Exception, match="'facts' is undefined"):
        render("dataset_card.md", title="x")


def test_a_card_loses_its_head_and_no_more() -> None:
    assert without_head("---\na: 1\n---\n\n# T\n\n---\n\nend\n") == "# T\n\n---\n\nend\n"
