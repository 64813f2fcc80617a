import re

import pytest

from curette.schemas.annotations import ReportAnswer
from curette.schemas.responses import LlmResponse
from curette.schemas.settings.annotate import AnnotateSpec
from curette.schemas.settings.llm import LlmSpec
from curette.tasks.annotate.asking import (
    FEWEST_OF_EACH,
    answers_form,
    count_drawn,
    forecast_annotating,
    in_drawn_order,
    planted_statements,
    read_answers,
    write_inquiries,
    write_second_inquiries,
)
from curette.tasks.methods.llm.each import Each
from curette.tasks.methods.llm.reading import Unusable, read_answer
from tests.tasks.annotate.readers import understand

SPEC = AnnotateSpec()
TEXTS = ("dark dots", "a blue veil", "a net of lines", "a smooth rim", "a red halo")


def said(*answers: str) -> Each:
    numbered = {str(n): a for n, a in enumerate(answers, start=1)}
    return answers_form(len(answers)).model.model_validate(numbered)


# --- questions -----------------------------------------------------------------------------------


def test_every_concept_is_asked_once_a_turn_with_one_planted_statement_a_question() -> None:
    spec = AnnotateSpec(statements_per_question=2)
    for turn in ("first", "second"):
        inquiries = write_inquiries("Dots.", TEXTS, turn, spec, "skin photograph")
        assert [len(i.listed) for i in inquiries] == [3, 3, 2]
        places = [p for i in inquiries for p in i.listed if p is not None]
        assert sorted(places) == [0, 1, 2, 3, 4]
        for inquiry in inquiries:
            listed = understand(inquiry.prompt).statements
            [planted] = [s for s, p in zip(listed, inquiry.listed, strict=True) if p is None]
            assert planted in planted_statements()
            shown = [s for s in listed if s != planted]
            assert shown == [TEXTS[p] for p in inquiry.listed if p is not None]


def test_the_second_turn_has_other_words_and_turns_the_list_round() -> None:
    [first] = write_inquiries("Dots.", TEXTS, "first", SPEC, "image")
    [second] = write_inquiries("Dots.", TEXTS, "second", SPEC, "image")
    assert [p for p in first.listed if p is not None] == [0, 1, 2, 3, 4]
    assert [p for p in second.listed if p is not None] == [4, 3, 2, 1, 0]
    lists = re.compile(r"<statements>.*</statements>", flags=re.DOTALL)
    assert lists.sub("", first.prompt) != lists.sub("", second.prompt)


def test_where_the_planted_statement_stands_and_which_it_is_depends_on_the_report() -> None:
    drawn = [write_inquiries(f"Report {i}.", TEXTS, "first", SPEC, "image")[0] for i in range(60)]
    assert {i.listed.index(None) for i in drawn} == set(range(6))
    planted = {understand(i.prompt).statements[i.listed.index(None)] for i in drawn}
    assert planted == set(planted_statements())
    assert drawn == [
        write_inquiries(f"Report {i}.", TEXTS, "first", SPEC, "image")[0] for i in range(60)
    ], "a second run asks the same"


def test_a_concept_with_dollars_and_marks_is_only_text() -> None:
    [inquiry] = write_inquiries("R.", ["a </statements> $report ${question}"], "first", SPEC, "x")
    statements = understand(inquiry.prompt).statements
    assert "a ‹/statements› $report ${question}" in statements


# --- answers -------------------------------------------------------------------------------------


def test_answers_go_to_their_concepts_wherever_the_planted_statement_stands() -> None:
    reading = read_answers(said("absent", "not mentioned", "present"), (7, None, 4), "unknown")
    assert reading.answers == {7: "absent", 4: "present"}
    assert reading.problem == ""


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        (("present", "present", "absent"), "no report makes was called present"),
        (("present", "absent", "absent"), "no report makes was called absent"),
    ],
)
def test_nothing_of_an_answer_is_used_that_does_not_go_by_the_report(
    answers: tuple[str, ...], problem: str
) -> None:
    reading = read_answers(said(*answers), (0, None, 1), "unknown")
    assert reading.answers == {}
    assert problem in reading.problem


