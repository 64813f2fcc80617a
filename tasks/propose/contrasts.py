"""What tells one class from another that looks alike."""

from collections.abc import Sequence
from functools import partial

from curette.schemas.artifact import StudyError
from curette.schemas.images import ClassLabel
from curette.schemas.settings.propose import ContrastSource
from curette.tasks.methods.llm.quoting import quotable
from curette.tasks.propose.forms import CONTRAST, Contrast
from curette.tasks.propose.proposals import Found
from curette.tasks.propose.sampling import Ask, Prompt, Statement, Topic, sample_until_saturated
from curette.tasks.propose.templates import fill, template, template_sha256

Pairs = Sequence[tuple[int, int]]
"""Class numbers."""

_PARTS = ("contrast", "statements", "contrast_form")


def ask_for_contrasts(
    classes: Sequence[ClassLabel],
    source: ContrastSource,
    pairs: Pairs,
    modality: str,
    model: str,
    ask: Ask,
) -> Found:
    """Return what the model says tells the classes of each pair apart."""
    topics = contrast_topics(classes, source, pairs, modality)
    found_by = "given" if source.pairs else "most alike by their image vectors"
    asked_for = f"answers on {len(topics)} pairs of classes ({found_by})"
    return sample_until_saturated(topics, source.sampling, "contrasts", asked_for, model, ask)


def contrast_topics(
    classes: Sequence[ClassLabel], source: ContrastSource, pairs: Pairs, modality: str
) -> list[Topic]:
    """Return one topic a pair."""
    return [
        Topic(
            about=f"{classes[a].key} / {classes[b].key}",
            prompts=(
                Prompt(
                    name="contrast",
                    text=fill(
                        template(*_PARTS),
                        first=quotable(classes[a].name),
                        second=quotable(classes[b].name),
                        modality=quotable(modality),
                        count=str(source.concepts_per_answer),
                    ),
                    template_sha256=template_sha256(*_PARTS),
                    form=CONTRAST,
                    read=partial(contrast_statements, classes[a].key, classes[b].key),
                ),
            ),
        )
        for a, b in pairs
    ]


def given_pairs(classes: Sequence[ClassLabel], source: ContrastSource) -> list[tuple[int, int]]:
    """Return the study's pairs as class numbers.

    Raises:
        StudyError: a pair names a class that the dataset does not have, or one class twice.
    """
    place = {label.key: number for number, label in enumerate(classes)}
    wrong = [f"[{a}, {b}]" for a, b in source.pairs if a == b or not {a, b} <= place.keys()]
    if wrong:
        raise StudyError(
            f"propose.sources, contrasts: the pairs {', '.join(wrong)} are not of two classes of "
            f"the dataset. Its class keys are {', '.join(place)}."
        )
    pairs = {frozenset((a, b)): (place[a], place[b]) for a, b in reversed(source.pairs)}
    return list(reversed(pairs.values()))


def contrast_statements(first: str, second: str, answer: Contrast) -> list[Statement]:
    """Return an answer's statements, each for the class it was written for."""
    return [
        *((text, (first,)) for text in answer.first),
        *((text, (second,)) for text in answer.second),
    ]
