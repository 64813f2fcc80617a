"""A stage: how it is declared, and what must be the same for its earlier answer to be this run's.

A stage is a folder. Its `__init__.py` says what it is for and holds its `Stage`; the `task.py`
beside it holds the one function that runs it, which `@STAGE.task` makes a cached task of Prefect.
Names on the command line, what a study skips, keys, recipes and the list in the documentation
follow from these.
"""

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from curette.schemas.artifact import Artifact, Recipe, Ref, StudyError
from curette.schemas.machine import Machine
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import MOST_ROUNDS
from curette.storage.store import ArtifactStore
from curette.tasks.methods.markdown import escape, inert

if TYPE_CHECKING:  # the command line's --help knows the stages without it
    from prefect import Task

P = ParamSpec("P")
A = TypeVar("A", bound=Artifact)
T = TypeVar("T")
R = TypeVar("R")

_PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Workplace:
    """Where a stage works: what it reads from and writes to, and what computes."""

    store: ArtifactStore
    machine: Machine = field(default_factory=Machine)


@dataclass(frozen=True)
class Run:
    """One of the ways in which a study runs a stage; most are run once, and always."""

    title: str = ""
    """Stands behind the stage's name, in brackets."""
    only_if: str = ""
    """The part of the study without which it is skipped."""
    on_test: bool = False
    """Skipped behind a reusable holdout: what it leads to tells more of the test than that may."""
    formerly: str = ""
    """A name that `--until` and `--refresh` still know."""
    rounds: int = 1
    """Skipped where the study proposes in fewer rounds."""


def rounds_from(number: int) -> tuple[Run, ...]:
    """Return the runs of a stage in this and every later round of proposing."""
    return tuple(Run(round_title(n), rounds=n) for n in range(number, MOST_ROUNDS + 1))


def round_title(number: int) -> str:
    """Return the title of what is run in a round; the first has none."""
    return f"round {number}" if number > 1 else ""


def is_round(title: str) -> bool:
    """Return whether a run is of one of the rounds: the first, which has no title, or a later."""
    return not title or title.startswith("round ")


