"""Which statements some ground truth decides, and on which images they are true."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import Candidate
from curette.schemas.images import Truth
from curette.schemas.screened import LabelledConcept
from curette.tasks.screen.wording import plain_form

Form = tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """A statement is true where an attribute is, or where it is not."""

    attribute: str
    denied: bool

    def truth(self, attribute: Truth) -> Truth:
        """Return on which images it is true; unknown stays unknown."""
        if not self.denied:
            return attribute
        return Truth(~attribute.present & attribute.known, attribute.known)


def decided_statements(attributes: Mapping[str, AttributePhrases]) -> dict[Form, Decided]:
    """Return what decides a statement, by its plain form.

    Raises:
        StudyError: two attributes, or one and its opposite, decide the same statement.
    """
    decided: dict[Form, Decided] = {}
    for name, phrases in attributes.items():
        for denied, texts in ((False, phrases.claimed_by), (True, phrases.denied_by)):
            for text in texts:
                by = Decided(name, denied)
                if decided.setdefault(plain_form(text), by) != by:
                    other = decided[plain_form(text)].attribute
                    raise StudyError(
                        f"the statement '{text}' cannot be decided by the attribute {name} and by "
                        f"{other}; usually a phrase stands twice. Leave one out of "
                        "`dataset.attributes`."
                    )
    return decided


def label_concepts(
    concepts: Iterable[Candidate], attributes: Mapping[str, AttributePhrases]
) -> tuple[LabelledConcept, ...]:
    """Return the concepts that say in other or the same words what an attribute decides."""
    decided = decided_statements(attributes)
    return tuple(
        LabelledConcept(concept_id=c.concept_id, attribute=by.attribute, denied=by.denied)
        for c in concepts
        if (by := decided.get(plain_form(c.text)))
    )
