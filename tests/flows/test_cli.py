"""The command line: what it prints, how it exits, and what survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from curette.flows.cli import COMMANDS, Settings, _ray_alone, main
from curette.schemas.machine import Machine
from tests.builders.demo import CORE, DEMO

PROJECT = Path(__file__).parents[2]


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "curette.flows.cli", "run", *map(str, arguments)]


def _start(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a run of its own process group, on the tests' server: to start one takes 20 s."""
    return subprocess.Popen(
        _command(*arguments),
        cwd=PROJECT,
        env=os.environ | {"PREFECT_HOME": str(home), "PREFECT_API_URL": PREFECT_API_URL.value()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


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
    tmp_path: Path, prefect_server: None
) -> None:
    """Kill a run once some stages are done; two that follow repeat none of them.

    And what each prints is one JSON object.
    """
    store = tmp_path / "store"
    arguments = (DEMO, "--store", store, "--set", *CORE, "--json")
    killed = _start(tmp_path, *arguments)
    while not (store / "screened").is_dir() and killed.poll() is None:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL, "the run ended before it could be killed"

    results = []
    for run in [_start(tmp_path, *arguments) for _ in range(2)]:
        out, error = run.communicate()
        assert run.returncode == 0, error
        results.append(json.loads(out))
    states = [{s["name"]: s["state"] for s in result["stages"]} for result in results]
    for result, state in zip(results, states, strict=True):
        assert set(result) == {"study", "stages", "metrics", "report", "concept_dataset"}
        assert [state[s] for s in ("ingest", "propose", "embed")] == ["cached"] * 3
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
