"""One Prefect server for all processes of the tests, and homes whose tables are made already.

To start a server takes 15 s of a core, and making its tables is most of it.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel

from curette.flows.server import bound, serve_while

PROJECT = Path(__file__).parents[1]
_PATIENCE_S = 180
_ALONE = {
    "PREFECT_SERVER_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
"""As a run's own server: no UI, and none of the services that look after schedules and workers."""


class PrefectServer(BaseModel):
    """A server that runs until the tests end."""

    api: str
    tables: Path
    """A database whose tables are made and hold nothing."""

    def home(self, folder: Path) -> Path:
        """Make a folder the home of another server, which then has no tables to make."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.tables, folder / "prefect.db")
        return folder


def shared_server(shared: Path, tests: int) -> PrefectServer:
    """Return the server of all processes of the tests; the first that asks starts it.

    Args:
        shared: a folder of these processes.
        tests: the process that outlives the others; the server ends with it.
    """
    record = shared / "prefect-server.json"
    with FileLock(shared / "prefect-server.lock"):
        if not record.exists():
            home, tables = shared / "prefect-home", shared / "prefect-tables.db"
            with bound() as place:
                port = place.getsockname()[1]
                server = subprocess.Popen(
                    [sys.executable, "-m", "tests.prefect_server", str(tests)],
                    cwd=PROJECT,
                    env=os.environ | _ALONE | {"PREFECT_HOME": str(home)},
                    stdin=place.fileno(),
                )
            api = wait_until_up(server, port)
            with (
                closing(sqlite3.connect(home / "prefect.db")) as live,
                closing(sqlite3.connect(tables)) as copy,
            ):
                live.backup(copy)
            record.write_text(PrefectServer(api=api, tables=tables).model_dump_json())
    return PrefectServer.model_validate_json(record.read_text())


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until_up(server: "subprocess.Popen[bytes]", port: int) -> str:
    """Return the address of a server's API once it answers."""
    api = f"http://127.0.0.1:{port}/api"
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with directly.open(f"{api}/health", timeout=5):
                return api
        except OSError:
            time.sleep(0.1)
    server.terminate()
    raise AssertionError(f"no Prefect server came up at {api}")


if __name__ == "__main__":
    # The first test to ask for a server may end first, so the parent is not who must live.
    serve_while(Path("/proc", sys.argv[1]).exists)
