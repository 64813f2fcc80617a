"""The leak gate: does a statement give a class's name away?

A concept that names a class lets a bottleneck answer by the text encoder's knowledge of the name
instead of by what an image shows. Two things give a name away:

1. the whole of it: "vascular lesions", "basal-cell carcinoma", "microaneurysm" for "micro
   aneurysm". It leaks whatever its words are;
2. one distinctive word of it: "carcinoma", "nevi", "melanocytic". A word is distinctive unless it
   is among `PLAIN_WORDS`, those that a clinician cannot do without in describing any image
   (lesion, cell, skin, normal, red, large), so "dark brown lesion" passes where a class is called
   "vascular lesion".

Words are compared by their stems, so that plurals, Latin ones too, and adjectives leak. Stems of
five letters and more leak from the start of a longer word (nodule: nodular) and of seven and more
from its middle (melanoma: nonmelanoma). A hyphen or a gap parts or joins words.

Codes count as names: keys such as "nv" or "CXR-9", synonyms such as "BCC", and the initials of a
name of several words, in capitals ("SK") or where no vowel makes them look like a word ("bcc").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from curette.schemas.candidates import Candidate
from curette.schemas.images import ClassLabel
from curette.tasks.screen.gate import Candidates, Circumstances, Finding, Gate, Outcome, one_by_one
from curette.tasks.screen.words import JOINING_WORDS, stem, words

PLAIN_WORDS = frozenset(
    words(
        """lesion cell cellular disease disorder syndrome condition finding sign change abnormal
        abnormality normal healthy pathology type form stage grade class category group area
        region image scan tissue specimen other unknown unspecified various mixed multiple
        single no not non without none left right upper lower central peripheral early late mild
        moderate severe primary secondary skin lung pulmonary pleural chest heart cardiac bone
        breast liver kidney colon colorectal brain eye ocular retina retinal macular optic disc
        nerve blood body muscle red white blue black brown yellow pink green gray purple orange
        pale dark light clear pigmented small large giant enlarged thick thickening thin long
        short round oval flat raised smooth rough dense density opacity opaque soft hard solid
        wide narrow deep superficial pattern spot patch border edge surface shape color size
        micro macro multi poly pseudo"""
    )
)
"""Words that describe images of any kind and so give no class away on their own."""

_PREFIX, _INFIX = 5, 7  # letters of a stem that is also sought inside longer words


class ClassLeak(Gate, frozen=True):
    """The settings of the gate: it has none."""

    kind: Literal["class_leak"] = "class_leak"

    def decide(self, left: Candidates, known: Circumstances) -> Outcome:
        """Drop what gives a class of the study away."""
        names = read_class_names(known.classes)

        def rule(candidate: Candidate) -> Finding | None:
            leak = find_leak(candidate.text, names)
            if not leak:
                return None
            return Finding(
                f"gives the class '{leak.name}' away by '{leak.words}'",
                {"class": leak.class_key, "name": leak.name, "words": [leak.words]},
            )

        return one_by_one(self.kind, left, rule)


@dataclass(frozen=True)
class Leak:
    """A class that a statement gives away."""

    class_key: str
    name: str
    """The name or synonym as the study writes it."""
    words: str
    """The words of the statement that give it away."""


@dataclass(frozen=True)
class ClassNames:
    """What gives the classes of a study away, ready for comparison."""

    whole: dict[str, tuple[str, str]]
    """Joined name -> class key and name."""
    distinctive: dict[str, tuple[str, str]]
    """Stem of a distinctive word -> class key and name."""
    longest: int
    """Words in the longest name."""
    initials: dict[str, tuple[str, str]]
    """Initials of a name, in capitals -> class key and name."""


def read_class_names(classes: Sequence[ClassLabel]) -> ClassNames:
    """Return what gives the classes away: keys, names and synonyms.

    Names are also cut at brackets, slashes, commas and "and", and a part, like a key, counts where
    it has a distinctive word.
    """
    whole: dict[str, tuple[str, str]] = {}
    distinctive: dict[str, tuple[str, str]] = {}
    initials: dict[str, tuple[str, str]] = {}
    longest = 1
    for label in classes:
        names = (label.name, *label.synonyms)
        parts = [part.strip() for name in names for part in re.split(_PARTS, name)]
        for name in (*names, *parts, label.key):
            meaning = _name_words(name)
            telling = [w for w in meaning if _is_word(w) and stem(w) not in _PLAIN_STEMS]
            if telling and name != label.key and len(meaning) > 1:
                initials = {_initials(meaning): (label.key, name)} | initials
            if meaning and (telling or name in names):
                longest = max(longest, len(meaning))
                whole = dict.fromkeys(_joined(meaning), (label.key, name)) | whole
            distinctive = {stem(w): (label.key, name) for w in telling} | distinctive
    return ClassNames(whole, distinctive, longest, initials)


def find_leak(text: str, names: ClassNames) -> Leak | None:
    """Return the first class that a text gives away; None where it names none."""
    meaning = _meaning(words(text))
    for start in range(len(meaning)):
        # one word more than the longest name, for a name that the text parts with a hyphen
        for end in range(start + 1, min(start + names.longest + 1, len(meaning)) + 1):
            for joined in _joined(meaning[start:end]):
                if source := names.distinctive.get(joined) or names.whole.get(joined):
                    return Leak(*source, words=" ".join(meaning[start:end]))
    for word in meaning:
        for part, source in names.distinctive.items():
            if _is_inside(part, word):
                return Leak(*source, words=word)
    for code in re.findall(r"[A-Z]{2,}|(?<![^\W_])[b-df-hj-np-tv-z]{3,}(?![^\W_])", text):
        source = names.initials.get(code.upper())
        if source and code.lower() not in JOINING_WORDS:
            return Leak(*source, words=code)
    return None


_PARTS = r"[()\[\]/,;]|\band\b|\bor\b"
_PLAIN_STEMS = frozenset(stem(word) for word in PLAIN_WORDS)


def _name_words(name: str) -> list[str]:
    """Return the words of a name that could give it away; none where it is a mere number."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # PleuralEffusion
    meaning = _meaning(words(parted))
    return meaning if any(map(_is_word, meaning)) else []


def _is_word(word: str) -> bool:
    """Return whether letters make the word: "covid" and "cxr9" are words, "4" and "a" are not."""
    return len(word) > 1 and not word.isdigit() and any(letter.isalpha() for letter in word)


def _initials(meaning: Sequence[str]) -> str:
    return "".join(word[0] for word in meaning if word[0].isalpha()).upper()


def _meaning(words: Sequence[str]) -> list[str]:
    return [word for word in words if word not in JOINING_WORDS]


def _joined(words: Sequence[str]) -> tuple[str, str]:
    """Return the words as one, stemmed each and stemmed together.

    The first finds "seborrheic keratoses" for "seborrheic keratosis", the second "microaneurysms"
    for "micro aneurysm".
    """
    return "".join(map(stem, words)), stem("".join(words))


def _is_inside(part: str, word: str) -> bool:
    return any(
        (len(part) >= _PREFIX and form.startswith(part)) or (len(part) >= _INFIX and part in form)
        for form in (word, stem(word))
    )
