"""Noun phrases of documents that may name what is found among images."""

from collections.abc import Iterable, Sequence

from curette.schemas.candidates import normal_form
from curette.schemas.images import ClassLabel
from curette.tasks.methods.wording.class_names import find_leak, read_class_names
from curette.tasks.methods.wording.noun_phrases import noun_phrases
from curette.tasks.methods.wording.visible import why_not_visual
from curette.tasks.propose.corpus import Corpus
from curette.tasks.propose.usable import why_none


def names_in(
    corpora: Iterable[Corpus], classes: Sequence[ClassLabel], said: Iterable[str]
) -> dict[str, str]:
    """Return the noun phrases that may be names, each with the document where it stands first.

    What the screen would drop for its words is none: a phrase that gives a class away, that says
    nothing an image can show, or that is no English.

    Args:
        corpora: the documents.
        classes: whose names no phrase may give away.
        said: statements, which need not be said once more.
    """
    known = {normal_form(text) for text in said}
    leaks = read_class_names(classes)
    found: dict[str, str] = {}
    for corpus in corpora:
        for document in corpus.documents:
            for form, phrase in noun_phrases(document.text).items():
                if form in known:
                    continue
                known.add(form)
                if not (why_none(phrase) or why_not_visual(phrase) or find_leak(phrase, leaks)):
                    found[phrase] = document.name
    return found
