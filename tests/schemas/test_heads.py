"""Cards of heads name each other rightly, and say what is trained where."""

import pytest
from pydantic import TypeAdapter, ValidationError

from curette.schemas.heads import (
    CARDS,
    EXPLAINED,
    REFERENCE,
    FewShotBaseline,
    HeadKind,
    card_of,
    choosable,
    trained,
)
from curette.schemas.settings.draw import FewShotSpec
from curette.schemas.settings.probe import ProbeSpec


def test_cards_name_only_kinds_that_have_a_card() -> None:
    for kind, card in CARDS.items():
        assert card.kind == kind
        assert set(card.baselines + card.without_concepts + card.comes_with) <= set(CARDS)
        assert card.always <= card.protocols


def test_colours_differ_where_lines_stand_on_one_chart() -> None:
    colours = [c.colour for c in CARDS.values() if "few shots" in c.protocols]
    assert len(set(colours)) == len(colours)


def test_what_is_explained_and_held_against_is_trained_wherever_heads_are() -> None:
    for protocol in card_of(EXPLAINED).always:
        assert {EXPLAINED, REFERENCE} <= set(trained(protocol, ()))
    assert trained("few shots", ()) == (REFERENCE,)


def test_a_hybrid_brings_the_sparse_head_and_its_control_but_not_to_few_shots() -> None:
    assert {"sparse", "random_sparse"} <= set(trained("all images", ["hybrid"]))
    assert trained("few shots", ["hybrid"]) == (REFERENCE, "hybrid")
    assert "random_sparse" not in trained("shifts", ["hybrid"])


def test_a_study_chooses_all_that_it_may_unless_it_says_otherwise() -> None:
    assert ProbeSpec().heads == choosable("all images")
    assert FewShotSpec().heads == choosable("few shots")


@pytest.mark.parametrize("kind", ["boosting", "majority", "nearest_mean"])
def test_heads_that_are_unknown_fixed_or_of_another_protocol_are_no_choice(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"one of {', '.join(choosable('all images'))}"):
        ProbeSpec(heads=(kind,))


def test_schemas_name_the_choices() -> None:
    named = ProbeSpec.model_json_schema()["properties"]["heads"]["items"]["enum"]
    assert tuple(named) == choosable("all images")


def test_an_artifact_with_a_head_of_no_card_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is no head boosting"):
        TypeAdapter(HeadKind).validate_python("boosting")
    assert TypeAdapter(FewShotBaseline).validate_python("best_probe") == "best_probe"
