"""Priors that somebody published: LaBo's links, and KnoBo's answers to yes/no questions."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import snowballstemmer
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate, normal_form
from curette.schemas.images import ClassLabel, plain_name
from curette.schemas.priors import Answer, ClassSpelling, Prior, Priors, Votes
from curette.schemas.settings.priors import FilePriors
from curette.tasks.methods.llm.agreement import cohen_kappa

ALIKE: Final = 0.9
"""`difflib`'s ratio from which a name may be a misspelt one: 0.95 for maliganant, malignant."""

_Said = Mapping[str, bool | None]
"""Concept or question -> yes, no or unknown, as it stands under one name."""


def read_priors(
    concepts: Sequence[Candidate], classes: Sequence[ClassLabel], spec: FilePriors
) -> Priors:
    """Return what a file says of every concept and class.

    - `class_to_concepts`: a listed concept speaks for its class; all else is neutral. Concepts
      are matched by their normal form.
    - `class_to_question_to_answer`: yes speaks for the class and no against it, as in KnoBo,
      whose head is drawn towards +1 and -1 (Yang et al., NeurIPS 2024, its published `cbm.py`);
      `unknown` and questions that are not in the file are neutral. A question is the concept
      that says the same words, see `same_words`.

    Where a file has several names of one class, such as one in capitals, what they disagree on
    is neutral, and how far they agree is in `spellings`.

    Raises:
        StudyError: the file cannot be read or is not in its format, its names do not fit the
            classes, or none of its concepts is among the screened.
    """
    said = _READERS[spec.format](spec.path)
    names = match_names(list(said), classes, spec.path)
    # Kept: most names of a file say something of the same texts, of which each is stemmed.
    form = cache(normal_form if spec.format == "class_to_concepts" else same_words)
    votes, texts = _count(said, names, form)
    known = {form(c.text) for c in concepts}
    unmatched = tuple(text for key, text in texts.items() if key not in known)
    if concepts and len(unmatched) == len(texts):
        raise StudyError(
            f"{spec.path}: none of its {len(texts)} concepts is among the {len(concepts)} that "
            "passed the screen. Was the study's list of concepts made from another file?"
        )
    return Priors(
        class_keys=tuple(c.key for c in classes),
        concept_ids=tuple(c.concept_id for c in concepts),
        source=_source(spec.path, said, names),
        asked="file",
        priors=tuple(
            _prior(concept, label, votes.get((form(concept.text), label.key), Votes()))
            for concept in concepts
            for label in classes
        ),
        spellings=tuple(s for label in classes for s in _spellings(label, names, said)),
        unmatched=unmatched,
    )


def same_words(text: str) -> str:
    """Return the form in which a yes/no question and the statement made of it are the same.

    The stems of its words in their order, without what only makes it a question: "Does the
    lesion have any dots?", "the lesion has some dots"; "Can you see a veil?", "a veil".
    """
    words = [w for w in re.findall(r"[\w'’-]+", normal_form(text)) if w not in _ASKING]
    return " ".join(_STEMMER.stemWords([_SAME.get(w, w) for w in words]))


_STEMMER: Final = snowballstemmer.stemmer("english")
_ASKING: Final = frozenset(
    ("is", "are", "do", "does", "can", "could", "you", "see", "observe", "notice", "identify")
)
_SAME: Final = {"has": "have", "any": "some"}


# --- names of classes ---------------------------------------------------------------------------


def match_names(
    names: Sequence[str], classes: Sequence[ClassLabel], path: Path
) -> dict[str, ClassLabel]:
    """Return the class of each name in a file that means one: by key, name or synonym.

    Case, and whether words are parted by blanks, dashes or underscores, do not matter. Names that
    mean no class of the dataset are left out.

    Raises:
        StudyError: a name means several classes, or a class is not named; then the message says
            which names look like it.
    """
    found = {n: [c for c in classes if plain_name(n) in c.plain_names] for n in names}
    if vague := [name for name, labels in found.items() if len(labels) > 1]:
        raise StudyError(
            f"{path}: `{vague[0]}` could mean several classes of the dataset; make the synonyms "
            "in dataset.classes tell them apart."
        )
    matched = {name: labels[0] for name, labels in found.items() if labels}
    for label in classes:
        if label not in matched.values():
            alike = _listed([n for n in names if n not in matched and _looks_like(n, label)])
            raise StudyError(
                f"{path} does not name the class `{label.key}` ({label.name}). It names "
                f"{_listed(names)}; of these look like it: {alike}. If one of them is meant, add "
                "it as a synonym in dataset.classes."
            )
    return matched


