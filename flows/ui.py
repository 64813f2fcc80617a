"""A Prefect server with its UI on this machine: `make ui`, or `python -m flows.ui [PORT]`.

Also makes the work pool that `prefect.yaml` names, so that `prefect deploy --all` has no question.
"""

import os
import signal
import subprocess
import sys
import time

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL, temporary_settings

POOL = "curette"


def main(port: int) -> int:
    """Serve until stopped; return the server's exit code."""
    command = [sys.executable, "-m", "prefect", "server", "start"]
    here = ["--host", "127.0.0.1", "--port", str(port)]
    ports = {"PREFECT_SERVER_API_HOST": "127.0.0.1", "PREFECT_SERVER_API_PORT": str(port)}
    ports["PREFECT_UI_URL"] = f"http://127.0.0.1:{port}"  # links in notifications lead here
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the server is ended too
    server = subprocess.Popen([*command, *here], env=os.environ | ports)
    try:
        _make_pool(f"http://127.0.0.1:{port}/api", server)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _make_pool(api: str, server: subprocess.Popen[bytes]) -> None:
    """Wait for the server and make the pool, unless it is there."""
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        while server.poll() is None and client.api_healthcheck() is not None:
            time.sleep(0.5)
        if server.poll() is None:
            try:
                client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
            except ObjectAlreadyExists:
                return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4200))
