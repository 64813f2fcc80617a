"""What corrections of one image move, and how they may be written."""

from dataclasses import replace

import numpy as np
import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.images import ClassLabel
from curette.schemas.probe import Head, HeadFacts
from curette.tasks.explain.corrections import Corrections
from curette.tasks.explain.page import corrected_sentence, explain_subject, explanation_page
from curette.tasks.explain.subjects import subject_of_dataset
from curette.tasks.methods.explanation import Explainer
from curette.tasks.methods.page.pictures import PictureBook
from tests.builders.published_study import KEYS, published_study
from tests.pages import HOSTILE, check_asks_nobody, check_hostile_text_stays_text

PUBLISHED, _ = published_study()
TEST = int(PUBLISHED.rows("test")[0])


def a_head() -> Head:
    """Return a head that weighs each class's own two concepts."""
    weights = np.kron(np.eye(3), np.ones((1, 2))) * 6
    return Head(
        HeadFacts(
            name="concept bottleneck",
            kind="concept_bottleneck",
            family="concept bottleneck",
            inputs="scores",
            candidates=tuple(
                PUBLISHED.pool[row]
                for row in PUBLISHED.pool_rows(c.concept_id for c in PUBLISHED.concepts)
            ),
            nec=2,
            chosen={},
            validation_loss=0,
            validation_balanced_accuracy=0,
        ),
        weights=weights,
        bias=np.zeros(3),
        center=PUBLISHED.scores[PUBLISHED.rows("train")].mean(0).astype(np.float64),
    )


def test_a_correction_settles_its_concept_and_moves_the_answer_towards_what_shows_it() -> None:
    ask = Corrections.of(PUBLISHED, a_head(), ["Sign 0 of  B = Yes", "sign 0 of a=no"])
    made = ask.ask(PUBLISHED.vectors[TEST])
    assert [(m.text, m.after) for m in made.corrected] == [("sign 0 of b", 1), ("sign 0 of a", 0)]
    assert [m.text for m in made.others] == ["sign 0 of c"]
    for moved in (made.answers, made.corrected, made.others):
        assert all(0 <= m.before <= 1 and 0 <= m.after <= 1 for m in moved)
    assert sum(m.after for m in made.answers) == pytest.approx(1)
    assert made.answers[0].text == "class b"
    assert made.answers[0].after > made.answers[0].before


def test_the_answer_before_is_the_heads_own() -> None:
    head = a_head()
    made = Corrections.of(PUBLISHED, head, ["sign 0 of a=no"]).ask(PUBLISHED.vectors[TEST])
    own = Explainer(PUBLISHED, head).explain(PUBLISHED.vectors[TEST]).answers
    before = {m.text: m.before for m in made.answers}
    assert before == pytest.approx({a.name: a.probability for a in own})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("sign 0 of a", "does not end in =yes or =no"),
        ("sign 0 of a=maybe", "does not end in =yes or =no"),
        ("sign 0=yes", "may mean 'sign 0 of a', 'sign 0 of b', 'sign 0 of c'; write more of it"),
        ("sign 0 off a=yes", "nearest is 'sign 0 of a', of what can be corrected"),
        ("sign 1 of a=yes", "nothing says which images show 'sign 1 of a'"),
        ("=yes", "no concept of the head is called ''"),
    ],
)
def test_what_cannot_be_understood_is_told(said: str, told: str) -> None:
    with pytest.raises(StudyError, match=r"^--correct: ") as refused:
        Corrections.of(PUBLISHED, a_head(), [said])
    assert told in str(refused.value)


def test_contradictions_and_studies_without_truth_are_told() -> None:
    with pytest.raises(StudyError, match="is said to be there and not to be there"):
        Corrections.of(PUBLISHED, a_head(), ["sign 0 of a=yes", "SIGN 0 of a=no"])
    bare = replace(PUBLISHED, facts=PUBLISHED.facts.model_copy(update={"labelled": ()}))
    with pytest.raises(StudyError, match="no selected concept is decided by ground truth"):
        Corrections.of(bare, a_head(), ["sign 0 of a=yes"])


def test_the_page_and_the_sentence_say_what_moves() -> None:
    facts = PUBLISHED.facts.model_copy(
        update={"classes": tuple(ClassLabel(key=k, name=f"{k} {HOSTILE}") for k in KEYS)}
    )
    published = replace(PUBLISHED, facts=facts)
    row = published.images["image_id"].iloc[TEST]
    corrections = Corrections.of(published, a_head(), ["sign 0 of b=yes"])
    subject = subject_of_dataset(published, row, None)
    told = explain_subject(Explainer(published, a_head()), subject, corrections)
    assert told.what_if is not None
    assert corrected_sentence(told.what_if).startswith("If “sign 0 of b” is there (read at ")
    page = explanation_page(published, [told], PictureBook(lambda _: b"", 1), None, a_head().facts)
    assert "What the corrections move" in page
    check_asks_nobody(page)
    check_hostile_text_stays_text(page)
