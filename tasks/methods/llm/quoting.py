"""Text from people, files and models as a part of a prompt: bounded, and only text."""

import unicodedata
from typing import Final

NAME_LENGTH: Final = 120
"""Characters of a name that go into a prompt."""

_MARKS: Final = str.maketrans("<>", "  ")


def one_line(text: str) -> str:
    """Return a text without line breaks, runs of blanks, and characters that nobody sees."""
    shown = (
        " " if unicodedata.category(c) == "Cc" else c
        for c in text
        if unicodedata.category(c) not in ("Cf", "Cn", "Co", "Cs")
    )
    return " ".join("".join(shown).split())


def quotable(text: str, limit: int = NAME_LENGTH) -> str:
    """Return a text that cannot leave the `<marks>` around it, in `limit` characters at most."""
    return one_line(text.translate(_MARKS))[:limit].rstrip()
