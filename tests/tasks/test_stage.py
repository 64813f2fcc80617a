"""The key of a stage changes with everything that can change its answer, and nothing else."""

import importlib
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from curette.schemas.artifact import Ref
from curette.schemas.machine import Machine
from curette.schemas.settings.llm import LlmSpec
from curette.schemas.settings.propose import FileSource, ProposeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.schemas.study import Study
from curette.storage.store import ArtifactStore
from curette.tasks import stage as stage_module
from curette.tasks.stage import _PACKAGE as PACKAGE
from curette.tasks.stage import (
    Stage,
    StageTask,
    Workplace,
    _with_imports,
    code_digest,
    declared_stages,
    stage_names,
)

SELECT = Stage(name="select")


def test_equal_inputs_have_equal_keys() -> None:
    inputs = {"concepts": Ref("screened", "ab"), "spec": SelectSpec()}
    assert SELECT.key(inputs) == SELECT.key(dict(reversed(inputs.items())))


def test_every_input_counts_but_where_it_is_worked_on(tmp_path: Path) -> None:
    base = {
        "concepts": Ref("screened", "ab"),
        "spec": SelectSpec(),
        "at": Workplace(ArtifactStore(tmp_path)),
    }
    key = SELECT.key(base)
    machine, moved = Machine(batch_size=7, device="cpu"), ArtifactStore(tmp_path / "moved")
    assert SELECT.key(base | {"at": Workplace(ArtifactStore(tmp_path), machine)}) == key
    assert SELECT.key(base | {"at": Workplace(moved)}) == key
    assert SELECT.key(base | {"concepts": Ref("screened", "ac")}) != key
    assert SELECT.key(base | {"spec": SelectSpec(size=Size(per_class=11))}) != key
    assert Stage(name="probe").key(base) != key


@dataclass(frozen=True)
class Elsewhere:
    """Another dataset, as the evaluation is given it."""

    name: str
    dataset: Ref[Any]
    cosine: float


def test_the_recipe_says_all_that_is_in_the_key(tmp_path: Path) -> None:
    """Its own settings lie open, other values under their names; what is absent is not told."""
    dataset, made = Ref[Any]("image-dataset", "ab"), Ref[Any]("test-labels", "cd")
    recipes = []

    @SELECT.task
    def select(
        at: Workplace,
        dataset: Ref[Any],
        spec: SelectSpec,
        modality: str,
        llm: LlmSpec,
        reworded: tuple[str, ...] = (),
        others: tuple[Elsewhere, ...] = (),
        screened: Ref[Any] | None = None,
    ) -> Ref[Any]:
        recipes.append(SELECT.recipe(set_apart=made))
        return dataset

    at, llm = Workplace(ArtifactStore(tmp_path)), LlmSpec(model="tiny", concurrency=3)
    select.fn(at, dataset, SelectSpec(size=Size(per_class=3)), "photograph", llm=llm)
    others = (Elsewhere("lamp", Ref("image-dataset", "ef"), 0.9),)
    select.fn(at, dataset, SelectSpec(), "photograph", llm, ("a b",), others)
    plain, full = recipes
    own = SelectSpec(size=Size(per_class=3)).model_dump(mode="json")
    assert plain.spec == own | {"modality": "photograph", "llm": llm.identity()}
    assert plain.inputs == {"dataset": str(dataset), "set_apart": str(made)}
    assert full.spec["reworded"] == ["a b"]
    assert full.spec["others"][0]["cosine"] == 0.9
    assert full.inputs["others lamp dataset"] == "image-dataset/ef"
    with pytest.raises(LookupError):
        SELECT.recipe()


def test_the_file_behind_a_path_counts(tmp_path: Path) -> None:
    file = tmp_path / "concepts.txt"
    spec = ProposeSpec(sources=(FileSource(kind="file", path=file, format="lines"),))
    absent = SELECT.key({"spec": spec})
    file.write_text("dark brown")
    present = SELECT.key({"spec": spec})
    file.write_text("dark blue!")
    assert len({absent, present, SELECT.key({"spec": spec})}) == 3


