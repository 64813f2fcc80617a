"""Running stages: what was done before is not done again, and what is broken is mended."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal, ParamSpec, TypeVar

from prefect import Task
from pydantic import BaseModel, Field

from schemas.artifact import Artifact, Ref
from schemas.study import StageName
from storage.store import ArtifactStore

P = ParamSpec("P")
A = TypeVar("A", bound=Artifact)


class StageRecord(BaseModel, frozen=True):
    """What became of one stage in one run."""

    name: StageName
    state: Literal["ran", "cached"]
    seconds: float
    ref: str = Field(description="`kind/digest` of what it made")


class Reached(Exception):  # noqa: N818 - nothing went wrong
    """The stage that the run was to end with is done."""


@dataclass
class Stages:
    """Runs the stages of one run in turn.

    Prefect keeps the answers in the store beside the artifacts, so that whoever opens the store,
    from the command line or as a worker, finds them.
    """

    store: ArtifactStore
    refresh: Collection[StageName] = ()
    until: StageName | None = None
    on_start: Callable[[StageName], None] = lambda name: None
    on_end: Callable[[StageRecord], None] = lambda record: None
    records: list[StageRecord] = field(default_factory=list)

    def run(self, stage: Task[P, Ref[A]], *args: P.args, **kwargs: P.kwargs) -> Ref[A]:
        """Run one stage, or find what it made earlier.

        Prefect does not look whether a remembered artifact still exists and is whole; this does,
        and repeats the stage where it is not.

        Raises:
            Reached: this was the last stage wanted.
        """
        name: StageName = stage.name  # type: ignore[assignment]
        self.on_start(name)
        start = time.perf_counter()
        answers = self.store.root / "answers"
        wanted = stage.with_options(result_storage=answers, refresh_cache=name in self.refresh)
        state = wanted(*args, **kwargs, return_state=True)
        ref: Ref[A] = state.result()
        cached = state.name == "Cached"
        if cached and not self.store.is_whole(ref):
            again = stage.with_options(result_storage=answers, refresh_cache=True)
            ref, cached = again(*args, **kwargs), False
        record = StageRecord(
            name=name,
            state="cached" if cached else "ran",
            seconds=round(time.perf_counter() - start, 3),
            ref=str(ref),
        )
        self.records.append(record)
        self.on_end(record)
        if name == self.until:
            raise Reached
        return ref
