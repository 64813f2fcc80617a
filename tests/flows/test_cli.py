"""The command line: what it prints, how it exits, and what survives a kill."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from curette.flows.cli import COMMANDS, Settings, _ray_alone, main
from curette.schemas.index import ConceptIndex
from curette.schemas.machine import Machine
from tests.builders.demo import CORE, DEMO, QUICK
from tests.builders.finished import FinishedStudy

PROJECT = Path(__file__).parents[2]


_IMPORTED = (
    "curette.flows.cli",
    "curette.flows.study",
    "great_expectations",
    "datasets",
    "faiss",
    "torch",
    "sklearn.manifold",
)
"""What a run needs; to import it takes 15 s of a core."""


@pytest.fixture(scope="module")
def prepared(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> ForkServerContext:
    """Starts processes that have imported all, and know the tests' Prefect server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
        environment.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("home")))
        environment.setenv("PREFECT_LOGGING_LEVEL", "CRITICAL")
        ensure_running()
    return context


def _run(arguments: Sequence[str], told: Path) -> None:
    """Be the command line, in a group of its own as a shell starts one, printing to files."""
    os.setsid()
    for stream, name in ((1, "out"), (2, "error")):
        os.dup2(os.open(told / name, os.O_CREAT | os.O_WRONLY), stream)
    sys.exit(main(["run", *arguments]))


def test_a_wrong_study_exits_2_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(DEMO.read_text().replace("size: enough", "per_class: 0"))
    assert main(["run", str(file), "--store", str(tmp_path / "store")]) == 2
    assert "select.size.per_class: Input should be greater than 0" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_wrong_override_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(DEMO), "--set", "select.siz=3"]) == 2
    assert "did you mean `size`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["run"], ["run", str(DEMO), "--until", "nowhere"], ["walk", str(DEMO)]]
)
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_goes_on_and_two_runs_on_one_store_both_end_well(
    finished: FinishedStudy, prepared: ForkServerContext, tmp_path: Path
) -> None:
    """Kill a run once it has done some stages; two that follow repeat none of them.

    And what each prints is one JSON object.
    """
    store = finished.copied_to(tmp_path / "store").store
    others = {path.name for path in (store / ConceptIndex.kind).iterdir()}
    arguments = (str(DEMO), "--store", str(store), "--set", *CORE, *QUICK, "--json")

    def begin(name: str) -> BaseProcess:
        told = tmp_path / name
        told.mkdir()
        process = prepared.Process(target=_run, args=(arguments, told))
        process.start()
        return process

    killed = begin("killed")
    while {p.name for p in (store / ConceptIndex.kind).iterdir()} == others and killed.is_alive():
        time.sleep(0.05)
    assert killed.pid
    os.killpg(killed.pid, signal.SIGKILL)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL, "the run ended before it could be killed"

    results = []
    for name, run in [(name, begin(name)) for name in ("first", "second")]:
        run.join()
        assert run.exitcode == 0, (tmp_path / name / "error").read_text()
        results.append(json.loads((tmp_path / name / "out").read_text()))
    before = {s.title: s.ref for s in finished.result.stages}
    states = [{s["name"]: s["state"] for s in result["stages"]} for result in results]
    for result, state in zip(results, states, strict=True):
        told = {"study", "stages", "metrics", "report", "concept_dataset", "since"}
        assert set(result) == told
        assert [state[s] for s in ("ingest", "propose", "embed", "select")] == ["cached"] * 4
        refs = {s["name"]: s["ref"] for s in result["stages"]}
        assert refs["select"] != before["select"], "which the killed run made"
        assert Path(result["report"]).is_file()
        fields = {"name", "external", "state", "seconds", "ref"}
        assert all(set(s) - {"why"} == fields for s in result["stages"])
    assert "ran" in {state["report"] for state in states}
    first, second = ([s["ref"] for s in result["stages"]] for result in results)
    assert first == second


@pytest.mark.parametrize(
    "command",
    [
        ["run", "s.yaml"],
        ["estimate", "s.yaml"],
        ["explain", "s.yaml", "image", "another"],
        ["predict", "s.yaml", "folder"],
        ["review", "export", "s.yaml", "sheet.csv"],
        ["review", "import", "s.yaml", "sheet.csv"],
    ],
)
def test_every_command_runs_stages_on_the_machine_that_it_is_told(command: list[str]) -> None:
    usual = _settings(command).options()
    assert usual.machine == Machine()
    assert (usual.until, usual.refresh) == (None, ())
    said = ["--device=cpu", "--batch-size=7", "--threads=3", "--workers=2", "--ray=head:6379"]
    assert _settings([*command, *said]).options().machine == Machine(
        device="cpu", batch_size=7, threads=3, workers=2, engine="ray", ray_address="head:6379"
    )


def _settings(command: list[str]) -> Settings:
    bound = COMMANDS.parse_args(command, exit_on_error=False, print_error=False)[1]
    return next((v for v in bound.arguments.values() if isinstance(v, Settings)), Settings())


@pytest.mark.parametrize("words", [["--ray"], ["--ray", "--threads", "2"]])
def test_ray_without_an_address_is_started_here(words: list[str]) -> None:
    options = _settings(_ray_alone(["run", "s.yaml", *words])).options()
    assert (options.machine.engine, options.machine.ray_address) == ("ray", None)


def test_several_words_may_follow_set_and_refresh_and_either_may_be_repeated() -> None:
    command = ["run", "s.yaml", "--set", "a=-1", "b={c: [1]}", "--refresh", "embed", "screen"]
    bound = COMMANDS.parse_args([*command, "--set", "d=2"], exit_on_error=False)[1]
    assert bound.arguments["settings"].overrides == ("a=-1", "b={c: [1]}", "d=2")
    assert bound.arguments["refresh"] == ("embed", "screen")


def test_a_stage_that_is_not_there_is_answered_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["run", str(DEMO), "--until", "nowhere"])
    assert "there is no stage nowhere; there are ingest, embed, propose" in capsys.readouterr().err


def test_help_and_version_import_nothing_heavy() -> None:
    """Neither an orchestrator nor arrays: people ask for help more often than for a run."""
    code = (
        "import sys; from curette.flows.cli import main\n"
        "try: code = main(sys.argv[1:])\n"
        "finally: print([m for m in ('prefect', 'numpy', 'torch', 'pandas') if m in sys.modules])"
    )
    for words in (["--help"], ["run", "--help"], ["--version"]):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
