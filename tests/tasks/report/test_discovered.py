"""Directions found without words: which cards come first, and what is said of a name's proof."""

import pytest

from curette.schemas.candidates import Candidate, DiscoveredOrigin
from curette.tasks.report.sections.discovered import borne_out, in_order


def _found(text: str, name: str = "", **proof: float) -> Candidate:
    origin = DiscoveredOrigin(method="kmeans", number=1, name=name, images=("a",), **proof)
    return Candidate(text=text, classes=("nevus",), origins=(origin,))


def test_selected_ones_come_first_and_unnamed_ones_last() -> None:
    unnamed, named, selected = _found("unnamed 1"), _found("veil", "veil"), _found("unnamed 2")
    ordered = in_order([unnamed, named, selected], {selected.concept_id})
    assert [c.text for c in ordered] == ["unnamed 2", "veil", "unnamed 1"]


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (0.71, "borne out by AUROC 0.80 (at least 0.71, where other statements come to 0.70)"),
        (0.69, "not borne out by AUROC 0.80 (at least 0.69, where other statements come to 0.70)"),
    ],
)
def test_a_name_is_borne_out_only_above_what_other_statements_reach(low: float, said: str) -> None:
    (origin,) = _found("a", proof=0.8, proof_low=low, proof_others=0.7).origins
    assert isinstance(origin, DiscoveredOrigin)
    assert borne_out(origin) == said
