"""Running stages: what was done before is not done again, and what is broken is mended."""

import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from prefect import Task
from pydantic import BaseModel, Field

from curette.schemas.artifact import Artifact, Ref
from curette.schemas.machine import Machine
from curette.schemas.study import StageName
from curette.storage.store import DISK_REMEDIES, ArtifactStore, explained
from curette.tasks.methods.threads import cores_shared

P = ParamSpec("P")
A = TypeVar("A", bound=Artifact)


class RunOptions(BaseModel, frozen=True, extra="forbid"):
    """How a study is run; what it finds does not depend on it."""

    store: Path = Field(
        default=Path(".curette"), description="folder for everything that is kept between runs"
    )
    until: StageName | None = Field(default=None, description="end the run after this stage")
    refresh: tuple[StageName, ...] = Field(
        default=(),
        description="repeat these stages even where nothing changed, on other datasets too",
    )
    machine: Machine = Field(default_factory=Machine, description="device, batch size, threads")


DEFAULT_OPTIONS = RunOptions()


class StageRecord(BaseModel, frozen=True):
    """What became of one stage in one run."""

    name: StageName
    external: str = Field(
        default="", description="the other dataset that it was run on; empty: the study's own"
    )
    state: Literal["ran", "cached"]
    seconds: float
    ref: str = Field(description="`kind/digest` of what it made")

    @property
    def title(self) -> str:
        """The stage, and the dataset where it is not the study's own."""
        return _title(self.name, self.external)


def _title(name: str, external: str) -> str:
    return f"{name} ({external})" if external else name


class Reached(Exception):
    """The stage that the run was to end with is done."""


@dataclass(frozen=True)
class Watcher:
    """Told of every stage as it starts and ends; the command line's display."""

    on_start: Callable[[str], None]
    """Is given the title."""
    on_end: Callable[[StageRecord], None]


stage_watcher: ContextVar[Watcher | None] = ContextVar("stage_watcher", default=None)


@dataclass
class Stages:
    """The stages of one run, run in turn.

    Prefect keeps the answers in the store beside the artifacts, so that whoever opens the store,
    from the command line or as a worker, finds them.
    """

    options: RunOptions
    records: list[StageRecord] = field(default_factory=list)
    external: str = ""
    """The other dataset that they are run on; empty: the study's own."""

    def on(self, external: str) -> "Stages":
        """Return stages of the same run for another dataset; no run ends with one of these."""
        return replace(self, external=external)

    @property
    def store(self) -> ArtifactStore:
        """Where the artifacts are."""
        return ArtifactStore(self.options.store.resolve())

    def run(self, stage: Task[P, Ref[A]], *args: P.args, **kwargs: P.kwargs) -> Ref[A]:
        """Run one stage, or find what it made earlier.

        Prefect does not look whether a remembered artifact still exists and is whole; this does,
        and repeats the stage where it is not.

        Raises:
            Reached: this was the last stage wanted.
        """
        name: StageName = stage.name  # type: ignore[assignment] # stages carry stage names
        watcher = stage_watcher.get()
        if watcher:
            watcher.on_start(_title(name, self.external))
        start = time.perf_counter()
        ref, state = self._ask(stage, name in self.options.refresh, *args, **kwargs)
        if state == "cached" and not self.store.is_whole(ref):
            ref, state = self._ask(stage, True, *args, **kwargs)
        record = StageRecord(
            name=name,
            external=self.external,
            state=state,
            seconds=round(time.perf_counter() - start, 3),
            ref=str(ref),
        )
        self.records.append(record)
        if watcher:
            watcher.on_end(record)
        if name == self.options.until and not self.external:
            raise Reached
        return ref

    def _ask(
        self, stage: Task[P, Ref[A]], anew: bool, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[Ref[A], Literal["ran", "cached"]]:
        answers = self.store.root / "answers"
        with explained(self.store.root):
            answers.mkdir(parents=True, exist_ok=True)
            _distrust(answers, stage.name)
        wanted = stage.with_options(
            result_storage=answers,
            refresh_cache=anew,
            task_run_name=_title(stage.name, self.external) if self.external else None,
        )
        machine = self.options.machine
        with explained(self.store.root, DISK_REMEDIES), cores_shared(machine):
            state = wanted(*args, **kwargs, return_state=True)
            ref: Ref[A] = state.result()
        return ref, "cached" if state.name == "Cached" else "ran"


def _distrust(answers: Path, stage: str) -> None:
    """Remove what is not a plain reference among a stage's answers, before Prefect reads it.

    A record names its own serialiser, so one that somebody else put into a shared store could
    make Prefect unpickle it, or build any class; and one that was torn by a kill is of no use.
    """
    for record in answers.glob(f"{stage}-*"):
        try:
            content = json.loads(record.read_bytes())
            value = json.loads(content["result"])
            trusted = (
                content["metadata"]["serializer"]["type"] == "json"
                and value["__class__"] == f"{Ref.__module__}.{Ref.__qualname__}"
                and all(isinstance(v, str) for v in value["data"].values())
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            trusted = False
        if not trusted:
            record.unlink(missing_ok=True)
