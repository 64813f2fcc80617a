"""What a study names anywhere is taken in."""

import pytest
from pydantic import ValidationError

from curette.schemas.study import Study


def test_a_column_that_concepts_should_not_tell_is_taken_in() -> None:
    study = Study.model_validate(
        {
            "name": "s",
            "dataset": {"source": {"kind": "table", "path": "images.csv", "image_column": "file"}},
            "propose": {"sources": [{"kind": "recorded"}]},
            "select": {"avoid": ["ruler"]},
        }
    )
    assert study.kept_dataset.metadata == ("ruler",)


def test_what_confounds_in_a_shift_is_avoided_unless_the_study_says_what_is() -> None:
    given = {
        "name": "s",
        "dataset": {"source": {"kind": "synthetic"}},
        "propose": {"sources": [{"kind": "recorded"}]},
        "shifts": [
            {"kind": "confounded", "column": "ruler"},
            {"kind": "confounded", "column": "ruler", "seed": 1},
            {"kind": "domain", "column": "age", "below": 60},
        ],
    }
    assert Study.model_validate(given).selection.avoid == ("ruler",)
    for said in ([], ["hair"]):
        study = Study.model_validate(given | {"select": {"avoid": said}})
        assert study.selection.avoid == tuple(said)


def test_what_is_erased_may_not_be_needed() -> None:
    given = {
        "name": "s",
        "dataset": {"source": {"kind": "table", "path": "images.csv", "image_column": "file"}},
        "propose": {"sources": [{"kind": "recorded"}]},
        "publish": {"erase": ["sex"]},
    }
    assert Study.model_validate(given).kept_dataset.metadata == ("sex",)
    with pytest.raises(ValidationError, match=r"evaluate\.subgroup_columns needs it"):
        Study.model_validate(given | {"evaluate": {"subgroup_columns": ["sex"]}})
    with pytest.raises(ValidationError, match=r"evaluate\.inferred_shares needs it"):
        Study.model_validate(given | {"evaluate": {"inferred_shares": {"sex": "female"}}})
