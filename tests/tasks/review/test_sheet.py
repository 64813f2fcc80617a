"""A sheet goes out to any spreadsheet program and comes back as it was meant, or not at all."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import concept_id
from curette.schemas.concepts import ConceptSet
from curette.schemas.review import Decision
from curette.schemas.screened import ScreenedSet
from curette.tasks.methods.filled_tables import protect, restore
from curette.tasks.review.sheet import COLUMNS, read_sheet, write_sheet
from tests.builders.screened import KEYS, SCREENED, candidate, decision, decisions

DECIDED = (
    decision("red dots", "drop", reason="seen on\nevery image; =useless", decided_on="2024-02-29"),
    decision("warm skin", "keep", reviewer="Bo"),
    decision("pink rim", "reassign", new_classes=("nv", "mel")),
    decision("blue veil", "reword", new_text="-blue haze"),
)


def grid(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def sheet(*rows: dict[str, str], delimiter: str = ",") -> bytes:
    """Return a sheet as a spreadsheet program saves it, columns in the order of the rows."""
    out = io.StringIO(newline="")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(out, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def row(text: str, verdict: str = "", **more: str) -> dict[str, str]:
    return {"concept_id": concept_id(text), "text": text, "verdict": verdict} | more


def read(content: bytes, reviewer: str = "Ada") -> tuple[Decision, ...]:
    return read_sheet(content, "sheet.csv", KEYS, reviewer)


def problems(content: bytes, reviewer: str = "Ada") -> str:
    with pytest.raises(StudyError, match="nothing was imported") as caught:
        read(content, reviewer)
    return str(caught.value)


def test_decisions_go_out_and_come_back() -> None:
    content = write_sheet(SCREENED, decisions(*DECIDED))
    came = {d.concept_id: d for d in read(content, reviewer="")}
    assert came == {d.concept_id: d for d in DECIDED}


def test_every_concept_has_one_row_the_least_sure_first() -> None:
    head, *rows = grid(write_sheet(SCREENED, decisions()))
    assert tuple(head) == COLUMNS
    assert [r[1] for r in rows] == [
        *("warm skin", "pink rim"),
        *("blue veil", "red dots", "round shape"),
        *("bluish veil", "colour of a nevus"),
    ]
    first = dict(zip(head, rows[0], strict=True))
    assert first["gate"] == "visual"
    assert first["reason"] == "is felt"
    assert restore(first["unsure"]) == "0.10"
    assert first["why_unsure"] == "visual: may show as redness"
    assert first["verdict"] == ""


def test_what_was_chosen_comes_first_with_what_could_stand_in() -> None:
    chosen = ConceptSet.model_validate(
        {
            "method": "explained_variance",
            "scope": "jointly",
            "concepts": [
                dict(candidate("round shape", "nv"))
                | {"concept_id": concept_id("round shape"), "selected_for": ["nv"]}
                | {"discriminability": 0.1}
            ],
            "selections": [
                {
                    "class_key": "nv",
                    "pool": 4,
                    "picks": [{"concept_id": concept_id("round shape"), "gain": 0.5}],
                    "value": 0.5,
                    "upper_bound": 0.6,
                }
            ],
            "loss": 0.25,
            "exchanges": [
                {
                    "concept_id": concept_id("round shape"),
                    "substitutes": [
                        {
                            "concept_id": concept_id("red dots"),
                            "text": "red dots",
                            "excess": 0.003,
                            "standard_error": 0.004,
                        }
                    ],
                }
            ],
            "exchanged": [
                {
                    "concept_id": concept_id("blue veil"),
                    "text": "blue veil",
                    "for_id": concept_id("round shape"),
                    "for_text": "round shape",
                    "reviewer": "Ada",
                }
            ],
        }
    )
    exchange = decision("blue veil", "exchange", new_text="round shape")
    content = write_sheet(SCREENED, decisions(exchange), chosen)
    head, first, second, *rest = grid(content)
    told = dict(zip(head, first, strict=True))
    assert (told["text"], restore(told["chosen"])) == (
        "round shape",
        "1 of 1, together they lose 0.2500",
    )
    assert told["could_stand_in"] == "red dots (+0.0030 ± 0.0040)"
    assert dict(zip(head, second, strict=True))["chosen"] == "exchanged for: round shape"
    assert len(rest) == 5, "every other concept has its row"
    assert read(content) == (exchange,)


def test_excel_knows_the_encoding() -> None:
    screened = ScreenedSet(kept=(candidate("gräuliche Flecken", "nv"),), dropped=(), gates=())
    content = write_sheet(screened, decisions())
    assert content.startswith(b"\xef\xbb\xbf")
    assert "gräuliche Flecken" in content.decode("utf-8-sig")


# --- harm ---------------------------------------------------------------------------------------

HARMFUL = [
    '=HYPERLINK("http://x","y")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1",
    " =1",
    "red;=1+1",
    'red";"=1+1',
    "red,\t=1",
    "'=1",
]


@pytest.mark.parametrize("text", HARMFUL)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_program_finds_a_formula_however_it_splits_the_line(text: str, delimiter: str) -> None:
    screened = ScreenedSet(kept=(candidate(text, "nv"),), dropped=(), gates=())
    content = write_sheet(screened, decisions()).decode("utf-8-sig")
    for cells in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter):
        for cell in cells:
            assert not cell.lstrip(' "').startswith(("=", "+", "-", "@", "\t", "\r", "＝"))


@pytest.mark.parametrize("text", HARMFUL)
def test_what_was_made_harmless_comes_back(text: str) -> None:
    made = decision(text, "drop", reason=text.strip())
    screened = ScreenedSet(kept=(candidate(text, "nv"),), dropped=(), gates=())
    came = read(write_sheet(screened, decisions(made)))
    assert came == (made.model_copy(update={"text": text.strip()}),)


@pytest.mark.parametrize("cell", ["123456789012", "1234567e8901", "012345", "3/4", "10:30", "2.50"])
def test_no_program_turns_text_into_a_number(cell: str) -> None:
    assert protect(cell) == f"'{cell}"


@given(st.text(alphabet="=+-@'\",;|\t\r\n ax1e.＝"))
@example(", \t=")
def test_protection_is_undone_exactly(cell: str) -> None:
    assert restore(protect(cell)) == cell


@pytest.mark.parametrize(
    "cell", ["blue-white veil", "3 mm dots", "'tis", "it's", "a, b; c", "", "x = y"]
)
def test_ordinary_words_are_left_alone(cell: str) -> None:
    assert protect(cell) == cell
    assert restore(cell) == cell


def test_what_a_person_typed_without_care_is_taken_as_it_is() -> None:
    (came,) = read(sheet(row("a", "reword", new_text="-like border")))
    assert came.new_text == "-like border"


# --- tolerance ----------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiter_mark_order_and_blank_rows_do_not_count(delimiter: str, mark: bytes) -> None:
    made = row("red dots", "Drop", comment="no; really, no") | {"reviewer": "Bo"}
    blank = dict.fromkeys(made, "")
    turned = [dict(reversed(r.items())) for r in (blank, made, blank)]
    content = mark + sheet(*turned, delimiter=delimiter) + b"\r\n"
    assert read(content) == (decision("red dots", "drop", reason="no; really, no", reviewer="Bo"),)


def test_a_row_without_a_verdict_is_no_decision() -> None:
    assert read(sheet(row("red dots", comment="not yet"), row("pink rim", "keep"))) == (
        decision("pink rim", "keep"),
    )


def test_several_classes_stand_with_a_bar_between() -> None:
    (came,) = read(sheet(row("a", "reassign", new_classes="mel |nv | mel")))
    assert came.new_classes == ("mel", "nv")


# --- refusal ------------------------------------------------------------------------------------


def test_every_problem_is_named_with_its_row_and_column() -> None:
    edited = row("red dots") | {"text": "red points"}
    content = sheet(
        row("a", "maybe", new_text="", new_classes="", reviewer=""),
        edited,
        row("b", "reword"),
        row("c", "reassign", new_classes="scc | nv"),
        row("d", new_text="words"),
        row("e", "keep"),
        row("e", "drop"),
        row("f", "keep", new_text="words"),
    )
    lines = problems(content).splitlines()
    assert lines[0] == "7 problems in the review sheet sheet.csv; nothing was imported:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "row 2, column verdict",
        "row 3, column text",
        "row 4, column new_text",
        "row 5, column new_classes",
        "row 6, column verdict",
        "row 8, column verdict",
        "row 9, column new_text",
    ]
    assert "must be one of keep, drop, reword, reassign, exchange, or empty" in lines[1]
    assert "write the new one into new_text, with the verdict `reword`" in lines[2]
    assert "there is no class 'scc'; there are nv, mel, bcc" in lines[4]
    assert "row 7 decides about the same concept" in lines[6]


def test_an_id_must_belong_to_its_text() -> None:
    swapped = row("red dots", "drop") | {"concept_id": concept_id("pink rim")}
    assert "'red dots' is not the text of the concept" in problems(sheet(swapped))


def test_somebody_must_have_decided() -> None:
    assert "column reviewer: who decided?" in problems(sheet(row("a", "keep")), reviewer="")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("Fläche".encode("cp1252"), "it is not UTF-8"),
        (b"", "column concept_id is missing"),
        (b"concept_id,text,verdict,text\n", "column text stands twice"),
        (b"concept_id,text,verdict,new_texts\n", "there is no column 'new_texts'"),
        (b"concept_id,text,verdict\na,b,,d\n", "row 2 has more cells than"),
        (b'concept_id,text,verdict\n"a,b\n', "it is not CSV"),
    ],
)
def test_what_is_no_review_sheet_is_refused(content: bytes, why: str) -> None:
    assert why in problems(content)
