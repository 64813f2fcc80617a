"""What a study names anywhere is taken in."""

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
