"""The key of a stage changes with everything that can change its answer, and nothing else."""

import shutil
from pathlib import Path

import pytest

from curette.schemas.artifact import Ref
from curette.schemas.candidates import FileSource, ProposeSpec
from curette.schemas.concepts import SelectSpec
from curette.schemas.machine import Machine
from curette.storage.store import ArtifactStore
from curette.tasks import stage as stage_module
from curette.tasks.stage import Stage, code_digest

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
    assert SELECT.key(base | {"spec": SelectSpec(per_class=11)}) != key
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
