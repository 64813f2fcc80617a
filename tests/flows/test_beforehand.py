"""What is known at the start is said at the start."""

from pathlib import Path

import pytest

from curette.flows.beforehand import check_columns, check_study
from curette.flows.stages import RunOptions
from curette.flows.study_file import load_study
from curette.schemas.artifact import Recipe, StudyError
from curette.schemas.candidates import CandidateSet
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from tests.tasks.annotate.readers import images

STUDY = """
name: asking
dataset: {source: {kind: synthetic, images: 60}}
llm: {model: some-model, base_url: "https://model.test/v1", api_key_variable: NO_SUCH_KEY}
propose: {sources: [{kind: class_prompts}]}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return load_study(file)


def test_a_missing_key_is_told_before_the_first_stage(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="set the environment variable NO_SUCH_KEY"):
        check_study(study, RunOptions(store=tmp_path))


def test_a_key_is_not_needed_by_a_run_that_ends_before_anything_is_asked(
    study: Study, tmp_path: Path
) -> None:
    check_study(study, RunOptions(store=tmp_path, until="embed"))
    check_study(study, RunOptions(store=tmp_path, before="propose"))


def test_a_key_is_not_needed_where_everything_may_be_answered(study: Study, tmp_path: Path) -> None:
    assert study.llm is not None
    made = CandidateSet(candidates=(), source="asked earlier")
    spec = {"llm": study.llm.identity()}
    ArtifactStore(tmp_path).save(made, Recipe(stage="propose", code="", spec=spec))
    check_study(study, RunOptions(store=tmp_path))


def test_a_column_that_a_later_stage_asks_for_is_missed_as_soon_as_it_can_be(study: Study) -> None:
    content = study.model_dump(mode="json") | {
        "shifts": [{"kind": "domain", "column": "scanner", "train_on": ["a"]}],
        "evaluate": {"subgroup_columns": ["sex"]},
    }
    asking = Study.model_validate(content)
    with pytest.raises(StudyError, match=r"the column scanner, and .* other columns are miss"):
        check_columns(asking, images(10))
    check_columns(study, images(10))
