"""The key of a stage changes with everything that can change its answer, and nothing else."""

import shutil
from pathlib import Path

import pytest

from curette.schemas.artifact import Ref
from curette.schemas.machine import Machine
from curette.schemas.settings.propose import FileSource, ProposeSpec
from curette.schemas.settings.select import SelectSpec, Size
from curette.storage.store import ArtifactStore
from curette.tasks import stage as stage_module
from curette.tasks.stage import _PACKAGE as PACKAGE
from curette.tasks.stage import Stage, _with_imports, code_digest

SELECT = Stage(name="select")


def test_equal_inputs_have_equal_keys() -> None:
    inputs = {"concepts": Ref("screened", "ab"), "spec": SelectSpec()}
    assert SELECT.key(inputs) == SELECT.key(dict(reversed(inputs.items())))


def test_every_input_counts_but_machine_and_store(tmp_path: Path) -> None:
    base = {
        "concepts": Ref("screened", "ab"),
        "spec": SelectSpec(),
        "store": ArtifactStore(tmp_path),
        "machine": Machine(),
    }
    key = SELECT.key(base)
    assert SELECT.key(base | {"machine": Machine(batch_size=7, device="cpu")}) == key
    assert SELECT.key(base | {"concepts": Ref("screened", "ac")}) != key
    assert SELECT.key(base | {"spec": SelectSpec(size=Size(per_class=11))}) != key
    assert SELECT.key(base | {"store": ArtifactStore(tmp_path / "moved")}) == key
    assert Stage(name="probe").key(base) != key


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
    ],
)
def test_a_change_that_does_not_matter_keeps_the_answer(
    project: Path, file: str, text: str
) -> None:
    before = _digest()
    (project / file).write_text(text)
    assert _digest() == before


def test_the_digest_does_not_depend_on_the_place(project: Path, tmp_path: Path) -> None:
    before = _digest()
    moved = tmp_path / "moved"
    shutil.copytree(project / "tasks", moved / "tasks")
    shutil.copytree(project / "schemas", moved / "schemas")
    stage_module._PACKAGE = moved
    assert _digest() == before


OWNERS = {
    "encoder": ("embed", "locate"),
    "external": (),  # the flow takes it apart
    "llm": ("propose", "screen", "priors", "annotate"),
}
"""Whose settings a file holds, where it is not the stage of its name."""

REPEATED = {"draw": ("probe", "evaluate", "report"), "evaluate": ("report",)}
"""What later stages are told of a stage's settings, in an artifact."""


def test_a_setting_is_in_the_code_of_its_own_stage_and_of_none_before() -> None:
    folders = sorted(path.parent for path in (PACKAGE / "tasks").glob("*/*task.py"))
    code = {
        folder.name: {m.stem for m in _with_imports(sorted(folder.rglob("*.py"))) if in_settings(m)}
        for folder in folders
    }
    settings = {path.stem for path in (PACKAGE / "schemas" / "settings").glob("*.py")}
    for name in settings - {"__init__", "select"}:
        read_by = {stage for stage, modules in code.items() if name in modules}
        assert read_by <= {*OWNERS.get(name, (name,)), *REPEATED.get(name, ())}, name
    # Few shots and shifts select concepts anew, from the images that they are left with.
    assert {s for s, modules in code.items() if "select" in modules} == {"select", "draw"}


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
