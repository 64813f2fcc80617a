"""Running stages: what was done before is not done again, and what is broken is mended."""

import inspect
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from curette.flows.changes import changes
from curette.flows.healing import WAITS_S, is_tried_again
from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.machine import Machine
from curette.schemas.study import Study
from curette.storage.bucket import bucket_of, local_folder, write_whole
from curette.storage.lease import Check, always, in_use
from curette.storage.store import DISK_REMEDIES, ArtifactStore, explained
from curette.tasks.methods.threads import cores_shared
from curette.tasks.stage import (
    StageTask,
    Workplace,
    declared_stages,
    is_round,
    named_run,
    named_stage,
    stage_names,
    why_skipped,
)

P = ParamSpec("P")
A = TypeVar("A", bound=Artifact)


def _names(names: list[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": names})  # a list to choose from in the UI


RunName = Annotated[str, AfterValidator(named_run), _names(stage_names())]
"""What one of a stage's runs is called, mostly the only one: `ingest`, `draw (shifts)`."""
StageName = Annotated[
    str,
    AfterValidator(named_stage),
    _names(list(dict.fromkeys([*declared_stages(), *stage_names()]))),
]
"""The same, or a stage with all of its runs: `draw`."""


def stages_from(name: str | None) -> tuple[str, ...]:
    """Return the names of a stage, or of one of its runs, and of all that follow; none of None."""
    names = stage_names()
    first = (i for i, n in enumerate(names) if name in (n, n.partition(" (")[0]))
    return tuple(names[next(first) :]) if name else ()


class RunOptions(BaseModel, frozen=True, extra="forbid"):
    """How a study is run; what it finds does not depend on it."""

    store: Annotated[Path, BeforeValidator(local_folder)] = Field(
        default=Path(".curette"),
        description="folder for everything that is kept between runs, or s3://bucket/prefix",
    )
    until: RunName | None = Field(default=None, description="end the run after this stage")
    before: RunName | None = Field(
        default=None, description="end the run before this stage, and tell what it would be given"
    )
    refresh: tuple[StageName, ...] = Field(
        default=(),
        description="repeat these stages even where nothing changed, on other datasets too",
    )
    machine: Machine = Field(default_factory=Machine, description="device, batch size, threads")


DEFAULT_OPTIONS = RunOptions()


class StageRecord(BaseModel, frozen=True):
    """What became of one stage in one run."""

    name: str
    external: str = Field(
        default="",
        description="the other dataset that it was run on, or encoder; empty: the study's own",
    )
    run: str = Field(
        default="",
        exclude_if=lambda run: not run,
        description="which of the stage's runs; empty: the one that it is named after",
    )
    state: Literal["ran", "cached"]
    seconds: float
    ref: str = Field(description="`kind/digest` of what it made")
    why: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda why: not why,
        description="what was not as it was when the stage was run before; empty: it was not run",
    )

    @property
    def title(self) -> str:
        """The stage, and which of its runs, or on which dataset where it is not the study's own."""
        return _title(self.name, self.external or self.run)


def _title(name: str, which: str) -> str:
    return f"{name} ({which})" if which else name


@dataclass
class NotRemembered(Exception):
    """A stage has to be run, in a run that only finds what earlier ones made."""

    title: str
    recipe: Recipe
    """What it would be run with."""
    asked: bool = False
    """It is to be repeated, whatever there is."""


only_remembered: ContextVar[bool] = ContextVar("only_remembered", default=False)
"""Whether a run finds what earlier ones made and runs nothing, for which it needs no Prefect."""


class Reached(Exception):
    """The stage that the run was to end with is done, or comes next."""


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

    study: Study
    options: RunOptions
    records: list[StageRecord] = field(default_factory=list)
    given: dict[str, Ref[Any]] = field(default_factory=dict)
    """What the stage before which the run ended would have been given."""
    external: str = ""
    """The other dataset that they are run on, or encoder; empty: the study's own."""
    title: str = ""
    """Which of a stage's runs; empty: the one that it is named after."""
    still_held: Check = always
    """Whether the store is held for the run: asked ahead of each stage."""

    def on(self, external: str) -> "Stages":
        """Return stages of the same run for another dataset or encoder; no run ends with these."""
        return replace(self, external=external)

    def titled(self, title: str) -> "Stages":
        """Return the same for the runs of stages that have this title."""
        return replace(self, title=title)

    @property
    def store(self) -> ArtifactStore:
        """Where the artifacts are."""
        return ArtifactStore(self.options.store.resolve())

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Hold the store while stages run, and end quietly after the last that is wanted."""
        with in_use(self.store.root) as self.still_held, suppress(Reached):
            yield

    def run(self, stage: StageTask[P, A], *args: P.args, **kwargs: P.kwargs) -> Ref[A]:
        """Run one stage, or find what it made earlier.

        Prefect does not look whether a remembered artifact still exists and is whole; this does,
        and repeats the stage where it is not.

        Raises:
            Reached: this was the last stage wanted, or it is the first that is not.
            NotRemembered: it would have to be run, and `only_remembered`.
        """
        self.still_held()
        name = _title(stage.name, self.title)
        ending = not self.external
        if ending and name == self.options.before:
            bound = inspect.signature(stage.fn).bind(self._workplace, *args, **kwargs)
            self.given |= {k: v for k, v in bound.arguments.items() if isinstance(v, Ref)}
            raise Reached
        watcher = stage_watcher.get()
        title = _title(stage.name, self.external or self.title)
        if watcher:
            watcher.on_start(title)
        start = time.perf_counter()
        anew = not {name, stage.name}.isdisjoint(self.options.refresh)
        why: tuple[str, ...] = ()
        state: Literal["ran", "cached"]
        if only_remembered.get():
            ref, state = self._recall(stage, title, anew, *args, **kwargs), "cached"
        else:
            why = self._why(stage, anew, *args, **kwargs)
            try:
                ref, state = self._ask(stage, title, anew, *args, **kwargs)
                if state == "cached" and not self.store.is_whole(ref):
                    ref, state = self._ask(stage, title, True, *args, **kwargs)
            except Exception as error:
                error.add_note(f"the stage {title}")
                raise
        record = StageRecord(
            name=stage.name,
            external=self.external,
            run=self.title,
            state=state,
            seconds=round(time.perf_counter() - start, 3),
            ref=str(ref),
            why=why if state == "ran" else (),
        )
        self.records.append(record)
        if watcher:
            watcher.on_end(record)
        if ending and name == self.options.until:
            raise Reached
        return ref

    def run_unless_skipped(
        self,
        stage: StageTask[..., A],
        *args: object,
        **kwargs: object,
    ) -> Ref[A] | None:
        """Run one stage as `run` does; None where the study skips it, or what it takes is absent.

        What it takes may be None here and may not be in the stage, so no type check sees these.
        """
        if why_skipped(_title(stage.name, self.title), self.study):
            return None
        return self.run(stage, *args, **kwargs)

    def end_with_a_round(self) -> None:
        """End a run that was to end with a round of proposing to which it did not come.

        Raises:
            Reached: rounds ended before.
        """
        wanted = self.options.until or self.options.before or ""
        _, _, title = wanted.removesuffix(")").partition(" (")
        if title and is_round(title):
            raise Reached

    @property
    def _workplace(self) -> Workplace:
        return Workplace(self.store, self.options.machine)

    def _recall(
        self,
        stage: StageTask[P, A],
        title: str,
        anew: bool,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Ref[A]:
        """Return what Prefect would find, without Prefect."""
        inputs = self._inputs(stage, *args, **kwargs)
        with explained(self.store.root):
            ref = None if anew else self._remembered(stage, inputs)
            if ref is None:
                raise NotRemembered(title, stage.stage.recipe_of(inputs), anew)
        return ref

    def _why(
        self, stage: StageTask[P, A], anew: bool, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[str, ...]:
        """Return why a stage will be run; empty where its answer is there."""
        inputs = self._inputs(stage, *args, **kwargs)
        if not anew and self._remembered(stage, inputs):
            return ()
        return tuple(changes(self.store, stage.stage.recipe_of(inputs), anew))

    def _inputs(self, stage: StageTask[P, A], *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        bound = inspect.signature(stage.fn).bind(self._workplace, *args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _remembered(self, stage: StageTask[P, A], inputs: dict[str, Any]) -> Ref[Any] | None:
        ref = _answer(self._fetch_answer(stage.stage.key(inputs))[0])
        return ref if ref and self.store.is_whole(ref) else None

    def _ask(
        self,
        stage: StageTask[P, A],
        title: str,
        anew: bool,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[Ref[A], Literal["ran", "cached"]]:
        answers = self.store.root / "answers"
        with explained(self.store.root):
            answers.mkdir(parents=True, exist_ok=True)
            bound = inspect.signature(stage.fn).bind(self._workplace, *args, **kwargs)
            bound.apply_defaults()
            record, known = self._fetch_answer(stage.stage.key(bound.arguments))
            _distrust(answers, stage.name)
        wanted = stage.of_prefect.with_options(
            result_storage=answers,
            refresh_cache=anew,
            task_run_name=title if title != stage.name else None,
            retries=len(WAITS_S),
            retry_delay_seconds=list(WAITS_S),
            retry_condition_fn=is_tried_again,
        )
        with explained(self.store.root, DISK_REMEDIES), cores_shared(self.options.machine):
            state = wanted(self._workplace, *args, **kwargs, return_state=True)
            ref: Ref[A] = state.result()
        cached = state.name == "Cached"
        if (bucket := bucket_of(self.store.root)) and not (cached and known):
            bucket.put(f"answers/{record.name}", record)
        return ref, "cached" if cached else "ran"

    def _fetch_answer(self, key: str) -> tuple[Path, bool]:
        """Return the file of a stage's answer, and whether a bucket has it, which is copied then.

        Prefect writes it here. A run that was killed before it was sent sends it the next time.
        """
        record, bucket = self.store.root / "answers" / key, bucket_of(self.store.root)
        known = bucket.get(f"answers/{key}") if bucket else None
        if known is not None:
            write_whole(record, known)
        return record, known is not None


def _distrust(answers: Path, stage: str) -> None:
    """Remove what is not a plain reference among a stage's answers, before Prefect reads it.

    A record names its own serialiser, so one that somebody else put into a shared store could
    make Prefect unpickle it, or build any class; and one that was torn by a kill is of no use.
    """
    for record in answers.glob(f"{stage}-*"):
        if _answer(record) is None:
            record.unlink(missing_ok=True)


def _answer(record: Path) -> Ref[Any] | None:
    """Return the reference that Prefect kept in a file; None where it is anything else, or gone."""
    try:
        content = json.loads(record.read_bytes())
        value = json.loads(content["result"])
        if (
            content["metadata"]["serializer"]["type"] == "json"
            and value["__class__"] == f"{Ref.__module__}.{Ref.__qualname__}"
            and all(isinstance(v, str) for v in value["data"].values())
        ):
            return Ref(**value["data"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
