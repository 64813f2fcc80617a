"""What is the same of two statements that say the same in the same words."""

from curette.tasks.screen.contrasts import depends_on_order
from curette.tasks.screen.words import stem, words

FILLERS = frozenset(
    words(
        """a an the of with and or is are was were be been being it its this that these those which
        who there has have having may can could often usually typically sometimes generally appear
        appears appearing present presence seen visible look looks some"""
    )
)
"""Words without which a statement says the same."""


def content_stems(text: str) -> tuple[str, ...]:
    """Return the stems of a text's words without fillers, in their order."""
    return tuple(stem(word) for word in words(text) if word not in FILLERS)


def plain_form(text: str) -> tuple[str, ...]:
    """Return what is the same of two texts that say the same in the same words."""
    stems = content_stems(text) or tuple(words(text))
    return stems if depends_on_order(stems) else tuple(sorted(set(stems)))
