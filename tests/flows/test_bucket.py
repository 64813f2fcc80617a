"""A study whose store is in a bucket goes on from it on any machine."""

from pathlib import Path

import pytest

from curette.flows.finished import finished_runs
from curette.flows.sequence import remembered
from curette.flows.stages import RunOptions
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.storage.bucket import bucket_of, local_folder
from tests.builders.demo import DEMO, SMALL
from tests.builders.finished import FinishedStudy
from tests.object_storage import object_storage

URL = "s3://shelf/demo"


@pytest.mark.slow
def test_a_study_goes_on_from_a_bucket_on_any_machine(
    finished: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished store is laid into the bucket; one machine repeats a stage, another has it all."""
    small = load_study(DEMO, list(SMALL))
    with object_storage(monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
        bucket = bucket_of(local_folder(URL))
        assert bucket
        for file in finished.store.rglob("*"):
            if file.is_file() and not file.name.endswith(".lock"):
                bucket.put(file.relative_to(finished.store).as_posix(), file)
        options = RunOptions(store=local_folder(URL), refresh=("report",))
        done = study(small, options)
        assert [s.title for s in done.stages if s.state == "ran"] == ["report"]
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
        elsewhere = RunOptions(store=local_folder(URL))
        again = remembered(small, elsewhere)
        assert again
        assert again.made == done.made
        assert again.metrics == finished.result.metrics
        assert Path(again.report or "").is_relative_to(tmp_path / "two")
        assert len([*finished_runs(elsewhere.store)]) == 1
