"""What is the same of two statements that say the same in the same words: their plain form.

"Brown or black in color", "black or brown in color" and "color brown or black" have one plain form:
parts joined by "and" or "or" may change places, "in" before an attribute is no relation, and words
that say nothing beside the others do not count. "Dark centre with pale rim" and "pale centre with
dark rim" have two, and so have "dots around vessels" and "vessels around dots".
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from curette.tasks.methods.wording.lexicon import LEXICON, Category
from curette.tasks.methods.wording.phrases import Phrases
from curette.tasks.methods.wording.words import fold, stem, words
from curette.tasks.screen.contrasts import NEGATIONS, RELATIONS, exclude, takes_a_side

Form = tuple[str, ...]

FILLERS = frozenset(
    words(
        """a an the of with and or is are was were be been being it its this that these those which
        who there has have having may can could often usually typically sometimes generally appear
        appears appearing present presence seen visible look looks some"""
    )
)
"""Words without which a statement says the same."""

_IMPLIED = {
    stem(noun): (frozenset(map(stem, words(values))), categories)
    for noun, values, categories in (
        ("color", "dark pale light deep bright", {"color"}),
        ("coloration", "dark pale light deep bright", {"color"}),
        ("colored", "dark pale light deep bright", {"color"}),
        ("coloring", "dark pale light deep bright", {"color"}),
        ("hue", "dark pale light deep bright", {"color"}),
        ("shape", "round oval circular ring linear angular polygonal stellate dome", set()),
        ("shaped", "round oval circular ring linear angular polygonal stellate dome", set()),
        ("size", "small tiny minute minuscule large big huge giant", set()),
        ("sized", "small tiny minute minuscule large big huge giant", set()),
        ("texture", "smooth rough scaly coarse waxy velvety", set()),
    )
}
"""An attribute that a value beside it implies: what is brown is brown in color."""
_GENERIC = frozenset(map(stem, words("lesion area region zone appearance feature look skin")))
"""What an appearance may be said of without saying more."""
_PADDING = frozenset(
    map(
        stem,
        words(
            """structure pigmentation pigmented feature characteristic characterized pattern form
            type kind significant marked discoloration various"""
        ),
    )
)
"""What a finding is said of, or said with, where an encoder agrees that nothing else is meant."""
_ATTRIBUTES = frozenset(
    words(
        """color colors coloration shape shapes size texture appearance form outline pattern number
        distribution arrangement nature character diameter symmetry"""
    )
)
"""What something may be "irregular in"."""
_IN_ATTRIBUTE = re.compile(rf"\bin(?= (?:(?:the|its|their|a|an) )?(?:{'|'.join(_ATTRIBUTES)})\b)")
_FEWEST_TEXTS, _OF_TEMPLATE = 20, 0.8
"""Texts of which a template can be read off, and the share of them that must have it."""
_JOINTS = frozenset(words("and or with plus but"))


def content_stems(text: str) -> tuple[str, ...]:
    """Return the stems of a text's words without fillers, in their order."""
    return tuple(stem(word) for word in words(text) if word not in FILLERS)


def without_template(texts: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the texts without the first words that nearly all known texts begin with.

    "This is dermatoscopy of" says nothing where every statement begins so.
    """
    begins = [tuple(text.split()) for text in known]
    template: tuple[str, ...] = ()
    while len(known) >= _FEWEST_TEXTS:
        longer = Counter(b[: len(template) + 1] for b in begins if len(b) > len(template) + 1)
        found, count = longer.most_common(1)[0] if longer else ((), 0)
        if count < _OF_TEMPLATE * len(known):
            break
        template = found
    return [
        text.split(maxsplit=len(template))[-1] if _begins(text, template) else text
        for text in texts
    ]


def _begins(text: str, template: tuple[str, ...]) -> bool:
    return (
        0 < len(template) < len(text.split()) and tuple(text.split()[: len(template)]) == template
    )


def plain_form(text: str, meaning: Callable[[str], str] = lambda stem: stem) -> Form:
    """Return what is the same of two texts that say the same in the same words.

    Args:
        text: any text.
        meaning: what stands for a stem; by default itself.
    """
    tokens = re.findall(r"[,;/&]|%|[^\W_]+", _IN_ATTRIBUTE.sub(" ", fold(text)))
    dull = _dull([stem(t) for t in tokens if t not in FILLERS and t.isalnum()], text)
    form: list[str] = []
    sides: list[list[str]] = [[]]
    for word in tokens:
        said = stem(word)
        if said in NEGATIONS or word in RELATIONS:
            form += [*_segment(sides), said]
            sides = [[]]
        elif word in _JOINTS or word in ",;/&":
            sides.append([])
        elif word not in FILLERS and said not in dull:
            sides[-1].append(meaning(said))
    return (*form, *_segment(sides)) or tuple(words(text))


def core(text: str, meaning: Callable[[str], str]) -> frozenset[str]:
    """Return the words of a statement that name a finding, whatever they are said of.

    Empty where words are related or denied ("dots around vessels"), or where an attribute is named
    that no other word implies ("irregular in shape"): there, every word counts.
    """
    form = plain_form(text, meaning)
    if len(form) != 1:
        return frozenset()
    stems = {s for s in form[0].split() if s not in _PADDING}
    return frozenset() if stems & _IMPLIED.keys() else frozenset(stems)


def _segment(parts: Iterable[Sequence[str]]) -> Form:
    """Return the form of parts that may change places: one, or one a part that is bound together.

    Parts that only add a word to the next, or to the others, are one bag of words ("red, scaly
    patch", "brown or black spots"). Where two parts say something of two things, exchanging words
    between them would change what is said.
    """
    said = [part for part in parts if part]
    bound: list[list[Sequence[str]]] = []
    for part in said:
        if bound and sum(map(len, bound[-1])) == 1:  # "red, scaly patch"
            bound[-1].append(part)
        else:
            bound.append([part])
    things = [part for part in said if not all(map(takes_a_side, part))]
    two_things = sum(sum(map(len, side)) > 1 for side in bound) > 1
    if two_things or (_opposed([s for part in said for s in part]) and len(things) > 1):
        return tuple(sorted(map(_bag, bound)))
    return (_bag(said),) if said else ()


def _bag(parts: Iterable[Sequence[str]]) -> str:
    """Return words in no order, but for parts whose words exclude each other ("blue-white")."""
    stems = [["-".join(part)] if _opposed(part) else part for part in parts]
    return " ".join(sorted({stem for part in stems for stem in part}))


def _opposed(stems: Sequence[str]) -> bool:
    return any(exclude(a, b) for a in stems for b in stems)


def _dull(stems: Sequence[str], text: str) -> frozenset[str]:
    """Return the stems that say nothing beside the others."""
    seen = {hit.meaning.name for hit in _appearances().find(words(text)) if hit.words not in _BARE}
    implied = {
        noun
        for noun, (values, categories) in _IMPLIED.items()
        if noun in stems and (not values.isdisjoint(stems) or categories & seen)
    }
    generic = _GENERIC.intersection(stems) if seen else frozenset()
    dull = implied | generic
    return frozenset(dull) if {*stems} - dull else frozenset()


_BARE = frozenset(
    words("color colors colored coloration hue hues shade shades shape shapes size texture")
)
"""Words of the lexicon's appearances that name an attribute and no value of it."""


@cache
def _appearances() -> Phrases[Category]:
    return Phrases({p: c for c in LEXICON if c.weight == "appearance" for p in c.patterns})
