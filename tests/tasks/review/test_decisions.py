"""What a person decides overrules the gates, and nothing is lost on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curette.schemas.artifact import Ref, StudyError
from curette.schemas.candidates import (
    Candidate,
    CandidateSet,
    DiscoveredOrigin,
    FileOrigin,
    ReviewOrigin,
    concept_id,
)
from curette.schemas.review import Decision, Decisions
from curette.schemas.screened import ScreenedSet
from curette.tasks.review.decisions import (
    apply_decisions,
    merge_decisions,
    renamed_directions,
    require_every_class,
    reworded_texts,
)
from tests.builders.screened import CLASSES, KEYS, SCREENED, decision, decisions, texts

ALL = [c.text for c in SCREENED.kept] + [d.candidate.text for d in SCREENED.dropped]
REF: Ref[ScreenedSet] = Ref(ScreenedSet.kind, "0" * 20)


def review(*made: Decision) -> ScreenedSet:
    return apply_decisions(SCREENED, decisions(*made), CLASSES)


def dropped(screened: ScreenedSet) -> dict[str, tuple[str, str]]:
    return {d.candidate.text: (d.gate, d.reason) for d in screened.dropped}


def test_without_decisions_the_set_is_what_the_gates_made_of_it() -> None:
    reviewed = review()
    assert reviewed.kept == SCREENED.kept
    assert reviewed.dropped == SCREENED.dropped
    assert reviewed.flags == SCREENED.flags
    assert reviewed.families == SCREENED.families
    assert reviewed.gates == (*SCREENED.gates, "review")


def test_keeping_brings_a_dropped_concept_back_and_leaves_a_kept_one() -> None:
    reviewed = review(decision("warm skin", "keep"), decision("red dots", "keep"))
    assert texts(reviewed) == [*texts(SCREENED), "warm skin"]
    assert "warm skin" not in dropped(reviewed)


def test_a_duplicate_that_is_kept_leaves_its_family() -> None:
    reviewed = review(decision("bluish veil", "keep"))
    assert "bluish veil" in texts(reviewed)
    assert reviewed.families == ()


def test_dropping_names_the_reviewer_and_the_reason() -> None:
    reviewed = review(decision("red dots", "drop", reason="an artefact"))
    assert dropped(reviewed)["red dots"] == ("review", "Ada: an artefact")
    assert "red dots" not in texts(reviewed)


def test_dropping_what_a_gate_dropped_keeps_the_reason_of_the_gate() -> None:
    assert dropped(review(decision("warm skin", "drop"))) == dropped(SCREENED)


def test_what_stood_behind_a_dropped_concept_stays_dropped() -> None:
    reviewed = review(decision("blue veil", "drop"))
    assert dropped(reviewed)["bluish veil"][0] == "near_duplicate"
    assert reviewed.families == ()


def test_a_warning_goes_with_the_concept_it_is_about() -> None:
    assert review(decision("blue veil", "drop")).flags == ()
    assert review(decision("red dots", "drop")).flags == SCREENED.flags


def test_reassigning_replaces_the_classes_in_the_order_of_the_dataset() -> None:
    reviewed = review(
        decision("pink rim", "reassign", new_classes=("mel", "nv")),
        decision("warm skin", "reassign", new_classes=("mel",)),
    )
    classes = {c.text: c.classes for c in reviewed.kept}
    assert classes["pink rim"] == ("nv", "mel")
    assert classes["warm skin"] == ("mel",), "a reassigned concept comes back"


def test_rewording_puts_the_new_text_in_place_of_the_old() -> None:
    reviewed = review(decision("blue veil", "reword", new_text="blue haze", reason="clearer"))
    assert texts(reviewed) == ["blue haze", "red dots", "pink rim", "round shape"]
    new = reviewed.kept[0]
    assert new.concept_id == concept_id("blue haze")
    assert new.classes == ("mel",)
    assert new.origins == (
        ReviewOrigin(reviewer="Ada", reworded_from="blue veil"),
        FileOrigin(file="list", line=1),
    )
    assert dropped(reviewed)["blue veil"] == (
        "review",
        "reworded to 'blue haze' by Ada: clearer",
    )
    family = reviewed.families[0]
    assert family.concept_id == new.concept_id
    assert family.members == (concept_id("bluish veil"), concept_id("blue veil"))


def test_rewording_a_dropped_concept_brings_the_new_text_and_keeps_why_the_old_one_went() -> None:
    reviewed = review(decision("colour of a nevus", "reword", new_text="even brown"))
    assert texts(reviewed)[-1] == "even brown"
    drop = next(d for d in reviewed.dropped if d.candidate.text == "colour of a nevus")
    assert (drop.gate, drop.reason) == ("review", "reworded to 'even brown' by Ada")
    assert drop.evidence == {
        "gate": "class_leak",
        "reason": "gives the class 'nevus' away by 'nevus'",
    }


@pytest.mark.parametrize("existing", ["Red  dots.", "red dots"])
def test_rewording_to_a_kept_concept_merges_classes_and_origins(existing: str) -> None:
    reviewed = review(decision("pink rim", "reword", new_text=existing))
    assert texts(reviewed) == ["blue veil", "red dots", "round shape"], "the text with a vector"
    merged = reviewed.kept[1]
    assert merged.classes == ("nv", "bcc")
    assert merged.origins == (
        FileOrigin(file="list", line=2),
        ReviewOrigin(reviewer="Ada", reworded_from="pink rim"),
        FileOrigin(file="list", line=3),
    )


def test_rewording_to_a_dropped_concept_brings_it_back() -> None:
    reviewed = review(decision("blue veil", "reword", new_text="bluish veil"))
    assert "bluish veil" in texts(reviewed)
    assert list(dropped(reviewed)) == ["warm skin", "colour of a nevus", "blue veil"]
    assert [f.members for f in reviewed.families] == [(concept_id("blue veil"),)]


def test_two_concepts_reworded_alike_become_one() -> None:
    reviewed = review(
        decision("red dots", "reword", new_text="red points"),
        decision("pink rim", "reword", new_text="Red points"),
    )
    assert len([t for t in texts(reviewed) if t.casefold() == "red points"]) == 1
    assert next(c for c in reviewed.kept if c.text == "red points").classes == ("nv", "bcc")


def test_what_is_decided_about_the_new_words_comes_after_the_rewording() -> None:
    reviewed = review(
        decision("pink rim", "reword", new_text="rosy rim"),
        decision("rosy rim", "reassign", new_classes=("mel",)),
    )
    assert next(c for c in reviewed.kept if c.text == "rosy rim").classes == ("mel",)


def test_decisions_about_what_is_not_there_wait() -> None:
    absent = decision("green glow", "drop")
    reviewed = review(absent, decision("pink rim", "keep"))
    assert reviewed.review is not None
    assert reviewed.review.not_found == (absent,)
    assert [d.text for d in reviewed.review.applied] == ["pink rim"]


def test_the_facts_say_who_overruled_what_and_what_is_open() -> None:
    facts = review(
        decision("warm skin", "keep", reviewer="Bo"), decision("red dots", "drop")
    ).review
    assert facts is not None
    assert facts.counts == {"drop": 1, "keep": 1}
    assert facts.reviewers == ("Ada", "Bo")
    assert {d.text: (d.gate, d.gate_reason) for d in facts.applied} == {
        "warm skin": ("visual", "is felt"),
        "red dots": ("", ""),
    }
    assert facts.undecided == (concept_id("pink rim"),)


def test_a_class_that_the_dataset_does_not_have_is_named() -> None:
    with pytest.raises(StudyError, match=r"'pink rim' is given to scc\n.*nv, mel, bcc"):
        review(decision("pink rim", "reassign", new_classes=("scc", "nv")))


def test_a_class_that_loses_everything_is_named() -> None:
    reviewed = review(decision("pink rim", "drop"))
    with pytest.raises(StudyError, match=f"no concept for basal cell carcinoma.*{REF.digest}"):
        require_every_class(reviewed, SCREENED, CLASSES, REF)
    require_every_class(review(decision("red dots", "drop")), SCREENED, CLASSES, REF)


VERDICTS = st.sampled_from(["keep", "drop", "reword", "reassign"])
TEXTS = st.sampled_from([*ALL, "a new text", "another text"])
CHOICES = st.dictionaries(
    TEXTS,
    st.tuples(VERDICTS, TEXTS, st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)),
    max_size=7,
)


@given(CHOICES)
def test_whatever_is_decided_nothing_is_lost_and_twice_is_once(
    choices: dict[str, tuple[str, str, list[str]]],
) -> None:
    made = []
    for text, (verdict, new_text, classes) in choices.items():
        only: dict[str, dict[str, object]] = {
            "reword": {"new_text": new_text},
            "reassign": {"new_classes": tuple(classes)},
        }
        try:
            made.append(decision(text, verdict, **only.get(verdict, {})))
        except ValidationError:
            assert new_text == text
    try:
        given_ = decisions(*made)
    except ValidationError as error:
        assert "is reworded to" in str(error)
        return
    once = apply_decisions(SCREENED, given_, CLASSES)
    ids = {c.concept_id for c in once.kept} | {d.candidate.concept_id for d in once.dropped}
    reworded = {concept_id(t) for t in reworded_texts(given_)}
    assert {concept_id(t) for t in ALL} <= ids <= {concept_id(t) for t in ALL} | reworded
    twice = apply_decisions(once, given_, CLASSES)
    same = {"kept", "dropped", "gates", "families", "flags"}
    assert twice.model_dump(include=same) == once.model_dump(include=same)


# --- many decisions -----------------------------------------------------------------------------


def test_the_later_decision_wins_and_the_order_does_not_count() -> None:
    first = merge_decisions(decisions(), [decision("red dots", "keep"), decision("b", "drop")])
    second = merge_decisions(first, [decision("red dots", "drop", reviewer="Bo")])
    assert {d.text: d.verdict for d in second.decisions} == {"red dots": "drop", "b": "drop"}
    turned = merge_decisions(decisions(), second.decisions[::-1])
    assert turned == second


def test_only_reworded_texts_need_vectors() -> None:
    made = decisions(decision("a", "keep"), decision("b", "reword", new_text="c"))
    assert reworded_texts(made) == ("c",)


@pytest.mark.parametrize("verdict", ["drop", "reword"])
def test_nothing_is_reworded_to_what_another_decision_does_away_with(verdict: str) -> None:
    more = {"new_text": "elsewhere"} if verdict == "reword" else {}
    earlier = decisions(decision("red dots", verdict, reviewer="Bo", **more))
    with pytest.raises(StudyError, match=f"'Red dots', about which Bo decided `{verdict}`"):
        merge_decisions(earlier, [decision("pink rim", "reword", new_text="Red dots")])


@pytest.mark.parametrize(
    ("verdict", "more", "why"),
    [
        ("reword", {}, "needs a new text"),
        ("exchange", {}, "that of a statement"),
        ("keep", {"new_text": "b"}, "no other verdict has one"),
        ("reassign", {}, "needs classes"),
        ("drop", {"new_classes": ("nv",)}, "no other verdict has them"),
        ("reword", {"new_text": "A."}, "the new text is the old one"),
        ("reword", {"new_text": "b\nc"}, "one line without control characters"),
        ("keep", {"reviewer": ""}, "at least 1 character"),
    ],
)
def test_a_decision_says_what_it_must_and_no_more(
    verdict: str, more: dict[str, object], why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        decision("a", verdict, **more)


def test_exchanges_are_about_what_is_selected_and_leave_the_statements_alone() -> None:
    exchange = decision("red dots", "exchange", new_text="round shape")
    made = decisions(exchange, decision("pink rim", "drop"))
    assert made.exchanges == (exchange,)
    assert [d.verdict for d in made.about_statements().decisions] == ["drop"]
    reviewed = apply_decisions(SCREENED, made, CLASSES)
    assert reviewed == apply_decisions(SCREENED, made.about_statements(), CLASSES)


def test_a_concept_is_decided_about_once() -> None:
    with pytest.raises(ValidationError, match="twice"):
        Decisions(study="s", decisions=(decision("a", "keep"), decision("A", "drop")))


def test_a_name_that_a_reviewer_gives_keeps_the_direction_it_was_given_to() -> None:
    found = DiscoveredOrigin(method="kmeans", number=3, images=("a",))
    unnamed = Candidate(text="unnamed 3", classes=KEYS, origins=(found,))
    plain = Candidate(text="red dots", classes=KEYS, origins=(FileOrigin(file="by hand", line=1),))
    candidates = CandidateSet(candidates=(unnamed, plain), source="by hand")
    named = decisions(decision("unnamed 3", "reword", new_text="milky veil"))
    assert renamed_directions(named, candidates) == (("milky veil", "unnamed 3"),)
    taken = decisions(decision("unnamed 3", "reword", new_text="red dots"))
    assert renamed_directions(taken, candidates) is None  # the statement's own vector stands
    assert renamed_directions(decisions(), candidates) is None
