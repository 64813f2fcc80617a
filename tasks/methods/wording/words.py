"""Words of medical English: folded to one spelling, and their stems.

The stems are those of the English Snowball stemmer (Porter's second algorithm,
snowballstem.org), after what it does not know is undone: British spelling, the Latin and Greek
plurals of medicine (nevi, bullae, keratoses, lentigines) and adjectives in -otic (keratotic).
"""

import re
import unicodedata
from functools import lru_cache

import snowballstemmer


def fold(text: str) -> str:
    """Return the text in lower case and American spelling, without apostrophes.

    >>> fold("Haemorrhages of grey-centred naevi")
    'hemorrhages of gray-centered nevi'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    for pattern, american in _BRITISH:
        text = pattern.sub(american, text)
    return text


_BRITISH = [
    (re.compile(pattern), american)
    for pattern, american in (
        (r"['’]", ""),
        (r"ae(?=\w)", "e"),
        (r"\boe|(?<=rrh)oe|(?<=\bf)oe(?=t)|(?<=\bam)oe(?=b)|(?<=\bc)oe(?=l)", "e"),
        (r"(?<=col)our|(?<=tum)our|(?<=\bod)our|(?<=\bbehavi)our", "or"),
        (r"\bgrey", "gray"),
        (r"\bcentred\b", "centered"),
        (r"\bcentre", "center"),
        (r"\bfibre", "fiber"),
        (r"metre(?=s?\b)", "meter"),
        (r"\bdefence", "defense"),
    )
]


def words(text: str) -> list[str]:
    """Return the folded words and numbers of a text; a hyphen or slash parts two words."""
    return re.findall(r"%|[^\W_]+", fold(text))


JOINING_WORDS = frozenset(
    words(
        """a an the of in on at to by for from with within and or as like is are was were be been
        being it its this that these those which who there their associated related"""
    )
)
"""Words that join others and carry no meaning of their own."""


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the stem of a folded word.

    >>> stem("nevi") == stem("nevus"), stem("keratoses") == stem("keratotic")
    (True, True)
    """
    for pattern, singular in _CLASSICAL:
        changed = pattern.sub(singular, word)
        if changed != word:
            word = changed
            break
    # a stemmer keeps the word it works on, so threads cannot share one
    return str(snowballstemmer.stemmer("english").stemWord(word))


_CLASSICAL = [
    (re.compile(pattern), singular)
    for pattern, singular in (
        (r"(?<=\w\w\w)o(?:ses|tic)$", "osis"),
        (r"(?<=ct)a(?:ses|tic)$|(?<=st)a(?:ses|tic)$", "asis"),
        (r"(?<=\w\w)igines$", "igo"),
        (r"(?<=\wom)at(?:a|ous)$", "a"),
        (r"(?<=comedo)nes$", ""),
        (r"(?<=\w\w\w)ae$", "a"),
        (r"(?<=\w\w)i$", "us"),
        (r"(?<=ri)a$|(?<=pt)a$|(?<=ov)a$", "um"),
    )
]
