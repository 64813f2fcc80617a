"""What a model may send back in the place of statements."""

from typing import Any

import pytest

from curette.schemas.responses import LlmResponse
from curette.tasks.methods.llm.asking import AnswerForm
from curette.tasks.methods.llm.reading import Unusable, read_answer
from curette.tasks.propose.documents import FINDINGS
from curette.tasks.propose.forms import CONCEPTS, CONTRAST, is_placeholder


def said(text: str) -> LlmResponse:
    return LlmResponse(text=text, model="m", format="text")


@pytest.mark.parametrize(
    "text",
    [
        '{"concepts": {"colour": ["a brown rim"], "shape": ["round", "an even edge"]}}',
        '{"concepts": [["a brown rim"], ["round", "an even edge"]]}',
        '{"concepts": [{"colour": ["a brown rim"]}, {"shape": ["round", "an even edge"]}]}',
        '{"concepts": ["a brown rim"], "concepts": ["round", "an even edge"]}',
    ],
)
def test_groups_are_put_together_and_their_names_are_no_concepts(text: str) -> None:
    assert read_answer(said(text), CONCEPTS).concepts == ("a brown rim", "round", "an even edge")


@pytest.mark.parametrize(
    "text",
    [
        '{"concepts": [{"colour": "a brown rim"}, {"shape": "round"}]}',
        '{"concepts": {"colour": "a brown rim", "shapes": ["round"]}}',
        '{"concepts": ["a brown rim"], "shapes": ["round", "an even edge"]}',
        '{"colour": ["a brown rim"], "shape": ["round"]}',
        '[{"group": "colour", "items": ["a brown rim"]}, {"group": "shape", "items": ["round"]}]',
    ],
)
def test_no_part_of_an_answer_is_taken_for_the_whole(text: str) -> None:
    with pytest.raises(Unusable):
        read_answer(said(text), CONCEPTS)


def test_what_is_no_text_spoils_none_of_the_others() -> None:
    text = '{"concepts": ["a brown rim", null, "an even edge", 3]}'
    assert read_answer(said(text), CONCEPTS).concepts == ("a brown rim", "", "an even edge", "")


@pytest.mark.parametrize(
    "text",
    [
        '{"concepts": ["Colour:", "a brown rim", "**Shape:**", "round"]}',
        "- Colour:\n  - a brown rim\n- *Shape*:\n  - round",
    ],
)
def test_a_heading_among_concepts_is_none(text: str) -> None:
    assert read_answer(said(text), CONCEPTS).concepts == ("", "a brown rim", "", "round")


def test_a_broken_finding_spoils_none_of_the_others() -> None:
    good = '{"concept": "a brown rim", "passage": 1, "quote": "a brown rim is seen"}'
    found = read_answer(said(f'{{"concepts": [{good}, null, {{"concept": "x"}}]}}'), FINDINGS)
    assert [f.quote for f in found.concepts] == ["a brown rim is seen", "", ""]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (CONCEPTS, CONCEPTS.example),
        (CONCEPTS, '{"concepts": ["First statement.", "second statement", "third statement"]}'),
        (CONCEPTS, '{"concepts": ["Statement 1", "statement_2", "another statement here"]}'),
        (CONCEPTS, '{"concepts": ["...", "…"]}'),
        (CONCEPTS, '{"concepts": ["first statement", "a statement about the class", "a rim"]}'),
        (CONTRAST, CONTRAST.example),
        (CONTRAST, '{"first": ["a statement about the first"], "second": ["Second statement"]}'),
        (FINDINGS, FINDINGS.example),
        (FINDINGS, '{"concepts": [{"concept": "statement 1", "passage": 1, "quote": "words"}]}'),
    ],
)
def test_an_echo_of_the_form_is_no_answer(form: AnswerForm[Any], text: str) -> None:
    with pytest.raises(Unusable, match=r"only repeats the form|holds too little"):
        read_answer(said(text), form)


def test_a_loop_is_no_answer_and_a_single_repeat_is_harmless() -> None:
    loop = ", ".join(f'"brown spot {i}"' for i in range(20))
    with pytest.raises(Unusable, match="the same again and again"):
        read_answer(said(f'{{"concepts": [{loop}]}}'), CONCEPTS)
    kept = '{"concepts": ["brown rim", "brown rim", "an even edge", "two white lines"]}'
    assert len(read_answer(said(kept), CONCEPTS).concepts) == 4


@pytest.mark.parametrize(
    "text", ["two white lines", "one large nucleus", "a second ring", "text-like strokes"]
)
def test_statements_with_the_words_of_forms_are_statements(text: str) -> None:
    assert not is_placeholder(text)