def test_the_files_of_a_folder_count(tmp_path: Path) -> None:
    spec = ProposeSpec(sources=(FileSource(kind="file", path=tmp_path),))
    before = SELECT.key({"spec": spec})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_text("x")
    assert SELECT.key({"spec": spec}) != before


def test_what_has_no_stable_key_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be a object"):
        SELECT.key({"spec": object()})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one stage and two schemas, of which the stage uses one."""
    for folder in ("tasks/select", "schemas"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tasks/select/task.py").write_text(
        "from curette.schemas.noun import X\n"
        "from curette.tasks.select.helper import f\n"
        "def go(): return f(X)\n"
    )
    (tmp_path / "tasks/select/helper.py").write_text("def f(x): return x + 1\n")
    (tmp_path / "tasks/select/prompt.md").write_text("Describe.\n")
    (tmp_path / "schemas/noun.py").write_text("from curette.schemas.deep import Y\nX = Y\n")
    (tmp_path / "schemas/deep.py").write_text("Y = 1\n")
    (tmp_path / "schemas/stranger.py").write_text("Z = 1\n")
    monkeypatch.setattr(stage_module, "_PACKAGE", tmp_path)
    code_digest.cache_clear()
    return tmp_path


def _digest() -> str:
    code_digest.cache_clear()
    return code_digest("select")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tasks/select/helper.py", "def f(x): return x + 2\n"),
        ("tasks/select/prompt.md", "Describe it.\n"),
        ("tasks/select/new.py", "pass\n"),
        ("schemas/noun.py", "from curette.schemas.deep import Y\nX = -Y\n"),
        ("schemas/deep.py", "Y = 2\n"),
    ],
)
def test_a_change_that_matters_reruns_the_stage(project: Path, file: str, text: str) -> None:
    before = _digest()
    (project / file).write_text(text)
    assert _digest() != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "tasks/select/helper.py",
            '"""Doc."""\n\ndef f(x):\n    "Doc."\n    return x + 1  # why\n',
        ),
        ("schemas/stranger.py", "Z = 2\n"),
        ("tasks/select/README.md", "How it works.\n"),
        ("tasks/select/__pycache__/helper.cpython-311.pyc.139744713970992", "half written"),
        ("tasks/select/.prompt.md.swp", "An editor's"),
    ],
)
def test_a_change_that_does_not_matter_keeps_the_answer(
    project: Path, file: str, text: str
) -> None:
    before = _digest()
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(text)
    assert _digest() == before


def test_another_process_takes_what_was_read_of_modules_while_they_stay_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = _digest()
    (kept,) = (project / "tasks/__pycache__").glob("*.json")

    def anew() -> str:
        stage_module._kept.cache_clear()
        return _digest()

    assert anew() == before
    (project / "schemas/deep.py").write_text("Y = 2\n")
    changed = anew()
    assert changed != before
    kept.write_text(kept.read_text()[:-9])  # torn
    assert anew() == changed


def test_the_digest_does_not_depend_on_the_place(project: Path, tmp_path: Path) -> None:
    before = _digest()
    moved = tmp_path / "moved"
    shutil.copytree(project / "tasks", moved / "tasks")
    shutil.copytree(project / "schemas", moved / "schemas")
    stage_module._PACKAGE = moved
    assert _digest() == before


OWNERS = {
    "encoder": ("embed", "embed_texts", "locate", "propose"),
    "encoders": (),  # the flow takes it apart
    "external": (),  # so it does with this
    "llm": ("propose", "screen", "priors", "annotate"),
    "publish": ("publish", "push"),
}
"""Whose settings a file holds, where it is not the stage of its name."""

REPEATED = ("draw", "evaluate")
"""Whose settings later stages are told in an artifact."""


def test_a_setting_is_in_the_code_of_its_own_stage_and_of_none_before() -> None:
    folders = sorted(path.parent for path in (PACKAGE / "tasks").glob("*/task.py"))
    code = {
        folder.name: {m.stem for m in _with_imports(sorted(folder.rglob("*.py"))) if in_settings(m)}
        for folder in folders
    }
    settings = {path.stem for path in (PACKAGE / "schemas" / "settings").glob("*.py")}
    story = [*declared_stages()]
    for name in settings - {"__init__", "select"}:
        read_by = {stage for stage, modules in code.items() if name in modules}
        later = story[story.index(name) :] if name in REPEATED else ()
        assert read_by <= {*OWNERS.get(name, (name,)), *later}, name
    # Few shots and shifts select concepts anew, from the images that they are left with; the
    # evaluation asks what other choices, and fewer concepts, would have been worth.
    anew = {"select", "draw", "evaluate"}
    assert {s for s, modules in code.items() if "select" in modules} == anew


def test_what_a_question_answers_is_in_the_code_of_the_evaluation_and_the_report_alone() -> None:
    answers = PACKAGE / "schemas" / "questions"
    read_by = {
        stage
        for stage in declared_stages()
        for module in _with_imports(sorted((PACKAGE / "tasks" / stage).rglob("*.py")))
        if module.parent == answers
    }
    assert read_by == {"evaluate", "report"}


def in_settings(module: Path) -> bool:
    return module.parent == PACKAGE / "schemas" / "settings"


def test_a_new_setting_of_the_screen_does_not_embed_anything_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_weights = shutil.ignore_patterns("*.safetensors", "__pycache__")
    for folder in ("tasks", "schemas"):
        shutil.copytree(PACKAGE / folder, tmp_path / folder, ignore=no_weights)
    monkeypatch.setattr(stage_module, "_PACKAGE", tmp_path)
    code_digest.cache_clear()
    before = {stage: code_digest(stage) for stage in ("embed", "screen", "select")}
    settings = tmp_path / "schemas/settings/screen.py"
    settings.write_text(settings.read_text() + "\nclass One(ScreenSpec):\n    more: int = 1\n")
    code_digest.cache_clear()
    after = {stage: code_digest(stage) for stage in before}
    assert {stage for stage in before if before[stage] != after[stage]} == {"screen"}


def test_every_folder_with_a_task_is_a_stage_that_says_what_it_is(tmp_path: Path) -> None:
    stages = declared_stages()
    parts = Study.model_fields
    folders = {path.parent.name for path in (PACKAGE / "tasks").glob("*/task.py")}
    assert {*stages} == folders
    for stage in stages.values():
        assert set(stage.settings) <= set(parts), stage.name
        assert {r.only_if.partition(".")[0] for r in stage.runs} <= {"", *parts}, stage.name
        assert stage.after in stages or stage.name == "ingest"
        assert stage.summary
    for folder in folders:
        says = importlib.import_module(f"curette.tasks.{folder}").__doc__ or ""
        named = re.search(r"^In: .*^Out: .*^First: `(\w+\.py)`", says, re.MULTILINE | re.DOTALL)
        assert named, f"{folder}/__init__.py does not say what comes in, goes out, is read first"
        assert (PACKAGE / "tasks" / folder / named[1]).is_file(), folder


def test_what_a_stage_is_said_to_make_is_what_its_task_returns() -> None:
    for stage in declared_stages().values():
        module = importlib.import_module(f"curette.tasks.{stage.name}.task")
        (made,) = (task for task in vars(module).values() if isinstance(task, StageTask))
        assert made.name == stage.name
        [returned] = get_args(get_type_hints(made.fn)["return"])
        kinds = {kind.kind for kind in get_args(returned) or [returned]}
        assert stage.makes in kinds, stage.name


def test_stages_stand_in_the_order_of_the_story_with_asides_first() -> None:
    names = stage_names()
    assert names[:2] == ["ingest", "embed"]
    assert names[-2:] == ["evaluate", "report"]
    order = {name: number for number, name in enumerate(declared_stages())}
    assert all(order[s.after] < order[s.name] for s in declared_stages().values() if s.after)
