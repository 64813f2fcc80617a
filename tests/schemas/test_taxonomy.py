"""A tree of classes is one, of the classes there are, and a study without one is as it was."""

from typing import Any

import pytest
from pydantic import ValidationError

from curette.schemas.settings.ingest import DatasetSpec
from curette.schemas.study import Study
from curette.schemas.taxonomy import levels_of

SOURCE = {"kind": "synthetic"}


def test_levels_lead_from_the_top_branches_to_the_classes() -> None:
    tree = {"tumour": ("benign", "mel"), "benign": ("nv", "bkl")}
    assert levels_of(tree, ("nv", "mel", "bkl", "acne")) == [
        ["tumour", "tumour", "tumour", "acne"],
        ["benign", "mel", "benign", "acne"],
        ["nv", "mel", "bkl", "acne"],
    ]


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"x": ["a"], "y": ["a", "b"]}, "'a' is in 'x' and in 'y'"),
        ({"x": ["y"], "y": ["x"]}, "in itself"),
        ({"x": []}, "branch 'x' is empty"),
        ({"x": ["a", "mell"]}, "mell is neither a class"),
        ({"a": ["b", "c"]}, "a is a class and cannot be a branch too"),
        ({"x": ["a", "b", "c"]}, "branch 'x' holds every class"),
    ],
)
def test_what_is_no_tree_of_the_classes_is_refused_by_name(tree: dict[str, Any], told: str) -> None:
    classes = {key: key for key in "abc"}
    with pytest.raises(ValidationError, match=told):
        DatasetSpec.model_validate({"source": SOURCE, "classes": classes, "taxonomy": tree})


def test_a_tree_changes_nothing_but_how_heads_are_measured() -> None:
    other = {"name": "x", "propose": {"sources": [{"kind": "recorded"}]}}
    plain = Study.model_validate({**other, "dataset": {"source": SOURCE}})
    tree = {"x": ["a", "b"]}
    grown = Study.model_validate({**other, "dataset": {"source": SOURCE, "taxonomy": tree}})
    assert grown.kept_dataset == plain.kept_dataset
    assert "taxonomy" not in plain.model_dump_json()
    assert "taxonomy" not in plain.evaluation.model_dump()
    assert grown.evaluation.taxonomy == {"x": ("a", "b")}
