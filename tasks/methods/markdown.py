"""Text from elsewhere in what is read as Markdown: it is shown, and does nothing."""

import html
import re

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]|~#$!])")
_LIST_OR_RULE = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")
_ACTS = re.compile(r"(?i)(?<=<)(?=\S)|(?<=\])(?=[(\[:])|(?<=:)(?=//)|(?<=www)(?=\.)")


def escape(value: object) -> str:
    """Return a text on one line whose every character stands for itself.

    Punctuation of CommonMark and of tables is escaped, HTML turned into entities, and addresses
    are kept from becoming links.
    """
    line = " ".join(str(value).split())
    escaped = _PUNCTUATION.sub(r"\\\1", html.escape(line, quote=False))
    escaped = _LIST_OR_RULE.sub(r"\1\\\2", escaped)
    return re.sub(r"(?i)(?<=:)//|(?<=www)\.", lambda m: f"&#{ord(m[0][0])};{m[0][1:]}", escaped)


def inert(value: str) -> str:
    """Return a text of which no link, picture or tag is made, and which looks as it did.

    For what one page renders as Markdown and another shows as it is, such as the cells of a table
    in the two UIs of Prefect: what `escape` puts there the second would show. A word joiner
    (U+2060), which has no width, is put into what would begin a tag, a link or an address.
    """
    return _ACTS.sub("\u2060", value)
