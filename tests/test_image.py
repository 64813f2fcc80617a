"""The files of a server, `Dockerfile`, `compose.yaml`, `prefect.yaml`, without Docker."""

import datetime
import json
import os
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.settings.models.flows import FlowsSettings

from tests.prefect_server import PrefectServer

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"])


@pytest.fixture(scope="module")
def deployments() -> dict[str, Any]:
    return dict(yaml.safe_load((PROJECT / "prefect.yaml").read_text()))


def test_the_image_has_what_is_named_and_nothing_else_of_the_folder(
    deployments: dict[str, Any],
) -> None:
    """Images of patients, dumps and `.env` lie beside the source on a server."""
    first, *rules = [
        line
        for line in (PROJECT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert first == "*"
    admitted = {rule[1:] for rule in rules if rule.startswith("!")}
    assert all((PROJECT / name).exists() for name in admitted)
    packages = {link.name for link in (PROJECT / "curette").iterdir() if link.is_symlink()}
    entries = {d["entrypoint"].partition("/")[0] for d in deployments["deployments"]}
    assert packages | entries | {"curette", "prefect.yaml", "uv.lock"} <= admitted


def test_services_have_no_rights_and_their_ports_are_this_machines(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name == "database" or service["cap_drop"] == ["ALL"], name


def test_the_server_tells_nobody_and_opens_the_ui_that_does_not(services: dict[str, Any]) -> None:
    quiet = ("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_SERVER_UI_V2_ENABLED")
    server = services["server"]["environment"]
    assert [server[name] for name in quiet] == ["false", "false"]
    assert [os.environ[name] for name in quiet] == ["false", "false"]  # of our own entry points


def test_registering_again_leaves_schedules_alone(
    services: dict[str, Any], deployments: dict[str, Any], tmp_path: Path
) -> None:
    """`prefect deploy` would switch off what somebody switched on in the UI."""
    kept = re.search(r"kept='(.*?)'", services["deployments"]["command"][2])
    assert kept is not None
    edited = subprocess.run(
        ["sed", kept[1], PROJECT / "prefect.yaml"], capture_output=True, check=True
    )
    for deployment in deployments["deployments"]:
        deployment.pop("schedules", None)
    assert yaml.safe_load(edited.stdout) == deployments


def test_a_run_is_called_lost_after_three_heartbeats_that_did_not_come(
    services: dict[str, Any],
) -> None:
    said = re.search(r"--from-json '(.*)'", services["deployments"]["command"][2], re.DOTALL)
    assert said is not None
    trigger = json.loads(said[1])["trigger"]
    every = FlowsSettings().heartbeat_frequency
    assert every is not None
    assert trigger["within"] > 3 * every
    assert trigger["after"] == ["prefect.flow-run.heartbeat"]


def test_a_schedule_that_is_on_has_runs(any_prefect_server: PrefectServer) -> None:
    """With SQLAlchemy 2.1 the server of Prefect 3.8 fails where it makes them."""
    with httpx.Client(base_url=any_prefect_server.api, timeout=60) as server:

        def post(path: str, said: dict[str, Any]) -> Any:
            answer = server.post(path, json=said)
            assert answer.is_success, answer.text
            return answer.json()

        name = f"scheduled-{uuid.uuid4()}"
        flow = post("/flows/", {"name": name})["id"]
        daily = {"schedule": {"cron": "0 3 * * *", "timezone": "UTC"}, "active": True}
        made = post("/deployments/", {"name": name, "flow_id": flow, "schedules": [daily]})["id"]
        post(f"/deployments/{made}/schedule", {"min_runs": 1})
        found = post("/flow_runs/filter", {"flows": {"id": {"any_": [flow]}}})
        server.delete(f"/deployments/{made}")
    hours = [datetime.datetime.fromisoformat(run["expected_start_time"]).hour for run in found]
    assert hours and set(hours) == {3}
