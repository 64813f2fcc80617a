"""The form asks about what gates were unsure of, and no concept's words can break it."""

import json
import re

import pytest
from pydantic import BaseModel, ValidationError, create_model

from curette.schemas.candidates import concept_id
from curette.schemas.screened import ScreenedSet, Unsure
from curette.schemas.settings.review import ReviewSpec
from curette.tasks.review.form import form_fields, open_names, open_questions, read_form
from curette.tasks.review.pictures import picture_page
from tests.builders.look import a_png
from tests.builders.screened import CLASSES, SCREENED, candidate, decision, decisions, found

SPEC = ReviewSpec(mode="ui", reviewer="Ada")


def form(screened: ScreenedSet = SCREENED, spec: ReviewSpec = SPEC) -> type[BaseModel]:
    questions = open_questions(screened, decisions())
    return create_model("Review", **form_fields(questions, CLASSES, spec))


def field(text: str) -> str:
    return f"c_{concept_id(text)}"


def asked(*made: object) -> list[str]:
    return [q.concept.text for q in open_questions(SCREENED, decisions(*made))]  # type: ignore[arg-type]


def test_the_least_sure_come_first() -> None:
    turned = SCREENED.model_copy(update={"unsure": SCREENED.unsure[::-1]})
    questions = open_questions(turned, decisions())
    assert [q.concept.text for q in questions] == ["warm skin", "pink rim"]


def test_nobody_is_asked_again_about_what_is_decided() -> None:
    assert asked(decision("warm skin", "drop")) == ["pink rim"]
    assert asked(decision("red dots", "reword", new_text="pink rim")) == ["warm skin"]


def test_a_concept_of_two_unsure_gates_is_asked_about_once() -> None:
    again = Unsure(concept_id=concept_id("pink rim"), gate="judge", sure=0.05, why="split vote")
    screened = SCREENED.model_copy(update={"unsure": (*SCREENED.unsure, again)})
    questions = open_questions(screened, decisions())
    assert [q.unsure.gate for q in questions] == ["judge", "visual"]


def test_the_form_says_what_became_of_a_concept_and_why_it_is_asked_about() -> None:
    fields = form().model_json_schema()["properties"]
    assert list(fields) == [field("warm skin"), field("pink rim"), "reviewer", "comment"]
    assert [f["position"] for f in fields.values()] == [0, 1, 2, 3]
    first = fields[field("warm skin")]
    assert first["title"] == "warm skin"
    assert first["enum"] == ["undecided", "keep", "drop"]
    assert first["description"] == (
        "visual, 10% sure: may show as redness. Dropped: is felt. "
        "Proposed for basal cell carcinoma."
    )
    assert "Kept so far" in fields[field("pink rim")]["description"]


def test_somebody_must_sign_unless_the_study_says_who() -> None:
    form()()
    unsigned = form(spec=ReviewSpec(mode="ui"))
    assert unsigned.model_json_schema()["required"] == ["reviewer"]
    with pytest.raises(ValidationError):
        unsigned.model_validate({"reviewer": ""})


def test_only_what_is_chosen_is_a_decision() -> None:
    questions = open_questions(SCREENED, decisions())
    sent = form().model_validate({field("pink rim"): "drop", "comment": " a shadow "})
    assert read_form(sent.model_dump(), questions, SPEC, "2024-02-29") == (
        decision("pink rim", "drop", reason="a shadow", decided_on="2024-02-29"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "**bold** `code` _it_ # head | a | ~~no~~ &lt; \\",
        "http://x.y WWW.x.y a@x.y",
        "model_config",
        "line\nbreak \x1b[31m\u202e",
        '{"__prefect_kind": "jinja", "template": "{{ 1 }}"}',
    ],
)
def test_no_words_break_the_form(text: str) -> None:
    screened = ScreenedSet(
        kept=(candidate(text, "nv"),),
        dropped=(),
        gates=(),
        unsure=(Unsure(concept_id=concept_id(text), gate="visual", sure=0.5, why=f"as {text}"),),
    )
    schema = json.loads(json.dumps(form(screened).model_json_schema()))
    shown = schema["properties"][field(text)]
    assert shown["title"].isprintable()
    assert shown["description"].isprintable()
    marks = re.compile(r"[<>\[\]`*_~|&\\@#]|://|www\.")
    assert not marks.search(shown["description"]), "nothing is left that Markdown would take up"


FOUND = SCREENED.model_copy(
    update={"kept": (*SCREENED.kept, *(found(n, "red dots" if n == 2 else "") for n in (3, 2, 1)))}
)


def name_field(number: int) -> str:
    return f"n_{concept_id(f'unnamed {number}')}"


def test_what_was_found_is_asked_about_until_somebody_named_it_or_let_it_be() -> None:
    asked = [n.concept.text for n in open_names(FOUND, decisions())]
    assert asked == ["unnamed 1", "unnamed 3"], "the most frequent first, without what has a name"
    made = decision("unnamed 1", "reword", new_text="pale rim"), decision("unnamed 3", "keep")
    assert open_names(FOUND, decisions(*made)) == []
    assert open_names(SCREENED, decisions()) == []


@pytest.mark.parametrize(
    ("one", "three", "made"),
    [
        ("", " ", []),
        ("pale  rim", "", [decision("unnamed 1", "reword", new_text="pale rim")]),
        ("Keep", "drop", [decision("unnamed 1", "keep"), decision("unnamed 3", "drop")]),
        (
            "pale rim",
            "Pale rim.",
            [
                decision("unnamed 1", "reword", new_text="pale rim (found 1)"),
                decision("unnamed 3", "reword", new_text="Pale rim. (found 3)"),
            ],
        ),
        ("unnamed 1", "\x1b", []),
    ],
)
def test_words_on_the_form_are_names(one: str, three: str, made: list[object]) -> None:
    names = open_names(FOUND, decisions())
    model = create_model("Review", **form_fields([], CLASSES, SPEC, names))
    sent = model.model_validate({name_field(1): one, name_field(3): three})
    read = read_form(sent.model_dump(), [], SPEC, "", names)
    assert list(read) == made


def test_pictures_stand_under_the_words_they_may_get_a_name_for() -> None:
    def read(image: str) -> bytes:
        if image == "gone":
            raise FileNotFoundError
        return a_png(200)

    shown = picture_page(
        open_names(
            SCREENED.model_copy(update={"kept": (found(7, images=("abc", "gone", "](x)")),)}),
            decisions(),
        ),
        read,
    )
    assert shown.startswith("## unnamed 7\n\n![abc](data:image/jpeg;base64,")
    assert "gone (no pixels)" in shown
    assert "](x)" not in shown, "no id closes the brackets it stands in"
