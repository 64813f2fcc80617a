"""Whether a statement gives a class's name away.

A concept that names a class lets a bottleneck answer by the text encoder's knowledge of the name
instead of by what an image shows. Two things give a name away:

1. the whole of it: "vascular lesions", "basal-cell carcinoma", "microaneurysm" for "micro
   aneurysm". It leaks whatever its words are;
2. one word of it that identifies the class: "carcinoma", "nevi", "melanocytic". The last word of a
   name does, unless it is a part of what is shown ("swallow" of "barn swallow" does, "cap" of
   "death cap" does not), and so does every other but two kinds:
   `PLAIN_WORDS`, those that one cannot do without in describing any image (lesion, cell, skin,
   normal, red, large; so "dark brown lesion" passes where a class is a "vascular lesion"), and
   ordinary English, which names set before a noun of their own: the "great" of "great masterwort",
   the "benign" of "benign keratosis", the "ruby" and the "throated" of a hummingbird. Ordinary is
   what describes an appearance in `tasks.methods.wording.lexicon`, and `ORDINARY_WORDS`.

Words are compared by their stems, so that plurals, Latin ones too, and adjectives leak, and by
what stands before Latin and Greek endings (pneumonia: pneumonic; epithelium: epithelial). Stems of
five letters and more leak from the start of a longer word (nodule: nodular) and of seven and more
from its middle (melanoma: nonmelanoma). A hyphen or a gap parts or joins words.

Codes count as names: keys such as "nv" or "CXR-9", synonyms such as "BCC", and the initials of a
name of several words, in capitals ("SK") or where no vowel makes them look like a word ("bcc").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from curette.schemas.images import ClassLabel
from curette.tasks.methods.wording.lexicon import APPEARANCE
from curette.tasks.methods.wording.phrases import Phrases
from curette.tasks.methods.wording.words import JOINING_WORDS, fold, stem, words

PLAIN_WORDS = frozenset(
    words(
        """lesion cell cellular disease disorder syndrome condition finding sign change abnormal
        abnormality normal healthy pathology type form stage grade class category group area
        region image scan tissue specimen other unknown unspecified various mixed multiple
        single no not non without none left right upper lower central peripheral early late mild
        moderate severe primary secondary flower plant tree herb shrub grass bird animal fish insect
        skin lung pulmonary pleural chest heart cardiac bone
        breast liver kidney colon colorectal brain eye ocular retina retinal macular optic disc
        nerve blood body muscle red white blue black brown yellow pink green gray purple orange
        pale dark light clear pigmented small large giant enlarged thick thickening thin long
        short round oval flat raised smooth rough dense density opacity opaque soft hard solid
        wide narrow deep superficial pattern spot patch border edge surface shape color size
        micro macro multi poly pseudo"""
    )
)
"""Words that describe images of any kind and so give no class away on their own."""
PART_WORDS = frozenset(
    words(
        """wing tail head throat breast belly bill beak foot feet leg eye neck back rump cap cheek
        face crown crest shoulder lip collar mask hood belt ring band bar tuft beard ear hair tongue
        finger hand tooth teeth heart blood bone skin horn tip feather plume fin claw paw whisker
        petal leaf stalk bud thorn rib spine hip knee wrist elbow ankle skull jaw"""
    )
)
"""Parts of what is shown: none identifies, not even as the last word, as in "death cap"."""
ORDINARY_WORDS = PART_WORDS | frozenset(
    words(
        """great greater lesser least common wild garden field wood forest tree river marsh swamp
        sea water ice snow fire sun moon star sky earth sand stone rock cliff mountain meadow
        house barn chimney king queen prince emperor royal noble sweet bitter sour spring summer
        autumn fall winter lenten easter christmas morning evening night day north northern south
        southern east eastern west western american english european african asian japanese
        chinese indian mexican canadian siberian persian californian california carolina nashville
        tennessee kentucky louisiana savannah spanish french german italian true false mock little
        giant dwarf pygmy tall high low old young new early late fresh dry wet hot cold warm bright
        painted spotted striped barred banded belted ringed hooded crested tufted bearded collared
        masked crowned horned winged tailed headed throated breasted bellied billed footed legged
        eyed necked backed rumped capped cheeked faced shouldered fronted lipped leaved leafed
        tiger lion leopard fox wolf bear horse cow dog cat goat sheep pig mouse elephant snake
        dragon toad frog fish bird bee bug butterfly spider swan goose duck owl eagle herring
        sword spear arrow lance dagger knife needle pin bell cup saucer trumpet horn drum globe
        ball balloon cone spiral wheel ribbon lace silk velvet satin cotton wool paper wax glass
        gold golden silver copper iron steel ruby emerald sapphire pearl amber scarlet crimson rose
        rosy lemon peach apple cherry strawberry raspberry honey sugar milk cream butter bread
        cape bay hill valley bridge wall window lamp candle torch flame smoke cloud rain storm
        benign malignant atypical typical classic acute chronic active inactive reactive mature
        immature solar focal diffuse local general simple complex complicated complete partial
        incomplete moderate advanced persistent recurrent congenital acquired idiopathic invasive
        differentiated support supporting device external internal good bad fine coarse strong weak
        thin fat broad plain fancy pretty beautiful magnificent superb elegant graceful glorious
        age aged toy size climbing creeping trailing hanging weeping standing floating singing
        chipping mist fog dew pocket pouch purse slipper shoe boot glove helmet shield hammer brush
        comb broom basket bottle pitcher pot blanket carpet pillow cushion boat ship bank bridge
        cedar pine oak maple birch palm willow cotton feathery downy woolly stemless leafless
        aortic arterial venous bacterial bacteria viral fungal intermediate lifted dyed stained"""
    )
)
"""Words of ordinary English that names set before the noun which identifies them."""

_PREFIX, _INFIX = 5, 7  # letters of a stem that is also sought inside longer words


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
    roots: dict[str, tuple[str, str]]
    """What stands before the Latin or Greek ending of a distinctive word -> class key and name."""
    longest: int
    """Words in the longest name."""
    initials: dict[str, tuple[str, str]]
    """Initials of a name, in capitals -> class key and name."""
    pairs: dict[tuple[str, str], tuple[str, str]]
    """Stems of a name of two words -> class key and name."""


def read_class_names(classes: Sequence[ClassLabel]) -> ClassNames:
    """Return what gives the classes away: keys, names and synonyms.

    Names are also cut at brackets, slashes, commas and "and", and a part, like a key, counts where
    it has a distinctive word.
    """
    whole: dict[str, tuple[str, str]] = {}
    distinctive: dict[str, tuple[str, str]] = {}
    roots: dict[str, tuple[str, str]] = {}
    initials: dict[str, tuple[str, str]] = {}
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
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
                if len(meaning) == 2:
                    pairs = {(stem(meaning[0]), stem(meaning[1])): (label.key, name)} | pairs
            last = meaning[-1] if meaning else ""
            ends = last if stem(last) not in _PART_STEMS else ""
            identifying = [w for w in telling if w == ends or not _is_ordinary(w)]
            if not identifying and name not in names:
                identifying = telling
            distinctive = {stem(w): (label.key, name) for w in identifying} | distinctive
            roots = dict.fromkeys(_roots(identifying), (label.key, name)) | roots
    return ClassNames(whole, distinctive, roots, longest, initials, pairs)


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
        if source := _kin(word, names):
            return Leak(*source, words=word)
    for second, first in _OF.findall(fold(text)):
        for (one, other), source in names.pairs.items():
            if _akin(stem(first), one) and _akin(stem(second), other):
                return Leak(*source, words=f"{second} of {first}")
    for code in re.findall(r"[A-Z]{2,}|(?<![^\W_])[b-df-hj-np-tv-z]{3,}(?![^\W_])", text):
        source = names.initials.get(code.upper())
        if source and code.lower() not in JOINING_WORDS:
            return Leak(*source, words=code)
    return None


def _kin(word: str, names: ClassNames) -> tuple[str, str] | None:
    """Return the class whose distinctive word another is made of, or shares its root with."""
    parts = (source for part, source in names.distinctive.items() if _is_inside(part, word))
    roots = (names.roots[root] for root in _roots([word]) if root in names.roots)
    return next(parts, None) or next(roots, None)


_PARTS = r"[()\[\]/,;]|\band\b|\bor\b"
_PLAIN_STEMS = frozenset(stem(word) for word in PLAIN_WORDS)
_PART_STEMS = frozenset(stem(word) for word in PART_WORDS)
_ORDINARY_STEMS = frozenset(stem(word) for word in ORDINARY_WORDS)


_OF = re.compile(r"([^\W\d_]+) of (?:the |an? )?([^\W\d_]+)")


_CLASSICAL = re.compile(
    r"(\w{3})(?:um|us|al|ous)"
    r"|(\w{4,}?)(?:osis|oses|otic|asis|ases|atic|ia|ic|ium|ial|al|ar|um|us|ous|sia|stic|sis|tic)"
)


def _roots(words: Sequence[str]) -> list[str]:
    """Return what stands before the Latin or Greek endings of words that have one."""
    found = (_CLASSICAL.fullmatch(word) for word in words)
    return [match[1] or match[2] for match in found if match]


def _is_ordinary(word: str) -> bool:
    """Return whether a word describes anything of any kind, and so identifies no class."""
    stemmed = stem(word)
    return stemmed in _PLAIN_STEMS or stemmed in _ORDINARY_STEMS or any(_appearances().find([word]))


def _akin(one: str, other: str) -> bool:
    """Return whether two stems are of one word: pleura and pleural."""
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= _PREFIX and long.startswith(short))


@cache
def _appearances() -> Phrases[str]:
    seen = [c for c in APPEARANCE if c.weight == "appearance"]
    return Phrases({pattern: c.name for c in seen for pattern in c.patterns})


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
