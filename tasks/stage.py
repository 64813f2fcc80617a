"""A stage's identity: what must be the same for its earlier answer to be this run's answer."""

import ast
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from pydantic import BaseModel

from curette.schemas.artifact import Artifact, Recipe, Ref
from curette.schemas.machine import Machine
from curette.schemas.settings.llm import LlmSpec
from curette.storage.store import ArtifactStore

_PACKAGE = Path(__file__).parent.parent


@dataclass
class Stage(CachePolicy):
    """Prefect's cache policy of one stage, and the recipes of what it makes.

    The key covers the stage's name, the code of its folder and of every schema and shared package
    it imports (as syntax trees, so that comments, docstrings and layout do not count), its inputs,
    and the state of every file or folder that an input points to. The machine is left out, and of a
    language model its patience and limits: they change how fast an answer comes, not the answer.

    Any change of code reruns the stage rather than returning the old answer. That can be eager,
    because what is expensive is kept below the stage, by content: vectors and LLM answers.
    """

    name: str = ""
    folder: str = ""
    """Below `tasks/`; empty: as the stage is called."""

    def compute_key(
        self,
        task_ctx: TaskRunContext,  # noqa: ARG002 - Prefect's signature
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str:
        """Return the stage's cache key for these inputs."""
        return self.key(inputs)

    def key(self, inputs: dict[str, Any]) -> str:
        """Return `<name>-<sha256>` over the code and the inputs without machine and store.

        Answers lie in the store, so another store has none of them; a store that was moved has
        all of them still.
        """
        left_out = (Machine, ArtifactStore)
        named = {k: v for k, v in sorted(inputs.items()) if not isinstance(v, left_out)}
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
        return code_digest(self.folder or self.name)

    def recipe(
        self,
        spec: BaseModel | dict[str, Any] | None = None,
        llm: LlmSpec | None = None,
        **inputs: Ref[Artifact] | None,
    ) -> Recipe:
        """Return what goes into the manifest of what this stage makes; absent inputs are not."""
        settings = spec.model_dump(mode="json") if isinstance(spec, BaseModel) else spec or {}
        return Recipe(
            stage=self.name,
            code=self.code,
            spec=settings | ({"llm": llm.identity()} if llm else {}),
            inputs={name: str(ref) for name, ref in inputs.items() if ref},
        )


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
        content = _tree(path).encode() if path.suffix == ".py" else path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _counts(path: Path) -> bool:
    """Return whether a file that is no Python can change an answer: all but what explains."""
    return path.suffix not in {".py", ".pyc"} and path.name != "README.md"


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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module != "curette.tasks.stage":
                ahead += _modules(node)
    return sorted(seen)


def _modules(imported: ast.ImportFrom) -> list[Path]:
    """Return the files of schemas and tasks that `from a import b` reads: a, or a/b."""
    source = str(imported.module)
    if not source.startswith(("curette.schemas", "curette.tasks")):
        return []
    names = [source, *(f"{source}.{alias.name}" for alias in imported.names)]
    paths = [_PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in names]
    return [path for path in paths if path.is_file()]


def _tree(path: Path) -> str:
    """Return a module's syntax tree without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Path):
        return str(value)
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


# --- what a stage leaves in the Prefect UI ------------------------------------------------------


def leave_table(key: str, rows: list[dict[str, object]], description: str) -> None:
    """Leave a table in the Prefect UI; outside a Prefect run, where nobody looks, do nothing."""
    if TaskRunContext.get() is not None:
        create_table_artifact(table=rows, key=key, description=description)


def leave_markdown(key: str, text: str) -> None:
    """Leave a Markdown page in the Prefect UI; outside a Prefect run do nothing."""
    if TaskRunContext.get() is not None:
        create_markdown_artifact(markdown=text, key=key)


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
    if TaskRunContext.get() is not None:
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
