"""A Prefect server for one run, on this machine alone.

Prefect starts such a server by itself where none is configured, but only after it has imported the
whole server into the process that wants to talk to it, and then waits while the server imports the
same again. Started here, first, it comes up while the rest of curette is imported; and it ends when
its run does, however that ends.
"""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from curette.schemas.artifact import CuretteError

_PATIENCE_S = 180
_NAMED_PATIENCE_S = 30  # of one that is busy; where nobody listens, that is told at once
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROFILE = "Prefect's profile (`prefect config view`)"


class ServerSilent(CuretteError):
    """The server for this run did not come up, or the one that is named is not there."""


@contextmanager
def server_for_one_run() -> Iterator[Callable[[], None]]:
    """Start a server, unless one is configured; yield a function that waits until it answers.

    Within the context, once waited for, Prefect talks to that server. One context within another
    has the server of the first, as it must: Prefect sends its events to the first that it knew, for
    minutes after that is gone. Nothing on this machine is reached through a proxy of the
    environment from here on, in this process and its children.

    Raises:
        ServerSilent: a server is configured, and nothing answers there.
    """
    keep_from_proxies(LOOPBACK)
    if named := os.environ.get("PREFECT_API_URL"):
        _look_for(named, "the environment variable PREFECT_API_URL")
        yield lambda: None
        return
    if "prefect" in sys.modules and (named := _named_to_prefect()):  # within such a context, too
        _look_for(named, _PROFILE)
        yield lambda: None
        return
    with bound() as place:
        api = f"http://127.0.0.1:{place.getsockname()[1]}/api"
        server = _start(place)
    try:
        # Takes seconds, in which the server comes up; in vain where a profile names another one.
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            temporary_settings,
        )

        if named := _named_to_prefect():
            server.terminate()
            _look_for(named, _PROFILE)
            yield lambda: None
        else:
            # A flow waits up to a second for its last heartbeat, and nobody listens to any here.
            ours = {PREFECT_API_URL: api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
            with temporary_settings(ours):
                yield lambda: _wait_for(api, server)
    finally:
        server.terminate()
        server.wait()


def is_server_named() -> bool:
    """Return whether the environment or a Prefect profile names a server.

    Importing Prefect to ask it takes a second, which is spared where none of its files is there.
    """
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    here = ((Path("pyproject.toml"), "tool.prefect"), (Path(".env"), "PREFECT"))
    if any(
        _says(file, word)
        for file, word in ((profiles, "API_URL"), (Path("prefect.toml"), "api"), *here)
    ):
        return bool(_named_to_prefect())
    return False


def _named_to_prefect() -> str | None:
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value()


def _says(file: Path, word: str) -> bool:
    return file.is_file() and word in file.read_text(errors="replace")


def keep_from_proxies(hosts: Iterable[str]) -> None:
    """Have the environment's proxies reach none of these hosts; what it says already is kept."""
    for name in ("NO_PROXY", "no_proxy"):
        said = os.environ.get(name, "")
        listed = [host.strip() for host in said.split(",") if host.strip()]
        if "*" not in listed:
            os.environ[name] = ",".join(dict.fromkeys([*listed, *hosts]))


def _look_for(api: str, where: str) -> None:
    """Make sure that something answers at the address of a server that somebody else runs.

    Raises:
        ServerSilent: nothing does.
    """
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=_NAMED_PATIENCE_S):  # noqa: S310
            return
    except urllib.error.HTTPError:
        return  # whoever answers is there
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", error)
        raise ServerSilent(
            f"no Prefect server answers at {api} ({why}), which {where} names. Start it "
            "(`make ui`), or unset it: then the run has a server of its own."
        ) from None


def bound() -> socket.socket:
    """Return a socket at a port of this machine alone, which from now on nobody else gets."""
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    return place


def _start(place: socket.socket) -> subprocess.Popen[bytes]:
    # The flags are those with which Prefect starts its own temporary server: no UI.
    flags = {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "curette.flows.server", str(os.getpid())],
        env=os.environ | flags,
        stdin=place.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Ctrl-C goes to every process of the terminal's group: the server must outlast the run,
        # whose last words to it would otherwise be waited for in vain.
        start_new_session=True,
    )


def _wait_for(api: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with directly.open(f"{api}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    if server.poll() is not None and server.stderr is not None:
        words = server.stderr.read().decode(errors="replace").strip()[-2000:]
        raise ServerSilent(f"the Prefect server for this run ended at once: {words}")
    raise ServerSilent(
        f"the Prefect server for this run did not come up within {_PATIENCE_S} s. Look at it with "
        "`prefect server start`, or set PREFECT_API_URL to a server that runs (`make ui`)."
    )


def _serve(parent: int) -> None:
    """Serve at the socket that is standard input, until the parent is gone or asks to stop.

    The parent says who it is: asked here, it may have been killed already.
    """
    if os.getppid() == parent:
        serve_while(lambda: os.getppid() == parent)


def serve_while(is_wanted: Callable[[], bool]) -> None:
    """Serve at the socket that is standard input for as long as somebody wants it.

    Or until asked to stop.
    """
    import uvicorn
    from prefect.server.api.server import create_app

    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="error"))

    def watch() -> None:
        while is_wanted():
            time.sleep(0.5)
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=sys.stdin.fileno())])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