def test_where_silence_means_absence_the_planted_statement_may_be_absent() -> None:
    assert read_answers(said("present", "absent"), (0, None), "absent").answers == {0: "present"}
    assert read_answers(said("present", "present"), (0, None), "absent").answers == {}


def test_a_form_that_is_sent_back_or_filled_in_by_halves_is_no_answer() -> None:
    """Whatever stands where: with words for examples an echo could pass the planted check."""
    form = answers_form(3)
    for text in (form.example, '{"1": "present", "2": "not mentioned"}'):
        with pytest.raises(Unusable):
            read_answer(LlmResponse(text=text, model="m", format="text"), form)
    assert '"present, absent or not mentioned"' in form.example


# --- how much is asked ---------------------------------------------------------------------------


def test_fifty_reports_are_drawn_at_least_and_all_where_there_are_fewer() -> None:
    counts = {n: count_drawn(n, AnnotateSpec(checked_share=0.2)) for n in (0, 7, 100, 1000)}
    assert counts == {0: 0, 7: 7, 100: 50, 1000: 200}


def test_reports_that_decide_a_rare_concept_are_asked_about_again_in_its_question_alone() -> None:
    """Of 400 reports every one decides the first concept, 40 say that the second is there.

    Three say that it is not; of the third, in a question of its own, nobody says anything.
    """
    reports = [f"Report {i}." for i in range(400)]
    spec = AnnotateSpec(checked_share=0.01, statements_per_question=2)
    first: dict[str, dict[int, ReportAnswer]] = {}
    for i, report in enumerate(reports):
        rare: ReportAnswer = "present" if i >= 360 else "absent" if i > 356 else "not mentioned"
        first[report] = {0: "present" if i % 2 else "absent", 1: rare, 2: "not mentioned"}
    asked = write_second_inquiries(first, reports, TEXTS[:3], spec, "image")
    assert {i.turn for i in asked} == {"second"}
    both = [i.report for i in asked if 1 in i.listed]
    assert both == reports[:50] + reports[357 : 360 + FEWEST_OF_EACH], "in the order given"
    assert [i.report for i in asked if 2 in i.listed] == reports[:50]
    assert len(asked) == len(both) + 50


def test_no_report_is_drawn_for_a_concept_that_the_drawn_ones_decide() -> None:
    reports = [f"Report {i}." for i in range(400)]
    first: dict[str, dict[int, ReportAnswer]] = {
        r: {0: "present" if i % 2 else "absent"} for i, r in enumerate(reports)
    }
    asked = write_second_inquiries(first, reports, TEXTS[:1], SPEC, "image")
    assert [i.report for i in asked] == reports[:80]


def test_the_drawn_order_does_not_change_when_reports_are_added() -> None:
    few = [f"report {i}" for i in range(20)]
    more = in_drawn_order([*few, *(f"new {i}" for i in range(20))])
    assert [r for r in more if r in few] == in_drawn_order([*few, *few])
    assert in_drawn_order(few) != few


def test_an_estimate_counts_different_reports_groups_of_concepts_and_the_check() -> None:
    llm = LlmSpec(model="gpt-4o")
    spec = AnnotateSpec(statements_per_question=20, checked_share=0.5)
    reports = [f"Report {i}." for i in range(100)] * 2
    made = forecast_annotating(reports, 45, spec, "image", llm)
    assert (made.fewest, made.most) == (100, 600), "each of three questions twice"
    assert made.prompt_tokens_each > 200
    limited = forecast_annotating(
        reports, 45, spec.model_copy(update={"max_reports": 10}), "image", llm
    )
    assert (limited.fewest, limited.most) == (10, (10 + 10) * 3)
    many = forecast_annotating([f"Report {i}." for i in range(9000)], 25, spec, "image", llm)
    more = 2 * FEWEST_OF_EACH
    assert many.most == 9000 + 4500 + more * 20 + 9000 + 4500 + more * 5
