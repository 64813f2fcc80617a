"""What is built holds all that runs and takes no name but `curette`, installed beside others."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.builders.demo import CORE, QUICK
from tests.prefect_server import PrefectServer

PROJECT = Path(__file__).parents[1]
ROOTS = ("flows", "schemas", "storage", "tasks")


def _run(*command: object, folder: Path, **environment: str) -> str:
    """Return what a command prints; its errors are shown where it fails."""
    outside = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(c) for c in command],
        cwd=folder,
        env=outside | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _build(source: Path, target: str, into: Path) -> Path:
    """Build with the build backend alone: no isolation, so nothing is fetched."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into, folder=source)
    return next(iter(into.iterdir()))


def _content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(PROJECT, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_four_folders_below_curette_and_nothing_else(wheel: Path) -> None:
    inside = set(_content(wheel))
    metadata = {name for name in inside if ".dist-info/" in name.split("/", 1)[0] + "/"}
    ours = ("--cached", "--others", "--exclude-standard")  # also what is not committed yet
    listed = _run("git", "ls-files", *ours, *ROOTS, folder=PROJECT).splitlines()
    assert inside - metadata == {"curette/__init__.py", *(f"curette/{name}" for name in listed)}


def test_a_wheel_of_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    archive = _build(PROJECT, "sdist", tmp_path / "sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert _content(_build(source, "wheel", tmp_path / "again")) == _content(wheel)


def test_an_editable_install_runs_the_checkout(tmp_path: Path) -> None:
    built = _content(_build(PROJECT, "wheel:editable", tmp_path))
    (path_file,) = (name for name in built if name.endswith(".pth"))
    assert built[path_file].decode().split() == [str(PROJECT)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment; what curette depends on is borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    # Its pip is copied: to install one, as `venv` does, takes three times as long.
    here = ("--quiet", "--no-download", "--app-data", tmp_path_factory.mktemp("app-data"))
    _run(sys.executable, "-m", "virtualenv", *here, folder, folder=folder)
    packages = Path(
        sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    )
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def _install(environment: Path, *wheels: Path) -> None:
    flags = ("--quiet", "--no-deps", "--no-index", "--ignore-installed", "--no-compile")
    _run(
        environment / "bin" / "python", "-m", "pip", "install", *flags, *wheels, folder=environment
    )


def _package_named_tasks(folder: Path) -> Path:
    """Return the wheel of another tool, which calls its package as a folder of ours is called."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / "__init__.py").write_text('OF = "another tool"\n')
    (folder / "pyproject.toml").write_text(
        "[project]\nname = 'another-tool'\nversion = '1'\n"
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[tool.hatch.build.targets.wheel]\npackages = ['tasks']\n"
    )
    return _build(folder, "wheel", folder / "dist")


SMALLER = ("dataset.source.images=120", "validation.min_images_per_class=5")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_installed_beside_a_package_named_tasks_both_work_and_either_can_go(
    environment: Path, wheel: Path, tmp_path: Path, any_prefect_server: PrefectServer
) -> None:
    python = environment / "bin" / "python"
    other = _package_named_tasks(tmp_path / "another")
    _install(environment, wheel, other)
    empty = tmp_path / "empty"
    empty.mkdir()
    settings = (*CORE, *QUICK, *SMALLER)
    command = (environment / "bin" / "curette", "run", "demo", "--json", "--set", *settings)
    home = any_prefect_server.home(tmp_path / "prefect")
    result = json.loads(_run(*command, folder=empty, PREFECT_HOME=str(home)))
    assert Path(result["report"]).is_relative_to(empty / ".curette")
    assert (Path(result["concept_dataset"]) / "README.md").is_file()
    assert [p.name for p in empty.iterdir()] == [".curette"]

    where = "import curette.flows.study_file as f; print(f.__file__)"
    theirs = "import tasks; print(tasks.OF)"
    assert Path(_run(python, "-c", where, folder=empty)).is_relative_to(environment)
    assert _run(python, "-c", theirs, folder=empty) == "another tool\n"
    uninstall = (python, "-m", "pip", "uninstall", "--quiet", "--yes")
    _run(*uninstall, "another-tool", folder=empty)
    assert Path(_run(python, "-c", where, folder=empty)).is_relative_to(environment)
    _install(environment, other)
    _run(*uninstall, "curette", folder=empty)
    assert not shutil.which("curette", path=str(environment / "bin"))
    assert _run(python, "-c", theirs, folder=empty) == "another tool\n"
