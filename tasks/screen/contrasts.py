"""Words that exclude each other: two statements that differ in them do not say the same."""

from collections.abc import Collection, Mapping, Sequence

from curette.tasks.methods.wording.words import stem, words

_SIDE_BY_SIDE = (
    "red reddish pink | blue bluish | white whitish | black | brown brownish tan | yellow yellowish"
    " | green | purple violet | gray grayish",
    "dark darker | pale light lighter bright",
    "dense opaque opacity | lucent lucency translucent transparent clear",
    "left | right | both bilateral",
    "upper | middle | lower",
    "central center inner | peripheral periphery outer",
    "anterior | posterior",
    "large larger big huge giant | small smaller tiny minute",
    "thick thickened | thin thinned",
    "wide widened broad dilated | narrow narrowed constricted",
    "long elongated | short shortened",
    "high increased more | low decreased reduced less",
    "coarse | fine",
    "round oval | angular polygonal | linear | stellate branching",
)
"""An image may show both, in two places: red dots and blue dots."""
_ONE_OR_OTHER = (
    "raised elevated | flat | sunken depressed",
    "smooth | rough scaly crusted",
    "sharp sharply well | blurred fuzzy indistinct ill poorly",
    "homogeneous uniform | heterogeneous variegated patchy",
    "focal localized | diffuse widespread",
    "single solitary | multiple numerous many several",
    "abundant | sparse few scant",
    "solid | cystic hollow",
)
"""What is the one is not the other: a flat surface, a raised surface."""


def _sides(contrasts: Sequence[str]) -> dict[str, tuple[str, int]]:
    return {
        stem(word): (contrast, side)
        for contrast in contrasts
        for side, synonyms in enumerate(contrast.split("|"))
        for word in words(synonyms)
    }


_OPPOSITES = _sides(_ONE_OR_OTHER)
_SIDES = _sides(_SIDE_BY_SIDE) | _OPPOSITES
_POLES = _sides([contrast for contrast in _SIDE_BY_SIDE if contrast.count("|") == 1])
NEGATIONS = frozenset(map(stem, words("no not non without absent absence lack loss never")))
RELATIONS = frozenset(words("in on around over under inside within between than from"))
_NEGATING = ("un", "in", "im", "ir", "a", "an", "non", "dis", "de")
_OPPOSED = (("hyper", "hypo"), ("mono", "poly"), ("uni", "multi"), ("macro", "micro"))


def contrast(first: Collection[str], second: Collection[str]) -> tuple[str, ...]:
    """Return what makes two statements, given by their stems, exclude each other; () if nothing.

    Stems that both share cannot tell them apart.
    """
    only_first, only_second = sorted({*first} - {*second}), sorted({*second} - {*first})
    for a in only_first:
        for b in only_second:
            if exclude(a, b):
                return a, b
    negated = NEGATIONS.intersection(first), NEGATIONS.intersection(second)
    return () if all(negated) else tuple(sorted(negated[0] | negated[1]))


def exclude(a: str, b: str) -> bool:
    """Return whether two stems exclude each other: left and right, regular and irregular."""
    return _on_two_sides(a, b, _SIDES) or _negate(a, b)


def contradict(a: str, b: str) -> bool:
    """Return whether two stems cannot both be true of one thing: flat and raised.

    Fewer exclude each other so: an image may show red dots and blue dots.
    """
    return _on_two_sides(a, b, _OPPOSITES) or _negate(a, b)


def opposite(a: str, b: str) -> bool:
    """Return whether nothing lies between or beside two stems: small and large, flat and raised.

    Red and blue exclude each other and are no opposites: "red or blue" leaves green out.
    """
    return contradict(a, b) or _on_two_sides(a, b, _POLES)


def takes_a_side(stem: str) -> bool:
    """Return whether a stem is one of several that exclude each other, such as a color."""
    return stem in _SIDES


def negates(word: str) -> bool:
    """Return whether a word turns what follows into its opposite."""
    return stem(word) in NEGATIONS


def without_negation(stems: Collection[str]) -> frozenset[str]:
    """Return the stems that do not negate."""
    return frozenset(stems) - NEGATIONS


def _on_two_sides(a: str, b: str, sides: Mapping[str, tuple[str, int]]) -> bool:
    if a not in sides or b not in sides:
        return False
    (contrast_a, side_a), (contrast_b, side_b) = sides[a], sides[b]
    return contrast_a == contrast_b and side_a != side_b


def _negate(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    if any(long == prefix + short for prefix in _NEGATING):
        return True
    return any(
        {a, b} == {one + rest, other + rest}
        for one, other in _OPPOSED
        for rest in {a.removeprefix(one), a.removeprefix(other)} - {a}
    )
