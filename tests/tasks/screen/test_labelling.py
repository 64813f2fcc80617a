"""Which concepts the images' ground truth decides."""

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.attributes import AttributePhrases
from curette.schemas.candidates import Candidate, FileOrigin
from curette.schemas.images import Truth
from curette.schemas.settings.ingest import DatasetSpec
from curette.tasks.ingest.synthetic import ATTRIBUTE_STATEMENTS, ATTRIBUTES
from curette.tasks.screen.labelling import decided_statements, label_concepts
from curette.tasks.screen.wording import plain_form
from demo.train_demo_clip import PREDICATES

VEIL = {"veil": AttributePhrases(claimed_by=("blue-white veil",), denied_by=("no blue veil",))}


def concept(text: str) -> Candidate:
    return Candidate(text=text, classes=("a",), origins=(FileOrigin(file="f", line=1),))


def test_a_concept_is_labelled_by_what_says_the_same_in_the_same_words() -> None:
    concepts = [concept(t) for t in ("a Blue-White veil", "no blue veils", "blue veil", "veil")]
    labelled = label_concepts(concepts, VEIL)
    assert [(x.concept_id, x.attribute, x.denied) for x in labelled] == [
        (concepts[0].concept_id, "veil", False),
        (concepts[1].concept_id, "veil", True),
    ]


def test_what_is_unknown_of_an_attribute_is_unknown_of_its_denial() -> None:
    veil = Truth(np.array([True, False, False]), np.array([True, True, False]))
    truths = [d.truth(veil) for d in decided_statements(VEIL).values()]
    assert [t.present.tolist() for t in truths] == [[True, False, False], [False, True, False]]
    assert all(t.known.tolist() == [True, True, False] for t in truths)


def test_a_statement_that_two_attributes_decide_is_refused() -> None:
    twice = VEIL | {"haze": AttributePhrases(claimed_by=("Blue white veil.",))}
    with pytest.raises(StudyError) as error:
        decided_statements(twice)
    assert str(error.value) == (
        "the statement 'Blue white veil.' cannot be decided by the attribute haze and by veil; "
        "usually a phrase stands twice. Leave one out of `dataset.attributes`."
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["veil"], {"claimed_by": ("veil",)}),
        ({"veil": ["haze", "film"]}, {"claimed_by": ("haze", "film")}),
        ({"veil": {"denied_by": ["clear"]}}, {"denied_by": ("clear",)}),
    ],
)
def test_attributes_can_be_written_short(
    written: object, meant: dict[str, tuple[str, ...]]
) -> None:
    spec = DatasetSpec.model_validate({"source": {"kind": "synthetic"}, "attributes": written})
    assert spec.attributes == {"veil": AttributePhrases(**meant)}


def test_the_drawn_attributes_are_said_in_words_that_decide_one_of_them() -> None:
    assert tuple(ATTRIBUTE_STATEMENTS) == ATTRIBUTES
    decided = decided_statements(ATTRIBUTE_STATEMENTS)
    assert len(decided) > 2 * len(ATTRIBUTES)
    taught = {
        plain_form(phrase): (predicate.name, denied)
        for predicate in PREDICATES
        for denied, phrases in ((False, predicate.phrases), (True, predicate.opposites))
        for phrase in phrases
    }
    known = [form for form in decided if form in taught]
    assert len(known) > len(ATTRIBUTES)
    assert all(taught[f] == (decided[f].attribute, decided[f].denied) for f in known)
