"""The small demo, run to its end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from curette.flows.runs import RunResult
from curette.flows.stages import RunOptions, StageRecord, Watcher, stage_watcher
from curette.flows.study import study
from curette.flows.study_file import load_study
from curette.schemas.images import TestLabels
from tests.builders.demo import DEMO, SMALL


class FinishedStudy(BaseModel):
    """What became of the small demo, which is run once for all processes of the tests."""

    store: Path
    result: RunResult
    without_test_labels: list[str]
    """Titles of the stages that began while there were no test labels in the store."""

    def copied_to(self, store: Path) -> "FinishedStudy":
        """Return the same with a store that a test may change."""
        shutil.copytree(self.store, store)
        moved = {
            name: str(store.resolve() / Path(path).relative_to(self.store.resolve()))
            for name, path in self.result
            if name in ("report", "concept_dataset") and path
        }
        return self.model_copy(
            update={"store": store, "result": self.result.model_copy(update=moved)}
        )


def finish_study(store: Path) -> FinishedStudy:
    """Run it; test labels are gone until they are evaluated."""
    with _test_labels_away(store) as began:
        result = study(load_study(DEMO, list(SMALL)), RunOptions(store=store))
    return FinishedStudy(store=store, result=result, without_test_labels=began)


@contextmanager
def _test_labels_away(store: Path) -> Iterator[list[str]]:
    """Have test labels gone from the moment they are set apart until the evaluation starts.

    Those of the other dataset too. Yields the titles of the stages that began without any.
    """
    labels, away = store / TestLabels.kind, store / "away"
    away.mkdir(parents=True)
    began: list[str] = []

    def start(title: str) -> None:
        if title == "evaluate":
            away.rename(labels)
        if not labels.exists():
            began.append(title)

    def end(record: StageRecord) -> None:
        if record.name == "ingest":
            for artifact in list(labels.iterdir()):
                artifact.rename(away / artifact.name)
            labels.rmdir()

    token = stage_watcher.set(Watcher(start, end))
    try:
        yield began
    finally:
        stage_watcher.reset(token)
