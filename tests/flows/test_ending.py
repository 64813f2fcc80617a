"""What a run does not do: stages that it ends before, and those that its study skips."""

from pathlib import Path
from typing import Any

import pytest

from curette.flows.stages import Reached, RunOptions, Stages
from curette.flows.study_file import load_study
from curette.schemas.artifact import Ref
from curette.tasks.stage import Stage, Workplace

DEMO = load_study(Path(__file__).parents[2] / "flows" / "studies" / "demo.yaml")
PROBE = Ref[Any]("probe", "0" * 20)


def test_a_run_that_ends_before_a_stage_tells_what_it_would_be_given(tmp_path: Path) -> None:
    """Which is how the head that is explained is the one that would be measured."""

    @Stage("evaluate").task
    def evaluate(at: Workplace, probe: Ref[Any], resamples: int) -> Ref[Any]:
        raise AssertionError("it was run")

    stages = Stages(DEMO, RunOptions(store=tmp_path, before="evaluate"))
    with pytest.raises(Reached):
        stages.run(evaluate, PROBE, 200)
    assert stages.given == {"probe": PROBE}
    assert not stages.records


def test_what_a_study_skips_is_not_run(tmp_path: Path) -> None:
    @Stage("locate").task
    def locate(at: Workplace, probe: Ref[Any], spec: int) -> Ref[Any]:
        raise AssertionError("it was run")

    stages = Stages(DEMO.model_copy(update={"locate": None}), RunOptions(store=tmp_path))
    assert stages.run_unless_skipped(locate, PROBE, None) is None
    assert not stages.records
