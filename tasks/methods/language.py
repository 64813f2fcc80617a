"""Whether a statement is English, in Latin script: prompts and gates are written in that."""

import re
import unicodedata
from typing import Any, NamedTuple


class NotEnglish(NamedTuple):
    """What shows that a text is not English."""

    reason: str
    details: dict[str, Any]


def why_not_english(text: str) -> NotEnglish | None:
    """Return what shows that a text is not English; None if nothing does."""
    return _another_script(text) or _another_language(text)


def _another_script(text: str) -> NotEnglish | None:
    """Find a word of two letters and more in another script; a lone β is a symbol."""
    for word in re.findall(r"[^\W\d_]+", text):
        scripts = {unicodedata.name(letter, "?").split()[0] for letter in word}
        if len(word) > 1 and not scripts & {"LATIN", "MICRO"}:
            script = sorted(scripts)[0].title()
            return NotEnglish(f"is not in Latin script: '{word}'", {"word": word, "script": script})
    return None


_FUNCTION_WORDS = {
    language: frozenset(listed.split())
    for language, listed in {
        "German": """und oder der das den dem des ein eine einer eines einem mit ohne nicht ist
            sind im zu zur vom von auf bei durch sehr wird werden""",
        "French": "le la les une des et avec sans est sont dans sur aux du ou par qui plus",
        "Spanish": "el la los las una uno con sin y es son por que del se muy como",
        "Italian": "il lo gli della delle dei dello con senza e di che nel nella una sono",
        "Portuguese": "o os com sem uma um em do da dos das e que na nas ao",
        "Dutch": "het een met zonder van zijn niet op bij voor wordt",
    }.items()
}
"""What these languages are told by; words that English statements borrow are left out."""
_TELLING = frozenset(
    re.findall(
        r"\w+",
        """und oder mit ohne nicht eine einer einem avec sans est sont dans los las con sem uma
    senza della delle gli het een zonder voor wordt""",
    )
)
"""Of these, the ones that no English statement holds."""
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        """a an the of in on at to by for from with without and or but as is are was were be been
    that which this these it its not no can may has have than into around within""",
    )
)


def _another_language(text: str) -> NotEnglish | None:
    """Find words of a language that outnumber the English ones.

    One is enough where it is no English word at all, or stands beside a letter that is not ASCII;
    otherwise two are needed. "En face view of the disc" and "café au lait spots" are English.
    """
    said = re.findall(r"[^\W\d_]+", text.casefold())
    english = sum(word in _ENGLISH for word in said)
    for language, listed in _FUNCTION_WORDS.items():
        found = [word for word in said if word in listed and word not in _ENGLISH]
        plain = len(found) > 1 or not text.isascii() or not _TELLING.isdisjoint(found)
        if found and plain and len(found) > english:
            return NotEnglish(
                "is not English: " + ", ".join(f"'{w}'" for w in found),
                {"words": found, "like": language},
            )
    return None
