"""Passages of reports: by what another text is known to share one."""

import re

PASSAGE = 25
"""Letters and digits in a row, about five words, that two texts do not share by chance."""


def letters(text: str) -> str:
    """Return a text without marks of HTML, case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", re.sub(r"</?[a-z][^<>]*>", "", text.casefold()))
