"""The server of a run: reached directly, named or our own, and not stopped by Ctrl-C."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from curette.flows.server import (
    ServerSilent,
    _start,
    bound,
    keep_from_proxies,
    server_for_one_run,
)

PROJECT = Path(__file__).parents[2]


def test_nothing_on_this_machine_is_reached_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "intranet.test")
    monkeypatch.delenv("no_proxy", raising=False)
    keep_from_proxies(("127.0.0.1", "localhost"))
    assert os.environ["NO_PROXY"] == "intranet.test,127.0.0.1,localhost"
    assert urllib.request.proxy_bypass("127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "*")
    keep_from_proxies(("127.0.0.1",))
    assert os.environ["NO_PROXY"] == "*"


def test_a_named_server_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        api = f"http://127.0.0.1:{free.getsockname()[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", api)
        with pytest.raises(ServerSilent, match=r"no Prefect server answers at .* \(`make ui`\)"):
            server_for_one_run().__enter__()


def test_the_servers_process_is_in_no_group_of_the_terminal() -> None:
    with bound() as place:
        server = _start(place)
    try:
        assert os.getsid(server.pid) == server.pid != os.getsid(0)
    finally:
        server.kill()
        server.wait()


def test_a_server_whose_run_is_gone_before_it_serves_ends() -> None:
    another = str(os.getppid())  # than the one that it will find
    command = [sys.executable, "-m", "curette.flows.server", another]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0
