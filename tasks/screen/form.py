"""The form gate: is this one whole statement in English?

It asks nothing about the meaning. What is no statement at all would only puzzle the gates behind
it: a string of another script, a sentence that was cut off, a list of several concepts, a question.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from curette.schemas.screened import ScreenSpec
from curette.tasks.screen.lexicon import APPEARANCE, STRUCTURE, Weight
from curette.tasks.screen.phrases import Phrases
from curette.tasks.screen.words import fold, words


@dataclass(frozen=True)
class Malformed:
    """Why a text is no single statement."""

    reason: str
    """Completes the sentence 'it ...'."""
    evidence: dict[str, Any] = field(default_factory=dict)


def why_malformed(text: str, spec: ScreenSpec) -> Malformed | None:
    """Return why a text is not one whole English statement of the right length; None if it is."""
    return (
        _control_character(text)
        or _wrong_length(text, spec)
        or _another_script(text)
        or _another_language(text)
        or _question(text)
        or _cut_off(text)
        or _list(text, spec.max_listed)
    )


def truncation(text: str) -> str:
    """Return what shows that a text was cut off; empty where nothing does."""
    text = text.strip()
    if text.count("(") != text.count(")"):
        return "an open bracket"
    if re.search(r"(\.\.|…|[-–,;:(/&])$", text):
        return text[-3:].strip()
    last = fold(text).rstrip(".?!\"'").split()[-1:]
    return last[0] if last and last[0] in DANGLING else ""


DANGLING = frozenset(
    words(
        """a an the of in on at to by for from with without and or but nor than as is are was
        were be been being may can could might will would has have had do does did that which
        who whose where when while because such including into onto between among through
        during upon if very its their these those depending due often usually typically
        sometimes cause causes caused called tend tends no not"""
    )
)
"""Words that cannot end a whole statement; one that does was cut off."""


# --- the checks ----------------------------------------------------------------------------------


def _control_character(text: str) -> Malformed | None:
    for character in text:
        if unicodedata.category(character)[0] == "C" or character == "\ufffd":
            code = f"U+{ord(character):04X}"
            return Malformed(f"holds the control character {code}", {"character": code})
    return None


def _wrong_length(text: str, spec: ScreenSpec) -> Malformed | None:
    length = {"words": len(text.split()), "characters": len(text)}
    for unit, low, high in (
        ("words", spec.min_words, spec.max_words),
        ("characters", spec.min_characters, spec.max_characters),
    ):
        if not low <= length[unit] <= high:
            return Malformed(f"has {length[unit]} {unit}, not {low} to {high}", length)
    return None


def _another_script(text: str) -> Malformed | None:
    """Find a word of two letters and more in another script; a lone β is a symbol."""
    for word in re.findall(r"[^\W\d_]+", text):
        scripts = {unicodedata.name(letter, "?").split()[0] for letter in word}
        if len(word) > 1 and not scripts & {"LATIN", "MICRO"}:
            script = sorted(scripts)[0].title()
            return Malformed(f"is not in Latin script: '{word}'", {"word": word, "script": script})
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
    words(
        """und oder mit ohne nicht eine einer einem avec sans est sont dans los las con sem uma
        senza della delle gli het een zonder voor wordt"""
    )
)
"""Of these, the ones that no English statement holds."""
_ENGLISH = frozenset(
    words(
        """a an the of in on at to by for from with without and or but as is are was were be been
        that which this these it its not no can may has have than into around within"""
    )
)


def _another_language(text: str) -> Malformed | None:
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
            return Malformed(
                "is not English: " + ", ".join(f"'{w}'" for w in found),
                {"words": found, "like": language},
            )
    return None


_QUESTION = re.compile(
    r"(?:do|does|did|can|could) (?:the|this|these|it|its|they|any|you)\b"
    r"|(?:is|are) (?:there|this|these|it|they|any)\b"  # "is the size of a pea" asks nothing
    r"|(?:what|how|why) (?:\w+ )?(?:is|are|do|does|did|can|would|many|much)\b"
)


def _question(text: str) -> Malformed | None:
    if "?" in text or _QUESTION.match(fold(text).strip()):
        return Malformed("is a question, not a statement")
    return None


def _cut_off(text: str) -> Malformed | None:
    found = truncation(text)
    return Malformed(f"was cut off: '{found}'", {"words": [found]}) if found else None


def _list(text: str, max_listed: int) -> Malformed | None:
    """Find several statements in one.

    Semicolons, line breaks and sentences part statements. Commas and "and" do where more than
    `max_listed` of the parts name a structure each: "scales, crusts and ulcers" is a list, and
    "red, blue or white spots" is not.
    """
    statements = [
        p for p in re.split(r";|\n|[.!] +(?=[A-Z])|\s(?:[•*]|\d+[.)])\s", text) if p.strip(" .")
    ]
    if len(statements) > 1:
        return Malformed(
            f"is {len(statements)} statements in one", {"parts": [p.strip() for p in statements]}
        )
    parts = re.split(r",|/|\band\b|\bor\b|\bplus\b|&", fold(text))
    naming = [p.strip() for p in parts if _names_a_thing(words(p))]
    if len(naming) > max_listed:
        return Malformed(f"lists {len(naming)} things in one", {"parts": naming})
    return None


_MODIFIER = re.compile(r"(?:ed|ous|al|ar|ic|ive|id|oid|ant|ary|y|iple)$")
_PLURAL = re.compile(r"[^su]s$")


def _names_a_thing(said: Sequence[str]) -> bool:
    """Return whether words end in a noun: "red dots" do, "multiple" and "round" do not."""
    hits = list(_visible().find(said))
    if not hits or not hits[-1].words.endswith(said[-1]):
        return False
    if hits[-1].meaning == "structure":
        return not _MODIFIER.search(said[-1])
    return _PLURAL.search(said[-1]) is not None


@cache
def _visible() -> Phrases[Weight]:
    seen = [c for c in (*APPEARANCE, *STRUCTURE) if c.name != "aspect"]
    return Phrases({pattern: c.weight for c in seen for pattern in c.patterns})