@dataclass(frozen=True)
class Stage:
    """One stage of a study.

    Its key covers its name, the code of its folder and of every schema and shared package that it
    imports (as syntax trees, so that comments, docstrings and layout do not count), its inputs, and
    the state of every file or folder that an input points to. The workplace is left out, and of a
    language model its patience and limits: they change how fast an answer comes, not the answer.

    Any change of code reruns the stage rather than returning the old answer. That can be eager,
    because what is expensive is kept below the stage, by content: vectors and LLM answers.
    """

    name: str
    """Its folder's, below `tasks/`."""
    about: str | None = None
    """The folder's docstring; its first line is what lists of stages say."""
    after: str = ""
    """The stage that it follows in the story."""
    settings: tuple[str, ...] = ()
    """The parts of the study that it is given."""
    makes: str = ""
    """Kind of the artifact."""
    runs: tuple[Run, ...] = (Run(),)

    @property
    def summary(self) -> str:
        """What it is for, in a line."""
        return (self.about or "").strip().partition("\n")[0].rstrip(".")

    def task(self, run: Callable[Concatenate[Workplace, P], Ref[A]]) -> "StageTask[P, A]":
        """Make a function the stage's task, within which `recipe` knows what it was given."""
        signature = inspect.signature(run)

        @functools.wraps(run)
        def with_inputs(*args: Any, **kwargs: Any) -> Ref[A]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            with _given(bound.arguments):
                return run(*args, **kwargs)

        return StageTask(self, cast("Callable[Concatenate[Workplace, P], Ref[A]]", with_inputs))

    def key(self, inputs: Mapping[str, Any]) -> str:
        """Return `<name>-<sha256>` over the code and the inputs without the workplace.

        Answers lie in the store, so another store has none of them; a store that was moved has
        all of them still.
        """
        named = _without_workplace(inputs)
        content = {
            "stage": self.name,
            "code": self.code,
            "inputs": {k: _plain(v) for k, v in named.items()},
            "outside": [f"{path} {_state(path)}" for path in sorted(set(_paths(named)))],
        }
        text = json.dumps(content, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def code(self) -> str:
        """Digest of the code that decides what the stage makes."""
        return code_digest(self.name)

    def recipe(self, **instead: object) -> Recipe:
        """Return what goes into the manifest of what the running stage makes: all its inputs.

        Args:
            instead: what the run itself has saved, and the artifact rests on; or what stands in
                the recipe in place of what the stage was called with.

        Raises:
            LookupError: the stage is not running.
        """
        return self.recipe_of(_inputs.get() | instead)

    def recipe_of(self, inputs: Mapping[str, Any]) -> Recipe:
        """Return the recipe of these inputs: the same that are in the key; absent ones are not.

        The stage's own settings, `spec`, lie open; everything else under its name.
        """
        settings: dict[str, Any] = {}
        refs: dict[str, str] = {}
        for name, value in _without_workplace(inputs).items():
            refs |= {place: str(ref) for place, ref in _refs(name, value)}
            if value in (None, ()) or isinstance(value, Ref):
                continue
            plain = _plain(value)
            settings |= plain if name == "spec" and isinstance(plain, dict) else {name: plain}
        return Recipe(stage=self.name, code=self.code, spec=settings, inputs=refs)


@dataclass(frozen=True)
class StageTask(Generic[P, A]):
    """The function that runs a stage, and the cached task of Prefect that it is when it is run."""

    stage: Stage
    fn: Callable[Concatenate[Workplace, P], Ref[A]]

    @property
    def name(self) -> str:
        """The stage's."""
        return self.stage.name

    @cached_property
    def of_prefect(self) -> "Task[Concatenate[Workplace, P], Ref[A]]":
        """The task, for which Prefect is imported: over a second that a look at answers saves."""
        from prefect import task

        return task(
            name=self.name,
            cache_key_fn=lambda _, inputs: self.stage.key(inputs),
            persist_result=True,
            result_serializer="json",
        )(self.fn)


_inputs: ContextVar[dict[str, Any]] = ContextVar("inputs")
"""Of the stage that runs."""


@contextmanager
def _given(inputs: dict[str, Any]) -> Iterator[None]:
    """Apart from the task, which is sent to other machines as no context variable can be."""
    token = _inputs.set(inputs)
    try:
        yield
    finally:
        _inputs.reset(token)


@cache
def declared_stages() -> dict[str, Stage]:
    """Return all stages by their names, in the order of the story; imports no stage's code."""
    found: list[Stage] = []
    for task in sorted((_PACKAGE / "tasks").glob("*/task.py")):
        found.append(importlib.import_module(f"curette.tasks.{task.parent.name}").STAGE)
    following: dict[str, list[Stage]] = {}
    for stage in found:
        following.setdefault(stage.after, []).append(stage)

    def story(name: str) -> list[Stage]:
        branches = [[stage, *story(stage.name)] for stage in following.get(name, [])]
        return [stage for branch in sorted(branches, key=len) for stage in branch]  # asides first

    return {stage.name: stage for stage in story("")}


@cache
def runs_by_name() -> dict[str, str]:
    """Return what every name of a run of a stage stands for, old names included."""
    names: dict[str, str] = {}
    for stage in declared_stages().values():
        for run in stage.runs:
            title = f"{stage.name} ({run.title})" if run.title else stage.name
            names |= {title: title} | ({run.formerly: title} if run.formerly else {})
    return names


def stage_names() -> list[str]:
    """Return the names of all runs of stages, in the order of the story."""
    return list(dict.fromkeys(runs_by_name().values()))


def named_run(name: str) -> str:
    """Return the run of a stage that a name stands for.

    Raises:
        ValueError: there is none.
    """
    if name not in runs_by_name():
        raise ValueError(f"there is no stage {name}; there are {', '.join(stage_names())}")
    return runs_by_name()[name]


def named_stage(name: str) -> str:
    """Return what a name stands for: a stage with all of its runs, or one of them.

    Raises:
        ValueError: there is none.
    """
    return name if name in declared_stages() else named_run(name)


def why_skipped(title: str, study: Any) -> str:
    """Return why a study skips a run of a stage; empty where it does not.

    Args:
        title: one of `stage_names()`.
        study: a `Study`, which stages do not know.
    """
    name, _, which = title.removesuffix(")").partition(" (")
    stage = declared_stages()[name]
    run = next((run for run in stage.runs if run.title == which), Run())
    if run.on_test and study.evaluate.thresholdout is not None:
        return "`evaluate.thresholdout` is set"
    if run.rounds > study.propose.rounds:
        return f"`propose.rounds` is {study.propose.rounds}"
    part = attrgetter(run.only_if)(study) if run.only_if else True
    if part is None:
        first, _, inside = run.only_if.partition(".")
        usual = type(study).model_fields[first].get_default(call_default_factory=True)
        usual = attrgetter(inside)(usual) if inside else usual
        return f"`{run.only_if}` is {'not set' if usual is None else 'null'}"
    return "" if part else f"`{run.only_if}` is empty"


def _without_workplace(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in sorted(inputs.items()) if not isinstance(v, Workplace)}


def _refs(name: str, value: object) -> Iterator[tuple[str, Ref[Any]]]:
    """Yield every artifact among an input, with words for its place."""
    if isinstance(value, Ref):
        yield name, value
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _refs(f"{name} {getattr(item, 'name', number)}", item)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _refs(f"{name} {part.name}", getattr(value, part.name))


@cache
def code_digest(stage: str) -> str:
    """Return sha256 over the stage's folder and what it imports of ours, directly or not.

    That is schemas, and packages below `tasks/` that stages share. Python counts as its syntax
    tree without docstrings; any other file (prompts, templates, weights) as its bytes. The command
    line, flows and the store do not count: they move artifacts but do not decide what is in them.
    """
    modules = _with_imports(sorted((_PACKAGE / "tasks" / stage).rglob("*.py")))
    folders = {path.parent for path in modules if _PACKAGE / "tasks" in path.parent.parents}
    folders.discard(_PACKAGE / "tasks" / "methods")  # its own folders hold what is not Python
    folders.add(_PACKAGE / "tasks" / stage)
    others = {p for folder in folders for p in folder.rglob("*") if p.is_file() and _counts(p)}
    digest = hashlib.sha256()
    for path in [*modules, *sorted(others)]:
        python = path.suffix == ".py"
        content = _read(path).tree.encode() if python else path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    _keep(_PACKAGE)
    return digest.hexdigest()


def _counts(path: Path) -> bool:
    """Return whether a file that is no Python can change an answer.

    What explains cannot, nor what Python and editors leave: another process may be writing a
    compiled module (`x.cpython-311.pyc.1397…`) under a name that is gone when it is read.
    """
    inside = path.relative_to(_PACKAGE).parts
    left_there = "__pycache__" in inside or any(part.startswith(".") for part in inside)
    return not left_there and path.suffix != ".py" and path.name != "README.md"


def _with_imports(modules: list[Path]) -> list[Path]:
    """Return the modules and every module of schemas and tasks that they import, sorted.

    All but `tasks.stage`, which looks after stages and is in no answer.
    """
    seen: set[Path] = set()
    ahead = list(modules)
    while ahead:
        path = ahead.pop()
        if path in seen:
            continue
        seen.add(path)
        paths = [_PACKAGE.joinpath(*name.split(".")[1:]) for name in _read(path).imports]
        ahead += [p for p in (path.with_suffix(".py") for path in paths) if p.is_file()]
    return sorted(seen)


class _Module(BaseModel, frozen=True):
    """What a digest needs of a module."""

    source: str = Field(description="sha256 of the file")
    tree: str = Field(description="sha256 of its syntax tree without docstrings")
    imports: tuple[str, ...]


class _Modules(BaseModel):
    modules: dict[str, _Module] = Field(default_factory=dict)
    changed: bool = Field(default=False, exclude=True)


def _read(path: Path) -> _Module:
    """Return what a digest needs of a module, which is kept until the file changes.

    Two seconds of syntax trees would otherwise come before every run that has nothing to do.
    """
    kept, name = _kept(_PACKAGE), path.relative_to(_PACKAGE).as_posix()
    content = path.read_bytes()
    source = hashlib.sha256(content).hexdigest()
    module = kept.modules.get(name)
    if module is None or module.source != source:
        tree = hashlib.sha256(_tree(content).encode()).hexdigest()
        module = _Module(source=source, tree=tree, imports=_imported(content))
        kept.modules[name], kept.changed = module, True
    return module


@cache
def _kept(package: Path) -> _Modules:
    with suppress(OSError, ValidationError):
        return _Modules.model_validate_json(_shelf(package).read_bytes())
    return _Modules()


def _keep(package: Path) -> None:
    """Write down what was read, where and as Python keeps compiled modules."""
    kept, shelf = _kept(package), _shelf(package)
    if not kept.changed or sys.dont_write_bytecode:
        return
    kept.changed = False
    with suppress(OSError):
        shelf.parent.mkdir(exist_ok=True)
        draft = shelf.with_suffix(f".{os.getpid()}")
        draft.write_text(kept.model_dump_json())
        draft.replace(shelf)


def _shelf(package: Path) -> Path:
    compiled = importlib.util.cache_from_source(str(package / "tasks" / "stage.py"))
    return Path(compiled).with_suffix(".json")


_PARSING = threading.Lock()


def _parsed(source: bytes) -> ast.Module:
    """Parse a module, one thread at a time.

    Python 3.11 counts how deep it is for all threads together, and takes another's parsing for a
    fault of its own (python/cpython#106905); the second try counts anew.
    """
    with _PARSING:
        try:
            return ast.parse(source)
        except SystemError:
            return ast.parse(source)


def _imported(source: bytes) -> tuple[str, ...]:
    """Return what may be modules of schemas and tasks: of `from a import b`, a and a.b."""
    return tuple(
        name
        for node in ast.walk(_parsed(source))
        if isinstance(node, ast.ImportFrom) and node.module != "curette.tasks.stage"
        if str(node.module).startswith(("curette.schemas", "curette.tasks"))
        for name in (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
    )


def _tree(source: bytes) -> str:
    """Return a module's syntax tree without its docstrings."""
    tree = _parsed(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)


def _plain(value: object) -> object:
    """Return JSON that is equal exactly where the inputs are."""
    if isinstance(value, LlmSpec):
        return value.identity()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path | Ref):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a stage's input cannot be a {type(value).__name__}: it has no stable key")


def _paths(value: object) -> Iterator[Path]:
    """Yield every path that a spec among the inputs points to."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name))
    elif isinstance(value, dict):
        for v in value.values():
            yield from _paths(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from _paths(v)


def _state(path: Path) -> str:
    """Return the state of what a path points to.

    A file is read; a folder is listed with sizes and times, since reading a million images to
    learn that nothing changed would take as long as the stage.
    """
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    if not path.is_dir():
        return "absent"
    listing = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        hidden = any(part.startswith(".") for part in name.parts)  # a store among the images
        if file.is_file() and not hidden:
            state = file.stat()
            line = f"{name} {state.st_size} {state.st_mtime_ns}\n"
            listing.update(line.encode(errors="surrogateescape"))
    return listing.hexdigest()


# --- work that several machines share ------------------------------------------------------------


def shares_work(at: Workplace) -> bool:
    """Return whether a stage's work is done on a Ray cluster, as tasks of Prefect.

    Workers tell Prefect's server what they do, so there has to be one. That which a run starts for
    itself is heard on this machine alone: a cluster of several needs one that is named.
    """
    if at.machine.engine != "ray" or not _in_prefect():
        return False
    from prefect.settings import PREFECT_API_URL

    server = urlsplit(PREFECT_API_URL.value() or "").hostname
    here = server in ("127.0.0.1", "localhost", "::1")
    return server is not None and (at.machine.ray_address is None or not here)


def in_shards(work: Callable[[T], R], parts: Sequence[T], machine: Machine) -> list[R]:
    """Return what some work makes of each part, on the Ray cluster of a machine that shares work.

    Each part is a task of Prefect, with as many threads as it would have here, so that sums are
    the same; `work` and what it holds go to each node once. A single part stays here.

    Raises:
        CuretteError: whatever the work raises.
        StudyError: the cluster cannot be reached, or fails.
    """
    if len(parts) < 2:
        return [work(part) for part in parts]
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    from curette.tasks.methods.cluster import NOT_INSTALLED, cluster, libraries, living_nodes
    from curette.tasks.methods.threads import usual_threads

    try:
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options
    except ImportError as error:
        raise StudyError(NOT_INSTALLED) from error
    threads = machine.threads or usual_threads()
    with cluster(machine) as ray:
        cpus = min(threads, max(node.cpus for node in living_nodes(ray)))
        sent = ray.put(ray.cloudpickle.dumps((work, Machine(threads=threads), libraries())))

        @flow(name="shards", task_runner=RayTaskRunner(), persist_result=False)
        def spread() -> list[bytes]:
            shard = task(name="shard", persist_result=False, cache_policy=NO_CACHE)(_work_there)
            with remote_options(num_cpus=cpus):
                futures = [shard.submit(sent, ray.cloudpickle.dumps(part)) for part in parts]
            return [future.result() for future in futures]

        return [ray.cloudpickle.loads(made) for made in spread()]


def _work_there(sent: bytes, part: bytes) -> bytes:
    """Do a worker's share; bytes go in and out, since Prefect looks into everything else."""
    from ray import cloudpickle

    from curette.tasks.methods.cluster import libraries, require_same
    from curette.tasks.methods.threads import cores_shared

    work, machine, theirs = cloudpickle.loads(sent)
    require_same(theirs, libraries())
    with cores_shared(machine):
        return cast(bytes, cloudpickle.dumps(work(cloudpickle.loads(part))))


# --- what a stage leaves in the Prefect UI ------------------------------------------------------


def _in_prefect() -> bool:
    from prefect.context import FlowRunContext, TaskRunContext

    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def leave_table(key: str, rows: list[dict[str, object]], description: str) -> None:
    """Leave a table in the Prefect UI; outside a Prefect run, where nobody looks, do nothing."""
    if _in_prefect():
        from prefect.artifacts import create_table_artifact

        shown = [
            {name: inert(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
            for row in rows
        ]
        create_table_artifact(table=shown, key=key, description=escape(description))


def leave_markdown(key: str, text: str, description: str) -> None:
    """Leave a Markdown page in the Prefect UI; outside a Prefect run do nothing."""
    if _in_prefect():
        from prefect.artifacts import create_markdown_artifact

        create_markdown_artifact(markdown=text, key=key, description=escape(description))


watcher: ContextVar[Callable[[str, int, int], None] | None] = ContextVar("watcher", default=None)
"""Told `(description, done, total)` as long stages go on; the command line's live display."""


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Tell how far a long stage is: to the `watcher`, and as a bar in the Prefect UI.

    Yields:
        `advance(count)`, which may be called from any thread and as often as one likes: the UI
        is told at most once a second.
    """
    watch = watcher.get() or _nobody
    artifact = None
    if _in_prefect():
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        artifact = cast(UUID, create_progress_artifact(progress=0.0, description=description))
    lock = threading.Lock()
    done = 0
    told_at = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, told_at
        with lock:
            done += count
            due = time.monotonic() - told_at >= 1
            told_at = time.monotonic() if due else told_at
        watch(description, done, total)
        if artifact and due:
            update_progress_artifact(artifact, progress=100 * min(done, total) / max(total, 1))

    watch(description, 0, total)
    yield advance
    if artifact:
        update_progress_artifact(artifact, progress=100.0)


def _nobody(description: str, done: int, total: int) -> None:
    """Watch nothing."""
