"""Noun phrases of running text, as far as words alone tell them.

After RAKE (Rose, Engel, Cramer and Cowley, in Text Mining, 2010): a phrase is an unbroken run of
words between stop words and punctuation. Beyond stop words, adverbs and verbs that descriptions
are full of end a run, and a participle at its end is taken off, so that "dark globules are often
scattered irregularly" gives "dark globules". No grammar is parsed: what looks like a noun phrase
and is none must be stopped by what the phrases are used for.
"""

import re
from collections.abc import Iterator
from typing import Final

from curette.schemas.candidates import normal_form
from curette.tasks.methods.wording.words import fold, words

MOST_WORDS: Final = 4
_SHORTEST: Final = 4  # letters of a phrase of one word

_STOP_WORDS: Final = frozenset(
    words(
        """a about above across after again against all almost along already also
        although always am among an and another any anyone anything anywhere are around
        as at away be because been before being below beneath beside besides between
        beyond both but by can cannot could did do does done down due during each eg
        either else elsewhere enough etc even ever every everyone everything few for
        from had has have having he hence her here his how however i ie if in inside
        instead into is it its itself just least less like made make many may me might
        mine more moreover most much must my near neither never nevertheless no nobody
        none nor not nothing now nowhere of off often on once one only onto or other
        others otherwise our out outside over own per perhaps please rather same shall
        she should since so some someone something sometimes somewhere still such than
        that the their them themselves then thence there therefore these they this those
        though three through throughout thus to together too toward towards two under
        until up upon us very via was we well were what whatever when whenever where
        wherever whether which while who whoever whole whom whose why will with within
        without would yet you your"""
    )
)
"""Function words, and those that say how much or how often."""
_VERBS: Final = frozenset(
    words(
        """accompany affect allow appear arise arrange become begin belong bleed call
        cause come compare consist contain correspond cover decide depend describe
        develop differ disappear distinguish divide drain draw enlarge establish exceed
        exclude exist expect extend fade favour favor follow get give go grow hide help
        include increase indicate involve join keep know lack lead leave lie look lose
        make mean measure merge obscure occupy occur predict press produce prove reach
        recognise recognize reduce regress remain represent require resemble result rule
        say see seem separate show spare speak stand start stay stop suggest support
        surround take tell tend think treat turn vary want widen"""
    )
)
"""Base forms; words that are as often nouns or adjectives are left out."""
_NO_NOUNS: Final = frozenset(
    words(
        """able absent adjacent apart average better characteristic clear common
        difficult distinct due easier easy entire equal especially evident expected far
        finally free frequent further general good great greater greatest highly
        important instead known large larger largest less likely little long main mainly
        mostly near new non occasional old particular possible present prone quite rare
        rather related responsible second secondary several short similar single small
        smaller sometimes special specific sure third type typical uncommon unequal
        unlikely useful usual various visible warning well younger"""
    )
)
"""Words that do not stand at the end of a noun phrase, or say nothing alone."""
_PARTS: Final = re.compile(r"[.!?…:;,()\[\]{}\"“”<>|*_#=+~/\\]|\n\s*\n|\s[-–—]+\s|\s['‘’]|['‘’]\s")
_WORD: Final = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


def noun_phrases(text: str) -> dict[str, str]:
    """Return the noun phrases of a text by their normal form, in the order of their first places.

    Args:
        text: running text; line ends within a paragraph are blanks.

    Returns:
        Normal form -> the phrase as it stands there first, but for a capital letter. Each has at
        most `MOST_WORDS` words;
        of a longer run only its last words are taken, where the noun stands.
    """
    found: dict[str, str] = {}
    for part in _PARTS.split(text):
        for run in _runs(part):
            phrase = _without_capital(" ".join(_trimmed(run)[-MOST_WORDS:]))
            if len(phrase) >= _SHORTEST:
                found.setdefault(normal_form(phrase), phrase)
    return found


def _runs(part: str) -> Iterator[list[str]]:
    """Yield runs of words that no stop word, verb, adverb or number breaks."""
    run: list[str] = []
    for token in part.split():
        word = token if _WORD.fullmatch(token) else ""
        if word and not _breaks(fold(word)):
            run.append(word)
            continue
        if run:
            yield run
        run = []
    if run:
        yield run


def _breaks(word: str) -> bool:
    return word in _STOP_WORDS or (word.endswith("ly") and len(word) > 4) or _is_verb(word)


def _is_verb(word: str) -> bool:
    """Return whether a word is a form of a verb of `_VERBS` that is not its participle."""
    stems = {word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word)}
    return not stems.isdisjoint(_VERBS)


def _without_capital(phrase: str) -> str:
    """Return a phrase without the capital that may be a sentence's; "CT signs" keeps its own."""
    return phrase[:1].lower() + phrase[1:] if phrase[1:2].islower() else phrase


def _trimmed(run: list[str]) -> list[str]:
    """Return a run without what cannot stand at its ends."""
    last = len(run)
    while last and _is_no_noun(fold(run[last - 1])):
        last -= 1
    return run[:last]


def _is_no_noun(word: str) -> bool:
    participle = len(word) > 5 and word.endswith(("ed", "ing"))
    return participle or word in _NO_NOUNS
