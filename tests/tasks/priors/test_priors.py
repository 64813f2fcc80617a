import pytest

from curette.schemas.artifact import StudyError
from curette.schemas.candidates import Candidate
from curette.schemas.llm import Usage
from curette.schemas.priors import Answer, Priors, Votes
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.priors import AskedPriors, LinkPriors
from curette.tasks.priors.priors import collect_priors, decide, directions_differ, link_priors
from tests.tasks.priors.judges import (
    CLASSES,
    Asked,
    Judge,
    Oracle,
    answer,
    believer,
    concept,
    guesser,
    sensible,
)

LLM = LlmSpec(model="tiny", base_url="http://127.0.0.1:9/v1")
FIVE = AskedPriors(kind="llm", repeats=5)
DARK = concept("dark streaks")


def collect(judge: Judge, *concepts: Candidate, spec: AskedPriors = FIVE) -> Priors:
    oracle = Oracle(lambda prompt: answer(prompt, sensible(judge)))
    return collect_priors(
        concepts, CLASSES, spec, "skin image", LLM, oracle, Usage(), lambda _: None
    )


def kappas(found: Priors) -> list[float | None]:
    return [a.kappa for a in found.agreement]


def test_a_link_speaks_for_its_classes_and_no_other() -> None:
    found = link_priors((concept("a", "secret-key-mel"), concept("b")), CLASSES)
    assert [p.answer for p in found.priors] == ["neutral", "speaks for", *["neutral"] * 4]
    assert found.asked == "links"


def test_a_judge_that_keeps_to_its_opinions_gets_them_back() -> None:
    judge = believer(
        {
            ("speaks for", "dark streaks"): {"melanoma"},
            ("speaks against", "dark streaks"): {"melanocytic nevus"},
            ("reverse", "dark streaks"): {"melanoma"},
            ("speaks for", "even colour"): {"melanocytic nevus"},
            ("reverse", "even colour"): {"melanocytic nevus"},
        }
    )
    found = collect(judge, DARK, concept("even colour"))
    assert [p.answer for p in found.priors] == [
        "speaks against",
        "speaks for",
        "neutral",
        "speaks for",
        "neutral",
        "neutral",
    ]
    assert kappas(found) == [1, 1, 1]
    assert [(a.items, a.votes_each) for a in found.agreement] == [(6, 5)] * 3
    assert not any(p.directions_differ for p in found.priors)
    assert found.source == (
        "tiny: 5 answers to each of 3 questions; of the control questions it answered "
        "20 of 20 whose answer is no, and 16 of 16 whose answer is yes rightly"
    )
    assert found.believed


def test_a_judge_that_guesses_agrees_by_chance_and_is_mostly_not_believed() -> None:
    found = collect(guesser, *(concept(f"statement {i}") for i in range(40)))
    assert all(k is not None and abs(k) < 0.12 for k in kappas(found))
    assert sum(p.answer == "neutral" for p in found.priors) > 0.6 * len(found.priors)


@pytest.mark.parametrize("always", [True, False])
def test_a_judge_that_always_says_the_same_is_never_believed(always: bool) -> None:
    found = collect(lambda asked: [always] * len(asked.classes), DARK)
    assert {p.answer for p in found.priors} == {"neutral"}
    assert kappas(found) == [None, None, None]


def test_items_without_every_vote_are_left_out_of_the_agreement() -> None:
    def tired(asked: Asked) -> list[bool | None]:
        silent = asked.concept == "dark streaks" and asked.classes[0] == "melanoma"
        return [None if silent else "nevus" in name for name in asked.classes]

    found = collect(tired, DARK, concept("even colour"))
    assert [a.items for a in found.agreement] == [3, 3, 3]
    votes = found.priors[0].speaks_for
    assert 0 < votes.yes + votes.no < 5
    assert len(found.failures) == 15 - sum(
        v.yes + v.no for p in found.priors[:1] for v in (p.speaks_for, p.speaks_against, p.reverse)
    )


def test_who_fails_the_planted_questions_is_not_believed_whatever_else_is_said() -> None:
    judge = believer({("speaks for", "dark streaks"): {"melanoma"}})
    oracle = Oracle(lambda prompt: answer(prompt, judge))
    found = collect_priors(
        (DARK,), CLASSES, FIVE, "skin image", LLM, oracle, Usage(), lambda _: None
    )
    assert not found.believed
    assert {p.answer for p in found.priors} == {"neutral"}
    assert found.priors[1].speaks_for == Votes(yes=5)
    assert "it is not believed, and every prior is neutral" in found.source


def test_a_link_known_in_one_direction_alone_is_marked() -> None:
    judge = believer(
        {
            ("speaks for", "dark streaks"): {"melanoma"},
            ("reverse", "dark streaks"): {"basal cell carcinoma"},
        }
    )
    found = collect(judge, DARK)
    assert [p.directions_differ for p in found.priors] == [False, True, True]


@pytest.mark.parametrize(
    ("speaks_for", "speaks_against", "expected"),
    [
        ((5, 0), (0, 5), "speaks for"),
        ((4, 1), (1, 4), "speaks for"),
        ((4, 1), (3, 2), "neutral"),
        ((0, 5), (4, 1), "speaks against"),
        ((3, 2), (0, 5), "neutral"),
        ((5, 0), (5, 0), "neutral"),
        ((0, 5), (0, 5), "neutral"),
        ((3, 0), (0, 3), "speaks for"),
        ((2, 0), (0, 5), "neutral"),
        ((5, 0), (0, 0), "neutral"),
        ((0, 0), (0, 0), "neutral"),
    ],
)
def test_what_votes_decide(
    speaks_for: tuple[int, int], speaks_against: tuple[int, int], expected: Answer
) -> None:
    first, second = (Votes(yes=yes, no=no) for yes, no in (speaks_for, speaks_against))
    assert decide(first, second, FIVE) == expected


@pytest.mark.parametrize(
    ("answer", "reverse", "differ"),
    [
        ("speaks for", (3, 0), False),
        ("speaks for", (1, 2), True),
        ("neutral", (2, 1), True),
        ("speaks against", (2, 1), True),
        ("neutral", (0, 3), False),
        ("speaks for", (0, 0), False),
    ],
)
def test_when_directions_differ(answer: Answer, reverse: tuple[int, int], differ: bool) -> None:
    assert directions_differ(answer, Votes(yes=3), Votes(yes=reverse[0], no=reverse[1])) == differ
    assert not directions_differ(answer, Votes(), Votes(yes=3)), "nothing to compare with"


def test_a_model_without_one_usable_answer_fails_the_stage() -> None:
    with pytest.raises(
        StudyError, match=r"tiny gave no usable answer .* The first problem: speaks for, `dark"
    ):
        collect_priors(
            (DARK,), CLASSES, FIVE, "x", LLM, Oracle(lambda _: "?"), Usage(), lambda _: None
        )


def test_asking_needs_a_model() -> None:
    with pytest.raises(StudyError, match=r"priors\.kind is `llm`, but the study names no"):
        collect_priors((), CLASSES, FIVE, "x", None, Oracle(str), Usage(), lambda _: None)


def test_links_need_none() -> None:
    found = collect_priors(
        (DARK,), CLASSES, LinkPriors(), "x", None, Oracle(str), Usage(), lambda _: None
    )
    assert found.usage == Usage()