def _looks_like(name: str, label: ClassLabel) -> bool:
    return any(
        SequenceMatcher(None, plain_name(name), known, autojunk=False).ratio() >= ALIKE
        for known in label.plain_names
    )


def _spellings(
    label: ClassLabel, names: Mapping[str, ClassLabel], said: Mapping[str, _Said]
) -> list[ClassSpelling]:
    """Return how far names of one class agree, and the first with those that only look like it."""
    own = [name for name, meant in names.items() if meant == label]
    alike = [name for name in said if name not in names and _looks_like(name, label)]
    return [
        _spelling(label, pair, said).model_copy(update={"used": pair[1] in names})
        for pair in [*combinations(own, 2), *((own[0], name) for name in alike)]
    ]


def _spelling(
    label: ClassLabel, names: tuple[str, str], said: Mapping[str, _Said]
) -> ClassSpelling:
    first, second = (said[name] for name in names)
    both = [q for q in first if first[q] is not None and second.get(q) is not None]
    ones = np.array([first[q] for q in both], dtype=np.int64)
    others = np.array([second[q] for q in both], dtype=np.int64)
    return ClassSpelling(
        class_key=label.key,
        names=names,
        questions=len(both),
        agree=int((ones == others).sum()),
        kappa=cohen_kappa(ones, others),
    )


# --- answers ------------------------------------------------------------------------------------


def _count(
    said: Mapping[str, _Said], names: Mapping[str, ClassLabel], form: Callable[[str], str]
) -> tuple[dict[tuple[str, str], Votes], dict[str, str]]:
    """Return the votes on each form and class, and each form's text as it first stands."""
    cast: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    texts: dict[str, str] = {}
    for name, label in names.items():
        for text, answer in said[name].items():
            key = form(text)
            texts.setdefault(key, text)
            if answer is not None:
                cast[key, label.key].append(answer)
    return {k: Votes(yes=sum(v), no=len(v) - sum(v)) for k, v in cast.items()}, texts


def _prior(concept: Candidate, label: ClassLabel, votes: Votes) -> Prior:
    answer: Answer = "neutral"
    if votes.yes and not votes.no:
        answer = "speaks for"
    elif votes.no and not votes.yes:
        answer = "speaks against"
    return Prior(
        concept_id=concept.concept_id, class_key=label.key, answer=answer, speaks_for=votes
    )


def _source(path: Path, said: Mapping[str, _Said], names: Mapping[str, ClassLabel]) -> str:
    others = [name for name in said if name not in names]
    unused = f"; not the dataset's classes, and not used: {_listed(others)}" if others else ""
    return f"{path.name}{unused}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:20]) or "none"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


# --- formats ------------------------------------------------------------------------------------

_YesOrNo = Annotated[
    Literal["yes", "no", "unknown"],
    BeforeValidator(lambda v: v.strip().casefold() if isinstance(v, str) else v),
]
_LINKS: Final = TypeAdapter(dict[str, list[str]])
_ANSWERS: Final = TypeAdapter(dict[str, dict[str, _YesOrNo]])


def _read_links(path: Path) -> dict[str, _Said]:
    try:
        lists = _LINKS.validate_json(_read(path))
    except ValidationError as error:
        raise _not_of_the_form(path, '{"class": ["concept", ...]}', error) from None
    return {name: dict.fromkeys(concepts, True) for name, concepts in lists.items()}


def _read_answers(path: Path) -> dict[str, _Said]:
    try:
        answers = _ANSWERS.validate_json(_read(path))
    except ValidationError as error:
        form = '{"class": {"question": "yes", "no" or "unknown"}}'
        raise _not_of_the_form(path, form, error) from None
    return {
        name: {q: None if a == "unknown" else a == "yes" for q, a in asked.items()}
        for name, asked in answers.items()
    }


_READERS: Final[Mapping[str, Callable[[Path], Mapping[str, _Said]]]] = {
    "class_to_concepts": _read_links,
    "class_to_question_to_answer": _read_answers,
}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise StudyError(f"cannot read the priors in {path}: {error.strerror}") from None


def _not_of_the_form(path: Path, form: str, error: ValidationError) -> StudyError:
    first = error.errors(include_url=False)[0]
    place = " > ".join(str(part) for part in first["loc"]) or "the top"
    return StudyError(f"{path} is not JSON of the form {form}: at {place}, {first['msg']}")
